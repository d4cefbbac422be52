"""Messages in the format that gcc and clang share, and those of the assembler and linker they run.

A message is a line ``file:line:column: severity: text [-Wflag]``; the location may be shorter, a tool's
name, or missing. Before it gcc may print the steps that led there, from the inside out:
``file:line:column:   required from here`` (templates, constant expressions), or
``    inlined from 'f' at file:line:column:`` (from the optimiser). These steps become notes of the message,
as clang prints them itself. The source line with carets may follow, which we call the snippet: gcc and
newer clang number it (``   12 | int x;``), older clang does not.

Source text reaches this output in two ways, and neither must be taken for a message:
- in snippets, which are recognised by their number or by the caret line below them;
- in messages that quote a string with a newline (`static_assert`, `[[deprecated]]`). Lines between a
  message and the snippet of its own source line belong to the message. A job that also forges the
  location of the message, or the snippet, misleads only its author.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

from chalicelib.models import Diagnostic, Severity
from runner.diagnostics import linker
from runner.diagnostics.collector import (
    MAX_LINE_CHARACTERS,
    MAX_MESSAGE_LINES,
    Collector,
    DiagnosticBuilder,
)
from runner.diagnostics.fixits import PREFIX, is_fix, read_fix
from runner.diagnostics.line_cursor import lines_of
from runner.diagnostics.linker import LinkerLine
from runner.diagnostics.source_index import SourceIndex, squeezed

_SEVERITIES = {
    "fatal error": Severity.FATAL,
    "internal compiler error": Severity.FATAL,
    "error": Severity.ERROR,
    "sorry, unimplemented": Severity.ERROR,
    "warning": Severity.WARNING,
    "note": Severity.NOTE,
    "remark": Severity.NOTE,
    # The assembler's, which capitalises them.
    "Fatal error": Severity.FATAL,
    "Error": Severity.ERROR,
    "Warning": Severity.WARNING,
    "Info": Severity.NOTE,
}
_SEVERITY = re.compile(r"(?:^|: )(" + "|".join(_SEVERITIES) + r"):(?: |$)")
# `#line` sets numbers of ten digits, and some count beyond that into negative ones. int() of thousands of
# digits is slow.
_LOCATION = re.compile(r"(.*?)(?::(-?[0-9]{1,10}))?(?::(-?[0-9]{1,10}))?", re.DOTALL)
_TOOL = re.compile(r"[A-Za-z0-9_.+/-]+")
_GUTTER = re.compile(r" *(-?[0-9]{1,10}|) \| ?")
# A whole line that an edit adds; it has no number yet, and may be above the snippet.
_ADDED = re.compile(r" *\+\+\+ \|\+")
_CARETS = re.compile(r"[ \t]*[~^][~^ \t]*")
_UNDERLINE = re.compile(r"\^~+")
_CODE = re.compile(r"-[A-Za-z][^\s\[\]]*")

# The lines that ``-fdiagnostics-parseable-fixits`` adds begin with it.
OWN_LINE = PREFIX.encode()

# Steps on gcc's way to the location of a message. They have three spaces in place of the severity.
_INLINED = "inlined from "
_INLINED_PLACE = re.compile(r"([^\s:][^:]*):(-?[0-9]{1,10}):(-?[0-9]{1,10})[,:]")
_STEP = re.compile(r"([^\s:][^:]*):(-?[0-9]{1,10}):(?:(-?[0-9]{1,10}):)?   (\S.*)")

# gcc prints `#pragma message` as a note, but it explains nothing that came before.
_STANDALONE_NOTE = re.compile(r"['‘]#pragma message: ")


def parse(text: str, files: Mapping[str, str], folder: str) -> tuple[Diagnostic, ...]:
    """The diagnostics in `text`; see `runner.diagnostics.parse` for the arguments."""
    sources = SourceIndex(files, folder, "gnu")
    return collect(sources.lines(text), sources).build()


def collect(lines: Sequence[str], sources: SourceIndex) -> Collector:
    """As `parse`, for parsers that read a part of their output as gcc's."""
    collector = Collector()
    for index, end, diagnostic in _walk(lines, sources):
        if collector.full:
            break
        if diagnostic is None:
            fix = read_fix(lines[index], sources)
            if fix is not None:
                collector.add_fix(fix)
            continue
        collector.add(diagnostic, explains_previous=not _STANDALONE_NOTE.match(diagnostic.message))
        diagnostic.end_line, diagnostic.end_column = _end(diagnostic, lines, end)
    return collector


