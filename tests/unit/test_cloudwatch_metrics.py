"""What the scheduled function publishes: CloudWatch's embedded metric format, with the templates' names."""

import json
import math
from pathlib import Path
from typing import cast

import pytest

import app
from chalicelib.bootstrap import Application
from chalicelib.cloudwatch_metrics import DIMENSION, LEAST_BACKLOG, NAMESPACE, embedded, figures
from chalicelib.errors import StoreUnavailable
from chalicelib.models import Status, Totals
from chalicelib.service import CompileService
from chalicelib.storage.memory import MemoryStore
from chalicelib.storage.protocol import Counts
from tests.support.factories import make_settings
from tools.capacity import simulation
from tools.capacity.recommend import RECOMMENDED

_TEMPLATES = Path(__file__).resolve().parents[2] / "infra" / "templates"


_TOTALS = Totals(completed=5, failed=4, timeout=3, error=2, cancelled=1)


def _counts(queued: int, processing: int, oldest_queued_seconds: float = 0.0) -> Counts:
    by_status = dict.fromkeys(Status, 0) | {Status.QUEUED: queued, Status.PROCESSING: processing}
    return Counts(by_status, _TOTALS, oldest_queued_seconds)


def test_the_backlog_is_shared_by_the_runners_and_falls_to_the_first_when_there_is_none() -> None:
    """Queued and processing together, divided by those who live; by one when nobody does."""
    assert figures(_counts(30, 2), 4)["BacklogPerTask"] == (8.0, "Count")
    assert figures(_counts(30, 2), 0)["BacklogPerTask"] == (32.0, "Count")


@pytest.mark.parametrize("target", [0.1, 0.7, RECOMMENDED.target_backlog_per_task])
@pytest.mark.parametrize("tasks", [1, 2, 20, 1000])
def test_a_moment_without_a_job_leaves_one_task(tasks: int, target: float) -> None:
    """Target tracking, which multiplies the tasks by value and target and rounds up, comes to one of them."""
    value, _ = figures(_counts(0, 0), tasks)["BacklogPerTask"]
    assert math.ceil(tasks * value / target) == 1
    assert simulation.LEAST_BACKLOG == LEAST_BACKLOG


def test_what_ended_is_counted_whatever_the_verdict() -> None:
    """Jobs that a runner brought to an end are in the total, those that were cancelled are not."""
    assert figures(_counts(0, 0), 1)["EndedJobs"] == (14, "Count")


def test_the_oldest_job_s_age_is_in_seconds() -> None:
    """It is published as it was counted."""
    assert figures(_counts(30, 2, 61.5), 4)["OldestQueuedSeconds"] == (61.5, "Seconds")


def test_the_line_is_one_publication_with_every_figure() -> None:
    """Each registered metric has its value at the top level, beside the one dimension."""
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
        "EndedJobs": 14,
        "OldestQueuedSeconds": 2.5,
        "Runners": 2,
    }
    assert line[DIMENSION] == "prod"


# As EventBridge sends it.
_EVENT = {
    "version": "0",
    "id": "1",
    "detail-type": "Scheduled Event",
    "source": "aws.events",
    "account": "1",
    "time": "2026-01-01T00:00:00Z",
    "region": "us-east-1",
    "resources": [],
    "detail": {},
}


class Broken:
    """A service whose store can be counted but not mended."""

    def metrics(self, stage: str) -> str:
        """As `CompileService.metrics`."""
        return embedded(_counts(3, 1), 0, stage=stage, now_seconds=1_700_000_000)

    def sweep(self) -> dict[str, int]:
        """As `CompileService.sweep`."""
        raise StoreUnavailable("no answer in time")


def test_a_repair_that_fails_keeps_nobody_from_scaling(capsys: pytest.CaptureFixture[str]) -> None:
    """The scheduled function has published its figures when the repair begins."""
    settings, before = make_settings(environment="prod"), dict(app._held)
    app.use(Application(settings, MemoryStore(settings), cast(CompileService, Broken())))
    try:
        with pytest.raises(StoreUnavailable):
            app.sweep(_EVENT, None)
    finally:
        app._held.clear()
        app._held.update(before)
    assert json.loads(capsys.readouterr().out)["Backlog"] == 4


def test_the_templates_read_what_is_published() -> None:
    """Every figure that an alarm, a policy or the dashboard names is one that is published."""
    text = "".join(path.read_text(encoding="utf-8") for path in sorted(_TEMPLATES.glob("*.yml")))
    assert f"Namespace: {NAMESPACE}" in text
    for name in figures(_counts(0, 0), 0):
        assert name in text, f"nobody reads {name}"
