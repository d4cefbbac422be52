"""When the queue has no room for more jobs: what the error says, and when it is worth trying again.

The same for every store. `Retry-After` must be honest: soon enough that a client does not lose time, late
enough that it does not find the queue as full as before.
"""

import math
from collections.abc import Sequence

from chalicelib.errors import BatchTooLarge, QueueFull
from chalicelib.models import RunnerInfo, Totals

# What a compile takes when none has been measured yet: a C++ file with a few headers.
ASSUMED_COMPILE_SECONDS = 1.0
# Suggest a retry once a tenth of the queue has drained: if it were after a single job, all clients would race
# for one free place.
DRAINED_FRACTION = 0.1
# When no runner is up, one must be started first, which takes about this long.
START_SECONDS = 30
LONGEST_RETRY_SECONDS = 60


def queue_full(
    waiting: int, queue_size: int, runners: Sequence[RunnerInfo], totals: Totals, *, new_jobs: int = 1
) -> QueueFull:
    """The error for `new_jobs` jobs that do not fit beside those that are `waiting`."""
    more = "" if new_jobs == 1 else f", and there are {new_jobs} more"
    overflow = waiting + new_jobs - queue_size
    return QueueFull(
        f"{waiting} jobs are waiting, and no more than {queue_size} may{more}: try again later.",
        retry_after_seconds(waiting, runners, totals.mean_seconds, overflow),
    )


def fits(new_bytes: int, waiting_bytes: int, limit_bytes: int) -> bool:
    """Whether requests of `new_bytes` may be submitted: they take a quarter of what is free, at most.

    So no request takes more than a quarter of all, and whoever floods the store with large ones is turned
    away while there is still room for those of others. `submit.lua` has the same rule.
    """
    return 4 * new_bytes <= limit_bytes - waiting_bytes


def sources_full(
    waiting: int,
    waiting_bytes: int,
    limit_bytes: int,
    new_bytes: int,
    runners: Sequence[RunnerInfo],
    totals: Totals,
) -> QueueFull:
    """The error for requests that `fits` does not let in beside the jobs that are `waiting`."""
    # Jobs that must leave the queue first, as far as the mean tells.
    excess_bytes = waiting_bytes + 4 * new_bytes - limit_bytes
    overflow = math.ceil(excess_bytes * waiting / max(1, waiting_bytes))
    return QueueFull(
        f"The sources of {waiting} waiting jobs take {_mib(waiting_bytes)} of {_mib(limit_bytes)} MiB. This "
        f"request has {_mib(new_bytes)} MiB, and may take a quarter of what is free: try again later.",
        retry_after_seconds(waiting, runners, totals.mean_seconds, max(1, overflow)),
    )


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / 2**20:.1f}"


def batch_too_large(new_jobs: int, queue_size: int) -> BatchTooLarge:
    """The error for a batch that would not even fit into an empty queue."""
    return BatchTooLarge(f"{new_jobs} jobs at once, and no more than {queue_size} may wait.", queue_size)


def retry_after_seconds(
    waiting: int, runners: Sequence[RunnerInfo], mean_seconds: float | None, overflow: int = 1
) -> int:
    """Whole seconds after which a tenth of the `waiting` jobs should be done, and at least `overflow` jobs.

    `mean_seconds` is the mean duration of the compiles so far, None before the first.
    """
    workers = sum(runner.max_workers for runner in runners)
    if workers == 0:
        return START_SECONDS
    jobs = max(1.0, waiting * DRAINED_FRACTION, overflow)
    seconds = jobs * (mean_seconds or ASSUMED_COMPILE_SECONDS) / workers
    return min(LONGEST_RETRY_SECONDS, max(1, math.ceil(seconds)))
