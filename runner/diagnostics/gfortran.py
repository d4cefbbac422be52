"""Messages of gfortran: a place on a line of its own, a snippet, then ``Error: text``.

    main.f90:5:3:

        5 |   j = 2
          |   1
    Error: Symbol 'j' at (1) has no IMPLICIT type

The digits under the snippet are the places that the text speaks of; the first line names place 1, and
place 2 becomes a note. Where that is in another file, a second place and snippet follow before the text.
Everything that is not of this shape (the driver, the preprocessor, the assembler, the linker) is read as
gcc's.

Snippets are numbered, so source text cannot pass for a message; `#error` text stays on its line.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise

from chalicelib.models import Diagnostic, Severity
from runner.diagnostics import gnu
from runner.diagnostics.collector import MAX_MESSAGE_LINES, Collector, Found, lines_of
from runner.diagnostics.source_index import Sources

_SEVERITIES = {
    "Fatal Error": Severity.FATAL,
    "Internal Error": Severity.FATAL,
    "internal compiler error": Severity.FATAL,
    "Error": Severity.ERROR,
    "Warning": Severity.WARNING,
    "Note": Severity.NOTE,
}
# Two places in one line are told as the columns of both, the smaller one first.
_PLACE = re.compile(r"([^\s:][^:]*):([0-9]{1,9}):([0-9]{1,9})(?:-([0-9]{1,9}))?:")
_SNIPPET = re.compile(r" *(?:[0-9]{1,9}|) \|(?: .*)?|\.\.\.\.\.\.|")
_SOURCE = re.compile(r" *([0-9]{1,9}) \| ?")
_DIGITS = re.compile(r"[ 12]*")
_TEXT = re.compile("(" + "|".join(_SEVERITIES) + r")(?: \([0-9]+\))?: ?(.*)")
# As the driver and the compiler proper name themselves: `f951: Fatal Error: Cannot open file`.
_TOOL = re.compile(r"(?:f951|[A-Za-z0-9_-]*gfortran[0-9.-]*): " + _TEXT.pattern)


def parse(text: str, files: Mapping[str, str], folder: str) -> tuple[Diagnostic, ...]:
    """The diagnostics in `text`; see `runner.diagnostics.parse` for the arguments."""
    lines = lines_of(text)
    sources = Sources(files, folder)
    collector = Collector()
    others: list[str] = []

    def read_others() -> None:
        for diagnostic in gnu.parse("\n".join(others), files, folder) if any(others) else ():
            collector.add(_as_found(diagnostic))
        others.clear()

    index = 0
    while index < len(lines) and not collector.full:
        end, found = _message(lines, index, sources)
        if found is None:
            others.append(lines[index])
        else:
            read_others()
            collector.add(found)
        index = end
    read_others()
    return collector.finish()


def _message(lines: Sequence[str], index: int, sources: Sources) -> tuple[int, Found | None]:
    """The message that starts at `index`, or None, and the line after what was read."""
    place = _PLACE.fullmatch(lines[index])
    at = index + 1 if place else index
    if place:
        last = min(index + MAX_MESSAGE_LINES, len(lines))
        while at < last and (_SNIPPET.fullmatch(lines[at]) or _PLACE.fullmatch(lines[at])):
            at += 1
    match = (_TEXT if place else _TOOL).fullmatch(lines[at]) if at < len(lines) else None
    if match is None and not place:
        match = _TEXT.fullmatch(lines[at])
    if match is None:
        return index + 1, None
    found = Found(severity=_SEVERITIES[match[1]], message=match[2])
    if place:
        _locate(found, place, lines[index + 1 : at], sources)
    found.message, found.code = gnu.split_code(sources.without_folder(found.message))
    return at + 1, found


def _locate(found: Found, place: re.Match[str], block: Sequence[str], sources: Sources) -> None:
    """Puts a message at its place 1, and place 2, where it is shown in the `block` of snippets, below it."""
    found.file, found.line = sources.rename(place[1]), int(place[2]) or None
    columns = [int(column) or None for column in place.groups()[2:] if column is not None]
    shown = _shown_places(block)
    if len(columns) > 1 and "1" in shown and "2" in shown and shown["2"] < shown["1"]:
        columns.reverse()
    found.column = columns[0]
    second = Found(severity=Severity.NOTE, message="(2)", file=found.file)
    other = next((match for match in map(_PLACE.fullmatch, block) if match), None)
    if other is not None:
        second.file, second.line = sources.rename(other[1]), int(other[2]) or None
        second.column = int(other[3]) or None
    elif "2" in shown:
        second.line, column = shown["2"]
        text = sources.line(second.file, second.line)
        # Marks stand below columns of the screen, which are bytes where the line is as plain as this.
        plain = text is not None and text.isascii() and "\t" not in text
        second.column = columns[1] if len(columns) > 1 else column if plain else None
    else:
        return
    found.children.append(second)


def _shown_places(block: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Line and column on the screen (both from 1) of the digits "1" and "2" below the sources of a block."""
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


def _as_found(diagnostic: Diagnostic) -> Found:
    return Found(
        severity=diagnostic.severity,
        message=diagnostic.message,
        code=diagnostic.code,
        file=diagnostic.file,
        line=diagnostic.line,
        column=diagnostic.column,
        end_line=diagnostic.end_line,
        end_column=diagnostic.end_column,
        fixes=list(diagnostic.fixes),
        children=[_as_found(child) for child in diagnostic.children],
    )
