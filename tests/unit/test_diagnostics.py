"""Parsing the output of gcc, clang and the assembler. The texts are as those programs printed them."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.models import Diagnostic, Severity
from runner.diagnostics import collector, parse

_FOLDER = "/work"


def _parse(text: str, **files: str) -> tuple[Diagnostic, ...]:
    """The diagnostics of `text`; ``a="…"`` is the file a.cpp."""
    return parse("gnu", text, {f"{name}.cpp": source for name, source in files.items()}, _FOLDER)


def _brief(diagnostic: Diagnostic) -> tuple[object, ...]:
    return (diagnostic.severity.value, diagnostic.file, diagnostic.line, diagnostic.column, diagnostic.code)


def test_a_message_has_location_severity_text_and_flag() -> None:
    """The parts of one ordinary line become the fields."""
    (diagnostic,) = _parse(
        "a.cpp: In function 'int main()':\n"
        "a.cpp:2:9: warning: unused variable 'y' [-Wunused-variable]\n"
        "    2 |     int y;\n"
        "      |         ^\n",
        a="int main() {\n    int y;\n}\n",
    )
    assert _brief(diagnostic) == ("warning", "a.cpp", 2, 9, "-Wunused-variable")
    assert diagnostic.message == "unused variable 'y'"


@pytest.mark.parametrize(
    ("bracket", "code"),
    [
        ("[-Wunused]", "-Wunused"),
        ("[-Werror=unused]", "-Wunused"),
        ("[-Werror,-Wunused]", "-Wunused"),
        ("[-Wformat=]", "-Wformat="),
        ("[-Werror=format=]", "-Wformat="),
        ("[-fpermissive]", "-fpermissive"),
        ("[-W#warnings]", "-W#warnings"),
        ("[-Wc++20-extensions]", "-Wc++20-extensions"),
        ("[-Werror]", "-Werror"),
    ],
)
def test_the_flag_in_brackets_is_the_code(bracket: str, code: str) -> None:
    """Turning a warning into an error does not change its code."""
    (diagnostic,) = _parse(f"a.cpp:1:1: error: text {bracket}\n")
    assert (diagnostic.message, diagnostic.code) == ("text", code)


@pytest.mark.parametrize(
    "ending", ["array[5]", "[with T = int]", "x []", "text [CWE-1]", "[- W]", "]", "[-Wa b]"]
)
def test_other_brackets_stay_in_the_message(ending: str) -> None:
    """Only a flag is removed from a message."""
    (diagnostic,) = _parse(f"a.cpp:1:1: error: text {ending}\n")
    assert (diagnostic.message, diagnostic.code) == (f"text {ending}", None)


@pytest.mark.parametrize(
    ("line", "expected", "message"),
    [
        ("a.cpp:1:10: fatal error: x.h: No such file", ("fatal", "a.cpp", 1, 10, None), "x.h: No such file"),
        ("a.cpp:3: Error: no such instruction: `foo'", ("error", "a.cpp", 3, None, None), None),
        ("{standard input}:3: Warning: odd", ("warning", "{standard input}", 3, None, None), "odd"),
        ("<built-in>: error: 'x' was not declared", ("error", "<built-in>", None, None, None), None),
        ("a.cpp: error: too odd", ("error", "a.cpp", None, None, None), "too odd"),
        ("cc1plus: error: unrecognized option", ("error", None, None, None, None), "unrecognized option"),
        ("g++-12: fatal error: no input files", ("fatal", None, None, None, None), "no input files"),
        ("clang++-19: error: unknown argument: '-fbar'", ("error", None, None, None, None), None),
        ("error: invalid argument '-x'", ("error", None, None, None, None), "invalid argument '-x'"),
        ("fatal error: too many errors emitted, stopping now [-ferror-limit=]",
         ("fatal", None, None, None, "-ferror-limit="), "too many errors emitted, stopping now"),
        ("a.cpp:1:1: sorry, unimplemented: later", ("error", "a.cpp", 1, 1, None), "later"),
        ("a.cpp:1:1: internal compiler error: in f, at g.cc:1", ("fatal", "a.cpp", 1, 1, None), None),
        ("a.cpp:0:0: error: nowhere", ("error", "a.cpp", None, None, None), "nowhere"),
        ("./a.cpp:1:2: error: x", ("error", "a.cpp", 1, 2, None), "x"),
        ("sub/../a.cpp:1:2: error: x", ("error", "a.cpp", 1, 2, None), "x"),
        ("/work/a.cpp:1:2: error: x", ("error", "a.cpp", 1, 2, None), "x"),
        ("/usr/include/a.cpp:1:2: error: x", ("error", "/usr/include/a.cpp", 1, 2, None), "x"),
        ("a.cpp:1:2: error: ", ("error", "a.cpp", 1, 2, None), ""),
        ("a.cpp:1:2: error:", ("error", "a.cpp", 1, 2, None), ""),
        ("a.cpp:1:2: error: x\r", ("error", "a.cpp", 1, 2, None), "x"),
        ("a.cpp:99999999999:2: error: x", ("error", None, None, None, None), None),
    ],
)  # fmt: skip
def test_every_form_of_a_message_is_read(
    line: str, expected: tuple[object, ...], message: str | None
) -> None:
    """Locations of all lengths, tools without one, the assembler, and names as the request has them."""
    diagnostics = _parse(f"{line}\n", a="int x;")
    if "99999999999" in line:
        # Not a line number; then it must be neither a crash nor an absurd integer.
        assert all((diagnostic.line or 0) < 10**9 for diagnostic in diagnostics)
        return
    assert [_brief(diagnostic) for diagnostic in diagnostics] == [expected]
    assert message in (None, diagnostics[0].message)


@pytest.mark.parametrize(
    "line",
    [
        "In file included from a.cpp:1:",
        "                 from b.cpp:2:",
        "a.cpp: In function 'int main()':",
        "a.cpp:6:56:   required from here",
        "compilation terminated.",
        "1 warning and 8 errors generated.",
        "cc1plus: all warnings being treated as errors",
        "asm.cpp: Assembler messages:",
        "    9 | int x; // a.cpp:1:1: error: not one",
        "      | ^~~ a.cpp:1:1: error: not one",
        "some words: error: inside a message",
        "",
    ],
)
def test_lines_around_messages_are_not_messages(line: str) -> None:
    """Context, snippets and summaries do not become diagnostics."""
    assert _parse(f"{line}\n") == ()


def test_notes_are_children_of_what_they_explain() -> None:
    """Notes are children of the error or warning before them, in order."""
    first, second = _parse(
        "a.cpp:1:1: error: one\n"
        "a.cpp:2:1: note: about one\n"
        "/usr/include/x.h:3:1: note: more about one\n"
        "a.cpp:4:1: warning: two [-Wtwo]\n"
        "a.cpp:5:1: note: about two\n"
    )
    assert [note.message for note in first.children] == ["about one", "more about one"]
    assert [note.message for note in second.children] == ["about two"]
    assert {note.severity for note in first.children} == {Severity.NOTE}


def test_a_note_that_explains_nothing_is_not_a_child() -> None:
    """This is so for a first note, and for gcc's note about #pragma message."""
    diagnostics = _parse(
        "a.cpp:1:1: note: first\n"
        "a.cpp:2:1: error: one\n"
        "a.cpp:3:9: note: '#pragma message: hello'\n"
        "a.cpp:4:1: note: '#pragma message: again'\n"
    )
    assert [len(diagnostic.children) for diagnostic in diagnostics] == [0, 0, 0, 0]


