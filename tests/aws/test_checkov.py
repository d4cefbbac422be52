"""checkov finds nothing in the templates, apart from what they skip with a reason.

It reads a template with its defaults, without the resources whose conditions are then false. So it also runs
on copies whose defaults are other choices.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from infra.stage import ROOT, STACKS, TEMPLATES
from tests.support.skipping import missing

PROGRAM = ROOT / ".setup" / "checkov" / "bin" / "checkov"
# Every parameter that decides whether a resource exists → a value other than its default.
OTHER_CHOICES = {
    "Cache": "serverless",
    "Egress": "nat",
    "EndpointZones": "two",
    "AlarmEmail": "ops@example.org",
    "S3PrefixListId": "pl-12345678",
    "WebAclRate": "3000",
    "SnapshotToRestore": "a-snapshot",
}
# A store has a third kind.
DURABLE = {"Cache": "durable", "CacheNodeType": "cache.r7g.large"}

pytestmark = pytest.mark.timeout(400)  # seconds, only for a hang; checkov starts slowly


def checkov(folder: Path) -> dict[str, Any]:
    """Its report on a folder of templates, without network access."""
    if not PROGRAM.exists():
        missing("checkov is not installed: run bin/setup test-all")
    run = subprocess.run(
        [
            PROGRAM,
            "--framework",
            "cloudformation",
            "-d",
            folder,
            "--skip-download",
            "-o",
            "json",
        ],
        capture_output=True,
        text=True,
        timeout=350,
        check=False,
    )
    assert run.stdout.startswith("{"), run.stderr
    report: dict[str, Any] = json.loads(run.stdout)
    assert report["summary"]["parsing_errors"] == 0
    return report


def with_other_choices(text: str, choices: Mapping[str, str] = OTHER_CHOICES) -> str:
    """A template whose defaults are these choices."""
    for name, value in choices.items():
        text = re.sub(
            rf"(^  {name}:\n(?:    .*\n)*?    Default: ).*$", rf'\g<1>"{value}"', text, flags=re.MULTILINE
        )
    return text


def checks_and_resources(checks: list[dict[str, Any]]) -> set[tuple[str, str]]:
    """The check and the resource of each result."""
    return {(check["check_id"], check["resource"].rpartition(".")[2]) for check in checks}


def declared_skips() -> set[tuple[str, str]]:
    """The check and the resource of each skip in the templates."""
    skips, resource = set(), ""
    for part in STACKS:
        for line in (TEMPLATES / f"{part}.yml").read_text().splitlines():
            if heading := re.fullmatch(r"  (\w+):", line):
                resource = heading[1]
            elif skip := re.fullmatch(r"\s+- id: (CKV\w+)", line):
                skips.add((skip[1], resource))
    return skips


def test_checkov_finds_nothing(tmp_path: Path) -> None:
    """No check fails, with the defaults or the other choices; a skip is of a check that would fail."""
    other, durable = tmp_path / "other", tmp_path / "durable"
    for folder in (other, durable):
        folder.mkdir()
    for part in STACKS:
        (other / f"{part}.yml").write_text(with_other_choices(_text(part)))
    changed = {part for part in STACKS if (other / f"{part}.yml").read_text() != _text(part)}
    assert changed == {"network", "store", "api"}
    (durable / "store.yml").write_text(with_other_choices(_text("store"), DURABLE))
    skipped, passed = set(), set()
    for folder, parts in ((TEMPLATES, set(STACKS)), (other, set(STACKS)), (durable, {"store"})):
        report = checkov(folder)
        assert report["results"]["failed_checks"] == []
        files = {check["file_path"].strip("/") for check in report["results"]["passed_checks"]}
        assert files == {f"{part}.yml" for part in parts}
        passed |= checks_and_resources(report["results"]["passed_checks"])
        skipped |= checks_and_resources(report["results"]["skipped_checks"])
        print(f"checkov: {report['summary']}")
    assert skipped == declared_skips(), "remove skips that excuse nothing"
    for nodes in ("CacheNodes", "DurableCache"):
        assert ("CKV_AWS_29", nodes) in passed, "the nodes were checked"
    assert ("CKV_AWS_192", "WebAcl") in skipped, "the web ACL was read"


def test_checkov_finds_unsafe_templates(tmp_path: Path) -> None:
    """A cache without encryption, an open port and a right to everything are each found."""
    for part in STACKS:
        shutil.copy(TEMPLATES / f"{part}.yml", tmp_path)
    store = _text("store").replace("AtRestEncryptionEnabled: true", "")
    (tmp_path / "store.yml").write_text(store)
    network = _text("network").replace(
        "SourceSecurityGroupId: !Ref RunnerGroup", "CidrIp: 0.0.0.0/0\n      ToPort: 22", 1
    )
    network = network.replace(
        "FromPort: 6379\n      ToPort: 6380\n      CidrIp", "FromPort: 22\n      CidrIp"
    )
    (tmp_path / "network.yml").write_text(network)
    api = _text("api").replace('["logs:CreateLogStream", "logs:PutLogEvents"]', '"*"')
    (tmp_path / "api.yml").write_text(api.replace("[!GetAtt FunctionLog.Arn, !GetAtt SweepLog.Arn]", '"*"'))
    failed = checks_and_resources(checkov(tmp_path)["results"]["failed_checks"])
    assert failed >= {("CKV_AWS_29", "CacheNodes"), ("CKV_AWS_24", "RedisFromRunners")}, failed
    assert [check for check, resource in failed if resource == "FunctionRole"], failed


def _text(part: str) -> str:
    return (TEMPLATES / f"{part}.yml").read_text()
