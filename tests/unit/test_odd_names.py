"""File names with blanks, colons and brackets in what compilers print: which file a message is about."""

import shlex
import time
from urllib.parse import unquote, urlsplit

import pytest

from chalicelib.api.receipt import reproduce
from chalicelib.sarif.locations import Locations
from runner.diagnostics import PARSERS, parse

_NAMES = ("my file.c", "a:1:2.c", "a(3,4).c", "a:1:1: error: b.c", " lead.c", "[id] +x.c", "src/a b.c")

# How each format begins a message, with the line that it is about.
_MESSAGES = {
    "gnu": "{name}:7:3: error: text\n",
    "clang": "{name}:7:3: error: text\n",
    "go": "{name}:7:3: text\n",
    "javac": "{name}:7: error: text\n",
    "tsc": "{name}(7,3): error TS1: text\n",
    "zig": "{name}:7:3: error: text\n",
    "gfortran": "{name}:7:3:\n\n    7 |   x\n      |   1\nError: text\n",
    "python": '*** Error compiling {quoted}...\n  File "{name}", line 7\n    x\n    ^\nSyntaxError: text\n\n',
}


@pytest.mark.parametrize("name", _NAMES)
@pytest.mark.parametrize("prefix", ["", "./", "/work/"])
@pytest.mark.parametrize("message_format", _MESSAGES)
def test_a_message_is_about_the_file_that_it_names(message_format: str, prefix: str, name: str) -> None:
    """The name as the request has it, with or without the folder in front, and the right line."""
    if name.startswith(" "):
        prefix = prefix or "./"  # as it is passed
    files = {name: "\n" * 9, "a": "", "a.c": ""}
    text = _MESSAGES[message_format].format(name=prefix + name, quoted=repr(prefix + name))
    [diagnostic] = parse(message_format, text, files, "/work")
    assert (diagnostic.file, diagnostic.line, diagnostic.message) == (name, 7, "text")


def test_every_format_of_text_is_here() -> None:
    """A format that is added is tested, too; rustc's is JSON, which needs no patterns for names."""
    assert set(_MESSAGES) == set(PARSERS) - {"rustc"}


def test_python_quotes_a_name_as_it_quotes_any_text() -> None:
    """With both kinds of quotes in it there is a backslash before one kind."""
    for name in ("it's.py", 'say "hi".py', 'it\'s "x".py'):
        text = f"*** Error compiling {name!r}...\nSorry: TabError: no (x.py, line 2)\n\n"
        [diagnostic] = parse("python", text, {name: ""}, "/work")
        assert (diagnostic.file, diagnostic.line) == (name, 2)


def test_a_linker_names_the_last_part_of_a_file() -> None:
    """With and without its own name in front, in debug information and without."""
    files = {"src/a b.c": "", "my file.c": ""}
    text = (
        "/usr/bin/ld: /tmp/ccAbCdEf.o: in function `main':\n"
        "a b.c:(.text+0x9): undefined reference to `f'\n"
        "/usr/bin/ld: my file.c:3: undefined reference to `g'\n"
    )
    assert [item.file for item in parse("gnu", text, files, "/work")] == ["src/a b.c", "my file.c"]


def test_the_steps_to_a_place_have_their_files() -> None:
    """gcc's own words are in front of the name there."""
    text = "In function 'f',\n    inlined from 'g at h' at my file.c:5:3:\nmain.c:2:1: warning: text [-Wx]\n"
    [diagnostic] = parse("gnu", text, {"my file.c": "", "main.c": ""}, "/work")
    assert [(child.file, child.line) for child in diagnostic.children] == [("my file.c", 5)]


def test_no_output_can_name_a_file_by_its_stand_in() -> None:
    """The character around it is escaped in output; any other number stays as it is."""
    for text in (
        "\x010\x01:7:3: error: x\n",
        f"\x01{'9' * 9000}\x01:7:3: error: x\n",
        "\x01\x01:1: error: x\n",
    ):
        for message_format in PARSERS:
            for diagnostic in parse(message_format, text, {"a b.c": ""}, "/work"):
                assert diagnostic.file in (None, "a b.c") or "\x01" in diagnostic.file


def test_many_long_names_cost_time_in_proportion_to_the_output() -> None:
    """Twice the output takes about twice the time, with as many names as a request can have."""
    files = {f"{'a' * 240} {number}.c": "" for number in range(64)}

    def seconds(lines: int) -> float:
        text = ("    inlined from " + " at " + "a" * 240 + " x:1:2,\n") * lines
        started = time.process_time()
        parse("gnu", text, files, "/work")
        return time.process_time() - started

    seconds(10)
    assert seconds(2000) < 8 * max(seconds(500), 0.01)


@pytest.mark.parametrize("name", [*_NAMES, "größe.c", "e\u0301.c", "%41.c", "a?b#c.c", "-x.c", "~x.c"])
def test_sarif_and_the_receipt_name_the_same_file(name: str) -> None:
    """A URI that decodes to the name and has no part but a path; a line for a shell with it as one word."""
    location = Locations({name: ""}, "gnu").artifact_location(name)
    uri = urlsplit(location["uri"])
    assert unquote(uri.path) == name
    assert (uri.scheme, uri.netloc, uri.query, uri.fragment) == ("", "", "", "")
    assert shlex.split(reproduce(["gcc", "-c", name], {}, ""))[-1] == name
    assert shlex.split(reproduce(["gcc", "-c", name], {}, "gcc:14"))[-1] == name
