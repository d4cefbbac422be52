"""Lines and columns are those of the file as it was sent, as its compiler counts them, in SARIF as well.

The outputs are of the forms that the compilers were seen to print; Python's are as 3.13 counts.
"""

from typing import Any

import pytest

from chalicelib.catalog import load_catalog
from chalicelib.sarif.locations import Locations
from chalicelib.source_lines import LINE_ENDS, split_lines
from runner.diagnostics import PARSERS, parse, without_parser_output
from runner.sanitize import clean_text


def _first(message_format: str, printed: str, **files: str) -> tuple[Any, ...]:
    """File, line and column of the first diagnostic."""
    sent = {name.replace("_", "."): text for name, text in files.items()}
    diagnostic = parse(message_format, clean_text(printed.encode()), sent, "/work")[0]
    return diagnostic.file, diagnostic.line, diagnostic.column


@pytest.mark.parametrize(
    ("message_format", "printed", "place"),
    [
        ("gnu", "table.y:2147483647:11: error: no\n", ("table.y", 2147483647, 11)),
        ("gnu", "t.y:-2147483648:11: error: no\n", ("t.y", None, None)),
        ("gnu", "t.y:-1:11: error: no\n", ("t.y", None, None)),
        ("gnu", "main.c: error: no\n", ("main.c", None, None)),
        ("clang", "table.y:2147483647:11: error: no\n", ("table.y", 2147483647, 11)),
        ("clang", "main.c:2147483648:7: warning: no\n", ("main.c", None, None)),
        ("clang", "main.c:4294967295:7: warning: no\n", ("main.c", None, None)),
        ("clang", "main.c:0:23: error: no\n", ("main.c", None, None)),
        ("gfortran", "gen.y:-2147483648:3:\n\nError: no\n", ("gen.y", None, None)),
        ("gfortran", "gen.y:2147483647:3:\n\nError: no\n", ("gen.y", 2147483647, 3)),
        ("go", "gen.y:1073741823:1: no\n", ("gen.y", 1073741823, 1)),
        # Not seen, but of the same kind.
        ("javac", "Main.java:2147483648: error: no\n", ("Main.java", None, None)),
        ("tsc", "main.ts(2147483647,3): error TS1: no\n", ("main.ts", 2147483647, 3)),
        ("zig", "main.zig:4294967295:3: error: no\n", ("main.zig", None, None)),
    ],
)
def test_a_line_of_any_size_is_not_part_of_a_name(
    message_format: str, printed: str, place: tuple[Any, ...]
) -> None:
    """For a number that no line can have, line and column are null."""
    assert _first(message_format, printed, main_c="int x;\n") == place


@pytest.mark.parametrize("message_format", ["gnu", "clang"])
@pytest.mark.parametrize(
    "edit",
    [
        'fix-it:"gen.y":{2000000000:23-2000000000:23}:";"',
        'fix-it:"main.c":{0:23-0:23}:";"',
        'fix-it:"t.y":{-2147483647:23--2147483647:23}:";"',
        'fix-it:"main.c":{4294967295:1-4294967295:1}:";"',
        'fix-it:"' + "x" * 20_000 + '":{1:1-1:1}:";"',
        'fix-it:"main.c":{1:1-1:1}:"' + "x" * 20_000 + '"',
    ],
    ids=["ten-digits", "zero", "negative", "wrapped", "long-name", "long-text"],
)
def test_an_edit_that_we_asked_for_is_never_shown(message_format: str, edit: str) -> None:
    """Whatever its numbers are; and it is no edit, because there is no such place."""
    shown = "gen.y:2000000000:23: error: expected ‘;’\n"
    shown += "main.c:1:5: error: no\n    1 | int x;\n      |     ^\n"
    header, rest = shown.split("\n", 1)
    printed = f"{header}\n{edit}\n{rest}{edit}\n"
    assert without_parser_output(message_format, printed) == shown
    diagnostics = parse(message_format, printed, {"main.c": "int x;\n"}, "/work")
    assert [item.message for item in diagnostics] == ["expected ‘;’", "no"]
    assert [item.fixes for item in diagnostics] == [(), ()]


