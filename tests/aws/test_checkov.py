"""What checkov says of the templates: nothing that is not skipped with its reason beside it.

It looks at a template as it is with its defaults, and leaves out what a condition then leaves out. So it
looks twice: also at copies whose defaults are the other choices.
"""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from infra.stage import ROOT, STACKS, TEMPLATES
from tests.support.skipping import missing

PROGRAM = ROOT / ".setup" / "checkov" / "bin" / "checkov"
# Every choice that decides whether a resource is there, and another value than its default.
OTHER_CHOICES = {
    "Cache": "nodes",
    "Egress": "nat",
    "EndpointZones": "two",
    "AlarmEmail": "ops@example.org",
    "S3PrefixListId": "pl-12345678",
}

pytestmark = pytest.mark.timeout(200)  # it starts slowly, on a machine that does other things as well


def checkov(folder: Path) -> dict[str, Any]:
    """Its report on a folder of templates; it asks nobody on the network."""
    if not PROGRAM.exists():
        missing("checkov is not installed: run bin/setup test-all")
    run = subprocess.run(
        [PROGRAM, "--framework", "cloudformation", "-d", folder, "--skip-download", "-o", "json"],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert run.stdout.startswith("{"), run.stderr
    report: dict[str, Any] = json.loads(run.stdout)
    assert report["summary"]["parsing_errors"] == 0
    return report


def chosen_otherwise(text: str) -> str:
    """A template whose defaults are `OTHER_CHOICES`."""
    for name, value in OTHER_CHOICES.items():
        text = re.sub(
            rf"(^  {name}:\n(?:    .*\n)*?    Default: ).*$", rf'\g<1>"{value}"', text, flags=re.MULTILINE
        )
    return text


def named(checks: list[dict[str, Any]]) -> set[tuple[str, str]]:
    """Check and resource of each."""
    return {(check["check_id"], check["resource"].rpartition(".")[2]) for check in checks}


def declared() -> set[tuple[str, str]]:
    """Check and resource of each that a template asks to skip."""
    found, resource = set(), ""
    for part in STACKS:
        for line in (TEMPLATES / f"{part}.yml").read_text().splitlines():
            if heading := re.fullmatch(r"  (\w+):", line):
                resource = heading[1]
            elif skip := re.fullmatch(r"\s+- id: (CKV\w+)", line):
                found.add((skip[1], resource))
    return found


def test_checkov_finds_nothing(tmp_path: Path) -> None:
    """No check fails, with the defaults and with the other choices; every skip is one that would fail."""
    for part in STACKS:
        text = (TEMPLATES / f"{part}.yml").read_text()
        (tmp_path / f"{part}.yml").write_text(chosen_otherwise(text))
    changed = {part for part in STACKS if (tmp_path / f"{part}.yml").read_text() != _text(part)}
    assert changed == {"network", "store", "api"}
    skipped, passed = set(), set()
    for folder in (TEMPLATES, tmp_path):
        report = checkov(folder)
        assert report["results"]["failed_checks"] == []
        looked_at = {check["file_path"].strip("/") for check in report["results"]["passed_checks"]}
        assert looked_at == {f"{part}.yml" for part in STACKS}
        passed |= named(report["results"]["passed_checks"])
        skipped |= named(report["results"]["skipped_checks"])
        print(f"checkov: {report['summary']}")
    assert skipped == declared(), "a reason that excuses nothing any more goes"
    assert ("CKV_AWS_29", "CacheNodes") in passed, "the nodes were looked at"


def test_checkov_sees_what_is_unsafe(tmp_path: Path) -> None:
    """Without encryption, with an open port and with a right to everything, it complains of each."""
    for part in STACKS:
        shutil.copy(TEMPLATES / f"{part}.yml", tmp_path)
    store = chosen_otherwise(_text("store")).replace("AtRestEncryptionEnabled: true", "")
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
    failed = named(checkov(tmp_path)["results"]["failed_checks"])
    assert failed >= {("CKV_AWS_29", "CacheNodes"), ("CKV_AWS_24", "RedisFromRunners")}, failed
    assert [check for check, resource in failed if resource == "FunctionRole"], failed


def _text(part: str) -> str:
    return (TEMPLATES / f"{part}.yml").read_text()
