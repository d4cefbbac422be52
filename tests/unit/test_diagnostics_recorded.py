"""The output of real compilers and the diagnostics in it: the files in `diagnostics/`.

Each file holds the sources, the command, what the compiler printed (a list of lines; paths of its
installation replaced), and the diagnostics. If the command has arguments for the parser only, `bare` is what
the compiler prints without them; `forged_lines` is how many lines look like errors and are not. To add a
case, add a file.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from chalicelib.catalog.schema import MessageFormat
from chalicelib.models import Diagnostic
from runner.diagnostics import PARSERS, parse, without_parser_output

_CASES = {path.stem: path for path in sorted((Path(__file__).parent / "diagnostics").glob("*.json"))}
_FORMATS = set(get_args(MessageFormat))

# How each compiler starts a line with an error, independent of the parsers: a person's `grep -c`. If lines
# that the job forged would deceive a person, the case says how many there are.
_ERROR_LINES = {
    "clang": r"^main\.cpp:\d+:\d+: (?:fatal )?error: ",
    "gfortran": r"^(?:f951: )?(?:Fatal )?Error: |^gfortran[^:]*: error: |^\S*(?:ld|collect2): ",
    "gnu": r"^main\.cpp:\d+:\d+: (?:fatal )?error: ",
    "go": r"^(?!#)(?!.*too many errors$)(?!go: errors parsing)\S.*",
    "javac": r"^Main\.java:\d+: error: |^a/b/X\.java:\d+: error: |^error: ",
    "python": r"^\*\*\* Error compiling ",
    # A blank line follows the summary at once, and no error of the source.
    "rustc": r"^error(?:\[E\d+\])?: (?!aborting due to \d+ previous errors?\b.*\n\n)",
    "tsc": r"^\S+\(\d+,\d+\): error TS|^error TS",
    "zig": r"^\S+:\d+:\d+: error: |^error: ",
}


def _case(name: str) -> dict[str, Any]:
    case: dict[str, Any] = json.loads(_CASES[name].read_text())
    return case


def _diagnostics(case: dict[str, Any]) -> tuple[Diagnostic, ...]:
    files = {name: "\n".join(lines) for name, lines in case["files"].items()}
    return parse(case["message_format"], "\n".join(case["printed"]), files, "/work")


def _brief(diagnostic: Diagnostic) -> dict[str, Any]:
    """A diagnostic without the fields that are empty."""
    fields = diagnostic.model_dump(mode="json", exclude={"children", "fixes"}, exclude_none=True)
    if diagnostic.fixes:
        fields["fixes"] = [fix.model_dump() for fix in diagnostic.fixes]
    if diagnostic.children:
        fields["children"] = [_brief(child) for child in diagnostic.children]
    return fields


def _all(diagnostics: tuple[Diagnostic, ...]) -> Iterator[Diagnostic]:
    for diagnostic in diagnostics:
        yield diagnostic
        yield from _all(diagnostic.children)


def test_every_message_format_has_a_parser_and_recorded_cases() -> None:
    """Each format that the catalogue may name has a parser, and output of a real compiler to test it."""
    assert set(PARSERS) == _FORMATS
    assert {_case(name)["message_format"] for name in _CASES} == _FORMATS


@pytest.mark.parametrize("name", _CASES)
def test_a_recorded_output_gives_its_diagnostics(name: str) -> None:
    """Every field of every diagnostic, its notes and its edits are those on file."""
    case = _case(name)
    assert [_brief(diagnostic) for diagnostic in _diagnostics(case)] == case["diagnostics"]


@pytest.mark.parametrize("name", [name for name in _CASES if "bare" in _case(name)])
def test_a_person_sees_what_the_bare_compiler_prints(name: str) -> None:
    """Without the parser's output the text is the bare compiler's, byte for byte."""
    case = _case(name)
    assert without_parser_output(case["message_format"], "\n".join(case["printed"])) == "\n".join(
        case["bare"]
    )


@pytest.mark.parametrize("name", [name for name in _CASES if "bare" not in _case(name)])
def test_text_without_parser_output_is_unchanged(name: str) -> None:
    """If nothing was requested for the parser, nothing is removed."""
    case = _case(name)
    printed = "\n".join(case["printed"])
    assert without_parser_output(case["message_format"], printed) == printed


@pytest.mark.parametrize("name", _CASES)
def test_error_lines_and_errors_are_equal_in_number(name: str) -> None:
    """Each error line that a compiler printed is one error: none is lost, none is invented."""
    case = _case(name)
    text = "\n".join(case.get("bare", case["printed"]))
    lines = re.findall(_ERROR_LINES[case["message_format"]], text, re.MULTILINE)
    errors = [each for each in _all(_diagnostics(case)) if each.severity.value in ("error", "fatal")]
    assert len(errors) == len(lines) - case.get("forged_lines", 0)


@pytest.mark.parametrize("name", _CASES)
def test_places_are_in_the_users_files(name: str) -> None:
    """A location in a file of the request is inside of that file, and so is the range of an edit."""
    case = _case(name)
    for diagnostic in _all(_diagnostics(case)):
        places = [(diagnostic.file, diagnostic.line, diagnostic.column)]
        places += [(fix.file, fix.end_line, fix.end_column) for fix in diagnostic.fixes]
        for file, line, column in places:
            if file in case["files"] and line is not None:
                lines = case["files"][file]
                assert line <= len(lines)
                # An error at the end of a line is one past it; gfortran pads fixed form to column 72.
                assert column is None or column <= max(72, len(lines[line - 1].encode()) + 2)
