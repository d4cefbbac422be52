"""A file that begins with a byte order mark: the columns of its first line do not count the mark."""

import pytest

from chalicelib.models import Diagnostic, Fix, Severity
from chalicelib.sarif.locations import Locations
from runner.diagnostics import parse

_MARK = "\ufeff"
# The output of each compiler about an error in the first line: source, column, text.
_C = "int a(void) { return undecl1; }"
_PRINTED = {
    "gnu": (_C, 22, f"main.x:1:22: error: undeclared\n    1 | {_C}\n      |                      ^~~~~~~\n"),
    "clang": (
        _C,
        22,
        f"main.x:1:25: error: undeclared\n    1 | <U+FEFF>{_C}\n      |                              ^\n",
    ),
    "go": ("package main; func f() { undecl1() }", 26, "./main.x:1:29: undefined: undecl1\n"),
    "zig": (
        "export fn a() u32 { return undecl1; }",
        28,
        f"main.x:1:31: error: undeclared\n{_MARK}export fn a() u32 {{ return undecl1; }}\n"
        "                              ^~~~~~~\n",
    ),
    "javac": (
        "class Main {",
        7,
        f"main.x:1: error: class expected\n{_MARK}class Main {{\n       ^\n",
    ),
    "python": (
        "s = 3; x = = 3",
        12,
        f"*** Error compiling 'main.x'...\n  File \"main.x\", line 1\n    {_MARK}s = 3; x = = 3\n"
        "             ^\nSyntaxError: invalid syntax\n",
    ),
    "tsc": ("const a: number = 'x';", 7, "main.x(1,7): error TS2322: Type\n"),
}


@pytest.mark.parametrize("message_format", _PRINTED)
def test_the_mark_is_not_counted(message_format: str) -> None:
    """Some compilers count three bytes, some one character, some nothing; our column is the same."""
    line, column, text = _PRINTED[message_format]
    (diagnostic,) = parse(message_format, text, {"main.x": f"{_MARK}{line}\n"}, "/work")
    assert (diagnostic.line, diagnostic.column) == (1, column)


def test_ends_edits_and_notes_do_not_count_the_mark() -> None:
    """Columns in the first line of that file are corrected, and no others."""
    text = (
        "main.x:1:13: error: a\n"
        'fix-it:"main.x":{1:13-1:14}:"->"\n'
        'fix-it:"main.x":{2:13-2:14}:"->"\n'
        'fix-it:"other.x":{1:13-1:14}:"->"\n'
        "main.x:1:2: note: b\nother.x:1:13: note: c\nmain.x:2:13: note: d\n"
    )
    (diagnostic,) = parse(
        "clang", text, {"main.x": f"{_MARK}int x;\nint y;\n", "other.x": "int z;\n"}, "/work"
    )
    assert diagnostic.column == 10
    assert [(fix.column, fix.end_column) for fix in diagnostic.fixes] == [(10, 11), (13, 14), (13, 14)]
    assert [note.column for note in diagnostic.children] == [1, 13, 13]


def test_sarif_does_not_count_the_mark() -> None:
    """It is not a character of a region, also before letters of more than one byte."""
    line = "/*é*/ int x = y;"
    places = Locations({"main.c": f"{_MARK}{line}\n"}, "gnu")
    column = len(line[: line.index("y")].encode()) + 1
    at_y = Diagnostic(severity=Severity.ERROR, message="y", file="main.c", line=1, column=column)
    location = places.physical_location(at_y)
    assert location is not None
    assert location["region"] == {"startLine": 1, "startColumn": line.index("y") + 1}
    fix = Fix(file="main.c", line=1, column=column, end_line=1, end_column=column + 1, text="z")
    assert places.replacement(fix)["deletedRegion"] == {
        "startLine": 1,
        "startColumn": line.index("y") + 1,
        "endLine": 1,
        "endColumn": line.index("y") + 2,
    }
