"""The official SARIF validator: its schema, and the rules that no schema can express.

Both are in one npm package, which tests/sarif/package-lock.json pins by its hash; `npm ci` in this folder
installs it. Where it is missing, a test is skipped, or fails with CI=true.
"""

import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

import jsonschema  # type: ignore[import-untyped]  # it brings no types, and two calls need none
import pytest

from chalicelib.sarif.document import sarif_document

FOLDER = Path(__file__).parent
_PACKAGE = FOLDER / "node_modules/@microsoft/sarif-multitool-linux"
_PROGRAM = "Sarif.Multitool"
# It needs two seconds of processor time; the rest is for a busy machine.
_PATIENCE_SECONDS = 100


@cache
def _schema_validator() -> Any:
    path = _PACKAGE / "sarif-2.1.0.json"
    if not path.exists():
        _missing("the SARIF schema is not there: run `npm ci` in tests/sarif")
    schema = json.loads(path.read_text(encoding="utf-8-sig"))
    # Formats are checked too: a wrong `uri`, `uri-reference` or `date-time` looks right at first sight.
    return jsonschema.Draft202012Validator(
        schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    )


def faults_by_schema(document: Mapping[str, Any]) -> list[str]:
    """The faults that the schema finds in a document, each with its path."""
    return [f"{error.json_path}: {error.message}" for error in _schema_validator().iter_errors(document)]


def errors_by_tool(runs: Sequence[Mapping[str, Any]], folder: Path) -> list[str]:
    """The errors that the validator finds in these runs, each line with ``runs[<number>]``; no warnings.

    All runs go into one document, which is written to `folder`: each document would take another second.
    """
    if platform.machine() != "x86_64" or not (_PACKAGE / _PROGRAM).exists():
        _missing("the SARIF validator is not there: run `npm ci` in tests/sarif, on x86_64")
    program = folder / _PROGRAM
    program.symlink_to(_PACKAGE / _PROGRAM)
    program.chmod(0o755)  # a script of its package would set this, but `npm ci` may run no scripts
    path = folder / "all.sarif"
    path.write_text(json.dumps(sarif_document(runs)), encoding="utf-8")
    # Its messages need no locale data, and a machine may lack the library that has them.
    env = dict(os.environ) | {"DOTNET_SYSTEM_GLOBALIZATION_INVARIANT": "1"}
    run = subprocess.run(
        [program, "validate", path],
        env=env,
        capture_output=True,
        text=True,
        timeout=_PATIENCE_SECONDS,
        check=False,
    )
    assert "1 files scanned" in run.stdout, run.stdout + run.stderr
    return [line.partition(": error ")[2] for line in run.stdout.splitlines() if ": error " in line]


def _missing(what: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what)
