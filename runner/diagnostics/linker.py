"""The lines that a linker prints: GNU ld's own format, and any line that starts with a linker's name.

ld starts the first line of a group with its own path, and further lines about the same function
without it. It names objects that the compiler created under random names; these names say nothing to
the author and differ from run to run, so they are removed from messages, and the text behind one is
read as if it were alone. Without debug information ld knows only the last part of a source's name.
"""

import re
from collections.abc import Callable
from enum import Enum, auto

from chalicelib.models import Severity
from runner.diagnostics.collector import DiagnosticBuilder


class LinkerLine(Enum):
    """A line that is not a message by itself."""

    FOREIGN = auto()  # somebody else's
    CONTEXT = auto()  # the linker's, about the messages that follow


# While it reads debug information, its messages begin with its name twice.
_LINKER = re.compile(r"(?:(?:[^\s:]*/)?(?:[a-z0-9_]+-)*(?:ld|gold|mold)(?:\.[a-z]+)?(?:-[0-9]+)?: ){1,2}")
# `name:(.text+0x9): ` without debug information, `name:12: ` with it, in newer releases
# `name:12:(.text+0x9): `, and `(.text+0x9): ` for the start-up code.
_PLACE = re.compile(
    r"(?:([^\s:()]+):)?(?:([0-9]{1,10}):)?\([^\s()]+\+0x[0-9a-f]+\): |([^\s:()]+):([0-9]{1,10}): "
)
_SEVERITY = re.compile(r"(fatal error|error|warning|note): ", re.IGNORECASE)
_SEVERITIES = {
    "fatal error": Severity.FATAL,
    "error": Severity.ERROR,
    "warning": Severity.WARNING,
    "note": Severity.NOTE,
}
_OBJECT = re.compile(r"/tmp/[A-Za-z0-9_.+-]+\.o: ?")  # noqa: S108 - names the sandbox's own /tmp


def parse_line(
    line: str, *, linking: bool, rename: Callable[[str], str | None]
) -> DiagnosticBuilder | LinkerLine:
    """The linker's message in `line`, or what else the line is.

    `linking` says that the linker has printed a line before: only then can lines without its name be its
    own. `rename` gives the request's name for a source, or None if there are several candidates.
    """
    prefix = _LINKER.match(line)
    if prefix is None and not linking:
        return LinkerLine.FOREIGN
    text = line[prefix.end() :] if prefix else line
    if text.endswith(":") and (": in function " in text or ": in section " in text):
        return LinkerLine.CONTEXT
    object_name = _OBJECT.match(text) if prefix else None
    text = text[object_name.end() :] if object_name else text
    place = _PLACE.match(text)
    if place is None and prefix is None:
        return LinkerLine.FOREIGN
    diagnostic = DiagnosticBuilder(severity=Severity.ERROR, message=text)
    if place is not None:
        diagnostic.message = text[place.end() :]
        name, line_number = place[1] or place[3], place[2] or place[4]
        if name and not name.endswith((".o", ".a", ".so")):
            diagnostic.file = rename(name)
            diagnostic.line = (int(line_number) or None) if line_number and diagnostic.file else None
    severity = _SEVERITY.match(diagnostic.message)
    if severity:
        diagnostic.severity = _SEVERITIES[severity[1].lower()]
        diagnostic.message = diagnostic.message[severity.end() :]
    diagnostic.message = _OBJECT.sub("", diagnostic.message)
    return diagnostic
