"""Messages of the go command, its compiler, its linker and vet, on stderr.

Nearly every line that does not start with white space is an error: ``./main.go:3:2: text`` if there is a
location, else ``main.f: relocation target main.g not defined`` or ``go: updates to go.mod needed``. The
exceptions are the names of packages (``# example.org/x``), progress, summaries (`too many errors`), the
usage text, and the stack of a compiler that crashed. An indented line continues the message before it; one
that names another location is a note to it.

The compiler quotes text of several lines between backquotes only, so a job cannot start a line that is
taken for a message. It can name a file that does not exist (``//line``): such names are kept as printed.
"""

import re
from collections.abc import Mapping

from chalicelib.models import Diagnostic, Severity
from runner.diagnostics.collector import MAX_MESSAGE_LINES, Collector, DiagnosticBuilder
from runner.diagnostics.line_cursor import LineCursor
from runner.diagnostics.source_index import SourceIndex

_PLACE = re.compile(r"(?:vet: )?([^\s:](?:[^:]|:(?![0-9 ]))*):(-?[0-9]{1,10})(?::(-?[0-9]{1,10}))?: (.*)")
_WARNING = re.compile(r"(?:go: )?warning: (.*)")
_NOTE = re.compile(r"note: (.*)")
_FATAL = re.compile(r"(?:panic|fatal error|SIG[A-Z]+)(?:: |$)|.*: internal compiler error: ")
# Not about the source: headings with the names of packages, counts, and how to call the program.
_CONTEXT = re.compile(
    r"# .*|(?:.*: )?too many errors|go: errors parsing .*:|go: (?:downloading|finding) .*|usage: .*|"
    r"Run 'go help .*|FAIL(?:\s.*)?"
)
_STACK = re.compile(r"goroutine [0-9]+|runtime stack:")


def parse(text: str, files: Mapping[str, str], folder: str) -> tuple[Diagnostic, ...]:
    """The diagnostics in `text`; see `runner.diagnostics.parse` for the arguments."""
    sources, collector = SourceIndex(files, folder, "go"), Collector()
    cursor = LineCursor(sources.lines(text))
    in_stack = False
    while not cursor.at_end and not collector.full:
        line = cursor.take()
        # A stack goes on until the next package.
        in_stack = (in_stack or _STACK.match(line) is not None) and not line.startswith("# ")
        if in_stack or not line or line[0] in " \t" or _CONTEXT.fullmatch(line):
            continue
        diagnostic = _message(line, sources)
        quoted = cursor.take_quotation(line)[:MAX_MESSAGE_LINES]
        details = [sources.without_folder(each) for each in quoted]
        for indented in cursor.take_while(lambda each: each.startswith("\t")):
            if len(details) + len(diagnostic.children) >= MAX_MESSAGE_LINES:
                break
            detail = indented.strip()
            if _PLACE.fullmatch(detail):
                diagnostic.children.append(_message(detail, sources, Severity.NOTE))
            else:
                details.append(sources.without_folder(detail))
        diagnostic.message = "\n".join((diagnostic.message, *details))
        collector.add(diagnostic)
    return collector.build()


def _message(line: str, sources: SourceIndex, severity: Severity = Severity.ERROR) -> DiagnosticBuilder:
    """The message of one line, whatever it says."""
    if _FATAL.match(line):
        severity = Severity.FATAL
    place = _PLACE.fullmatch(line)
    if place:
        diagnostic = DiagnosticBuilder(severity=severity, message=place[4], file=sources.rename(place[1]))
        diagnostic.line = int(place[2]) or None
        diagnostic.column = (int(place[3]) or None) if place[3] else None
    else:
        message = line.removeprefix("vet: ").removeprefix("go: ")
        diagnostic = DiagnosticBuilder(severity=severity, message=message)
        for pattern, other in ((_WARNING, Severity.WARNING), (_NOTE, Severity.NOTE)):
            match = pattern.fullmatch(line)
            if match:
                diagnostic.severity, diagnostic.message = other, match[1]
    diagnostic.message = sources.without_folder(diagnostic.message)
    return diagnostic
