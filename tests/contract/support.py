"""What the contract tests share: waiting with a deadline, and reading a store by its protocol."""

import time
from collections.abc import Callable

import pytest

from chalicelib.models import Job, Status
from chalicelib.storage.protocol import Claim, JobStore

MakeStore = Callable[..., JobStore]
# Short enough to wait for, long enough that a busy machine renews in time.
LEASE_SECONDS = 0.4
DEADLINE_SECONDS = 10.0


def claim_one(store: JobStore, runner: str = "runner-a") -> Claim:
    """The next claim; fails when none comes in time."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        claim = store.claim(runner, 0.05)
        if claim is not None:
            return claim
    pytest.fail("no job could be claimed in time")


def nothing_to_claim(store: JobStore, runner: str = "runner-a") -> bool:
    """True when several reads in a row find nothing."""
    return all(store.claim(runner, 0.02) is None for _ in range(3))


def sweep_until(store: JobStore, condition: Callable[[], bool]) -> None:
    """Sweeps until the condition holds; fails when it does not in time."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail("the sweep did not bring it about in time")
        store.sweep()
        time.sleep(0.02)


def status_of(store: JobStore, job: Job) -> Status | None:
    """The present status; None when the job is unknown."""
    found = store.get(job.id)
    return found.status if found else None


def assert_in_one_status(store: JobStore, expected: dict[Status, int]) -> None:
    """The counts are exactly these: no id is in two statuses or in none."""
    counts = store.counts().by_status
    assert {status: count for status, count in counts.items() if count} == expected
