"""Messages of zig: ``main.zig:3:5: error: text``, the source line, a line with carets, then notes.

Errors without a location are zig's own or its linker's, with indented notes. Lines below `referenced by:`
say how zig came to the location; those in the request's files become notes, too. What `@compileLog`
prints is skipped. The source line is printed unchanged and is recognised by the carets below it. Zig
indents the further lines of a message (`@compileError` with line breaks), so those cannot start a new one.
"""

import re
from collections.abc import Mapping

from chalicelib.models import Diagnostic, Severity
from runner.diagnostics.collector import MAX_MESSAGE_LINES, Collector, DiagnosticBuilder
from runner.diagnostics.line_cursor import LineCursor
from runner.diagnostics.source_index import SourceIndex

_SEVERITIES = {"error": Severity.ERROR, "warning": Severity.WARNING, "note": Severity.NOTE}
_HEADER = re.compile(r"(?:([^\s:][^:]*):(-?[0-9]{1,10}):(-?[0-9]{1,10}): )?(error|warning|note): (.*)")
_INDENTED_NOTE = re.compile(r" +note: (.*)")
_REFERENCES = "referenced by:"
# `    main: main.zig:3:5`, cut at its last colon with a space.
_REFERRING = re.compile(r"    (\S.*)")
_REFERRED = re.compile(r"([^\s:][^:]*):(-?[0-9]{1,10}):(-?[0-9]{1,10})")
_CARETS = re.compile(r"[ \t]*~*\^~*")


def parse(text: str, files: Mapping[str, str], folder: str) -> tuple[Diagnostic, ...]:
    """The diagnostics in `text`; see `runner.diagnostics.parse` for the arguments."""
    sources, collector = SourceIndex(files, folder, "zig"), Collector()
    cursor = LineCursor(sources.lines(text))
    while not cursor.at_end and not collector.full:
        if _at_snippet(cursor):
            cursor.take()
            cursor.take()
            continue
        line = cursor.take()
        if line == _REFERENCES:
            while diagnostic := _reference(cursor.peek(), sources):
                cursor.take()
                if diagnostic.file is not None and sources.known(diagnostic.file):
                    collector.add(diagnostic)
            continue
        match = _HEADER.fullmatch(line)
        if match:
            collector.add(_message(match, cursor, sources))
            continue
        note = _INDENTED_NOTE.fullmatch(line)
        if note:
            message = sources.without_folder(note[1])
            collector.add(DiagnosticBuilder(severity=Severity.NOTE, message=message))
    return collector.build()


def _message(match: re.Match[str], cursor: LineCursor, sources: SourceIndex) -> DiagnosticBuilder:
    """The message whose first line is `match`, with the lines that continue it."""
    diagnostic = DiagnosticBuilder(severity=_SEVERITIES[match[4]], message=match[5])
    if match[1] is not None:
        diagnostic.file, diagnostic.line = sources.rename(match[1]), int(match[2]) or None
        diagnostic.column = int(match[3]) or None
    indent = " " * match.start(5)
    rest = cursor.take_while(lambda line: line.startswith(indent) and not _at_snippet(cursor))
    lines = [line[len(indent) :] for line in rest[:MAX_MESSAGE_LINES]]
    diagnostic.message = sources.without_folder("\n".join((diagnostic.message, *lines)))
    if diagnostic.column is not None and _at_snippet(cursor):
        end = _end(diagnostic.line, diagnostic.column, source=cursor.peek(), marks=cursor.peek(1))
        diagnostic.end_line, diagnostic.end_column = end
    return diagnostic


def _reference(line: str, sources: SourceIndex) -> DiagnosticBuilder | None:
    """A location that refers to the one before it, up to the start of the program or an export."""
    name, _, place = line.rpartition(": ")
    referring, referred = _REFERRING.fullmatch(name), _REFERRED.fullmatch(place)
    if referring is None or referred is None:
        return None
    return DiagnosticBuilder(
        severity=Severity.NOTE,
        message=f"referenced by {referring[1]}",
        file=sources.rename(referred[1]),
        line=int(referred[2]) or None,
        column=int(referred[3]) or None,
    )


def _at_snippet(cursor: LineCursor) -> bool:
    """Whether the next line is a source line with its carets below."""
    return _CARETS.fullmatch(cursor.peek(1)) is not None


def _end(line: int | None, column: int, *, source: str, marks: str) -> tuple[int | None, int | None]:
    """Where the underlined range ends (exclusive); unknown with non-ASCII text, tabs, or a lone caret."""
    match = _CARETS.match(marks)
    if match is None or "~" not in match[0] or not source.isascii() or "\t" in source:
        return None, None
    return (line, match.end() + 1) if marks[column - 1 : column] == "^" else (None, None)
