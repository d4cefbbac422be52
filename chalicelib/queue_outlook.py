"""Whether waiting for a queued job is worth while, so that clients do not wait for what cannot end in time.

A call that waits holds a thread of the server, or one of the calls that Lambda handles at the same time for
the whole account. While the queue is far too long, such a call is answered after a second, with the time
after which to ask again.
"""

import math

from chalicelib.models import Status
from chalicelib.storage import backpressure
from chalicelib.storage.protocol import JobStore

# What free runners do at once has ended by then, and nobody has asked for the queue.
PROMPT_SECONDS = 1.0
# The estimate is rough: a compile may take half of the mean, and more runners may be starting.
MARGIN = 2.0


def retry_after_seconds(store: JobStore, wait_seconds: float) -> int | None:
    """When to ask again for a queued job, if the queue needs much longer than `wait_seconds`; else None."""
    counts, runners = store.counts(), store.runners()
    queued = counts.by_status[Status.QUEUED]
    # Without a runner one may just be starting.
    workers = max(1, sum(runner.max_workers for runner in runners))
    seconds = queued * (counts.totals.mean_seconds or backpressure.ASSUMED_COMPILE_SECONDS) / workers
    if seconds <= MARGIN * wait_seconds:
        return None
    return min(backpressure.LONGEST_RETRY_SECONDS, math.ceil(seconds / MARGIN))
