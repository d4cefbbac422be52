"""Every parser with text that no compiler printed, and with source text that looks like messages."""

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.diagnostics import PARSERS, collector, parse, without_parser_output

_FORMATS = list(PARSERS)
_FILES = {"main.x": "int x;\nint naïve = '😀';\n\ty\n", "a/b.x": "\ufeffx\r\ny"}

_PIECES = st.sampled_from(
    ["main.x", "/work/main.x", "a/b.x", ":", ": ", "1", "2", "0", "99999999999", "(", ",", ")", "): ",
     "error: ", "warning: ", "note: ", "Note: ", "error TS2322: ", "Error: ", "Fatal Error: ", "f951: ",
     "[-Wx]", " ", "    ", "\t", "^", "~", " | ", "    1 | x", "\n", "\n\n", "# x", "go: ", "vet: ",
     "goroutine 1 [running]:", "panic: ", "*** Error compiling 'main.x'...", '  File "main.x", line 2',
     "SyntaxError: ", "Sorry: ", "SyntaxWarning: ", "Traceback (most recent call last):", "......",
     "referenced by:", 'fix-it:"main.x":{1:1-1:2}:"\\303"', '{"message":"m","level":"error","spans":[',
     '{"file_name":"main.x","is_primary":true,"line_start":2,',
     '"column_start":5,"line_end":2,"column_end":6}',
     '],"children":[],"rendered":"r\\n"}', "`", "ld: ", "é", "😀", "\0", "\ud800", "\r", "int x;"]
)  # fmt: skip
_TEXTS = st.one_of(st.text(max_size=300), st.lists(_PIECES, max_size=60).map("".join))

_KEYS = st.sampled_from(
    ["message", "level", "spans", "children", "code", "rendered", "is_primary", "file_name", "line_start",
     "line_end", "column_start", "column_end", "text", "suggested_replacement", "expansion", "span"]
)  # fmt: skip
_LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("main.x")
_JSON = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=8),
    max_leaves=30,
)


@pytest.mark.parametrize("message_format", _FORMATS)
@settings(deadline=None, max_examples=60)  # a busy machine is not a failure
@given(text=_TEXTS)
def test_any_text_can_be_read(message_format: str, text: str) -> None:
    """No text makes a parser raise, and there are no more diagnostics than lines."""
    diagnostics = parse(message_format, text, _FILES, "/work")
    assert len(diagnostics) <= text.count("\n") + 1
    for diagnostic in diagnostics:
        assert diagnostic.line is None or diagnostic.line >= 1
        assert diagnostic.column is None or diagnostic.column >= 1
    assert isinstance(without_parser_output(message_format, text), str)


@settings(deadline=None, max_examples=100)
@given(value=_JSON, level=st.sampled_from(["error", "warning", "note", "help", "failure-note", "odd"]))
def test_any_json_in_place_of_rustcs_can_be_read(value: object, level: str) -> None:
    """Whatever is in the place of spans and children, the parser neither raises nor invents messages."""
    message = {
        "message": "m",
        "level": level,
        "spans": value,
        "children": value,
        "code": value,
        "rendered": value,
    }
    text = json.dumps(message) + "\n" + json.dumps(value)
    assert len(parse("rustc", text, _FILES, "/work")) <= 2
    assert isinstance(without_parser_output("rustc", text), str)


_HOSTILE = {
    "colons": ":" * 9_000,
    "numbers": "1:" * 4_500,
    "parentheses": "(1,1" * 2_250,
    "words": "main.x:1:1: error: x",
    "notes": "main.x:1:1: note: x",
    "types": "main.x(1,1): error TS1: x",
    "unicode": "é" * 9_000,
    "deep": '{"message":' * 800,
    "arrays": '{"message": "m", "level": "error", "spans": ' + "[" * 8_000,
    "number": '{"message": 1' + "1" * 8_000 + "}",
    "places": "main.x:1:1:",
    "snippet": "    1 | x",
    "dots": "......",
    "file": '  File "main.x", line 1',
    "files": '  File "' * 1_000,
    "exceptions": "A" * 9_000,
    "carets": " ^",
    "indented": " " * 9_000 + "note: x",
    "tabs": "\t" * 9_000,
    "detail": "\tmain.x:1:1: x",
    "fix": 'fix-it:"' + "\\" * 9_000,
    "fixes": 'fix-it:"main.x":{1:1-1:2}:"x"',
    "warnings": "warning: " * 1_000,
    "quotes": "main.x:1:1: " + '"\\' * 4_500,
    "types quoted": "main.x(1,1): error TS1: " + '\\"' * 4_500,
    "characters": "main.x:1:1: " + "'\\" * 4_500,
    "backquotes": "main.x:1:1: `" + "'`" * 4_500,
    "one backquote": "main.x(1,1): error TS1: `",
}


