"""The lines of a compiler's output, read from the first to the last with a look ahead."""

import re
from collections.abc import Callable

from runner.diagnostics.collector import MAX_LINE_CHARACTERS

# Quoted text that ends on its line, left to right: strings and characters may contain a backquote. A string
# that does not end reaches to the end of the line, so that no part of a line is read twice.
_CLOSED = re.compile(r'"(?:[^"\\]|\\.)*"?|' + r"'(?:[^'\\]|\\[^']+)'|`[^`]*`")
# The end of a quotation is looked for up to the end of the text. After this many without an end no more are
# looked for: no compiler prints even two.
_MAX_UNTERMINATED = 4


def lines_of(text: str) -> list[str]:
    """The lines of `text`, each cut to the part that is read."""
    return [line[:MAX_LINE_CHARACTERS].rstrip("\r") for line in text.split("\n")]


class LineCursor:
    """A position in the lines of a text. Beyond the end every line is empty."""

    def __init__(self, lines: list[str]) -> None:
        """Read the lines of `SourceIndex.lines`."""
        self._lines = lines
        self._next = 0
        self._unterminated = 0

    @property
    def at_end(self) -> bool:
        """True when there is no line left to take."""
        return self._next >= len(self._lines)

    def peek(self, ahead: int = 0) -> str:
        """The line that `take` returns next, or the one `ahead` lines behind it."""
        index = self._next + ahead
        return self._lines[index] if index < len(self._lines) else ""

    def take(self) -> str:
        """The next line; the cursor moves behind it."""
        line = self.peek()
        self._next += 1
        return line

    def take_while(self, belongs: Callable[[str], bool]) -> list[str]:
        """All next lines up to the first one that does not belong to them."""
        start = self._next
        while not self.at_end and belongs(self._lines[self._next]):
            self._next += 1
        return self._lines[start : self._next]

    def take_quotation(self, line: str) -> list[str]:
        """The further lines of a quotation between backquotes that `line`, which was taken last, opens.

        Go prints a raw string and TypeScript a template literal type as the source has it, with its line
        breaks, so these lines may look like messages of their own. There is no backquote inside of
        backquotes: the next one ends the quotation, whatever else is in there. An unterminated quotation is
        ignored; after a few of those no quotation is read any more.
        """
        if self._unterminated == _MAX_UNTERMINATED:
            return []
        start, rest = self._next, line
        end = start
        while "`" in _CLOSED.sub("", rest):
            closing = next((at for at in range(end, len(self._lines)) if "`" in self._lines[at]), None)
            if closing is None:
                self._unterminated += 1
                return []
            rest = self._lines[closing].partition("`")[2]
            end = closing + 1
        self._next = end
        return self._lines[start:end]
