"""What the scheduled function publishes: CloudWatch's embedded metric format, with the templates' names."""

import json
from pathlib import Path

from chalicelib.metrics import DIMENSION, NAMESPACE, embedded, figures
from chalicelib.models import Status, Totals
from chalicelib.storage.base import Counts

_TEMPLATES = Path(__file__).resolve().parents[2] / "infra" / "templates"


def _counts(queued: int, processing: int, oldest_queued_seconds: float = 0.0) -> Counts:
    by_status = dict.fromkeys(Status, 0) | {Status.QUEUED: queued, Status.PROCESSING: processing}
    return Counts(by_status, Totals(), oldest_queued_seconds)


def test_the_backlog_is_shared_by_the_runners_and_falls_to_the_first_when_there_is_none() -> None:
    """Queued and processing together, divided by those who live; by one when nobody does."""
    assert figures(_counts(30, 2), 4)["BacklogPerTask"] == (8.0, "Count")
    assert figures(_counts(30, 2), 0)["BacklogPerTask"] == (32.0, "Count")
    assert figures(_counts(0, 0), 0)["BacklogPerTask"] == (0.0, "Count")
    assert figures(_counts(30, 2, 61.5), 4)["OldestQueuedSeconds"] == (61.5, "Seconds")


def test_the_line_is_one_publication_with_every_figure() -> None:
    """Each announced metric has its value at the top level, beside the one dimension."""
    text = embedded(_counts(3, 1, 2.5), 2, stage="prod", now_seconds=1_700_000_000.25)
    assert "\n" not in text
    line = json.loads(text)
    assert line["_aws"]["Timestamp"] == 1_700_000_000_250
    (published,) = line["_aws"]["CloudWatchMetrics"]
    assert (published["Namespace"], published["Dimensions"]) == (NAMESPACE, [[DIMENSION]])
    values = {metric["Name"]: line[metric["Name"]] for metric in published["Metrics"]}
    assert values == {
        "QueuedJobs": 3,
        "ProcessingJobs": 1,
        "Backlog": 4,
        "BacklogPerTask": 2.0,
        "OldestQueuedSeconds": 2.5,
        "Runners": 2,
    }
    assert line[DIMENSION] == "prod"


def test_the_templates_read_what_is_published() -> None:
    """Every figure that an alarm, a policy or the dashboard names is one that is published."""
    text = "".join(path.read_text(encoding="utf-8") for path in sorted(_TEMPLATES.glob("*.yml")))
    assert f"Namespace: {NAMESPACE}" in text
    for name in figures(_counts(0, 0), 0):
        assert name in text, f"nobody reads {name}"