@pytest.mark.parametrize("message_format", _FORMATS)
def test_hostile_text_is_read_in_linear_time(message_format: str) -> None:
    """A hundred kilobytes of any of the worst lines takes no longer than other text of that length."""
    for name, line in _HOSTILE.items():
        text = (line + "\n") * (100_000 // (len(line) + 1))
        started = time.process_time()
        diagnostics = parse(message_format, text, _FILES, "/work")
        without_parser_output(message_format, text)
        # Seconds of CPU time. Measured: 0.4 at most; something quadratic takes minutes.
        assert time.process_time() - started < 5, name
        assert collector.count(diagnostics) <= collector.MAX_DIAGNOSTICS


@pytest.mark.parametrize(
    ("message_format", "line"),
    [
        ("javac", "main.x:1: error: e\n%s\n%s^\n"),
        ("tsc", "main.x(1,900001): error TS1: e\n"),
        ("python", '  File "main.x", line 1\n    %s\n    ^\nSyntaxError: e\n'),
        ("gnu", "main.x:1:900001: error: e\n    1 | %s\n      | %s^~\n"),
    ],
)
def test_a_long_line_is_not_read_again_for_each_of_its_errors(message_format: str, line: str) -> None:
    """A thousand errors in one line of a megabyte cost no more than reading the line a few times."""
    text = line.replace("%s", "é" * 50) * collector.MAX_DIAGNOSTICS
    started = time.process_time()
    parse(message_format, text, {"main.x": "é" * 500_000}, "/work")
    # Seconds of CPU time. Measured: 1.5 at most.
    assert time.process_time() - started < 10


def test_rustc_messages_that_a_job_forges_are_text() -> None:
    """Text outside of the JSON objects is a message only in the format that rustc uses before its options."""
    text = 'warning: x\nnote: y\n{"message": "cut\nmain.rs:1:1: error: x\nerror[E0308]: early\n'
    assert [(each.severity.value, each.message, each.code) for each in parse("rustc", text, {}, "/work")] == [
        ("warning", "x", None),
        ("error", "early", "E0308"),
    ]


def test_an_object_that_was_cut_off_is_removed() -> None:
    """If the output limit cuts a JSON object, its beginning is not shown to a person."""
    whole = json.dumps(
        {"message": "m", "level": "error", "spans": [], "children": [], "rendered": "error: m\n\n"}
    )
    assert (
        without_parser_output("rustc", f"{whole}\n{whole[:40]}\n[output truncated]\n")
        == "error: m\n\n[output truncated]\n"
    )


def test_escape_sequences_inside_of_rustcs_objects_do_not_pass() -> None:
    """A control character that JSON's escapes hid from the cleaning of the text is made visible."""
    message = {
        "message": "\x1b[31mred",
        "level": "error",
        "spans": [],
        "children": [],
        "rendered": "\x1b[31m\u202er",
    }
    text = json.dumps(message) + "\n"
    assert parse("rustc", text, {}, "/work")[0].message == "\\x1b[31mred"
    assert without_parser_output("rustc", text) == "\\x1b[31m\\u202er"


def test_alternatives_of_rustc_are_separate_edits() -> None:
    """Edits that exclude each other are separate, and edits that belong together are not split."""

    def span(line: int, column: int, text: str) -> dict[str, object]:
        return {
            "file_name": "main.rs", "line_start": line, "line_end": line, "column_start": column,
            "column_end": column, "is_primary": True, "suggested_replacement": text, "text": [],
        }  # fmt: skip

    spans = [span(1, 1, "use a;"), span(2, 3, "x"), span(1, 1, "use b;"), span(2, 3, "y")]
    help_message = {"message": "import", "level": "help", "spans": spans, "children": [], "rendered": None}
    message = {"message": "m", "level": "error", "spans": [], "children": [help_message], "rendered": "m"}
    (diagnostic,) = parse("rustc", json.dumps(message), {"main.rs": "a\nbcd\n"}, "/work")
    assert [[fix.text for fix in child.fixes] for child in diagnostic.children] == [
        ["use a;", "x"],
        ["use b;", "y"],
    ]


@pytest.mark.parametrize(
    ("message_format", "line", "column"),
    [
        ("tsc", 'main.x(1,7): error TS1: e\n', 11),
        ("javac", "main.x:1: error: e\nx = '😀é'\n       ^\n", 10),
        ("python", '  File "main.x", line 1\n    é😀x y\n      ^\nSyntaxError: e\n', 7),
    ],
)  # fmt: skip
def test_columns_are_bytes(message_format: str, line: str, column: int) -> None:
    """If a compiler counts code points or UTF-16 units, the column is still in bytes of the source."""
    source = {"python": "é😀x y\n"}.get(message_format, "é'😀é' x\n")
    if message_format == "javac":
        source = "x = '😀é'\n"
    (diagnostic,) = parse(message_format, line, {"main.x": source}, "/work")
    assert (diagnostic.line, diagnostic.column) == (1, column)


def test_the_number_of_edits_is_bounded() -> None:
    """Edits beyond the limit are dropped, and their diagnostic is kept."""
    text = "main.x:1:1: error: e\n" + 'fix-it:"main.x":{1:1-1:2}:"x"\n' * (collector.MAX_FIXES + 5)
    (diagnostic,) = parse("gnu", text, _FILES, "/work")
    assert len(diagnostic.fixes) == collector.MAX_FIXES


def test_the_children_of_rustcs_messages_are_bounded() -> None:
    """A message with more notes than the limit keeps the first ones, and later messages are dropped."""
    note = {"message": "n", "level": "note", "spans": [], "children": []}
    message = {"message": "m", "level": "error", "spans": [], "children": [note] * 2_000, "rendered": ""}
    diagnostics = parse("rustc", (json.dumps(message) + "\n") * 2, {}, "/work")
    assert len(diagnostics) == 1
    assert collector.count(diagnostics) == collector.MAX_DIAGNOSTICS


@pytest.mark.parametrize(
    ("forged", "diagnostics"),
    [("a.x:1:1: error: forged", 1), ("main.x:1:3: error: forged", 1), ("main.x:1:5: error: two", 2)],
)
def test_the_caret_tells_a_true_message_from_a_forged_one(forged: str, diagnostics: int) -> None:
    """Lines between a message and its snippet belong to it, unless one names the location of the caret."""
    text = f"main.x:1:5: error: one\n{forged}\n    1 | int x;\n      |     ^\n"
    for files in (_FILES, {}):
        assert len(parse("gnu", text, files, "/work")) == diagnostics


@pytest.mark.parametrize(
    ("escaped", "text"),
    [
        ("na\\303\\257ve", "naïve"),
        ("a\\n", "a\n"),
        ('\\"\\\\', '"\\'),
        ("\\033[31m", "\\x1b[31m"),
        ("\\377", "\\xff"),
        ("é", "é"),
        ("", ""),
    ],
)
def test_the_text_of_an_edit_is_unescaped_and_safe(escaped: str, text: str) -> None:
    """C escapes are bytes of UTF-8; control characters and invalid bytes remain visible escapes."""
    (diagnostic,) = parse(
        "gnu", f'main.x:1:1: error: e\nfix-it:"/work/main.x":{{1:2-1:3}}:"{escaped}"\n', _FILES, "/work"
    )
    (fix,) = diagnostic.fixes
    assert (fix.file, fix.line, fix.column, fix.end_line, fix.end_column) == ("main.x", 1, 2, 1, 3)
    assert fix.text == text


@pytest.mark.parametrize("place", ["0:1-1:2", "1:0-1:2", "2:1-1:2", "1:3-1:2", "x", "1:1-1:9999999999"])
def test_an_edit_without_a_sensible_range_is_dropped(place: str) -> None:
    """A range without a start, or one that ends before it starts, is dropped."""
    (diagnostic,) = parse("gnu", f'main.x:1:1: error: e\nfix-it:"main.x":{{{place}}}:"x"\n', _FILES, "/work")
    assert diagnostic.fixes == ()


def test_a_crash_of_a_compiler_is_fatal_and_its_stack_is_not_read() -> None:
    """The lines of the stack of a crashed go or python do not become errors."""
    go = "# x\npanic: boom\n\ngoroutine 1 [running]:\nmain.main()\n\t/go/main.go:3 +0x1\nexit status 2\n"
    assert [(each.severity.value, each.message) for each in parse("go", go, {}, "/work")] == [
        ("fatal", "panic: boom")
    ]
    python = (
        'Traceback (most recent call last):\n  File "/usr/lib/x.py", line 3, in f\n    g()\nMemoryError\n'
    )
    (diagnostic,) = parse("python", python, {}, "/work")
    assert (diagnostic.severity.value, diagnostic.code, diagnostic.file) == ("fatal", "MemoryError", None)
