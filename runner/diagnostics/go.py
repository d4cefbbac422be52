"""Messages of the go command, its compiler, its linker and vet, on stderr.

Nearly every line that does not start with white space is an error: ``./main.go:3:2: text`` where
there is a place, ``main.f: relocation target main.g not defined`` and ``go: updates to go.mod needed``
where there is none. What is not: the names of packages (``# example.org/x``), summaries (`too many
errors`), the usage text, and the stack of a compiler that crashed. An indented line goes on with the
message before it; one that names another place is a note to it.

The compiler quotes text of several lines between backquotes only, so a job cannot start a line that
is taken for a message. It can give a place that does not exist (``//line``): such names are kept as
printed.
"""

import re
from collections.abc import Mapping

from chalicelib.models import Diagnostic, Severity
from runner.diagnostics.backquotes import end_of_quotation
from runner.diagnostics.collector import MAX_MESSAGE_LINES, Collector, Found, lines_of
from runner.diagnostics.source_index import Sources

_PLACE = re.compile(r"(?:vet: )?([^\s:](?:[^:]|:(?![0-9 ]))*):([0-9]{1,9})(?::([0-9]{1,9}))?: (.*)")
_WARNING = re.compile(r"(?:go: )?warning: (.*)")
_NOTE = re.compile(r"note: (.*)")
_FATAL = re.compile(r"(?:panic|fatal error|SIG[A-Z]+)(?:: |$)|.*: internal compiler error: ")
# Not about the source: where the names of packages stand, counts, and how to call the program.
_CONTEXT = re.compile(
    r"# .*|(?:.*: )?too many errors|go: errors parsing .*:|usage: .*|Run 'go help .*|FAIL(?:\s.*)?"
)
_STACK = re.compile(r"goroutine [0-9]+|runtime stack:")


def parse(text: str, files: Mapping[str, str], folder: str) -> tuple[Diagnostic, ...]:
    """The diagnostics in `text`; see `runner.diagnostics.parse` for the arguments."""
    lines = lines_of(text)
    sources = Sources(files, folder)
    collector = Collector()
    stack = False
    index = 0
    while index < len(lines) and not collector.full:
        line = lines[index]
        index += 1
        # The stack goes on to the next package.
        stack = (stack or _STACK.match(line) is not None) and not line.startswith("# ")
        if stack or not line or line[0] in " \t" or _CONTEXT.fullmatch(line):
            continue
        end = end_of_quotation(lines, index - 1)
        found = _message(line, sources)
        quoted = lines[index : min(end, index + MAX_MESSAGE_LINES)]
        details = [sources.without_folder(each) for each in quoted]
        index = end
        while index < len(lines) and lines[index][:1] == "\t":
            detail = lines[index].strip()
            index += 1
            if len(details) + len(found.children) >= MAX_MESSAGE_LINES:
                continue
            if _PLACE.fullmatch(detail):
                found.children.append(_message(detail, sources, Severity.NOTE))
            else:
                details.append(sources.without_folder(detail))
        found.message = "\n".join((found.message, *details))
        collector.add(found)
    return collector.finish()


def _message(line: str, sources: Sources, severity: Severity = Severity.ERROR) -> Found:
    """The message of one line, whatever it says."""
    if _FATAL.match(line):
        severity = Severity.FATAL
    place = _PLACE.fullmatch(line)
    if place:
        found = Found(severity=severity, message=place[4], file=sources.rename(place[1]))
        found.line = int(place[2]) or None
        found.column = (int(place[3]) or None) if place[3] else None
    else:
        found = Found(severity=severity, message=line.removeprefix("vet: ").removeprefix("go: "))
        for pattern, other in ((_WARNING, Severity.WARNING), (_NOTE, Severity.NOTE)):
            match = pattern.fullmatch(line)
            if match:
                found.severity, found.message = other, match[1]
    found.message = sources.without_folder(found.message)
    return found
