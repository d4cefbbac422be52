"""Messages in the shape that gcc and clang share, and those of the assembler and linker they run.

A message is a line ``file:line:column: severity: text [-Wflag]``; the location may be
shorter, a tool's name, or missing. Then may follow the source line with carets, which we
call the snippet: gcc and newer clang number it (``   12 | int x;``), older clang does not.

Source text reaches this output in two ways, and neither must be taken for a message:
- in snippets, which are known by their number or by the caret line below them;
- in messages that quote a string with a newline (`static_assert`, `[[deprecated]]`). Where
  lines stand between a message and the snippet of its own source line, they belong to the
  message. One that also forges the snippet misleads nobody but its author.
"""

import posixpath
import re
from collections.abc import Mapping, Sequence

from chalicelib.models import Diagnostic, Severity
from runner.diagnostics import linker
from runner.diagnostics.bounds import MAX_LINE_CHARACTERS, Collector, Found

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
_CARETS = re.compile(r"[ \t]*[~^][~^ \t]*")
_CODE = re.compile(r"-[A-Za-z][^\s\[\]]*")

# A quoted string of more lines than this keeps only its first line in the message; the bound
# keeps the search for the snippet linear.
_MAX_MESSAGE_LINES = 32
# gcc prints `#pragma message` as a note, but it explains nothing that came before.
_STANDALONE_NOTE = re.compile(r"['‘]#pragma message: ")


def parse(text: str, files: Mapping[str, str], folder: str) -> tuple[Diagnostic, ...]:
    """The diagnostics in `text`; see `runner.diagnostics.parse` for the arguments."""
    lines = [line[:MAX_LINE_CHARACTERS].rstrip("\r") for line in text.split("\n")]
    sources = _Sources(files, folder)
    collector = Collector()
    linking = False
    index = 0
    while index < len(lines) and not collector.full:
        line = lines[index]
        index += 1
        if index < len(lines) and _CARETS.fullmatch(lines[index]):
            continue
        linked = linker.parse_line(line, linking=linking, rename=sources.rename)
        if linked is not linker.NOT_LINKER:
            linking = True
            if isinstance(linked, Found):
                linked.message = sources.without_folder(linked.message)
                collector.add(linked)
            continue
        found = _header(line, sources)
        if found is None:
            continue
        message_lines = _rest_of_message(found, lines, index, sources)
        index += len(message_lines)
        found.message = "\n".join((found.message, *message_lines))
        found.message, found.code = _split_code(found.message)
        collector.add(found, explains_previous=not _STANDALONE_NOTE.match(found.message))
    return collector.finish()


class _Sources:
    """The request's files: their names as the compiler may write them, and their lines."""

    def __init__(self, files: Mapping[str, str], folder: str) -> None:
        self._files = files
        self._folder = folder.rstrip("/") + "/"
        self._lines: dict[str, list[str]] = {}

    def known(self, name: str) -> bool:
        return name in self._files

    def rename(self, path: str) -> str:
        """The request's own name for `path`; a path of the system stays as it is."""
        inside = path.removeprefix(self._folder)
        normal = posixpath.normpath(inside) if inside else inside
        return normal if normal in self._files else inside

    def without_folder(self, text: str) -> str:
        """`text` with names below the folder as the request wrote them."""
        return text.replace(self._folder, "")

    def line(self, name: str | None, number: int | None) -> str | None:
        """That line of that file without white space; None when there is none."""
        if name is None or number is None or name not in self._files:
            return None
        if name not in self._lines:
            self._lines[name] = self._files[name].split("\n")
        lines = self._lines[name]
        return _squeezed(lines[number - 1]) if number <= len(lines) else None


def _header(line: str, sources: _Sources) -> Found | None:
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


def _rest_of_message(found: Found, lines: Sequence[str], index: int, sources: _Sources) -> Sequence[str]:
    """The lines from `index` on that still belong to the message: those before its own snippet."""
    if found.line is None:
        return ()
    others = False
    for end in range(index, min(index + _MAX_MESSAGE_LINES, len(lines))):
        shown = _snippet(lines, end)
        if shown is not None:
            number, text = shown
            expected = sources.line(found.file, found.line)
            own = number in (None, found.line) and (expected is None or expected == _squeezed(text))
            # Where the source is not known, a line that looks like a message is taken for one.
            return lines[index:end] if own and not (others and expected is None) else ()
        other = _header(lines[end], sources)
        if other is not None:
            others = True
            # Another message about the same line may be the one that the snippet is for.
            if other.line == found.line:
                return ()
    return ()


def _snippet(lines: Sequence[str], index: int) -> tuple[int | None, str] | None:
    """Number (None in old clang) and text of the source line shown at `index`, if a snippet starts there."""
    line = lines[index]
    gutter = _GUTTER.match(line)
    if gutter:
        return (int(gutter[1]), line[gutter.end() :]) if gutter[1] else None
    if index + 1 < len(lines) and _CARETS.fullmatch(lines[index + 1]) and not _CARETS.fullmatch(line):
        return None, line
    return None


def _squeezed(line: str) -> str:
    """A line without its white space: compilers widen tabs in snippets."""
    return "".join(line.split())


def _split_code(message: str) -> tuple[str, str | None]:
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
