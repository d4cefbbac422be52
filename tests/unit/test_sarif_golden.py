"""SARIF: a golden file for each family of compilers, checked by the format's own schema and validator.

To add a family: a file in tests/sarif/golden, made with tests/sarif/record.py.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from chalicelib.catalog import load_catalog
from chalicelib.models import CompileRequest, Reason, Result, Verdict
from chalicelib.sarif.document import message_text, sarif_document
from tests.sarif.documents import make_document, make_error
from tests.sarif.record import GOLDEN, sarif_of
from tests.sarif.validator import errors_by_tool, faults_by_schema

FILES = sorted(GOLDEN.glob("*.json"))


def _golden(path: Path) -> dict[str, Any]:
    golden = json.loads(path.read_text(encoding="utf-8"))
    assert isinstance(golden, dict)
    return golden


def test_every_family_of_compilers_has_a_golden_file() -> None:
    """Or shares the form of its messages with a family that has one."""
    families = load_catalog().families
    recorded = {families[path.stem].message_format for path in FILES}
    assert recorded == {family.message_format for family in families.values()}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_sarif_of_a_recorded_result_has_not_changed(path: Path) -> None:
    """It is equal to the recorded SARIF."""
    golden = _golden(path)
    assert sarif_of(golden) == golden["sarif"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_golden_file_leaves_nothing_of_its_result_out(path: Path) -> None:
    """Each diagnostic is a result, each code a rule, each file an artifact; the name is the family's."""
    golden = _golden(path)
    request = CompileRequest.model_validate(golden["request"])
    result = Result.model_validate(golden["result"])
    assert result.environment is not None and result.environment.family == path.stem
    assert len(result.diagnostics) > 0
    [run] = golden["sarif"]["runs"]
    assert [result_json["message"]["text"] for result_json in run["results"]] == [
        message_text(item.message) for item in result.diagnostics
    ]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert {item.code or item.severity.value for item in result.diagnostics} == set(rules)
    assert [rules[item["ruleIndex"]] for item in run["results"]] == [
        item["ruleId"] for item in run["results"]
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
    """Documents of what a hostile source could make a compiler print."""
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
        make_document(*(make_error("{0} {} [a](b) \\[ \x7f \ufffe", file=name, column=7) for name in names)),
        make_document(
            make_error("end before start", column=9, end_line=1, end_column=2),
            make_error("far", line=10**9, column=10**9),
        ),
        make_document(verdict=Verdict.INCONCLUSIVE, reason=Reason.MEMORY, exit_code=None, error="No {room}."),
        make_document(truncated=True),
        make_document(environment=None, command=(), exit_code=None),
        sarif_document([]),
    ]


def _broken() -> list[dict[str, Any]]:
    """Invalid documents: one by the schema, one by a rule that a schema cannot express."""
    first, second = (json.loads(json.dumps(_golden(FILES[0])["sarif"])) for _ in range(2))
    first["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["region"]["startLine"] = 0
    second["runs"][0]["results"][0]["ruleIndex"] = 99
    return [first, second]


def test_the_schema_finds_faults() -> None:
    """Of the two broken documents it finds the one that a schema can find."""
    assert [bool(faults_by_schema(document)) for document in _broken()] == [True, False]


def test_the_validator_of_the_format_finds_errors_only_in_broken_documents(tmp_path: Path) -> None:
    """By rules beyond the schema: none in golden files and hostile documents, some in the broken ones."""
    valid = [*(_golden(path)["sarif"] for path in FILES), *_hostile()]
    good = [run for document in valid for run in document["runs"]]
    broken = [run for document in _broken() for run in document["runs"]]
    errors = errors_by_tool([*good, *broken], tmp_path)
    places = [f"runs[{len(good) + number}]" for number in range(len(broken))]
    assert [line for line in errors if not any(place in line for place in places)] == []
    assert all(any(place in line for line in errors) for place in places)
