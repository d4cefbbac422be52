"""From how a run ended to what may be said about the source: design §7 in code.

The one promise: a limit that was hit, or a compiler that broke, is never called a rejection.
Most of it is known from the sandbox. What is left are limits that a compiler survives and reports
in its own words; those words are data of the catalogue (`LimitMessage`), a list in
each compiler family's file.

A job's author can make a compiler print any line at all, line breaks included (a failed
static_assert does). So words alone decide nothing: they count only when the compiler failed and
located no error of its own in the source. A forger needs such an error to make it fail.
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

# Nobody but the kernel sends SIGKILL into a sandbox: the runner's own is reported as a limit or as
# cancelled. The kernel does it when the host's memory runs out.
_REASON_OF_SIGNAL: dict[int, Reason] = {signal.SIGKILL: Reason.MEMORY}

# Where javac and zig say that they refuse the program: an error with a line number, or of the compiler as a
# whole. Families whose compilers say it in another way bring a pattern of their own.
_REFUSAL = re.compile(r"(?m)^[^\n]*:\d+: (?:fatal )?[eE]rror: |^error: ")


@dataclass(frozen=True, slots=True)
class LimitPattern:
    """A limit or crash in a compiler's own words: `pattern` is searched in all that it says.

    It must describe complete lines, `(?m)^…$`, as the compiler or its driver prints them. Where it is found,
    what `explains` finds is no error about the source either.
    """

    reason: Reason
    pattern: re.Pattern[str]
    explains: re.Pattern[str] | None = None


def limit_patterns(messages: Iterable[LimitMessage]) -> tuple[LimitPattern, ...]:
    """The catalogue's words of one family, ready to be searched for."""
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
    patterns: Sequence[LimitPattern],
    refusal: re.Pattern[str] | None = None,
    said: str | None = None,
) -> tuple[Verdict, Reason | None]:
    """The verdict on a run, with the reason when it is inconclusive.

    `refusal` finds the compiler's own errors about the source, by default in the shape that most share;
    `said` is where to look for them and for `patterns`, by default the whole of stderr.

    In this order: cancelled; a limit that the sandbox saw; exit status 0; a limit or crash that the
    compiler reported; a signal that ended it; everything else is the compiler's own rejection.
    """
    if result.cancelled:
        return Verdict.INCONCLUSIVE, Reason.CANCELLED
    if result.limit_hit is not None:
        return Verdict.INCONCLUSIVE, _REASON_OF_LIMIT[result.limit_hit]
    if result.exit_code == 0:
        return Verdict.COMPILES, None
    text = result.stderr.decode(errors="replace") if said is None else said
    reported = _reported(result, text, patterns, refusal or _REFUSAL)
    if result.signal is not None and reported in (None, Reason.COMPILER_CRASH):
        # Which signal says more than that it crashed.
        return Verdict.INCONCLUSIVE, _REASON_OF_SIGNAL.get(result.signal, Reason.COMPILER_CRASH)
    if reported is not None:
        return Verdict.INCONCLUSIVE, reported
    return Verdict.REJECTED, None


def _reported(
    result: SandboxResult, text: str, patterns: Sequence[LimitPattern], refusal: re.Pattern[str]
) -> Reason | None:
    """The limit or crash that a failed compiler reports, if it is to be believed.

    A crash is often only how a limit ends, so limits are looked for first. The messages
    themselves are no ordinary errors, even where they look like one (`fatal error: error writing
    to …`), so they are taken out before looking for those. A compiler that a signal ended did
    not get to refuse anything, whatever it had printed before.
    """
    found = [entry for entry in patterns if entry.pattern.search(text)]
    if not found:
        return None
    if result.signal is None:
        for entry in found:
            text = entry.pattern.sub("", text)
            if entry.explains is not None:
                text = entry.explains.sub("", text)
        if refusal.search(text):
            return None
    reasons = [entry.reason for entry in found]
    return next((reason for reason in reasons if reason is not Reason.COMPILER_CRASH), Reason.COMPILER_CRASH)
