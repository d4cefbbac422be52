"""From how a run ended to what can be said about the source: the rules are in `classify`.

The one promise: a limit that was hit, or a compiler that crashed, is never called a rejection. Most of
this is known from the sandbox. The rest are limits that a compiler survives and reports in its own
words; these words are data of the catalogue (`LimitMessage`), a list in each family's file.

A job's author can make a compiler print any line, line breaks included (a failed static_assert does
that). So words alone decide nothing: they count only if the compiler failed and reported no ordinary
error about the source. A forger needs such an error to make it fail. A crash is recognised by its
absence, too: the last pattern of most families, ``\\A``, matches any output, so that a compiler that fails
without an ordinary error has crashed.

Of a long output the sandbox keeps the beginning, the ordinary errors and the end, where compilers say why
they gave up.

The words are searched for by `re`, which holds the whole process while it searches. So a pattern sees lines
of a bounded length, and tests/unit/test_linear_reading.py refuses one that may need more than linear time.

To add a limit that a compiler reports: a `[[limit_messages]]` in its family's file and a case in
tests/unit/limit_words.
"""

import re
import signal
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from chalicelib.catalog import LimitMessage
from chalicelib.models import Reason, Verdict
from runner.sandbox.base import LimitHit, SandboxResult

_REASON_OF_LIMIT = {
    LimitHit.TIMEOUT: Reason.TIMEOUT,
    LimitHit.MEMORY: Reason.MEMORY,
    LimitHit.OUTPUT: Reason.OUTPUT,
    LimitHit.DISK: Reason.DISK,
    LimitHit.PROCESSES: Reason.PROCESSES,
}

# Only the kernel sends SIGKILL into a sandbox, when the host's memory is exhausted: the runner's own SIGKILL
# is reported as a limit or as cancelled.
_REASON_OF_SIGNAL: dict[int, Reason] = {signal.SIGKILL: Reason.MEMORY}

# The ordinary errors of a family without an `error_pattern` (javac, zig): with a line number, or of the
# compiler as a whole. The other families have patterns of their own.
ERROR_PATTERN = re.compile(r"(?m)^[^\n]*:\d+: (?:fatal )?[eE]rror: |^error: ")

# Of a longer line than twice this, patterns see its start and its end. What a compiler says about a limit
# begins with the place, or a program's name, and ends with the reason; between them are names of files, of
# at most 4,096 bytes (PATH_MAX) each. So no limit is overlooked, however long a line is.
_LINE_END_CHARACTERS = 4_096


@dataclass(frozen=True, slots=True)
class LimitPattern:
    """A limit or crash in a compiler's own words, to be searched for in its whole output.

    `pattern` must match complete lines, `(?m)^…$`, as the compiler or its driver prints them. If it matches,
    the errors that `explains` matches are not about the source either.
    """

    reason: Reason
    pattern: re.Pattern[str]
    explains: re.Pattern[str] | None = None


def limit_patterns(messages: Iterable[LimitMessage]) -> tuple[LimitPattern, ...]:
    """The catalogue's limit messages of one family, compiled."""
    return tuple(
        LimitPattern(
            reason=message.reason,
            pattern=re.compile(message.pattern),
            explains=re.compile(message.explains) if message.explains else None,
        )
        for message in messages
    )


def classify(
    result: SandboxResult,
    *,
    limit_patterns: Sequence[LimitPattern],
    error_pattern: re.Pattern[str] | None = None,
    output: str | None = None,
) -> tuple[Verdict, Reason | None]:
    """The verdict on a run, and the reason if it is inconclusive.

    `error_pattern` matches the compiler's ordinary errors about the source; `output` is the text to search,
    by default all of stderr. The first rule that applies decides:

    1. The run was cancelled: inconclusive.
    2. The sandbox ended it at a limit: inconclusive, with that limit.
    3. Exit status 0: compiles.
    4. A signal ended the compiler: inconclusive. If the output names a limit, that is the reason, and
       ordinary errors in the output do not matter: the compiler did not get to its end. Otherwise SIGKILL
       means memory, and any other signal a crash.
    5. The output names a limit or a crash and contains no ordinary error: inconclusive, with that reason; a
       limit is preferred to a crash.
    6. A part of the output was lost, and the rest contains no ordinary error: inconclusive, reason `output`.
       The lost part may have named a limit.
    7. Everything else is the compiler's own rejection.
    """
    if result.cancelled:
        return Verdict.INCONCLUSIVE, Reason.CANCELLED
    if result.limit_hit is not None:
        return Verdict.INCONCLUSIVE, _REASON_OF_LIMIT[result.limit_hit]
    if result.exit_code == 0:
        return Verdict.COMPILES, None
    text = _with_bounded_lines(result.stderr.decode(errors="replace") if output is None else output)
    matching = [entry for entry in limit_patterns if entry.pattern.search(text)]
    reported = _reason_of(matching)
    if result.signal is not None:
        if reported in (None, Reason.COMPILER_CRASH):
            # The signal says more than that it crashed.
            reported = _REASON_OF_SIGNAL.get(result.signal, Reason.COMPILER_CRASH)
        return Verdict.INCONCLUSIVE, reported
    if reported is None and result.output_lost:
        reported = Reason.OUTPUT
    if reported is None or _has_ordinary_error(text, matching, error_pattern or ERROR_PATTERN):
        return Verdict.REJECTED, None
    return Verdict.INCONCLUSIVE, reported


def _with_bounded_lines(text: str) -> str:
    """`text` without the middle of its very long lines."""
    lines = text.split("\n")
    longest = 2 * _LINE_END_CHARACTERS
    if max(map(len, lines)) <= longest:
        return text
    return "\n".join(
        line if len(line) <= longest else line[:_LINE_END_CHARACTERS] + line[-_LINE_END_CHARACTERS:]
        for line in lines
    )


def _reason_of(matching: Sequence[LimitPattern]) -> Reason | None:
    """The limit that was reported, or else the crash: a crash is often only how a limit ends."""
    reasons = [entry.reason for entry in matching]
    limits = [reason for reason in reasons if reason is not Reason.COMPILER_CRASH]
    return next(iter([*limits, *reasons]), None)


def _has_ordinary_error(text: str, matching: Sequence[LimitPattern], error_pattern: re.Pattern[str]) -> bool:
    """Whether the compiler reports an error about the source apart from the limits.

    A limit message may look like one (`fatal error: error writing to …`), so it is removed first.
    """
    for entry in matching:
        text = entry.pattern.sub("", text)
        if entry.explains is not None:
            text = entry.explains.sub("", text)
    return error_pattern.search(text) is not None
