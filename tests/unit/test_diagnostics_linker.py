"""Parsing the output of the linker. The texts are as GNU ld printed them for gcc and clang."""

from chalicelib.models import Diagnostic
from runner.diagnostics import parse

_FOLDER = "/work"


def _parse(text: str, *names: str) -> tuple[Diagnostic, ...]:
    return parse("gnu", text, dict.fromkeys(names, ""), _FOLDER)


_LINKER = """\
/usr/bin/ld: /tmp/ccC4cg37.o: in function `main':
main.cpp:(.text+0x9): undefined reference to `miss()'
/usr/bin/ld: main.cpp:(.text+0x10): warning: the use of `tmpnam' is dangerous, better use `mkstemp'
/usr/bin/ld: /tmp/f2-364ebf.o: in function `f()':
/work/second.cpp:12: multiple definition of `f()'; /tmp/f-883848.o:/work/main.cpp:1: first defined here
/usr/bin/ld: /usr/lib/gcc/x86_64-linux-gnu/12/../../../x86_64-linux-gnu/Scrt1.o: in function `_start':
(.text+0x17): undefined reference to `main'
/usr/bin/ld: cannot find -lfoo: No such file or directory
collect2: error: ld returned 1 exit status
"""


def test_a_linkers_messages_are_errors_in_the_users_files() -> None:
    """Undefined and duplicate names have a file, a line if it is known, and no random object name."""
    files = {"main.cpp": "", "second.cpp": ""}
    found = parse("gnu", _LINKER, files, _FOLDER)
    assert [(each.severity.value, each.file, each.line, each.message) for each in found] == [
        ("error", "main.cpp", None, "undefined reference to `miss()'"),
        ("warning", "main.cpp", None, "the use of `tmpnam' is dangerous, better use `mkstemp'"),
        ("error", "second.cpp", 12, "multiple definition of `f()'; main.cpp:1: first defined here"),
        ("error", None, None, "undefined reference to `main'"),
        ("error", None, None, "cannot find -lfoo: No such file or directory"),
        ("error", None, None, "ld returned 1 exit status"),
    ]


_NEWER_LINKER = """\
/usr/bin/ld: /usr/bin/ld: DWARF error: mangled line number section (bad file number)
/tmp/main-30e513.o: in function `main':
/work/main.cpp:3:(.text+0x5): undefined reference to `elsewhere()'
clang++-17: error: linker command failed with exit code 1 (use -v to see invocation)
"""


def test_a_newer_linker_says_line_and_section() -> None:
    """With both, the line is known; a name that is printed twice is not part of the message."""
    found = parse("gnu", _NEWER_LINKER, {"main.cpp": ""}, _FOLDER)
    assert [(each.file, each.line, each.message) for each in found] == [
        (None, None, "DWARF error: mangled line number section (bad file number)"),
        ("main.cpp", 3, "undefined reference to `elsewhere()'"),
        (None, None, "linker command failed with exit code 1 (use -v to see invocation)"),
    ]


def test_lines_without_a_linkers_name_count_only_after_one_with_it() -> None:
    """Without a linker, a location with some text is not a message."""
    assert _parse("a.cpp:12: undefined reference to `x'\n", "a.cpp") == ()


_OBJECTS = """\
/usr/bin/ld: /tmp/cchMFsAx.o:(.bss+0x0): multiple definition of `x'; /tmp/cc4jtHg4.o:(.bss+0x0): first here
/usr/bin/ld: /tmp/cchMFsAx.o: warning: relocation against `y' in read-only section `.text'
/usr/bin/ld: /tmp/cc4jtHg4.o: in function `main':
main.cpp:(.text+0xf): undefined reference to `A::f()'
/usr/bin/ld: /tmp/cc4jtHg4.o:(.data.rel+0x0): undefined reference to `vtable for A'
/usr/bin/ld: /tmp/cc9GxZbj.o:/work/main.cpp:1: undefined reference to `vtable for A'
/usr/bin/ld: warning: /tmp/cc9GxZbj.o: missing .note.GNU-stack section implies executable stack
/usr/bin/ld: warning: creating DT_TEXTREL in a PIE
"""


def test_the_text_behind_the_name_of_an_object_is_a_message() -> None:
    """Its severity and its location are read; a warning does not become an error."""
    assert [
        (each.severity.value, each.file, each.line, each.message) for each in _parse(_OBJECTS, "main.cpp")
    ] == [
        ("error", None, None, "multiple definition of `x'; (.bss+0x0): first here"),
        ("warning", None, None, "relocation against `y' in read-only section `.text'"),
        ("error", "main.cpp", None, "undefined reference to `A::f()'"),
        ("error", None, None, "undefined reference to `vtable for A'"),
        ("error", "main.cpp", 1, "undefined reference to `vtable for A'"),
        ("warning", None, None, "missing .note.GNU-stack section implies executable stack"),
        ("warning", None, None, "creating DT_TEXTREL in a PIE"),
    ]


_CUT = """\
/usr/bin/ld: /tmp/ccEBmWdU.o: in function `bar':
b.c:(.text+0xa): undefined reference to `q'
"""


def test_a_source_in_a_folder_has_its_whole_name() -> None:
    """Without debug information the linker knows the last part of it, and the request has one such file."""
    (found,) = _parse(_CUT, "main.c", "sub/b.c")
    assert found.file == "sub/b.c"


def test_a_source_that_may_be_one_or_another_has_no_name() -> None:
    """Where two files are called so, neither is named: it may be the wrong one."""
    (found,) = _parse(_CUT, "b.c", "sub/b.c")
    assert found.file is None
