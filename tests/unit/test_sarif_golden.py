"""SARIF: a golden file for each family of compilers, and whether the format's own checkers agree with it.

A new family: a file in tests/sarif/golden, made with tests/sarif/record.py.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from chalicelib.catalog import load_catalog
from chalicelib.models import CompileRequest, Reason, Result, Verdict
from chalicelib.sarif.document import document, message_text
from tests.sarif.logs import make_error, make_log
from tests.sarif.record import GOLDEN, sarif_of
from tests.sarif.validator import errors_by_tool, faults_by_schema

FILES = sorted(GOLDEN.glob("*.json"))


def _golden(path: Path) -> dict[str, Any]:
    found = json.loads(path.read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


def test_every_family_of_compilers_has_a_golden_file() -> None:
    """Or shares the form of its messages with a family that has one."""
    families = load_catalog().families
    recorded = {families[path.stem].diagnostics for path in FILES}
    assert recorded == {family.diagnostics for family in families.values()}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_a_compiler_said_is_told_as_before(path: Path) -> None:
    """The SARIF of a recorded result is the recorded SARIF."""
    golden = _golden(path)
    assert sarif_of(golden) == golden["sarif"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_golden_file_tells_everything_that_it_was_given(path: Path) -> None:
    """Each diagnostic is a result, each code a rule, each file an artifact; the name is the family's."""
    golden = _golden(path)
    request = CompileRequest.model_validate(golden["request"])
    result = Result.model_validate(golden["result"])
    assert result.environment is not None and result.environment.family == path.stem
    assert len(result.diagnostics) > 0
    [run] = golden["sarif"]["runs"]
    assert [each["message"]["text"] for each in run["results"]] == [
        message_text(each.message) for each in result.diagnostics
    ]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert {each.code or each.severity.value for each in result.diagnostics} == set(rules)
    assert [rules[each["ruleIndex"]] for each in run["results"]] == [
        each["ruleId"] for each in run["results"]
    ]
    assert len(run["artifacts"]) == len(request.files)
    [invocation] = run["invocations"]
    assert invocation["exitCode"] == result.exit_code
    assert invocation["executionSuccessful"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_golden_file_is_valid_by_the_schema(path: Path) -> None:
    """The schema of SARIF 2.1.0, with its formats."""
    assert faults_by_schema(_golden(path)["sarif"]) == []


def _hostile() -> list[dict[str, Any]]:
    """Logs of what a hostile source could make a compiler say."""
    names = [
        "/etc/pass wd",
        "a b%c#d?e.hpp",
        "//evil.invalid/x",
        "C:\\x",
        "http://evil.invalid/",
        "é",
        "..",
        "",
    ]
    return [
        make_log(*(make_error("{0} {} [a](b) \\[ \x7f \ufffe", file=name, column=7) for name in names)),
        make_log(
            make_error("end before start", column=9, end_line=1, end_column=2),
            make_error("far", line=10**9, column=10**9),
        ),
        make_log(verdict=Verdict.INCONCLUSIVE, reason=Reason.MEMORY, exit_code=None, error="No {room}."),
        make_log(truncated=True),
        make_log(environment=None, command=(), exit_code=None),
        document([]),
    ]


def _spoilt() -> list[dict[str, Any]]:
    """Logs that are wrong: by the schema, and by a rule that it cannot say."""
    first, second = (json.loads(json.dumps(_golden(FILES[0])["sarif"])) for _ in range(2))
    first["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["region"]["startLine"] = 0
    second["runs"][0]["results"][0]["ruleIndex"] = 99
    return [first, second]


def test_the_schema_does_find_faults() -> None:
    """Of the two that are spoilt, the one that a schema can find."""
    assert [bool(faults_by_schema(log)) for log in _spoilt()] == [True, False]


def test_the_validator_of_the_format_finds_errors_where_they_are(tmp_path: Path) -> None:
    """None in golden files and hostile logs, by rules beyond the schema; but in those that are spoilt."""
    logs = [*(_golden(path)["sarif"] for path in FILES), *_hostile()]
    good = [run for log in logs for run in log["runs"]]
    spoilt = [run for log in _spoilt() for run in log["runs"]]
    errors = errors_by_tool([*good, *spoilt], tmp_path)
    places = [f"runs[{len(good) + number}]" for number in range(len(spoilt))]
    assert [line for line in errors if not any(place in line for place in places)] == []
    assert all(any(place in line for line in errors) for place in places)
