r"""Messages of tsc, run with ``--pretty false``: ``main.ts(3,5): error TS2322: text`` on stdout.

Indented lines go on with the message before them. Errors about options have no place. tsc counts
columns in UTF-16 code units; ours are bytes.

Strings of the source are quoted with escapes instead of line breaks, and template literal types are
between backquotes. The names of modules are neither: ``import "a\nmain.ts(1,1): error TS1: x"`` prints
a line that nothing tells from a message. It makes one error more in a job that has one already.
"""

import re
from collections.abc import Mapping

from chalicelib.models import Diagnostic, Severity
from runner.diagnostics.backquotes import end_of_quotation
from runner.diagnostics.collector import MAX_MESSAGE_LINES, Collector, Found, lines_of
from runner.diagnostics.source_index import Sources, byte_column_utf16

_SEVERITIES = {
    "error": Severity.ERROR,
    "warning": Severity.WARNING,
    "message": Severity.NOTE,
    "suggestion": Severity.NOTE,
}
_HEADER = re.compile(
    r"(?:([^\s(][^(]*)\(([0-9]{1,9}),([0-9]{1,9})\): )?"
    r"(error|warning|message|suggestion) (TS[0-9]{1,9}): (.*)"
)


def parse(text: str, files: Mapping[str, str], folder: str) -> tuple[Diagnostic, ...]:
    """The diagnostics in `text`; see `runner.diagnostics.parse` for the arguments."""
    lines = lines_of(text)
    sources = Sources(files, folder)
    collector = Collector()
    index = 0
    while index < len(lines) and not collector.full:
        match = _HEADER.fullmatch(lines[index])
        start = index
        index += 1
        if match is None:
            continue
        found = Found(severity=_SEVERITIES[match[4]], message=match[6], code=match[5])
        if match[1] is not None:
            found.file, found.line = sources.rename(match[1]), int(match[2]) or None
            source = sources.line(found.file, found.line)
            column = int(match[3])
            if source is not None and column:
                found.column = byte_column_utf16(source, column - 1)
            else:
                found.column = column or None
        index = end_of_quotation(lines, start)
        details = lines[start + 1 : min(index, start + MAX_MESSAGE_LINES)]
        while index < len(lines) and lines[index].startswith("  "):
            if len(details) < MAX_MESSAGE_LINES:
                details.append(lines[index])
            index += 1
        found.message = sources.without_folder("\n".join((found.message, *details)))
        collector.add(found, explains_previous=False)
    return collector.finish()