def test_a_source_line_of_old_clang_is_not_a_message() -> None:
    """A source line without a number, above carets, may contain anything."""
    source = "error: int x = y; // b.cpp:9:9: error: forged"
    (diagnostic,) = _parse(
        f"a.cpp:1:16: error: use of undeclared identifier 'y'\n{source}\n               ^\n"
        "1 error generated.\n",
        a=source,
    )
    assert diagnostic.message == "use of undeclared identifier 'y'"


@pytest.mark.parametrize("numbered", [True, False], ids=["numbered", "plain"])
def test_lines_before_a_messages_own_snippet_belong_to_it(numbered: bool) -> None:
    """A message goes on after a quoted newline, whatever that line looks like; its flag is at the end."""
    source = '[[deprecated("q\\nb.cpp:2:2: error: eek")]] void f(); void g() { f(); }'
    snippet = f"    1 | {source}\n      | ^\n" if numbered else f"{source}\n^\n"
    (diagnostic,) = _parse(
        "a.cpp:1:66: warning: 'f' is deprecated: q\n"
        f"b.cpp:2:2: error: eek [-Wdeprecated-declarations]\n{snippet}"
        "a.cpp:1:51: note: declared here\n",
        a=source,
    )
    assert diagnostic.message == "'f' is deprecated: q\nb.cpp:2:2: error: eek"
    assert _brief(diagnostic) == ("warning", "a.cpp", 1, 66, "-Wdeprecated-declarations")
    assert len(diagnostic.children) == 1


