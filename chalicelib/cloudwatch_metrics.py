"""The figures that scale the runners, as CloudWatch reads them from a log: the embedded metric format.

One line of JSON on standard output is a publication; it takes no request, no right and no client of AWS, so a
function whose network reaches Redis alone can do it. The names here are those of infra/templates, and a test
compares them. To publish one more figure: an entry in `figures`.

Format: Amazon CloudWatch, "Specification: Embedded metric format".
"""

import json
import math

from chalicelib.models import Status
from chalicelib.storage.protocol import Counts

NAMESPACE = "WillItCompile"
DIMENSION = "Stage"
# Jobs. So few that with any target from 0.1 up and 1,000 runners it is one task that stays.
LEAST_BACKLOG = 0.01


def figures(counts: Counts, runners: int) -> dict[str, tuple[float, str]]:
    """Name → (value, unit). `runners` is how many live; with none, one is what the first would have to do.

    A moment without a job says little: between short jobs most moments are such. So a backlog per task is
    never nothing, and target tracking, which multiplies by it and rounds up, leaves one task. That no job
    ended for a while is what stops the last one.
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
    """The line to print. `now_seconds` is the time since the epoch."""
    found = figures(counts, runners)
    published = {
        "Namespace": NAMESPACE,
        "Dimensions": [[DIMENSION]],
        "Metrics": [{"Name": name, "Unit": unit} for name, (_, unit) in found.items()],
    }
    line = {
        "_aws": {"Timestamp": math.floor(now_seconds * 1000), "CloudWatchMetrics": [published]},
        DIMENSION: stage,
        **{name: value for name, (value, _) in found.items()},
    }
    return json.dumps(line, separators=(",", ":"))
