r"""Messages of tsc, run with ``--pretty false``: ``main.ts(3,5): error TS2322: text`` on stdout.

Indented lines continue the message before them. Errors about options have no location. tsc counts
columns in UTF-16 code units; ours are bytes.

Strings of the source are quoted with escapes instead of line breaks, and template literal types are
quoted between backquotes. The names of modules are not: ``import "a\nmain.ts(1,1): error TS1: x"``
prints a line that cannot be told from a message. It adds one error to a job that has one already.
"""

import re
from collections.abc import Mapping

from chalicelib.models import Diagnostic, Severity
from runner.diagnostics.collector import MAX_MESSAGE_LINES, Collector, DiagnosticBuilder
from runner.diagnostics.line_cursor import LineCursor
from runner.diagnostics.source_index import SourceIndex, byte_column_utf16

_SEVERITIES = {
    "error": Severity.ERROR,
    "warning": Severity.WARNING,
    "message": Severity.NOTE,
    "suggestion": Severity.NOTE,
}
_HEADER = re.compile(
    r"(?:([^\s(][^(]*)\((-?[0-9]{1,10}),(-?[0-9]{1,10})\): )?"
    r"(error|warning|message|suggestion) (TS[0-9]{1,9}): (.*)"
)
_DETAIL = "  "


def parse(text: str, files: Mapping[str, str], folder: str) -> tuple[Diagnostic, ...]:
    """The diagnostics in `text`; see `runner.diagnostics.parse` for the arguments."""
    sources, collector = SourceIndex(files, folder, "tsc"), Collector()
    cursor = LineCursor(sources.lines(text))
    while not cursor.at_end and not collector.full:
        line = cursor.take()
        match = _HEADER.fullmatch(line)
        if match is None:
            continue
        diagnostic = DiagnosticBuilder(severity=_SEVERITIES[match[4]], message=match[6], code=match[5])
        if match[1] is not None:
            diagnostic.file, diagnostic.line = sources.rename(match[1]), int(match[2]) or None
            source = sources.line(diagnostic.file, diagnostic.line)
            column = int(match[3])
            if source is not None and column:
                diagnostic.column = byte_column_utf16(source, column - 1)
            else:
                diagnostic.column = column or None
        details = cursor.take_quotation(line)[: MAX_MESSAGE_LINES - 1]
        details += cursor.take_while(lambda detail: detail.startswith(_DETAIL))
        message = "\n".join((diagnostic.message, *details[:MAX_MESSAGE_LINES]))
        diagnostic.message = sources.without_folder(message)
        collector.add(diagnostic, explains_previous=False)
    return collector.build()
