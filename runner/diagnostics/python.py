"""What ``python -W default -m compileall -q`` prints: errors on stdout, warnings on stderr.

    *** Error compiling 'main.py'...
      File "main.py", line 3
        f(:
          ^
    SyntaxError: invalid syntax

    *** Error compiling 'other.py'...
    Sorry: IndentationError: unexpected indent (other.py, line 2)

    third.py:4: SyntaxWarning: invalid escape sequence '\\d'
      re.compile("\\d")

The source is always indented here, and the messages never quote it with a line break, so a job
cannot start a line. Python counts columns in code points of a line whose indentation it leaves
out; ours are bytes of the whole line. Where compileall itself fails, the last line of its stack is
a fatal error.
"""

import re
from collections.abc import Mapping, Sequence

from chalicelib.models import Diagnostic, Severity
from runner.diagnostics.collector import MAX_LINE_CHARACTERS, Collector, Found, lines_of
from runner.diagnostics.source_index import BYTE_ORDER_MARK, Sources, byte_column
from runner.sanitize import clean_text

_COMPILING = re.compile(r"\*\*\* Error compiling '(.*)'\.\.\.")
_FILE = re.compile(r'  File "(.*)", line ([0-9]{1,9})')
_EXCEPTION = re.compile(r"(?:Sorry: )?([A-Z][A-Za-z]{0,99})(?:: (.*))?")
_PLACE = re.compile(r"(.*) \((.*), line ([0-9]{1,9})\)")
_WARNING = re.compile(r"([^\s:][^:]*):([0-9]{1,9}): ([A-Z][A-Za-z]{0,99}Warning): (.*)")
_TRACEBACK = "Traceback (most recent call last):"
_SHOWN_INDENT = "    "
_CARETS = re.compile(r"    (\s*)(\^+)")
# What Python leaves out at the start of a line that it shows; not tabs.
_LEFT_OUT = " \n\f"


def parse(text: str, files: Mapping[str, str], folder: str) -> tuple[Diagnostic, ...]:
    """The diagnostics in `text`; see `runner.diagnostics.parse` for the arguments."""
    lines = lines_of(text)
    sources = Sources(files, folder)
    collector = Collector()
    compiling: str | None = None
    place: Found | None = None
    crashed = False
    for index, line in enumerate(lines):
        if collector.full:
            break
        if line[:1] in ("", " ", "\t"):
            match = _FILE.fullmatch(line)
            if match and not crashed:
                place = _located(match, lines, index + 1, sources)
            continue
        warning = _WARNING.fullmatch(line)
        if warning:
            found = Found(severity=Severity.WARNING, message=warning[4], code=warning[3])
            found.file, found.line = sources.rename(warning[1]), int(warning[2]) or None
            collector.add(found)
            continue
        match = _COMPILING.fullmatch(line)
        if match:
            compiling, place = sources.rename(match[1]), None
            continue
        if line == _TRACEBACK:
            crashed = True
            continue
        match = _EXCEPTION.fullmatch(line)
        # Other words at the start of a line are compileall's own ("Listing 'x'...").
        if match and (crashed or place or compiling is not None):
            collector.add(_error(match, place, compiling, sources, crashed=crashed))
            compiling, place, crashed = None, None, False
    return collector.finish()


def _error(
    match: re.Match[str], place: Found | None, compiling: str | None, sources: Sources, *, crashed: bool
) -> Found:
    """The error whose last line is `match`."""
    found = place or Found(severity=Severity.ERROR, message="", file=None if crashed else compiling)
    found.severity = Severity.FATAL if crashed else Severity.ERROR
    found.code, found.message = match[1], match[2] or ""
    end = _PLACE.fullmatch(found.message)
    if end and place is None:
        # The name is cut to its last part here; the line before has it whole.
        found.message, found.line = end[1], int(end[3]) or None
        found.file = found.file or sources.rename(end[2])
    found.message = sources.without_folder(found.message)
    return found


def _located(match: re.Match[str], lines: Sequence[str], index: int, sources: Sources) -> Found:
    """The place of an error: file and line, and the column where carets show it."""
    found = Found(severity=Severity.ERROR, message="", file=sources.rename(match[1]))
    found.line = int(match[2]) or None
    carets = _CARETS.fullmatch(lines[index + 1]) if index + 1 < len(lines) else None
    source = sources.line(found.file, found.line)
    if carets is None or source is None or not lines[index].startswith(_SHOWN_INDENT):
        return found
    shown = lines[index][len(_SHOWN_INDENT) :]
    # CPython's own columns count no byte order mark, but it makes them characters of the line that has it.
    if shown.startswith(BYTE_ORDER_MARK):
        source = BYTE_ORDER_MARK + source
    visible = source.lstrip(_LEFT_OUT)
    # Of an f-string CPython before 3.12 shows the expression alone, with carets of its own.
    quoted = clean_text(visible[:MAX_LINE_CHARACTERS].encode("utf-8", "surrogatepass"))
    if not quoted.startswith(shown.rstrip()):
        return found
    start = len(source) - len(visible) + len(carets[1])
    found.column = byte_column(source, start)
    # Carets up to the end of the line may stand for a range that goes on; a single one, for a point.
    if len(carets[2]) > 1 and len(carets[1]) + len(carets[2]) < len(visible.rstrip()):
        found.end_line, found.end_column = found.line, byte_column(source, start + len(carets[2]))
    return found
