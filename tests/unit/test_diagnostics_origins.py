"""The steps that led a compiler to an error, and the other locations that it prints: they become notes."""

from chalicelib.models import Diagnostic
from runner.diagnostics import collector, parse


def _brief(diagnostic: Diagnostic) -> tuple[object, ...]:
    return diagnostic.file, diagnostic.line, diagnostic.column, diagnostic.message


_TEMPLATE = "template<class T> struct A { typename T::type t; };\n"
_INSTANTIATION = """\
main.cpp: In instantiation of ‘struct A<int>’:
main.cpp:2:35:   required from ‘struct B<int>’
main.cpp:4:20:   required from here
    4 | int main() { f<int>(); }
      |              ~~~~~~^~
main.cpp:1:47: error: ‘int’ is not a class, struct, or union type
    1 | template<class T> struct A { typename T::type t; };
      |                                               ^
main.cpp:5:1: warning: another
"""


def test_the_steps_of_gcc_to_an_error_are_its_notes() -> None:
    """Each step has its location, from the inside out, and belongs to the next message only."""
    error, warning = parse("gnu", _INSTANTIATION, {"main.cpp": _TEMPLATE}, "/work")
    assert _brief(error) == ("main.cpp", 1, 47, "‘int’ is not a class, struct, or union type")
    assert [_brief(note) for note in error.children] == [
        ("main.cpp", 2, 35, "required from ‘struct B<int>’"),
        ("main.cpp", 4, 20, "required from here"),
    ]
    assert {note.severity.value for note in error.children} == {"note"}
    assert warning.children == ()


def test_the_steps_of_gcc_to_a_note_come_before_it() -> None:
    """They are children of the same error."""
    text = (
        "main.cpp:9:1: error: no match\n"
        "/usr/include/c++/14/bits/x.h:3:2:   required by substitution of ‘f’\n"
        "main.cpp:7:5: note: candidate\n"
    )
    (error,) = parse("gnu", text, {"main.cpp": ""}, "/work")
    assert [_brief(note) for note in error.children] == [
        ("/usr/include/c++/14/bits/x.h", 3, 2, "required by substitution of ‘f’"),
        ("main.cpp", 7, 5, "candidate"),
    ]


def test_the_places_where_a_function_was_inlined_are_notes() -> None:
    """A warning of the optimiser about a system header leads back to the author's own lines."""
    text = (
        "In function ‘strcpy’,\n"
        "    inlined from ‘g’ at fo.c:3:33,\n"
        "    inlined from ‘f’ at fo.c:4:16:\n"
        "/usr/include/bits/string_fortified.h:79:10: warning: out of the bounds [-Warray-bounds]\n"
    )
    (warning,) = parse("gnu", text, {"fo.c": ""}, "/work")
    assert warning.code == "-Warray-bounds"
    assert [_brief(note) for note in warning.children] == [
        ("fo.c", 3, 33, "inlined from ‘g’"),
        ("fo.c", 4, 16, "inlined from ‘f’"),
    ]


def test_of_many_steps_the_first_ones_and_the_last_are_kept() -> None:
    """Their number is limited, but the last one, which is in the author's own code, is always kept."""
    steps = [f"a.h:{number}:1:   required from ‘S<{number}>’\n" for number in range(1, 500)]
    text = "".join([*steps, "main.cpp:7:3:   required from here\n", "a.h:1:1: error: deep\n"])
    (error,) = parse("gnu", text, {"main.cpp": ""}, "/work")
    assert len(error.children) == collector.MAX_MESSAGE_LINES
    assert _brief(error.children[0]) == ("a.h", 1, 1, "required from ‘S<1>’")
    assert _brief(error.children[-1]) == ("main.cpp", 7, 3, "required from here")


