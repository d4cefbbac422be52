"""Where the lines of a source end, which compilers do not agree about.

A diagnostic's line is the line that its compiler means. Whoever looks into the file must end lines where that
compiler ends them, or finds another line. Other characters (a form feed, NEL) end no line for any of them.
"""

import re
from collections.abc import Mapping
from functools import cache

_USUAL = ("\r\n", "\n")
_AND_CARRIAGE_RETURN = (*_USUAL, "\r")

# The format of a compiler's messages → what ends a line for it; a longer end comes before its parts.
LINE_ENDS: Mapping[str, tuple[str, ...]] = {
    "clang": _AND_CARRIAGE_RETURN,
    "gfortran": _USUAL,
    "gnu": _AND_CARRIAGE_RETURN,
    "go": _USUAL,
    "javac": _AND_CARRIAGE_RETURN,
    "python": _AND_CARRIAGE_RETURN,
    "rustc": _USUAL,
    "tsc": (*_AND_CARRIAGE_RETURN, "\u2028", "\u2029"),
    "zig": _USUAL,
}


def split_lines(text: str, message_format: str) -> list[str]:
    """The lines of a source for compilers with messages of that format, without their ends."""
    return _pattern(message_format).split(text)


@cache
def _pattern(message_format: str) -> re.Pattern[str]:
    return re.compile("|".join(LINE_ENDS[message_format]))