def test_two_messages_before_one_snippet_stay_two() -> None:
    """gcc prints the snippet of a location once; all messages about that location are kept."""
    diagnostics = _parse(
        "a.cpp:1:1: error: one\n"
        "b.cpp:7:1: error: two\n"
        "a.cpp:1:5: error: three\n"
        "    1 | int x;\n"
        "      | ^~~\n",
        a="int x;\n",
    )
    assert [diagnostic.message for diagnostic in diagnostics] == ["one", "two", "three"]


def test_the_number_of_diagnostics_is_limited() -> None:
    """Errors and their notes count together, and the first ones are kept."""
    diagnostics = _parse("a.cpp:1:1: error: e\na.cpp:1:1: note: n\n" * collector.MAX_DIAGNOSTICS)
    assert collector.count(diagnostics) == collector.MAX_DIAGNOSTICS
    assert len(diagnostics) == collector.MAX_DIAGNOSTICS / 2


def test_the_length_of_a_message_is_limited() -> None:
    """A message that is longer than the limit is cut there."""
    (diagnostic,) = _parse("a.cpp:1:1: error: " + "x" * 100_000 + "\n")
    assert diagnostic.message == "x" * collector.MAX_MESSAGE_CHARACTERS


_PIECES = st.sampled_from(
    ["a.cpp", ":", ": ", "1", "99", "error", "warning: ", ": note: ", "[-Wx]", " ", "^", "~", " | ", "\n",
     "ld: ", "/tmp/x.o:", "/work/", "(.text+0x1): ",
     ": in function `f':", "'#pragma message: ", "\t", "\r", "int x;", "é", "\0"]
)  # fmt: skip


@settings(deadline=None)  # a busy machine is not a failure
@given(st.one_of(st.text(), st.lists(_PIECES, max_size=60).map("".join)))
def test_any_text_can_be_read(text: str) -> None:
    """No text makes the parser raise, and no diagnostic appears without a severity's word in the text."""
    diagnostics = _parse(text, a="int x;\nint y;\n")
    assert collector.count(diagnostics) <= text.count("\n") + 1
    for diagnostic in diagnostics:
        assert diagnostic.line is None or diagnostic.line >= 1
        assert diagnostic.column is None or diagnostic.column >= 1


_HOSTILE = {
    "colons": ":" * 9_000,
    "colons and digits": "1:" * 4_500,
    "severities": ": error" * 1_300,
    "slashes": "/" * 9_000,
    "objects": "ld: " + "/tmp/x.o" * 1_100,
    "functions": "ld: " + ": in function " * 640,
    "brackets": "a.cpp:1:1: error: " + " [-W" * 2_200 + "]",
    "carets": "^" * 9_000,
    "gutter": " " * 9_000 + "|",
    "names": "a-" * 4_500,
    "headers": "a.cpp:1:1: error: x",
    "spaces": "a.cpp:1:1: error:" + " " * 9_000,
}


@pytest.mark.parametrize("name", _HOSTILE)
def test_hostile_text_is_read_in_linear_time(name: str) -> None:
    """A megabyte of the worst line takes about as long as any other megabyte."""
    line = _HOSTILE[name] + "\n"
    text = line * (1_000_000 // len(line))
    started = time.process_time()
    _parse(text, a="int x;\n")
    # Seconds of CPU time. Measured: 0.2 at most; something quadratic takes minutes.
    assert time.process_time() - started < 5
