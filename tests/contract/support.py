"""What the contract tests share: reading a store by its protocol, and leases that run out within a test."""

from collections.abc import Callable

from chalicelib.models import Job, Status
from chalicelib.storage.protocol import JobStore

MakeStore = Callable[..., JobStore]
# Short enough to wait for, long enough to be renewed in time on a busy machine.
LEASE_SECONDS = 0.4
# How long a test lets a store wait for what happens at once: much longer than any machine needs for that.
WAIT_SECONDS = 60.0


def nothing_to_claim(store: JobStore, runner: str = "runner-a") -> bool:
    """True when several reads in a row deliver no job."""
    return all(store.claim(runner, 0.02) is None for _ in range(3))


def status_of(store: JobStore, job: Job) -> Status | None:
    """The present status; None when the job is unknown."""
    stored = store.get(job.id)
    return stored.status if stored else None


def assert_in_one_status(store: JobStore, expected: dict[Status, int]) -> None:
    """The counts are exactly these: no id is in two statuses or in none."""
    counts = store.counts().by_status
    assert {status: count for status, count in counts.items() if count} == expected
