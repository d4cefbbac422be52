"""The SARIF validator of the format's authors: the schema, and the rules that a schema cannot express.

Both are in an npm package, which tests/sarif/package-lock.json pins by its hash; `bin/setup test-all`
installs it.
"""

import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # it brings no types, and two calls need none

from chalicelib.sarif.document import document
from tests.support.skipping import missing
from tests.support.tiers import in_tier

FOLDER = Path(__file__).parent
_PACKAGE = FOLDER / "node_modules/@microsoft/sarif-multitool-linux"
_PROGRAM = "Sarif.Multitool"
_SCHEMA = _PACKAGE / "sarif-2.1.0.json"
# It takes two seconds of processor time; a busy machine needs much longer.
_TIMEOUT_SECONDS = 200


@cache
def _schema_validator() -> Any:
    if not _SCHEMA.exists():
        missing("the SARIF schema is not there: run bin/setup test-all")
    schema = json.loads(_SCHEMA.read_text(encoding="utf-8-sig"))
    # With formats: `uri`, `uri-reference` and `date-time` are where a log can be wrong and look right.
    return jsonschema.Draft202012Validator(
        schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    )


def assert_valid(log: Mapping[str, Any]) -> None:
    """The schema has nothing against a log. In the fast tier only where the schema is installed."""
    if in_tier(fast=_SCHEMA.exists(), full=True):
        assert faults_by_schema(log) == []


def faults_by_schema(log: Mapping[str, Any]) -> list[str]:
    """What the schema says against a log, each with its place."""
    return [f"{error.json_path}: {error.message}" for error in _schema_validator().iter_errors(log)]


def errors_by_tool(runs: Sequence[Mapping[str, Any]], folder: Path) -> list[str]:
    """What the validator calls wrong in these runs, each line with ``runs[<number>]``; without its advice.

    They are put into one log, which is written to `folder`: each log would take another second.
    """
    if platform.machine() != "x86_64" or not (_PACKAGE / _PROGRAM).exists():
        missing("the SARIF validator is not there: run bin/setup test-all, on x86_64")
    program = folder / _PROGRAM
    program.symlink_to(_PACKAGE / _PROGRAM)
    program.chmod(0o755)  # its package sets this by a script, which need not run
    path = folder / "all.sarif"
    path.write_text(json.dumps(document(runs)), encoding="utf-8")
    # Its messages need no localization, and a machine may lack the library for it.
    environment = dict(os.environ) | {"DOTNET_SYSTEM_GLOBALIZATION_INVARIANT": "1"}
    run = subprocess.run(
        [program, "validate", path],
        env=environment,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_SECONDS,
        check=False,
    )
    assert "1 files scanned" in run.stdout, run.stdout + run.stderr
    return [line.partition(": error ")[2] for line in run.stdout.splitlines() if ": error " in line]
