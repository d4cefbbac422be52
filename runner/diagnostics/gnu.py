"""Messages in the shape that gcc and clang share, and those of the assembler and linker they run.

A message is a line ``file:line:column: severity: text [-Wflag]``; the location may be
shorter, a tool's name, or missing. Before it gcc may say how it got there, from the inside out:
``file:line:column:   required from here`` (templates, constant expressions), or
``    inlined from 'f' at file:line:column:`` (what the optimiser finds). These become notes of the
message, as which clang words them by itself. Then may follow the source line with carets, which we
call the snippet: gcc and newer clang number it (``   12 | int x;``), older clang does not.

Source text reaches this output in two ways, and neither must be taken for a message:
- in snippets, which are known by their number or by the caret line below them;
- in messages that quote a string with a newline (`static_assert`, `[[deprecated]]`). Where
  lines stand between a message and the snippet of its own source line, they belong to the
  message. One that also forges the place of the message, or the snippet, misleads nobody but its author.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

from chalicelib.models import Diagnostic, Severity
from runner.diagnostics import linker
from runner.diagnostics.collector import MAX_LINE_CHARACTERS, MAX_MESSAGE_LINES, Collector, Found, lines_of
from runner.diagnostics.fixits import is_fix, read_fix
from runner.diagnostics.source_index import Sources, squeezed

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
# Numbers beyond nine digits are no lines, and int() of thousands of digits is slow.
_LOCATION = re.compile(r"(.*?)(?::([0-9]{1,9}))?(?::([0-9]{1,9}))?", re.DOTALL)
_TOOL = re.compile(r"[A-Za-z0-9_.+/-]+")
_GUTTER = re.compile(r" *([0-9]{1,9}|) \| ?")
# A whole line that an edit adds; it has no number yet, and may stand above the snippet.
_ADDED = re.compile(r" *\+\+\+ \|\+")
_CARETS = re.compile(r"[ \t]*[~^][~^ \t]*")
_UNDERLINE = re.compile(r"\^~+")
_CODE = re.compile(r"-[A-Za-z][^\s\[\]]*")

# Steps on gcc's way to the place of a message. Three spaces stand where a message has its severity.
_INLINED = "inlined from "
_INLINED_PLACE = re.compile(r"([^\s:][^:]*):([0-9]{1,9}):([0-9]{1,9})[,:]")
_STEP = re.compile(r"([^\s:][^:]*):([0-9]{1,9}):(?:([0-9]{1,9}):)?   (\S.*)")

# gcc prints `#pragma message` as a note, but it explains nothing that came before.
_STANDALONE_NOTE = re.compile(r"['‘]#pragma message: ")


def parse(text: str, files: Mapping[str, str], folder: str) -> tuple[Diagnostic, ...]:
    """The diagnostics in `text`; see `runner.diagnostics.parse` for the arguments."""
    lines = lines_of(text)
    sources = Sources(files, folder)
    collector = Collector()
    for index, end, found in _walk(lines, sources):
        if collector.full:
            break
        if found is None:
            fix = read_fix(lines[index], sources)
            if fix is not None:
                collector.add_fix(fix)
            continue
        collector.add(found, explains_previous=not _STANDALONE_NOTE.match(found.message))
        found.end_line, found.end_column = _end(found, lines, end)
    return collector.finish()


def shown(text: str) -> str:
    """`text` without the lines that ``-fdiagnostics-parseable-fixits`` adds."""
    if "fix-it:" not in text:
        return text
    lines = text.split("\n")
    added = {index for index, _, found in _walk(lines_of(text), Sources({}, "/")) if found is None}
    return "\n".join(line for index, line in enumerate(lines) if index not in added)


def _walk(lines: Sequence[str], sources: Sources) -> Iterator[tuple[int, int, Found | None]]:
    """The messages in order: where each starts, the line after it, and itself; None is for an edit's line."""
    linking = False
    steps: list[Found] = []
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
        linked = linker.parse_line(line, linking=linking, rename=sources.rename_last_part)
        if linked is not linker.NOT_LINKER:
            linking = True
            if isinstance(linked, Found):
                linked.message = sources.without_folder(linked.message)
                yield start, index, linked
            continue
        found = _header(line, sources)
        if found is None:
            step = _step(line, sources)
            # The last one is where the way begins, mostly the only one in the request's own files.
            if step is not None:
                del steps[MAX_MESSAGE_LINES - 1 :]
                steps.append(step)
            continue
        message_lines = _rest_of_message(found, lines, index, sources)
        index += len(message_lines)
        found.message = "\n".join((found.message, *message_lines))
        found.message, found.code = split_code(found.message)
        if found.severity is Severity.NOTE:
            yield from ((start, start, step) for step in steps)
        else:
            found.children += steps
        steps = []
        yield start, index, found


