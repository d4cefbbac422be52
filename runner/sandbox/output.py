"""What is kept of one output stream: its beginning, its notable lines and its end, in bounded memory.

A compiler's verdict is its exit status, however much it prints: so output beyond the limit is read on and
dropped. Of the dropped part those lines are kept that the verdict depends on: errors, wherever they are, and
the end, where a compiler says why it gave up. The caller says which lines are notable, as a pattern.
"""

import re
from typing import Any

from runner.sandbox.base import Limits

# Read and searched at a time. `re` holds the whole process while it searches: for milliseconds here.
_WINDOW_BYTES = 64 * 1024
# Of a longer line than twice this, the start and the end are kept. A message begins with a place or a program
# and ends with the reason; between them are names of files, of at most 4,096 bytes (PATH_MAX) each.
_LINE_END_BYTES = 4_096
# A line is shortened when it does not fit into this with the next ones.
_PENDING_BYTES = 4 * _WINDOW_BYTES
# Messages of a few hundred lines, more than any compiler prints when it gives up.
_END_BYTES = 64 * 1024
# Some hundred errors. One is enough for a rejection; a few more are worth showing.
_NOTABLE_BYTES = 128 * 1024
# An error may begin with its place, some lines before its text, and go on with the line that it is about.
_LINES_BEFORE = 5
_LINES_AFTER = 3


class NotableLines:
    """The lines of a text in which a pattern is found, each with some lines around it; `text` has them."""

    def __init__(self, pattern: re.Pattern[bytes] | None) -> None:
        self.text = bytearray()
        # How far in the searched text they reach.
        self.copied_to = 0
        self._pattern = pattern

    def copy(self, text: bytes, start: int, end: int) -> None:
        """Copy those that begin with a line break from `start` to `end`, until there are enough."""
        if self._pattern is None or len(self.text) >= _NOTABLE_BYTES:
            return
        for match in self._pattern.finditer(text, start):
            if match.start() >= end or len(self.text) >= _NOTABLE_BYTES:
                return
            first = last = match.start()
            for _ in range(_LINES_BEFORE):
                first = max(0, text.rfind(b"\n", 0, first))
            for _ in range(_LINES_AFTER + 1):
                last = text.find(b"\n", last + 1) if last >= 0 else last
            last = last if last >= 0 else len(text)
            first = max(first + 1, self.copied_to)
            if first < last:
                lines = text[first:last]
                self.text += _shortened(lines) if len(lines) > _WINDOW_BYTES else lines
                self.text += b"\n"
                self.copied_to = last + 1


class OutputStream:
    """One stream of a run. Feed it with `take`; every other member may be read at any time.

    `notable` is searched for in the dropped part, in whole lines that each have a line break before them.
    """

    def __init__(self, limits: Limits, notable: re.Pattern[bytes] | None) -> None:
        self.beginning = bytearray()
        self.printed_bytes = 0
        self._limits = limits
        # The dropped part: its notable lines; what is not searched yet, and at which length it will be; the
        # end of what is searched, from a line break on.
        self._notable = NotableLines(notable)
        self._pending = bytearray()
        self._search_at = _WINDOW_BYTES
        self._recent = b"\n"
        self._lost = False

    @property
    def truncated(self) -> bool:
        """Whether more was printed than `beginning` holds."""
        return self.printed_bytes > self._limits.output_bytes

    @property
    def flooded(self) -> bool:
        """Whether so much was printed that the run has to end."""
        return self.printed_bytes > self._limits.flood_bytes

    def take(self, data: bytes) -> None:
        """Add what the program printed next."""
        if self.flooded:
            return
        room = self._limits.output_bytes - len(self.beginning)
        was_truncated = self.truncated
        self.printed_bytes += len(data)
        self.beginning += data[:room]
        if not self.truncated:
            return
        if not was_truncated:
            # The line that was cut is kept as a whole.
            self._pending += self.beginning[self.beginning.rfind(b"\n") + 1 :]
        self._pending += data[room:]
        if len(self._pending) >= self._search_at:
            self._search()
            self._search_at = len(self._pending) + _WINDOW_BYTES

    def rest(self) -> tuple[bytes, bool]:
        """What is kept of the dropped part, from the line that was cut on; whether some of it was lost."""
        end = self._recent[1:] + self._pending
        return (bytes(self._notable.text) + end, True) if self._lost else (end, False)

    def _search(self) -> None:
        """Search what is pending, but for its last lines: they may belong to what comes next."""
        end = len(self._pending)
        for _ in range(_LINES_AFTER + 1):
            end = self._pending.rfind(b"\n", 0, end)
            if end < 0:
                if len(self._pending) > _PENDING_BYTES:
                    self._pending = bytearray(_shortened(self._pending))
                    self._lost = True
                return
        text = self._recent + self._pending
        searched_to = len(self._recent) + end + 1
        self._notable.copy(text, len(self._recent) - 1, searched_to)
        self._recent = text[:searched_to]
        del self._pending[: end + 1]
        if len(self._recent) > _END_BYTES:
            self._lost = True
            self._forget(self._recent.find(b"\n", len(self._recent) - _END_BYTES))

    def _forget(self, start: int) -> None:
        """Forget what was searched, up to the line break at `start`."""
        if start < len(self._recent) - 2 * _LINE_END_BYTES:
            self._recent = self._recent[start:]
            self._notable.copied_to = max(0, self._notable.copied_to - start)
        else:
            # Nearly all of it is one line.
            self._recent = _shortened(self._recent)
            self._recent = self._recent[self._recent.find(b"\n", len(self._recent) - _END_BYTES) :]
            self._notable.copied_to = len(self._recent)


def output_fields(stdout: OutputStream, stderr: OutputStream) -> dict[str, Any]:
    """The fields of a `SandboxResult` that are about its output."""
    stdout_rest, stdout_lost = stdout.rest()
    stderr_rest, stderr_lost = stderr.rest()
    return {
        "stdout": bytes(stdout.beginning),
        "stderr": bytes(stderr.beginning),
        "stdout_truncated": stdout.truncated,
        "stderr_truncated": stderr.truncated,
        "stdout_rest": stdout_rest,
        "stderr_rest": stderr_rest,
        "output_lost": stdout_lost or stderr_lost,
        "output_bytes": max(stdout.printed_bytes, stderr.printed_bytes),
    }


def _shortened(text: bytes | bytearray) -> bytes:
    """`text` without the middle of its very long lines."""
    longest = 2 * _LINE_END_BYTES
    return b"\n".join(
        line if len(line) <= longest else line[:_LINE_END_BYTES] + line[-_LINE_END_BYTES:]
        for line in text.split(b"\n")
    )
