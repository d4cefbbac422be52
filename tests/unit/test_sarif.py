"""SARIF of diagnostics made by hand: locations, messages, notes, fixes, runs and invocations.

SARIF of what compilers really print is in test_sarif_golden.py.
"""

from typing import Any

import pytest

from chalicelib.diagnostic_groups import DiagnosticGroup
from chalicelib.models import Diagnostic, Fix, Reason, Severity, Stage, Target, Verdict
from chalicelib.sarif.document import CompilerRun, sarif_document
from chalicelib.sarif.locations import Locations
from tests.sarif.documents import make_document, make_error
from tests.sarif.validator import assert_valid
from tests.support.factories import make_environment, make_result


def _result(*diagnostics: Diagnostic, source: str = "int x;\n") -> dict[str, Any]:
    [run] = make_document(*diagnostics, source=source)["runs"]
    [result] = run["results"]
    assert isinstance(result, dict)
    return result


def _region(diagnostic: Diagnostic, source: str) -> dict[str, int]:
    region = _result(diagnostic, source=source)["locations"][0]["physicalLocation"]["region"]
    assert isinstance(region, dict)
    return region


# -- locations


@pytest.mark.parametrize(
    ("source", "column", "character"),
    [
        ("int x;", 5, 5),
        ("é x", 4, 3),
        ("// ü€😀 x", 14, 8),
        ("😀", 5, 2),
        ("é", 10, 9),
        ("é x", 2, 2),
        ("int x;", 100, 100),
    ],
)
def test_columns_in_bytes_become_columns_in_code_points(source: str, column: int, character: int) -> None:
    """Beyond the end of the line, and inside a character, the result is still a valid column."""
    assert _region(make_error("here", column=column), source)["startColumn"] == character


def test_both_ends_of_a_region_are_converted_in_their_own_lines() -> None:
    """The end is exclusive before and after."""
    diagnostic = make_error("here", line=1, column=4, end_line=2, end_column=6)
    assert _region(diagnostic, "éx = 1;\nüüü;\n") == {
        "startLine": 1,
        "startColumn": 3,
        "endLine": 2,
        "endColumn": 4,
    }


def test_a_line_that_is_not_in_the_request_keeps_its_columns() -> None:
    """A line of a system header, and one that `#line` invented."""
    locations = Locations({"main.cpp": "é"}, "gnu")
    assert (
        locations.column_in_characters("main.cpp", 2, 9)
        == locations.column_in_characters("/usr/include/x.h", 1, 9)
        == 9
    )


def test_a_location_without_column_or_line_stays_without() -> None:
    """The missing parts are not invented."""
    assert _region(make_error("here", line=4), "int x;") == {"startLine": 4}
    location = _result(make_error("here", line=None))["locations"][0]["physicalLocation"]
    assert "region" not in location


@pytest.mark.parametrize("name", [None, "<command-line>", "<built-in>"])
def test_a_diagnostic_without_a_file_has_no_location(name: str | None) -> None:
    """A message about the command is a result nevertheless."""
    assert "locations" not in _result(make_error("unknown option", file=name, line=None))


@pytest.mark.parametrize(
    ("name", "artifact_location"),
    [
        ("main.cpp", {"uri": "main.cpp", "uriBaseId": "SRCROOT", "index": 0}),
        ("/usr/include/c++/12/vector", {"uri": "file:///usr/include/c%2B%2B/12/vector"}),
        ("a b/ü.hpp", {"uri": "a%20b/%C3%BC.hpp"}),
        ("http://evil.invalid/x", {"uri": "http%3A//evil.invalid/x"}),
        ("//evil.invalid/x", {"uri": "file:////evil.invalid/x"}),
        ("a?b#c", {"uri": "a%3Fb%23c"}),
    ],
)
def test_a_file_is_named_by_a_uri_that_cannot_be_another(
    name: str, artifact_location: dict[str, Any]
) -> None:
    """A name is percent-encoded: it never becomes a scheme, a host, a query or a fragment."""
    location = _result(make_error("here", file=name))["locations"][0]["physicalLocation"]
    assert location["artifactLocation"] == artifact_location


# -- messages, notes, fixes


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("use std::array<int>{1, 2}", "use std::array<int>{{1, 2}}"),
        ("{0}", "{{0}}"),
        ("operator[] (int)", "operator[] (int)"),
        ("[click](http://evil.invalid/)", "\\[click\\](http://evil.invalid/)"),
        ("a[0](1)", "a\\[0\\](1)"),
    ],
)
def test_a_message_is_escaped(text: str, escaped: str) -> None:
    """Braces never become placeholders, nor brackets links, whatever the compiler quotes from the source."""
    assert _result(make_error(text))["message"] == {"text": escaped}