def strip(text: str) -> str:
    """`text` without the lines that ``-fdiagnostics-parseable-fixits`` adds."""
    if PREFIX not in text:
        return text
    lines = text.split("\n")
    walk = _walk(lines_of(text), SourceIndex({}, "/", "gnu"))
    added = {index for index, _, diagnostic in walk if diagnostic is None}
    return "\n".join(line for index, line in enumerate(lines) if index not in added)


def _walk(lines: Sequence[str], sources: SourceIndex) -> Iterator[tuple[int, int, DiagnosticBuilder | None]]:
    """The messages in order: index of the first line, of the line after it, the message; None for an edit."""
    linking = False
    reader = _Reader(lines, sources)
    steps: list[DiagnosticBuilder] = []
    index = 0
    while index < len(lines):
        start = index
        line = lines[index]
        index += 1
        if index < len(lines) and _CARETS.fullmatch(lines[index]):
            continue
        if is_fix(line):
            yield start, index, None
            continue
        from_linker = linker.parse_line(line, linking=linking, rename=sources.rename_last_part)
        if from_linker is not LinkerLine.FOREIGN:
            linking = True
            if isinstance(from_linker, DiagnosticBuilder):
                from_linker.message = sources.without_folder(from_linker.message)
                yield start, index, from_linker
            continue
        diagnostic = reader.header(start)
        if diagnostic is None:
            step = _step(line, sources)
            # The last step is where the way begins, and often the only one in the request's own files.
            if step is not None:
                del steps[MAX_MESSAGE_LINES - 1 :]
                steps.append(step)
            continue
        message_lines = _rest_of_message(diagnostic, reader, index, sources)
        index += len(message_lines)
        diagnostic.message = "\n".join((diagnostic.message, *message_lines))
        diagnostic.message, diagnostic.code = split_code(diagnostic.message)
        if diagnostic.severity is Severity.NOTE:
            yield from ((start, start, step) for step in steps)
        else:
            diagnostic.children += steps
        steps = []
        yield start, index, diagnostic


class _Reader:
    """The lines of an output, each looked at once, although every message looks at many behind it."""

    def __init__(self, lines: Sequence[str], sources: SourceIndex) -> None:
        self.lines = lines
        self._sources = sources
        self._headers: dict[int, DiagnosticBuilder | None] = {}
        # No snippet starts at any of these lines.
        self._plain = range(0)

    def header(self, index: int) -> DiagnosticBuilder | None:
        """The message that starts at `index`, or None; its text may be complete already."""
        if index not in self._headers:
            self._headers[index] = _header(self.lines[index], self._sources)
        return self._headers[index]

    def next_snippet(self, index: int) -> int | None:
        """Where the next snippet starts, if a message that ends before `index` may reach that far."""
        last = min(index + MAX_MESSAGE_LINES, len(self.lines))
        at = self._plain.stop if self._plain.start <= index <= self._plain.stop else index
        while at < last and _snippet(self.lines, at) is None:
            at += 1
        self._plain = range(index, at)
        return at if at < last else None


def _step(line: str, sources: SourceIndex) -> DiagnosticBuilder | None:
    """The step in `line` on gcc's way to the location of the next message, or None."""
    if line.startswith(" "):
        text, _, place = line.strip().rpartition(" at ")
        match = _INLINED_PLACE.fullmatch(place) if text.startswith(_INLINED) else None
    else:
        match = _STEP.fullmatch(line)
        text = match[4] if match else ""
    if match is None:
        return None
    return DiagnosticBuilder(
        severity=Severity.NOTE,
        message=sources.without_folder(text),
        file=sources.rename(match[1]),
        line=int(match[2]) or None,
        column=(int(match[3]) or None) if match[3] else None,
    )


def _header(line: str, sources: SourceIndex) -> DiagnosticBuilder | None:
    """The message that starts with `line`, or None if the line does not start one."""
    if not line or line[0] in " \t" or _GUTTER.match(line):
        return None
    match = _SEVERITY.search(line)
    if match is None:
        return None
    diagnostic = DiagnosticBuilder(severity=_SEVERITIES[match[1]], message=line[match.end() :])
    prefix = line[: match.start()]
    if not prefix:
        return diagnostic
    location = _LOCATION.fullmatch(prefix)
    if location is None:
        return None
    name = sources.rename(location[1])
    if location[2]:
        diagnostic.file = name
        # Zero means "nowhere in particular".
        diagnostic.line = int(location[2]) or None
        diagnostic.column = (int(location[3]) or None) if location[3] else None
        return diagnostic
    if sources.known(name) or (name.startswith("<") and name.endswith(">")):
        diagnostic.file = name
        return diagnostic
    return diagnostic if _TOOL.fullmatch(prefix) else None


