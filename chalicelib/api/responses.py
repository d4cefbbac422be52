"""The JSON objects of responses: jobs, results, environments and statistics.

To add a field of a result: `Result` in `chalicelib/models.py`; to add one that is computed: `ended_job` here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from chalicelib.api import expectations
from chalicelib.api.content_negotiation import OutputFormat
from chalicelib.api.receipt import receipt
from chalicelib.models import Environment, Job, Result, RunnerInfo, Status
from chalicelib.storage.protocol import Counts
from chalicelib.timestamps import format_time

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ApiResponse:
    """What a use case gives back about one job or matrix, before `app.py` makes HTTP of it.

    `id` is that of the job or the matrix, and `ended` says whether it has ended. Until then
    `output_format` is JSON, whatever the client requested. `retry_after_seconds` says when to ask again,
    where waiting longer made no sense.
    """

    id: str
    body: Json
    ended: bool
    output_format: OutputFormat = OutputFormat.JSON
    retry_after_seconds: int | None = None


def submitted_job(job: Job) -> Json:
    """A job that was just stored: its id, by which the client can fetch it."""
    return {"job_id": job.id, "status": job.status.value}


def unfinished_job(job: Job) -> Json:
    """A job that is queued or running."""
    return {
        "job_id": job.id,
        "status": job.status.value,
        "attempts": job.attempts,
        "created_at": format_time(job.created_at),
        "started_at": format_time(job.started_at) or None,
        "completed_at": None,
    }


def ended_job(job: Job, result: Result) -> Json:
    """A job that has ended, with its result, its receipt, and whether its expectation was met."""
    expect = job.request.expect
    return (
        {"job_id": job.id, "status": job.status.value}
        | result.model_dump(mode="json", exclude={"job_id": True, "environment": {"version_key"}})
        | {
            "receipt": receipt(result),
            "expectation": expectations.evaluate(expect, result) if expect else None,
            "created_at": format_time(job.created_at),
            "started_at": format_time(job.started_at) or None,
            "completed_at": format_time(job.completed_at) or None,
        }
    )


def environments(offered: Sequence[Environment], runners: Sequence[RunnerInfo]) -> Json:
    """What can be compiled, and the runners that would compile it."""
    return {
        "environments": [item.model_dump(mode="json", exclude={"version_key"}) for item in offered],
        "runners": [
            {
                "id": runner.id,
                "sandbox": runner.sandbox,
                "sandbox_weaknesses": list(runner.sandbox_weaknesses),
                "max_workers": runner.max_workers,
            }
            for runner in runners
        ],
    }


def statistics(counts: Counts, runners: Sequence[RunnerInfo], now: datetime) -> Json:
    """The figures of ``/workers/stats``, over all living runners; totals count from the store's creation.

    `uptime` and `start_time` are those of the oldest living runner.
    """
    start = min((runner.started_at for runner in runners), default=None)
    uptime = now - start if start else timedelta()
    max_workers = sum(runner.max_workers for runner in runners)
    active_workers = sum(runner.active_workers for runner in runners)
    totals = counts.totals
    return {
        "max_workers": max_workers,
        "active_workers": active_workers,
        "available_slots": max(0, max_workers - active_workers),
        "queued_jobs": counts.by_status[Status.QUEUED],
        "processing_jobs": counts.by_status[Status.PROCESSING],
        "total_processed": totals.processed,
        "total_successful": totals.completed,
        "total_failed": totals.failed,
        "total_timeout": totals.timeout,
        "total_errors": totals.error,
        "total_cancelled": totals.cancelled,
        "runners": len(runners),
        "uptime": str(timedelta(seconds=int(uptime.total_seconds()))),
        "uptime_seconds": max(0, int(uptime.total_seconds())),
        "start_time": format_time(start) or None,
    }