def test_notes_are_related_locations() -> None:
    """At any depth and in order; a note without a location still has its text."""
    inner = make_error("inner", severity=Severity.NOTE, line=3, column=1)
    outer = make_error("outer", severity=Severity.NOTE, file=None, line=None, children=(inner,))
    related = _result(make_error("bad", children=(outer, inner)))["relatedLocations"]
    assert [(note["id"], note["message"]["text"]) for note in related] == [
        (0, "outer"),
        (1, "inner"),
        (2, "inner"),
    ]
    assert "physicalLocation" not in related[0]
    assert related[1]["physicalLocation"]["region"]["startLine"] == 3


def _fix(text: str, **changes: Any) -> Fix:
    values: dict[str, Any] = {"file": "main.cpp", "line": 1, "column": 4, "end_line": 1, "end_column": 6}
    return Fix(**(values | changes), text=text)


def test_the_edits_of_one_message_are_one_fix() -> None:
    """They belong together: grouped by file, with columns in code points; an insertion replaces nothing."""
    fixes = (_fix("a"), _fix("b", end_column=4), _fix("c", file="b.hpp"))
    [fix] = _result(make_error("bad", fixes=fixes), source="é x y")["fixes"]
    assert [change["artifactLocation"]["uri"] for change in fix["artifactChanges"]] == ["main.cpp", "b.hpp"]
    first, second = fix["artifactChanges"][0]["replacements"]
    assert first == {
        "deletedRegion": {"startLine": 1, "startColumn": 3, "endLine": 1, "endColumn": 5},
        "insertedContent": {"text": "a"},
    }
    assert second["deletedRegion"] == {"startLine": 1, "startColumn": 3, "endLine": 1, "endColumn": 3}


def test_the_edits_of_each_note_are_another_fix() -> None:
    """Each is an alternative, and equal ones are listed once."""
    notes = [
        make_error(text, severity=Severity.NOTE, fixes=(_fix(text),)) for text in ("this", "that", "that")
    ]
    fixes = _result(make_error("bad", children=tuple(notes)))["fixes"]
    assert [fix["description"]["text"] for fix in fixes] == ["this", "that"]


# -- runs and invocations


def test_the_invocation_says_what_ran_and_how_it_ended() -> None:
    """A rejected source is still a successful execution of the compiler."""
    [run] = make_document(command_environment={"LANG": "C"})["runs"]
    [invocation] = run["invocations"]
    assert invocation["commandLine"] == "g++-12 -c main.cpp"
    assert invocation["arguments"] == ["-c", "main.cpp"]
    assert invocation["environmentVariables"] == {"LANG": "C"}
    assert (invocation["exitCode"], invocation["executionSuccessful"]) == (1, True)
    assert invocation["properties"]["verdict"] == "rejected"
    driver = run["tool"]["driver"]
    assert (driver["name"], driver["fullName"], driver["version"], driver["semanticVersion"]) == (
        "gcc-12",
        "g++-12 (Debian) 12.2.0",
        "12.2.0",
        "12.2.0",
    )
    assert run["conversion"]["tool"]["driver"]["name"] == "will-it-compile"


def test_an_inconclusive_job_is_not_a_successful_execution() -> None:
    """Its notification has the reason, so that it cannot be mistaken for a source without errors."""
    [run] = make_document(
        verdict=Verdict.INCONCLUSIVE, reason=Reason.MEMORY, exit_code=None, error="No room."
    )["runs"]
    [invocation] = run["invocations"]
    assert not invocation["executionSuccessful"]
    assert "exitCode" not in invocation
    [notification] = invocation["toolExecutionNotifications"]
    assert (notification["descriptor"]["id"], notification["level"]) == ("memory", "error")
    assert notification["message"]["text"] == "No room."
    assert {"id": "memory"} in run["tool"]["driver"]["notifications"]


def test_truncated_output_is_a_warning() -> None:
    """There may be more diagnostics."""
    [run] = make_document(truncated=True)["runs"]
    [notification] = run["invocations"][0]["toolExecutionNotifications"]
    assert (notification["descriptor"]["id"], notification["level"]) == ("truncated", "warning")


def test_a_job_for_which_no_compiler_ran_has_a_document() -> None:
    """For example a cancelled one: the driver is the requested compiler."""
    [run] = make_document(environment=None, command=(), exit_code=None)["runs"]
    assert run["tool"]["driver"]["name"] == "gcc-12"
    assert "commandLine" not in run["invocations"][0]


def test_diagnostics_left_out_of_a_matrix_are_counted() -> None:
    """A notification has their number, and the document stays valid."""
    run = CompilerRun("gcc-12", make_environment(), {"main.cpp": "int x;"})
    for number in range(2):
        run.add_job(make_result(f"{number:032x}"), "c++17", Target("x86_64", "linux"), Stage.COMPILE, {})
    run.note_omitted(7)
    document = sarif_document([run.to_json("id", [DiagnosticGroup(make_error("bad"), [0, 1])])])
    assert_valid(document)
    [notification] = document["runs"][0]["invocations"][0]["toolExecutionNotifications"]
    assert notification["message"]["text"].startswith("7 diagnostics were left out")
    assert document["runs"][0]["results"][0]["occurrenceCount"] == 2
