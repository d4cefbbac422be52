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

The source is always indented in this output, and the messages never quote it with a line break, so a
job cannot start a line. Python counts columns in code points of a line without its indentation; ours
are bytes of the whole line. If compileall itself fails, the last line of its stack is a fatal error.
"""

import re
from collections.abc import Mapping, Sequence

from chalicelib.models import Diagnostic, Severity
from runner.diagnostics.collector import MAX_LINE_CHARACTERS, Collector, DiagnosticBuilder
from runner.diagnostics.source_index import BYTE_ORDER_MARK, SourceIndex, byte_column
from runner.sanitize import clean_text

# As Python quotes a text: in single quotes, unless there are some in it.
_COMPILING = re.compile(r"""\*\*\* Error compiling (['"])(.*)\1\.\.\.""")
_FILE = re.compile(r'  File "(.*)", line (-?[0-9]{1,10})')
_EXCEPTION = re.compile(r"(?:Sorry: )?([A-Z][A-Za-z]{0,99})(?:: (.*))?")
# The end of ` (name, line 3)` behind a message; the last parenthesis before it opens it.
_PLACE_END = re.compile(r", line (-?[0-9]{1,10})\)\Z")
_WARNING = re.compile(r"([^\s:][^:]*):(-?[0-9]{1,10}): ([A-Z][A-Za-z]{0,99}Warning): (.*)")
_TRACEBACK = "Traceback (most recent call last):"
_SNIPPET_INDENT = "    "
_CARETS = re.compile(r"    (\s*)(\^+)")
# White space that is escaped in our text: CPython repeats that of the line in front of the carets.
_ESCAPED = re.compile(r"\\(?:x[0-9a-f]{2}|u[0-9a-f]{4})")
# Characters that Python does not print at the start of a quoted line; tabs are not among them.
_LEFT_OUT = " \n\f"


def parse(text: str, files: Mapping[str, str], folder: str) -> tuple[Diagnostic, ...]:
    """The diagnostics in `text`; see `runner.diagnostics.parse` for the arguments."""
    sources = SourceIndex(files, folder, "python")
    lines = sources.lines(text)
    collector = Collector()
    compiling: str | None = None
    place: DiagnosticBuilder | None = None
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
            diagnostic = DiagnosticBuilder(severity=Severity.WARNING, message=warning[4], code=warning[3])
            diagnostic.file, diagnostic.line = sources.rename(warning[1]), int(warning[2]) or None
            collector.add(diagnostic)
            continue
        match = _COMPILING.fullmatch(line)
        if match:
            compiling, place = sources.rename(match[2].replace("\\'", "'")), None
            continue
        if line == _TRACEBACK:
            crashed = True
            continue
        match = _EXCEPTION.fullmatch(line)
        # All other lines that are not indented are compileall's own ("Listing 'x'...").
        if match and (crashed or place or compiling is not None):
            collector.add(_error(match, place, compiling, sources, crashed=crashed))
            compiling, place, crashed = None, None, False
    return collector.build()


def _error(
    match: re.Match[str],
    place: DiagnosticBuilder | None,
    compiling: str | None,
    sources: SourceIndex,
    *,
    crashed: bool,
) -> DiagnosticBuilder:
    """The error whose last line is `match`."""
    diagnostic = place or DiagnosticBuilder(
        severity=Severity.ERROR, message="", file=None if crashed else compiling
    )
    diagnostic.severity = Severity.FATAL if crashed else Severity.ERROR
    diagnostic.code, diagnostic.message = match[1], match[2] or ""
    end = _PLACE_END.search(diagnostic.message)
    message, opening, name = diagnostic.message[: end.start()].rpartition(" (") if end else ("", "", "")
    if end and opening and place is None:
        # This line has only the last part of the name; the line before has all of it.
        diagnostic.message, diagnostic.line = message, int(end[1]) or None
        diagnostic.file = diagnostic.file or sources.rename(name)
    diagnostic.message = sources.without_folder(diagnostic.message)
    return diagnostic


def _located(
    match: re.Match[str], lines: Sequence[str], index: int, sources: SourceIndex
) -> DiagnosticBuilder:
    """An error with its location: file and line, and the column if carets show it."""
    diagnostic = DiagnosticBuilder(severity=Severity.ERROR, message="", file=sources.rename(match[1]))
    diagnostic.line = int(match[2]) or None
    below = _ESCAPED.sub(" ", lines[index + 1]) if index + 1 < len(lines) else ""
    carets = _CARETS.fullmatch(below)
    source = sources.line(diagnostic.file, diagnostic.line)
    if carets is None or source is None or not lines[index].startswith(_SNIPPET_INDENT):
        return diagnostic
    snippet = lines[index][len(_SNIPPET_INDENT) :]
    # CPython prints the byte order mark as a character of the line, so it is in front of the carets, too.
    if snippet.startswith(BYTE_ORDER_MARK):
        source = BYTE_ORDER_MARK + source
    visible = source.lstrip(_LEFT_OUT)
    # For an f-string CPython before 3.12 prints the expression alone, with carets below that.
    quoted = clean_text(visible[:MAX_LINE_CHARACTERS].encode("utf-8", "surrogatepass"))
    if not quoted.startswith(snippet.rstrip()):
        return diagnostic
    start = len(source) - len(visible) + len(carets[1])
    diagnostic.column = byte_column(source, start)
    # Carets up to the end of the line may mean a range that goes on in the next; a single one is a point.
    if len(carets[2]) > 1 and len(carets[1]) + len(carets[2]) < len(visible.rstrip()):
        diagnostic.end_line, diagnostic.end_column = (
            diagnostic.line,
            byte_column(source, start + len(carets[2])),
        )
    return diagnostic
