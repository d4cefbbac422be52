"""The lines that a linker prints: GNU ld's own shape, and whatever else starts with a linker's name.

ld starts the first line of a group with its own path, and further lines about the same
function without. It names objects that the compiler made under random names; those names
say nothing to the author and differ from run to run, so they do not enter a message, and what
stands behind one is read as if it stood alone. Without debug information it knows of a source
only the last part of its name.
"""

import re
from collections.abc import Callable
from typing import Final, Literal

from chalicelib.models import Severity
from runner.diagnostics.collector import Found

NOT_LINKER: Final = "not linker"
CONTEXT: Final = "context"

# What it says while it reads debug information begins with its name twice.
_LINKER = re.compile(r"(?:(?:[^\s:]*/)?(?:[a-z0-9_]+-)*(?:ld|gold|mold)(?:\.[a-z]+)?(?:-[0-9]+)?: ){1,2}")
# `name:(.text+0x9): ` without debug information, `name:12: ` with it, in newer releases
# `name:12:(.text+0x9): `, and `(.text+0x9): ` for the start-up code.
_PLACE = re.compile(
    r"(?:([^\s:()]+):)?(?:([0-9]{1,9}):)?\([^\s()]+\+0x[0-9a-f]+\): |([^\s:()]+):([0-9]{1,9}): "
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
) -> Found | Literal["context", "not linker"]:
    """What the linker says in `line`: a message, `CONTEXT` for the next one, or `NOT_LINKER`.

    `linking` says that a linker has spoken before: only then are lines without its name its own. `rename`
    gives the request's name for a source, or None where it may be one or another.
    """
    prefix = _LINKER.match(line)
    if prefix is None and not linking:
        return NOT_LINKER
    text = line[prefix.end() :] if prefix else line
    if text.endswith(":") and (": in function " in text or ": in section " in text):
        return CONTEXT
    behind = _OBJECT.match(text) if prefix else None
    text = text[behind.end() :] if behind else text
    place = _PLACE.match(text)
    if place is None and prefix is None:
        return NOT_LINKER
    found = Found(severity=Severity.ERROR, message=text)
    if place is not None:
        found.message = text[place.end() :]
        name, line_number = place[1] or place[3], place[2] or place[4]
        if name and not name.endswith((".o", ".a", ".so")):
            found.file = rename(name)
            found.line = (int(line_number) or None) if line_number and found.file else None
    severity = _SEVERITY.match(found.message)
    if severity:
        found.severity = _SEVERITIES[severity[1].lower()]
        found.message = found.message[severity.end() :]
    found.message = _OBJECT.sub("", found.message)
    return found
