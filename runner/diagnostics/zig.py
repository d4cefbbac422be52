"""Messages of zig: ``main.zig:3:5: error: text``, the source line, a line with carets, then notes.

Errors without a place are zig's own or its linker's, with indented notes. Lines below `referenced by:` say
how zig came to the place; those in the request's files are notes, too. What `@compileLog` prints is context.
The source line is printed as it is; it is known by the carets below it, as in old clang. Zig indents the
further lines of a message (`@compileError` with line breaks), so those cannot start one either.
"""

import re
from collections.abc import Mapping, Sequence

from chalicelib.models import Diagnostic, Severity
from runner.diagnostics.collector import MAX_MESSAGE_LINES, Collector, Found, lines_of
from runner.diagnostics.source_index import Sources

_SEVERITIES = {"error": Severity.ERROR, "warning": Severity.WARNING, "note": Severity.NOTE}
_HEADER = re.compile(r"(?:([^\s:][^:]*):([0-9]{1,9}):([0-9]{1,9}): )?(error|warning|note): (.*)")
_INDENTED_NOTE = re.compile(r" +note: (.*)")
_REFERENCES = "referenced by:"
_REFERENCE = re.compile(r"    (\S.*): ([^\s:][^:]*):([0-9]{1,9}):([0-9]{1,9})")
_CARETS = re.compile(r"[ \t]*~*\^~*")


def parse(text: str, files: Mapping[str, str], folder: str) -> tuple[Diagnostic, ...]:
    """The diagnostics in `text`; see `runner.diagnostics.parse` for the arguments."""
    lines = lines_of(text)
    sources = Sources(files, folder)
    collector = Collector()
    index = 0
    while index < len(lines) and not collector.full:
        if _is_source(lines, index):
            index += 2
            continue
        line = lines[index]
        index += 1
        if line == _REFERENCES:
            while index < len(lines) and (reference := _REFERENCE.fullmatch(lines[index])):
                found = _reference(reference, sources)
                if found.file is not None and sources.known(found.file):
                    collector.add(found)
                index += 1
            continue
        match = _HEADER.fullmatch(line)
        if match is None:
            note = _INDENTED_NOTE.fullmatch(line)
            if note:
                collector.add(Found(severity=Severity.NOTE, message=sources.without_folder(note[1])))
            continue
        found = Found(severity=_SEVERITIES[match[4]], message=match[5])
        if match[1] is not None:
            found.file, found.line = sources.rename(match[1]), int(match[2]) or None
            found.column = int(match[3]) or None
        indent = " " * match.start(5)
        rest: list[str] = []
        while index < len(lines) and lines[index].startswith(indent) and not _is_source(lines, index):
            if len(rest) < MAX_MESSAGE_LINES:
                rest.append(lines[index][len(indent) :])
            index += 1
        found.message = sources.without_folder("\n".join((found.message, *rest)))
        if found.column is not None and _is_source(lines, index):
            found.end_line, found.end_column = _end(found.line, found.column, lines[index], lines[index + 1])
        collector.add(found)
    return collector.finish()


def _reference(match: re.Match[str], sources: Sources) -> Found:
    """A place that refers to the one before, up to the program's start or an export."""
    return Found(
        severity=Severity.NOTE,
        message=f"referenced by {match[1]}",
        file=sources.rename(match[2]),
        line=int(match[3]) or None,
        column=int(match[4]) or None,
    )


def _is_source(lines: Sequence[str], index: int) -> bool:
    """Whether the line at `index` is a source line with its carets below."""
    return index + 1 < len(lines) and _CARETS.fullmatch(lines[index + 1]) is not None


def _end(line: int | None, column: int, source: str, marks: str) -> tuple[int | None, int | None]:
    """Where the one underlined range ends (exclusive); unknown beyond ASCII, with tabs, for a lone caret."""
    match = _CARETS.match(marks)
    if match is None or "~" not in match[0] or not source.isascii() or "\t" in source:
        return None, None
    return (line, match.end() + 1) if marks[column - 1 : column] == "^" else (None, None)