# Format, name, the file as it was sent, what the compiler printed, the place, and the column in SARIF.
_LINES: list[tuple[str, str, str, str, tuple[int, int | None], int | None]] = [
    ("clang", "main.c", 'int main(void) {\r  const char *s = "é"; int x = y;\r  return 0;\r}\r',
     "main.c:2:33: error: no\n", (2, 33), 32),
    ("gnu", "main.c", 'int main(void) {\r  const char *s = "é"; int x = y;\r  return 0;\r}\r',
     "main.c:2:33: error: no\n", (2, 33), 32),
    ("gnu", "main.c", "int é;\n\rint é = y;\n", "main.c:3:10: error: no\n", (3, 10), 9),
    ("clang", "main.c", "int x;\r\nint é = y;\r\r\nint é = w;\n", "main.c:4:10: error: no\n", (4, 10), 9),
    ("clang", "main.c", "int a; /* é\u2028\x85\f\v */ int x = y;\n", "main.c:1:32: error: no\n", (1, 32), 28),
    ("gfortran", "main.f90", 'program é\n  implicit none\r  j = 1; s = "é"; k = 3\nend\n',
     "main.f90:2:35:\n\n    2 |   implicit none\r  j\n      |   1\nError: no\n", (2, 35), 34),
    ("gfortran", "main.f90", 'program p\r\n\f\t"\u2028é", q\n',
     "main.f90:2:11:\n\n    2 | x\n      |  1\nError: no\n", (2, 11), 8),
    ("go", "main.go", "package main\rvar é = 1\nvar é = missing\n", "./main.go:2:10: no\n", (2, 10), 9),
    ("go", "main.go", "package main\n/* é\u2028\x85\f */ var é = missing\n",
     "./main.go:2:28: no\n", (2, 28), 23),
    ("javac", "Main.java", "class A {\r  int a = x1;\n\r  /* \u2028 \x85 \f */ int é = x2;\r\n}\n",
     "Main.java:4: error: no\n  /* \u2028 \x85 \f */ int é = x2;\n" + " " * 22 + "^\n", (4, 27), 23),
    ("javac", "Main.java", "class A {\n\tString s = \"😀\"; int c = x3;\n}\n",
     "Main.java:2: error: no\n\tString s = \"😀\"; int c = x3;\n\t" + " " * 25 + "^\n", (2, 29), 26),
    ("python", "main.py", 'a = 1\rb = 2\nc = "é\u2028"; d = = 3\n',
     "*** Error compiling 'main.py'...\n  File \"main.py\", line 3\n    c = \"é\u2028\"; d = = 3\n"
     "          \u2028        ^\nSyntaxError: no\n", (3, 19), 16),
    ("python", "main.py", 'if x:\n\tc = "é\x85\x0b" = = 2\n',
     "*** Error compiling 'main.py'...\n  File \"main.py\", line 2\n    \tc = \"é\x85\x0b\" = = 2\n"
     "    \t      \x85\x0b    ^\nSyntaxError: no\n", (2, 16), 14),
    ("tsc", "main.ts", '/* a\u2028b */ const é: string = "x"; export const n: number = é;\n',
     "main.ts(2,42): error TS2322: no\n", (2, 43), 42),
    ("tsc", "main.ts", "const a = 1;\rconst b = 2;\u2029const é: string = 4;\n",
     "main.ts(3,7): error TS2322: no\n", (3, 7), 7),
    ("tsc", "main.ts", '/* \x85\f\v */ const é = "😀"; const f: string = 6;\n',
     "main.ts(1,32): error TS2322: no\n", (1, 36), 31),
    ("zig", "main.zig", "// \u2028 \r é\nconst é = missing;\n", "main.zig:2:12: error: no\n", (2, 12), 11),
]  # fmt: skip


@pytest.mark.parametrize(("message_format", "name", "sent", "printed", "place", "column"), _LINES)
def test_json_and_sarif_mean_the_same_place(
    message_format: str, name: str, sent: str, printed: str, place: tuple[int, int | None], column: int | None
) -> None:
    """The line is the one that the compiler means; columns are bytes in JSON and characters in SARIF."""
    [diagnostic] = parse(message_format, clean_text(printed.encode()), {name: sent}, "/work")
    assert (diagnostic.line, diagnostic.column) == place
    location = Locations({name: sent}, message_format).physical_location(diagnostic)
    assert location is not None
    region = location["region"]
    assert (region["startLine"], region.get("startColumn")) == (place[0], column)
    line = split_lines(sent, message_format)[place[0] - 1]
    assert place[1] is not None and column is not None
    assert line.encode()[place[1] - 1 :].decode() == line[column - 1 :]


@pytest.mark.parametrize("message_format", list(PARSERS))
def test_a_byte_order_mark_is_no_column(message_format: str) -> None:
    """Neither in JSON nor in SARIF; a line that follows is not affected."""
    assert split_lines("a\r\nb\n", message_format) == ["a", "b", ""]
    locations = Locations({"main.x": "\ufeffé x\n"}, message_format)
    assert locations.column_in_characters("main.x", 1, 4) == 3


def test_every_format_says_where_lines_end() -> None:
    """One that is added needs its own answer."""
    assert set(LINE_ENDS) == set(PARSERS)
    assert {family.message_format for family in load_catalog().families.values()} <= set(LINE_ENDS)
