"""Messages of gfortran: a location on its own line, a snippet, then ``Error: text``.

    main.f90:5:3:

        5 |   j = 2
          |   1
    Error: Symbol 'j' at (1) has no IMPLICIT type

The digits below the snippet mark the places that the text refers to; the first line is the location of
place 1, and place 2 becomes a note. If that is in another file, a second location and snippet follow before
the text. Everything in another format (from the driver, the preprocessor, the assembler, the linker) is
read as gcc's.

Snippets are numbered, so source text cannot pass for a message; `#error` text stays on its line.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise

from chalicelib.models import Diagnostic, Severity
from runner.diagnostics import gnu
from runner.diagnostics.collector import MAX_MESSAGE_LINES, Collector, DiagnosticBuilder
from runner.diagnostics.source_index import SourceIndex

_SEVERITIES = {
    "Fatal Error": Severity.FATAL,
    "Internal Error": Severity.FATAL,
    "internal compiler error": Severity.FATAL,
    "Error": Severity.ERROR,
    "Warning": Severity.WARNING,
    "Note": Severity.NOTE,
}
# Two places in one line are printed as both columns, the smaller one first.
_PLACE = re.compile(r"([^\s:][^:]*):(-?[0-9]{1,10}):(-?[0-9]{1,10})(?:-(-?[0-9]{1,10}))?:")
_SNIPPET = re.compile(r" *(?:-?[0-9]{1,10}|) \|(?: .*)?|\.\.\.\.\.\.|")
_SOURCE = re.compile(r" *(-?[0-9]{1,10}) \| ?")
_DIGITS = re.compile(r"[ 12]*")
_TEXT = re.compile("(" + "|".join(_SEVERITIES) + r")(?: \([0-9]+\))?: ?(.*)")
# Messages with the name of the driver or of the compiler proper: `f951: Fatal Error: Cannot open file`.
_TOOL = re.compile(r"(?:f951|[A-Za-z0-9_-]*gfortran[0-9.-]*): " + _TEXT.pattern)


def parse(text: str, files: Mapping[str, str], folder: str) -> tuple[Diagnostic, ...]:
    """The diagnostics in `text`; see `runner.diagnostics.parse` for the arguments."""
    sources = SourceIndex(files, folder, "gfortran")
    lines = sources.lines(text)
    collector = Collector()
    others: list[str] = []
    blocks = _Blocks(lines)

    def read_others() -> None:
        for diagnostic in gnu.collect(others, sources).top if any(others) else ():
            collector.add(diagnostic)
        others.clear()

    index = 0
    while index < len(lines) and not collector.full:
        end, diagnostic = _message(blocks, index, sources)
        if diagnostic is None:
            others.append(lines[index])
        else:
            read_others()
            collector.add(diagnostic)
        index = end
    read_others()
    return collector.build()


class _Blocks:
    """Where the snippets and further locations behind a location end; each line is looked at once."""

    def __init__(self, lines: Sequence[str]) -> None:
        self.lines = lines
        self._block = range(0)

    def end(self, index: int) -> int:
        """The first line from `index` on that is no snippet and no location, or the limit."""
        last = min(index + MAX_MESSAGE_LINES - 1, len(self.lines))
        at = self._block.stop if self._block.start <= index <= self._block.stop else index
        while at < last and (_SNIPPET.fullmatch(self.lines[at]) or _PLACE.fullmatch(self.lines[at])):
            at += 1
        self._block = range(index, at)
        return at


def _message(blocks: _Blocks, index: int, sources: SourceIndex) -> tuple[int, DiagnosticBuilder | None]:
    """The index of the line after the message that starts at `index`, and the message; or None for it."""
    lines = blocks.lines
    place = _PLACE.fullmatch(lines[index])
    at = blocks.end(index + 1) if place else index
    match = (_TEXT if place else _TOOL).fullmatch(lines[at]) if at < len(lines) else None
    if match is None and not place:
        match = _TEXT.fullmatch(lines[at])
    if match is None:
        return index + 1, None
    diagnostic = DiagnosticBuilder(severity=_SEVERITIES[match[1]], message=match[2])
    if place:
        _locate(diagnostic, place, lines[index + 1 : at], sources)
    diagnostic.message, diagnostic.code = gnu.split_code(sources.without_folder(diagnostic.message))
    return at + 1, diagnostic


def _locate(
    diagnostic: DiagnosticBuilder, place: re.Match[str], block: Sequence[str], sources: SourceIndex
) -> None:
    """Sets the location of a message to its place 1, and adds place 2, if `block` shows one, as a note."""
    diagnostic.file, diagnostic.line = sources.rename(place[1]), int(place[2]) or None
    columns = [int(column) or None for column in place.groups()[2:] if column is not None]
    marked = _marked_places(block)
    if len(columns) > 1 and "1" in marked and "2" in marked and marked["2"] < marked["1"]:
        columns.reverse()
    diagnostic.column = columns[0]
    second = DiagnosticBuilder(severity=Severity.NOTE, message="(2)", file=diagnostic.file)
    other = next((match for match in map(_PLACE.fullmatch, block) if match), None)
    if other is not None:
        second.file, second.line = sources.rename(other[1]), int(other[2]) or None
        second.column = int(other[3]) or None
    elif "2" in marked:
        second.line, column = marked["2"]
        text = sources.line(second.file, second.line)
        # Marks are below columns of the screen: bytes only in a line without tabs and non-ASCII text.
        plain = text is not None and text.isascii() and "\t" not in text
        second.column = columns[1] if len(columns) > 1 else column if plain else None
    else:
        return
    diagnostic.children.append(second)


def _marked_places(block: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Line and column on the screen (both from 1) of the digits "1" and "2" below the lines of a block."""
    places: dict[str, tuple[int, int]] = {}
    for line, below in pairwise(block):
        source = _SOURCE.match(line)
        if source is None or not below[: source.end()].endswith("| "):
            continue
        marks = below[source.end() :]
        if _DIGITS.fullmatch(marks):
            for digit in "12":
                if digit in marks:
                    places.setdefault(digit, (int(source[1]), marks.index(digit) + 1))
    return places