def _step(line: str, sources: Sources) -> Found | None:
    """What gcc went through before it came to the place of the next message, if `line` says so."""
    if line.startswith(" "):
        text, _, place = line.strip().rpartition(" at ")
        match = _INLINED_PLACE.fullmatch(place) if text.startswith(_INLINED) else None
    else:
        match = _STEP.fullmatch(line)
        text = match[4] if match else ""
    if match is None:
        return None
    return Found(
        severity=Severity.NOTE,
        message=sources.without_folder(text),
        file=sources.rename(match[1]),
        line=int(match[2]) or None,
        column=(int(match[3]) or None) if match[3] else None,
    )


def _header(line: str, sources: Sources) -> Found | None:
    """The message that starts with `line`, or None when none does."""
    if not line or line[0] in " \t" or _GUTTER.match(line):
        return None
    match = _SEVERITY.search(line)
    if match is None:
        return None
    found = Found(severity=_SEVERITIES[match[1]], message=line[match.end() :])
    prefix = line[: match.start()]
    if not prefix:
        return found
    location = _LOCATION.fullmatch(prefix)
    if location is None:
        return None
    name = sources.rename(location[1])
    if location[2]:
        found.file = name
        # A zero stands for "nowhere in particular".
        found.line = int(location[2]) or None
        found.column = (int(location[3]) or None) if location[3] else None
        return found
    if sources.known(name) or (name.startswith("<") and name.endswith(">")):
        found.file = name
        return found
    return found if _TOOL.fullmatch(prefix) else None


def _rest_of_message(found: Found, lines: Sequence[str], index: int, sources: Sources) -> Sequence[str]:
    """The lines from `index` on that still belong to the message: those before its own snippet."""
    if found.line is None:
        return ()
    rivals: list[Found] = []
    for end in range(index, min(index + MAX_MESSAGE_LINES, len(lines))):
        snippet = _snippet(lines, end)
        if snippet is None:
            other = _header(lines[end], sources)
            if other is not None:
                rivals.append(other)
            continue
        number, text = snippet
        expected = sources.line(found.file, found.line)
        own = number in (None, found.line) and (expected is None or _same(expected, text))
        # Another message about the same line may be the one that the snippet is for, and any other
        # where the source is not known; then the caret must be at our column and at nobody else's.
        if own and any(expected is None or other.line == found.line for other in rivals):
            own = found.column is not None and _caret(lines[end + 1], lines[end], text) == found.column
            own = own and all(other.column != found.column for other in rivals)
        if not own:
            return ()
        return lines[index : next((at for at in range(index, end) if _ADDED.match(lines[at])), end)]
    return ()


def _caret(marks: str, line: str, text: str) -> int | None:
    """Column of the caret below a snippet's `line`, which shows `text`; None where that is not bytes."""
    column = marks.find("^") - (len(line) - len(text))
    return column + 1 if column >= 0 and text.isascii() and "\t" not in text else None


def _snippet(lines: Sequence[str], index: int) -> tuple[int | None, str] | None:
    """Number (None in old clang) and text of the source line shown at `index`, if a snippet starts there."""
    line = lines[index]
    gutter = _GUTTER.match(line)
    if gutter:
        shows = gutter[1] and index + 1 < len(lines)
        return (int(gutter[1]), line[gutter.end() :]) if shows else None
    if index + 1 < len(lines) and _CARETS.fullmatch(lines[index + 1]) and not _CARETS.fullmatch(line):
        return None, line
    return None


def _same(source: str, shown_line: str) -> bool:
    """Whether a snippet shows that source line. A very long one is compared as far as it was read."""
    if len(source) > MAX_LINE_CHARACTERS:
        return squeezed(source[:MAX_LINE_CHARACTERS]).startswith(squeezed(shown_line))
    return squeezed(source) == squeezed(shown_line)


def _end(found: Found, lines: Sequence[str], index: int) -> tuple[int | None, int | None]:
    """Line and column (exclusive) where the underlined range ends, if the snippet at `index` leaves no doubt.

    None where the message has no column, its line has tabs or letters beyond ASCII (columns of the screen
    are then not bytes), the mark is a single caret (a point) or in the middle of a range: clang draws
    several ranges side by side, and they cannot be told apart.
    """
    nothing = (None, None)
    if found.line is None or found.column is None:
        return nothing
    # Ranges of several lines show a few before the one with the caret.
    for at in range(index, min(index + MAX_MESSAGE_LINES, len(lines) - 1)):
        snippet = _snippet(lines, at)
        if snippet is None:
            if _GUTTER.match(lines[at]):
                continue
            return nothing
        number, text = snippet
        if number not in (None, found.line):
            continue
        prefix = len(lines[at]) - len(text)
        marks = lines[at + 1][prefix:]
        if not text.isascii() or "\t" in text or (number is not None and not _GUTTER.match(lines[at + 1])):
            return nothing
        match = _UNDERLINE.match(marks, found.column - 1)
        if match is None or marks[: found.column - 1].endswith(("~", "^")):
            return nothing
        return found.line, match.end() + 1
    return nothing


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
