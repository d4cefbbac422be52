"""How the store itself ends or refuses a job, when no compiler did: the same in every store."""

import math
from collections.abc import Iterable, Sequence

from chalicelib.api.validation import invalid
from chalicelib.errors import InvalidRequest, QueueFull
from chalicelib.models import Reason, Result, RunnerInfo, Status, Totals

# What a compile takes when none has been measured yet: a C++ file with a few headers.
ASSUMED_COMPILE_SECONDS = 1.0
# Room for one more is not worth coming back for when a hundred clients do so at once; a tenth is.
ROOM_FRACTION = 0.1
# A runner that must be started first needs about this long.
START_SECONDS = 30
LONGEST_RETRY_SECONDS = 60


def ended_among(statuses: Iterable[Status | None]) -> int:
    """How many of them are at an end. A job that is gone (None) will not change any more."""
    return sum(status is None or status.terminal for status in statuses)


def cancelled(job_id: str, *, attempts: int = 0) -> Result:
    """The result of a cancelled job."""
    return Result.inconclusive(
        job_id, Reason.CANCELLED, "the job was cancelled by a request", attempts=attempts
    )


def attempts_used_up(job_id: str, attempts: int) -> Result:
    """The result of a job whose runners died over it, `attempts` times."""
    times = "once" if attempts == 1 else f"{attempts} times"
    sentence = f"its runner died or fell silent {times} while compiling it; no further attempt is made"
    return Result.inconclusive(job_id, Reason.INFRASTRUCTURE, sentence, attempts=attempts)


def queue_full(
    waiting: int, queue_size: int, runners: Sequence[RunnerInfo], totals: Totals, *, wanted: int = 1
) -> QueueFull:
    """The refusal of `wanted` jobs for which there is no room, with a time to come back that is worth it."""
    what = "" if wanted == 1 else f", and there are {wanted} more"
    over = waiting + wanted - queue_size
    return QueueFull(
        f"{waiting} jobs are waiting, and no more than {queue_size} may{what}: try again later.",
        retry_after_seconds(waiting, runners, totals.mean_seconds, over),
    )


def never_fits(wanted: int, queue_size: int) -> InvalidRequest:
    """The refusal of a matrix for which the queue would have to be larger."""
    message = (
        f"The matrix has {wanted} cells, and here no more than {queue_size} jobs may wait: ask for fewer."
    )
    return invalid("compilers", message)


def retry_after_seconds(
    waiting: int, runners: Sequence[RunnerInfo], mean_seconds: float | None, over: int = 1
) -> int:
    """Whole seconds after which a tenth of the `waiting` jobs should be done, and no fewer than `over`.

    `mean_seconds` is the mean duration of the compiles so far, None before the first.
    """
    workers = sum(runner.max_workers for runner in runners)
    if workers == 0:
        return START_SECONDS
    jobs = max(1.0, waiting * ROOM_FRACTION, over)
    seconds = jobs * (mean_seconds or ASSUMED_COMPILE_SECONDS) / workers
    return min(LONGEST_RETRY_SECONDS, max(1, math.ceil(seconds)))
