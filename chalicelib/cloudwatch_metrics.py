"""The figures by which runners are scaled, as a log line that CloudWatch reads: the embedded metric format.

Printing one line of JSON publishes all figures. That needs no request to AWS, no permission and no client, so
it works in a function whose network reaches only Redis. The names are those in infra/templates, and a test
compares them. To publish one more figure: an entry in `figures`.

Format: Amazon CloudWatch, "Specification: Embedded metric format".
"""

import json
import math

from chalicelib.models import Status
from chalicelib.storage.protocol import Counts

NAMESPACE = "WillItCompile"
DIMENSION = "Stage"
# In jobs. Small enough that with 1,000 runners and any target from 0.1 upwards exactly one task remains.
LEAST_BACKLOG = 0.01


def figures(counts: Counts, runners: int) -> dict[str, tuple[float, str]]:
    """Name → (value, unit). `runners` is the number of living runners.

    Without a runner, the backlog per task is what the first one would have to compile. It is never 0: target
    tracking would then stop the last task in the short moment between two jobs. The last task is stopped by
    another rule, when no job has ended for a while.
    """
    queued, processing = counts.by_status[Status.QUEUED], counts.by_status[Status.PROCESSING]
    backlog = queued + processing
    return {
        # Jobs that wait.
        "QueuedJobs": (queued, "Count"),
        # Jobs that a runner works on.
        "ProcessingJobs": (processing, "Count"),
        # Both together.
        "Backlog": (backlog, "Count"),
        # Backlog over living runners, at least 0.01: the scaling of the runners follows it.
        "BacklogPerTask": (max(LEAST_BACKLOG, backlog) / max(1, runners), "Count"),
        # Jobs that a runner has ended since the store was created.
        "EndedJobs": (counts.totals.processed, "Count"),
        # How long the oldest queued job has waited.
        "OldestQueuedSeconds": (counts.oldest_queued_seconds, "Seconds"),
        # Runners that live.
        "Runners": (runners, "Count"),
    }


def embedded(counts: Counts, runners: int, *, stage: str, now_seconds: float) -> str:
    """The line to print. `now_seconds` counts from the Unix epoch."""
    values = figures(counts, runners)
    description = {
        "Namespace": NAMESPACE,
        "Dimensions": [[DIMENSION]],
        "Metrics": [{"Name": name, "Unit": unit} for name, (_, unit) in values.items()],
    }
    line = {
        "_aws": {"Timestamp": math.floor(now_seconds * 1000), "CloudWatchMetrics": [description]},
        DIMENSION: stage,
        **{name: value for name, (value, _) in values.items()},
    }
    return json.dumps(line, separators=(",", ":"))
