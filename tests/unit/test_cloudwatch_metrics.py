"""What the scheduled function publishes: CloudWatch's embedded metric format, with the templates' names."""

import json
import math
from pathlib import Path

import pytest

import app
from chalicelib.bootstrap import build_application
from chalicelib.cloudwatch_metrics import DIMENSION, LEAST_BACKLOG, NAMESPACE, embedded, figures
from chalicelib.errors import StoreUnavailable
from chalicelib.models import Status, Totals
from chalicelib.storage.memory import MemoryStore
from chalicelib.storage.protocol import Counts, SweepReport
from tests.support.factories import make_settings
from tools.capacity import simulation
from tools.capacity.recommend import RECOMMENDED

_TEMPLATES = Path(__file__).resolve().parents[2] / "infra" / "templates"


_TOTALS = Totals(completed=5, failed=4, timeout=3, error=2, cancelled=1)


def _counts(queued: int, processing: int, oldest_queued_seconds: float = 0.0) -> Counts:
    by_status = dict.fromkeys(Status, 0) | {Status.QUEUED: queued, Status.PROCESSING: processing}
    return Counts(by_status, _TOTALS, oldest_queued_seconds)


def test_the_backlog_per_task_is_divided_by_the_living_runners() -> None:
    """Queued and processing jobs count; without a runner the first one would have all of them."""
    assert figures(_counts(30, 2), 4)["BacklogPerTask"] == (8.0, "Count")
    assert figures(_counts(30, 2), 0)["BacklogPerTask"] == (32.0, "Count")


@pytest.mark.parametrize("target", [0.1, 0.7, RECOMMENDED.target_backlog_per_task])
@pytest.mark.parametrize("tasks", [1, 2, 20, 1000])
def test_a_moment_without_a_job_leaves_one_task(tasks: int, target: float) -> None:
    """Target tracking multiplies the tasks by value/target and rounds up: the result is one task."""
    value, _ = figures(_counts(0, 0), tasks)["BacklogPerTask"]
    assert math.ceil(tasks * value / target) == 1
    assert simulation.LEAST_BACKLOG == LEAST_BACKLOG


def test_ended_jobs_are_counted_whatever_their_verdict() -> None:
    """Jobs that a runner completed are in the total, cancelled ones are not."""
    assert figures(_counts(0, 0), 1)["EndedJobs"] == (14, "Count")


def test_the_age_of_the_oldest_queued_job_is_in_seconds() -> None:
    """It is published as the store counts it."""
    assert figures(_counts(30, 2, 61.5), 4)["OldestQueuedSeconds"] == (61.5, "Seconds")


def test_one_line_publishes_every_figure() -> None:
    """Each described metric has its value at the top level, next to the one dimension."""
    text = embedded(_counts(3, 1, 2.5), 2, stage="prod", now_seconds=1_700_000_000.25)
    assert "\n" not in text
    line = json.loads(text)
    assert line["_aws"]["Timestamp"] == 1_700_000_000_250
    (description,) = line["_aws"]["CloudWatchMetrics"]
    assert (description["Namespace"], description["Dimensions"]) == (NAMESPACE, [[DIMENSION]])
    values = {metric["Name"]: line[metric["Name"]] for metric in description["Metrics"]}
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


# The event as EventBridge sends it.
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


class StoreWithoutSweep(MemoryStore):
    """A store whose figures can be read, but whose sweep fails."""

    def counts(self) -> Counts:
        """Four jobs that have not ended."""
        return _counts(3, 1)

    def sweep(self) -> SweepReport:
        """Fails as a Redis that is too slow."""
        raise StoreUnavailable("no answer in time")


def test_a_sweep_that_fails_does_not_keep_runners_from_being_started(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The scheduled function has published its figures before the sweep starts."""
    application = build_application(make_settings(environment="prod"), StoreWithoutSweep(make_settings()))
    with app.use(application), pytest.raises(StoreUnavailable):
        app.sweep(_EVENT, None)
    assert json.loads(capsys.readouterr().out)["Backlog"] == 4


def test_the_templates_read_what_is_published() -> None:
    """Every published figure is used by an alarm, a policy or the dashboard."""
    text = "".join(path.read_text(encoding="utf-8") for path in sorted(_TEMPLATES.glob("*.yml")))
    assert f"Namespace: {NAMESPACE}" in text
    for name in figures(_counts(0, 0), 0):
        assert name in text, f"no template uses {name}"
