r"""The edits that gcc and clang propose, one to a line: ``fix-it:"main.c":{4:26-4:31}:"text"``.

``-fdiagnostics-parseable-fixits`` adds these lines: file and text are C strings (octal escapes are bytes
of UTF-8), lines and columns count from 1, columns are bytes, the end is exclusive.
"""

import re

from chalicelib.models import Fix
from runner.diagnostics.collector import MAX_LINE_CHARACTERS, MAX_MESSAGE_CHARACTERS, MAX_NUMBER
from runner.diagnostics.source_index import SourceIndex
from runner.sanitize import clean_text

PREFIX = "fix-it:"
_START = f'{PREFIX}"'
_STRING = r'"((?:[^"\\]|\\.)*)"'
_NUMBER = "(-?[0-9]{1,10})"
_LINE = re.compile(rf"{PREFIX}{_STRING}:\{{{_NUMBER}:{_NUMBER}-{_NUMBER}:{_NUMBER}\}}:{_STRING}")
_ESCAPE = re.compile(rb"\\([0-7]{3}|.)", re.DOTALL)
_LETTERS = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"a": b"\a", b"b": b"\b", b"f": b"\f", b"v": b"\v"}


def is_fix(line: str) -> bool:
    """Whether `line` has that format, as far as it is read."""
    if not line.startswith(PREFIX):
        return False
    return _LINE.fullmatch(line) is not None or (len(line) >= MAX_LINE_CHARACTERS and line.startswith(_START))


def read_fix(line: str, sources: SourceIndex) -> Fix | None:
    """The edit in `line`, or None if it is not one, or its location or text is beyond the limits."""
    match = _LINE.fullmatch(line)
    if match is None:
        return None
    start_line, start_column, end_line, end_column = (int(number) for number in match.groups()[1:5])
    text = _unescaped(match[6])
    if start_line < 1 or start_column < 1 or (end_line, end_column) < (start_line, start_column):
        return None
    file = sources.rename(_unescaped(match[1]))
    # `#line` may name a file that was not sent: there is nothing to edit then.
    if len(text) > MAX_MESSAGE_CHARACTERS or not sources.known(file):
        return None
    if max(start_column, end_line, end_column) > MAX_NUMBER:
        return None
    return Fix(
        file=file,
        line=start_line,
        column=start_column,
        end_line=end_line,
        end_column=end_column,
        text=text,
    )


def _unescaped(text: str) -> str:
    """A C string's value, made as safe as all output: an escape in it can be any byte."""
    if "\\" not in text:
        return text
    return clean_text(_ESCAPE.sub(_byte, text.encode("utf-8", "surrogatepass")))


def _byte(match: re.Match[bytes]) -> bytes:
    if len(match[1]) == 3:
        return bytes([int(match[1], 8) & 0xFF])
    return _LETTERS.get(match[1], match[1])
