"""Messages of gfortran: a place on a line of its own, a snippet, then ``Error: text``.

    main.f90:5:3:

        5 |   j = 2
          |   1
    Error: Symbol 'j' at (1) has no IMPLICIT type

The digits under the snippet are the places that the text speaks of; the first line names place 1.
Where place 2 is in another file, a second place and snippet follow before the text. Everything
that is not of this shape (the driver, the preprocessor, the assembler, the linker) is read as gcc's.

Snippets are numbered, so source text cannot pass for a message; `#error` text stays on its line.
"""

import re
from collections.abc import Mapping, Sequence

from chalicelib.models import Diagnostic, Severity
from runner.diagnostics import gnu
from runner.diagnostics.bounds import MAX_MESSAGE_LINES, Collector, Found, lines_of
from runner.diagnostics.sources import Sources

_SEVERITIES = {
    "Fatal Error": Severity.FATAL,
    "Internal Error": Severity.FATAL,
    "internal compiler error": Severity.FATAL,
    "Error": Severity.ERROR,
    "Warning": Severity.WARNING,
    "Note": Severity.NOTE,
}
_PLACE = re.compile(r"([^\s:][^:]*):([0-9]{1,9}):([0-9]{1,9}):")
_SNIPPET = re.compile(r" *(?:[0-9]{1,9}|) \|(?: .*)?|\.\.\.\.\.\.|")
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
        found.file = sources.rename(place[1])
        found.line, found.column = int(place[2]) or None, int(place[3]) or None
    found.message, found.code = gnu.split_code(sources.without_folder(found.message))
    return at + 1, found


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
