"""What a run printed, as text: what the client sees of it, and what parser and verdict read.

Of a stream that was truncated the client sees the beginning. Parser and verdict also read what the sandbox
keeps of the rest, and never half of a line: that would be another line.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from chalicelib.models import Diagnostic, Severity
from runner.diagnostics import PARSERS, collector, parse, without_parser_output
from runner.sandbox.base import SandboxResult
from runner.sandbox.output import NotableLines
from runner.sanitize import clean_text

# What is below a line of the source, and tells it from a message.
_MARKS = re.compile(rb"[ \t~^]*")
# As many as clang prints at most.
_ERRORS_AFTER_WARNINGS = 20


@dataclass(frozen=True, slots=True)
class StreamText:
    """One stream: what the client sees, the whole lines of the beginning, and those of the rest."""

    shown: str
    truncated: bool
    lines: str
    rest: str = ""

    @classmethod
    def of(
        cls, data: bytes, rest: bytes, message_format: str, limit_bytes: int, *, truncated: bool, lost: bool
    ) -> "StreamText":
        """The texts of a stream of which `data` and, if it was truncated, `rest` are kept.

        The client sees at most `limit_bytes`. `lost` says that something is missing between the two.
        """
        parser = PARSERS[message_format]
        cut_at = data.rfind(b"\n") + 1 if truncated else len(data)
        whole, cut = data[:cut_at], data[cut_at:]
        lines = clean_text(whole)
        shown = without_parser_output(message_format, lines)
        if truncated or parser.keep_bytes:
            visible = shown.encode() + (b"" if parser.is_own(cut) else cut)
            if parser.keep_bytes and len(visible) > limit_bytes:
                visible, truncated = visible[:limit_bytes], True
            shown = clean_text(visible, truncated=truncated)
        if lost and _MARKS.fullmatch(cut):
            # The last whole line may be one of the source.
            lines = lines[: lines.rfind("\n", 0, -1) + 1]
        return cls(shown, truncated, lines, clean_text(rest))


def notable_lines(error_pattern: re.Pattern[str], message_format: str) -> re.Pattern[bytes]:
    """`Command.notable` for a family: its ordinary errors, by which a failed run is a rejection.

    Each alternative of `error_pattern` begins with ``^``. The line break in front of it makes the search many
    times as fast: `re` then looks for that first.
    """
    alternatives = [error_pattern.pattern.removeprefix("(?m)"), PARSERS[message_format].error_object]
    text = "|".join(each for each in alternatives if each)
    return re.compile(f"\\n(?:{text})".encode("ascii"), re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Messages:
    """Both streams of a run, and the format of the compiler's messages in one of them, or in both."""

    stdout: StreamText
    stderr: StreamText
    message_format: str
    prints_to: str
    lost: bool

    @classmethod
    def of(cls, run: SandboxResult, message_format: str, prints_to: str, limit_bytes: int) -> "Messages":
        """The messages of a run; the client sees at most `limit_bytes` of each stream."""
        stdout, stderr = (
            StreamText.of(data, rest, message_format, limit_bytes, truncated=truncated, lost=run.output_lost)
            for data, rest, truncated in (
                (run.stdout, run.stdout_rest, run.stdout_truncated),
                (run.stderr, run.stderr_rest, run.stderr_truncated),
            )
        )
        return cls(stdout, stderr, message_format, prints_to, run.output_lost)

    @property
    def judged(self) -> str:
        """What the verdict is read from.

        Both streams: the compiler's runtime may complain on another stream than the compiler.
        """
        streams = (self.stdout, self.stderr)
        return "\n".join(
            without_parser_output(self.message_format, text)
            for stream in streams
            for text in (stream.lines, stream.rest)
            if text
        )

    def diagnostics(
        self, files: Mapping[str, str], folder: str, notable: re.Pattern[bytes]
    ) -> tuple[Diagnostic, ...]:
        """The diagnostics, as `runner.diagnostics.parse`.

        If none of the first ones is an error, those of errors follow: a thousand warnings, or lines that were
        lost, may come before them.
        """
        streams = {"stdout": (self.stdout,), "stderr": (self.stderr,), "both": (self.stdout, self.stderr)}
        printed = streams[self.prints_to]
        text = "".join(each.lines if self.lost else each.lines + each.rest for each in printed)
        first = parse(self.message_format, text, files, folder)
        room = collector.MAX_DIAGNOSTICS - collector.count(first)
        if any(map(_is_error, first)) or not (self.lost or room <= 0):
            return first
        rest = "\n".join(each.rest for each in printed) if self.lost else text
        errors, encoded = NotableLines(notable), f"\n{rest}".encode()
        errors.copy(encoded, 0, len(encoded))
        later = parse(self.message_format, errors.text.decode(errors="replace"), files, folder)
        # A line may be kept twice.
        added = tuple(filter(_is_error, dict.fromkeys(later)))[:_ERRORS_AFTER_WARNINGS]
        room -= collector.count(added)
        kept = len(first)
        while room < 0 and kept:
            kept -= 1
            room += collector.count(first[kept : kept + 1])
        return (*first[:kept], *added)


def _is_error(diagnostic: Diagnostic) -> bool:
    return diagnostic.severity in (Severity.FATAL, Severity.ERROR)
