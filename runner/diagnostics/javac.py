"""Messages of javac: ``Main.java:3: error: text``, the source line, a caret, then details.

The details (symbol, location, why a method is not applicable) are indented and belong to the message.
The caret gives the column, counted in UTF-16 code units as Java counts; ours is in bytes. What javac
calls a note (`Note: Main.java uses unchecked or unsafe operations.`) explains no other message.

A source line may look like a message. It is recognised by its position right after a message and by
the caret below it, and is never parsed. Nothing else that javac quotes from a job has line breaks.
"""

import re
from collections.abc import Mapping

from chalicelib.models import Diagnostic, Severity
from runner.diagnostics.collector import MAX_MESSAGE_LINES, Collector, DiagnosticBuilder
from runner.diagnostics.line_cursor import LineCursor
from runner.diagnostics.source_index import BYTE_ORDER_MARK, SourceIndex, byte_column_utf16

_SEVERITIES = {
    "error": Severity.ERROR,
    "warning": Severity.WARNING,
    "note": Severity.NOTE,
}
_HEADER = re.compile(r"(?:([^\s:][^:]*):(-?[0-9]{1,10}): )?(error|warning|[Nn]ote): (.*)")
_CODE = re.compile(r"\[([a-z][a-z0-9.-]*)\] (.*)")
_CARET = re.compile(r"([ \t]*)\^")
# The compiler itself fails: this says nothing about the source, but javac prints it as an error.
_CRASH = re.compile(r"An exception has occurred in the compiler|The system is out of resources\.")
_DETAIL = "  "


def parse(text: str, files: Mapping[str, str], folder: str) -> tuple[Diagnostic, ...]:
    """The diagnostics in `text`; see `runner.diagnostics.parse` for the arguments."""
    sources, collector = SourceIndex(files, folder, "javac"), Collector()
    cursor = LineCursor(sources.lines(text))
    while not cursor.at_end and not collector.full:
        line = cursor.take()
        match = _HEADER.fullmatch(line)
        if match is None:
            if _CRASH.match(line):
                collector.add(
                    DiagnosticBuilder(severity=Severity.FATAL, message=sources.without_folder(line))
                )
            continue
        diagnostic = DiagnosticBuilder(severity=_SEVERITIES[match[3].lower()], message=match[4])
        code = _CODE.fullmatch(diagnostic.message)
        if code:
            diagnostic.code, diagnostic.message = code[1], code[2]
        if match[1] is not None:
            diagnostic.file, diagnostic.line = sources.rename(match[1]), int(match[2]) or None
            _take_snippet(cursor, diagnostic, sources)
        details = cursor.take_while(lambda detail: detail.startswith(_DETAIL))
        message = "\n".join((diagnostic.message, *details[:MAX_MESSAGE_LINES]))
        diagnostic.message = sources.without_folder(message)
        collector.add(diagnostic, explains_previous=False)
    return collector.build()


def _take_snippet(cursor: LineCursor, diagnostic: DiagnosticBuilder, sources: SourceIndex) -> None:
    """Take the source line and the caret below it, if they come next; the caret gives the column."""
    caret = _CARET.fullmatch(cursor.peek(1))
    if caret is None:
        return
    shown_line = cursor.take()
    cursor.take()
    source = sources.line(diagnostic.file, diagnostic.line)
    units = len(caret[1])
    if source is not None and shown_line.startswith(BYTE_ORDER_MARK):
        units = max(0, units - 1)
    diagnostic.column = byte_column_utf16(shown_line if source is None else source, units)
