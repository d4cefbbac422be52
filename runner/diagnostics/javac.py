"""Messages of javac: ``Main.java:3: error: text``, the source line, a caret, then details.

The details (symbol, location, why a method is not applicable) are indented and belong to the
message. The caret gives the column, counted in UTF-16 code units as Java counts; ours is in bytes.
What javac calls a note (`Note: Main.java uses unchecked or unsafe operations.`) stands alone.

A source line may look like a message; it is known by its place right after one and by the caret
below it, and never read. javac quotes nothing else of a job but names, which have no line breaks.
"""

import re
from collections.abc import Mapping

from chalicelib.models import Diagnostic, Severity
from runner.diagnostics.collector import MAX_MESSAGE_LINES, Collector, Found, lines_of
from runner.diagnostics.source_index import BYTE_ORDER_MARK, Sources, byte_column_utf16

_SEVERITIES = {
    "error": Severity.ERROR,
    "warning": Severity.WARNING,
    "note": Severity.NOTE,
}
_HEADER = re.compile(r"(?:([^\s:][^:]*):([0-9]{1,9}): )?(error|warning|[Nn]ote): (.*)")
_CODE = re.compile(r"\[([a-z][a-z0-9.-]*)\] (.*)")
_CARET = re.compile(r"([ \t]*)\^")
# The compiler's own end: no verdict about the source, but an error that it printed.
_BROKEN = re.compile(r"An exception has occurred in the compiler|The system is out of resources\.")
_DETAIL = "  "


def parse(text: str, files: Mapping[str, str], folder: str) -> tuple[Diagnostic, ...]:
    """The diagnostics in `text`; see `runner.diagnostics.parse` for the arguments."""
    lines = lines_of(text)
    sources = Sources(files, folder)
    collector = Collector()
    index = 0
    while index < len(lines) and not collector.full:
        line = lines[index]
        index += 1
        match = _HEADER.fullmatch(line)
        if match is None:
            if _BROKEN.match(line):
                collector.add(Found(severity=Severity.FATAL, message=sources.without_folder(line)))
            continue
        found = Found(severity=_SEVERITIES[match[3].lower()], message=match[4])
        code = _CODE.fullmatch(found.message)
        if code:
            found.code, found.message = code[1], code[2]
        if match[1] is not None:
            found.file, found.line = sources.rename(match[1]), int(match[2]) or None
            caret = _CARET.fullmatch(lines[index + 1]) if index + 1 < len(lines) else None
            if caret:
                source = sources.line(found.file, found.line)
                units = len(caret[1])
                if source is not None and lines[index].startswith(BYTE_ORDER_MARK):
                    units = max(0, units - 1)
                found.column = byte_column_utf16(lines[index] if source is None else source, units)
                index += 2
        details: list[str] = []
        while index < len(lines) and lines[index].startswith(_DETAIL):
            if len(details) < MAX_MESSAGE_LINES:
                details.append(lines[index])
            index += 1
        found.message = sources.without_folder("\n".join((found.message, *details)))
        collector.add(found, explains_previous=False)
    return collector.finish()