def test_a_line_that_an_edit_adds_is_not_part_of_the_message() -> None:
    """gcc prints it above the snippet, without a number."""
    text = (
        "main.c:1:15: warning: implicit declaration of function ‘printf’ [-Wimplicit-function-declaration]\n"
        "    1 | int f(void) { printf(0); }\n"
        "      |               ^~~~~~\n"
        "main.c:1:1: note: include ‘<stdio.h>’ or provide a declaration of ‘printf’\n"
        "  +++ |+#include <stdio.h>\n"
        "    1 | int f(void) { printf(0); }\n"
        'fix-it:"main.c":{1:1-1:1}:"#include <stdio.h>\\n"\n'
    )
    (warning,) = parse("gnu", text, {"main.c": "int f(void) { printf(0); }\n"}, "/work")
    [note] = warning.children
    assert note.message == "include ‘<stdio.h>’ or provide a declaration of ‘printf’"
    assert [fix.text for fix in note.fixes] == ["#include <stdio.h>\n"]


_REFERENCES = """\
/usr/local/lib/zig/lib/std/fmt.zig:190:17: error: too few arguments
                @compileError("too few arguments");
                ^~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~
referenced by:
    print__anon_481: /usr/local/lib/zig/lib/std/debug.zig:67:5
    main: sub/main.zig:4:20
    callMain [inlined]: /usr/local/lib/zig/lib/std/start.zig:618:22
    2 reference(s) hidden; use '-freference-trace=5' to see all references
"""


def test_the_references_of_zig_that_are_in_the_request_are_notes() -> None:
    """An error in the library leads back to the author's own line, but not to lines of the library."""
    (error,) = parse("zig", _REFERENCES, {"sub/main.zig": ""}, "/work")
    assert error.file == "/usr/local/lib/zig/lib/std/fmt.zig"
    assert [_brief(note) for note in error.children] == [("sub/main.zig", 4, 20, "referenced by main")]


def test_two_places_in_one_line_of_fortran() -> None:
    """Both columns are in the first line; the digits say which is which."""
    line = "      call f(a,b,c) ; call f(1.0,b,c)"
    text = (
        "h.f:3:13-29:\n\n"
        f"    3 | {line}\n"
        "      |             2               1\n"
        "Error: Type mismatch between argument at (1) and argument at (2) (REAL(4)/INTEGER(4)).\n"
    )
    (error,) = parse("gfortran", text, {"h.f": f"\n\n{line}\n"}, "/work")
    assert (error.file, error.line, error.column) == ("h.f", 3, 29)
    assert [_brief(note) for note in error.children] == [("h.f", 3, 13, "(2)")]


def test_the_second_place_of_fortran_in_another_line() -> None:
    """It has its line, and its column if columns of the screen are bytes."""
    block = "a.f90:5:5:\n\n    4 | {}\n      |     2\n    5 | 20 b\n      |     1\nError: (1) and (2)\n"
    for first, column in (("20 a", 5), ("\t20 a", None), ("20 é", None)):
        files = {"a.f90": f"\n\n\n{first}\n20 b\n"}
        (error,) = parse("gfortran", block.format(first), files, "/work")
        assert _brief(error) == ("a.f90", 5, 5, "(1) and (2)")
        assert [_brief(note) for note in error.children] == [("a.f90", 4, column, "(2)")]


def test_the_second_place_of_fortran_in_another_file() -> None:
    """It is printed like the first, and is as exact."""
    text = (
        "a.f90:5:5:\n\n    5 | 20 b\n      |     1\n"
        "b.inc:7:9:\n\n    7 |     real b\n      |         2\n"
        "Error: (1) and (2)\n"
    )
    (error,) = parse("gfortran", text, {"a.f90": "", "b.inc": ""}, "/work")
    assert (error.file, error.line) == ("a.f90", 5)
    assert [_brief(note) for note in error.children] == [("b.inc", 7, 9, "(2)")]


def test_an_expression_that_python_prints_alone_has_no_column() -> None:
    """For an f-string CPython 3.11 prints the expression in parentheses, with carets below that."""
    text = (
        "*** Error compiling 'f.py'...\n"
        '  File "f.py", line 1\n'
        "    (a b)\n"
        "     ^^^\n"
        "SyntaxError: f-string: invalid syntax. Perhaps you forgot a comma?\n\n"
    )
    (error,) = parse("python", text, {"f.py": 'x = f"{a b}"\n'}, "/work")
    assert (error.file, error.line, error.column, error.end_column) == ("f.py", 1, None, None)