def _rest_of_message(
    diagnostic: DiagnosticBuilder, reader: _Reader, index: int, sources: SourceIndex
) -> Sequence[str]:
    """The lines from `index` on that belong to the message: those before its own snippet."""
    if diagnostic.line is None:
        return ()
    end = reader.next_snippet(index)
    if end is None:
        return ()
    lines = reader.lines
    number, text = _snippet(lines, end) or (None, "")
    expected = sources.line(diagnostic.file, diagnostic.line)
    if number not in (None, diagnostic.line) or not (expected is None or _same(expected, text)):
        return ()
    # The snippet may belong to another message about the same line (about any line, if the source is not
    # known); then the caret must be at our column and at that of no other message.
    rivals = [other for at in range(index, end) if (other := reader.header(at)) is not None]
    if any(expected is None or other.line == diagnostic.line for other in rivals):
        own = diagnostic.column is not None
        own = own and _caret(lines[end + 1], lines[end], text) == diagnostic.column
        if not own or any(other.column == diagnostic.column for other in rivals):
            return ()
    return lines[index : next((at for at in range(index, end) if _ADDED.match(lines[at])), end)]


def _caret(marks: str, line: str, text: str) -> int | None:
    """Column of the caret below a snippet's `line`, which shows `text`; None if it is not in bytes."""
    column = marks.find("^") - (len(line) - len(text))
    return column + 1 if column >= 0 and text.isascii() and "\t" not in text else None


def _snippet(lines: Sequence[str], index: int) -> tuple[int | None, str] | None:
    """Number (None in old clang) and text of the source line at `index`, if a snippet starts there."""
    line = lines[index]
    gutter = _GUTTER.match(line)
    if gutter:
        shows = gutter[1] and index + 1 < len(lines)
        return (int(gutter[1]), line[gutter.end() :]) if shows else None
    if index + 1 < len(lines) and _CARETS.fullmatch(lines[index + 1]) and not _CARETS.fullmatch(line):
        return None, line
    return None


def _same(source: str, snippet_line: str) -> bool:
    """Whether a snippet shows that source line. A very long one is compared as far as it was read."""
    if len(source) > MAX_LINE_CHARACTERS:
        return squeezed(source[:MAX_LINE_CHARACTERS]).startswith(squeezed(snippet_line))
    return squeezed(source) == squeezed(snippet_line)


def _end(diagnostic: DiagnosticBuilder, lines: Sequence[str], index: int) -> tuple[int | None, int | None]:
    """Line and column (exclusive) where the underlined range ends, if the snippet at `index` leaves no doubt.

    None if the message has no column, if its line has tabs or non-ASCII letters (columns of the screen are
    not bytes then), or if the mark is a single caret (a point) or inside of a range: clang draws several
    ranges side by side, and they cannot be told apart.
    """
    unknown = (None, None)
    if diagnostic.line is None or diagnostic.column is None:
        return unknown
    # A range of several lines has a few of them before the line with the caret.
    for at in range(index, min(index + MAX_MESSAGE_LINES, len(lines) - 1)):
        snippet = _snippet(lines, at)
        if snippet is None:
            if _GUTTER.match(lines[at]):
                continue
            return unknown
        number, text = snippet
        if number not in (None, diagnostic.line):
            continue
        prefix = len(lines[at]) - len(text)
        marks = lines[at + 1][prefix:]
        if not text.isascii() or "\t" in text or (number is not None and not _GUTTER.match(lines[at + 1])):
            return unknown
        match = _UNDERLINE.match(marks, diagnostic.column - 1)
        if match is None or marks[: diagnostic.column - 1].endswith(("~", "^")):
            return unknown
        return diagnostic.line, match.end() + 1
    return unknown


def split_code(message: str) -> tuple[str, str | None]:
    """The message without the flag in brackets at its end, and the flag; ``-Werror=x`` becomes ``-Wx``."""
    if not message.endswith("]"):
        return message, None
    start = message.rfind(" [")
    if start < 0:
        return message, None
    code = message[start + 2 : -1].rpartition(",")[2]
    if not _CODE.fullmatch(code):
        return message, None
    if code.startswith("-Werror="):
        code = "-W" + code.removeprefix("-Werror=")
    return message[:start], code
