"""Waiting for a job in the call that submits it, with runners that the test controls."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from chalicelib.errors import StoreUnavailable
from chalicelib.models import Job, Reason, Verdict
from chalicelib.service import CompileService
from chalicelib.storage.memory import MemoryStore
from tests.support.factories import make_environment, make_result, make_runner, make_settings
from tests.support.services import StartRunner, body_of, make_service, make_store, runners_over

OFFERED = (make_environment(),)


@pytest.fixture
def store() -> MemoryStore:
    """A store in which one runner has registered `OFFERED`."""
    return make_store(OFFERED)


@pytest.fixture
def service(store: MemoryStore) -> CompileService:
    """The service over `store`."""
    return make_service(store)


@pytest.fixture
def runner(store: MemoryStore) -> Iterator[StartRunner]:
    """Starts a runner that completes each job with the result that a function makes of it."""
    with runners_over(store) as start:
        yield start


def test_submit_returns_the_result_of_a_job_that_ends_within_the_wait(
    service: CompileService, runner: StartRunner
) -> None:
    """All fields of the result are in the response to submit."""
    runner(lambda job: make_result(job.id, stdout="out", stderr="err"))
    response = service.submit(body_of(), wait_seconds=10)
    assert response.ended
    assert set(response.body) == {
        "job_id", "status", "verdict", "reason", "success", "compiled", "stdout", "stderr", "exit_code",
        "duration", "error", "diagnostics", "truncated", "environment", "command", "attempts", "cached",
        "command_environment", "compiled_files", "usage", "limits", "receipt", "expectation", "created_at",
        "started_at", "completed_at",
    }  # fmt: skip
    assert (response.body["status"], response.body["verdict"]) == ("completed", "compiles")
    assert (response.body["stdout"], response.body["stderr"], response.body["attempts"]) == ("out", "err", 1)
    assert service.fetch(response.id).body == response.body


def test_a_wait_ends_when_its_time_is_over(service: CompileService) -> None:
    """Without a runner the call takes as long as was requested, and the job is still queued."""
    started = time.monotonic()
    response = service.submit(body_of(), wait_seconds=0.3)
    assert 0.3 <= time.monotonic() - started < 2
    assert not response.ended
    assert (response.body["status"], response.body["started_at"], response.body["completed_at"]) == (
        "queued",
        None,
        None,
    )


@pytest.mark.parametrize(
    ("result", "status"),
    [
        ({"verdict": Verdict.REJECTED, "compiled": False, "exit_code": 1}, "failed"),
        (
            {"verdict": Verdict.INCONCLUSIVE, "reason": Reason.TIMEOUT, "success": False, "compiled": False},
            "timeout",
        ),
        (
            {"verdict": Verdict.INCONCLUSIVE, "reason": Reason.MEMORY, "success": False, "compiled": False},
            "error",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_status_follows_the_verdict(
    result: dict[str, Any],
    status: str,
    service: CompileService,
    runner: StartRunner,
) -> None:
    """Each kind of end has its own status."""
    runner(lambda job: make_result(job.id, **result))
    response = service.submit(body_of(), wait_seconds=10)
    assert (response.body["status"], response.body["verdict"]) == (status, result["verdict"].value)


class _RecordsWaits(MemoryStore):
    """A store that remembers for how long it was told to wait."""

    def __init__(self) -> None:
        super().__init__(make_settings())
        self.waits_seconds: list[float] = []

    def wait(self, job_id: str, seconds: float) -> Job | None:
        self.waits_seconds.append(seconds)
        return super().wait(job_id, seconds)


def test_waiting_for_the_first_registration_is_part_of_the_wait() -> None:
    """Of a wait of 1 s only half is left for the job when the runner has started after half a second."""
    store = _RecordsWaits()
    service = make_service(store, patience_seconds=5)
    started = time.monotonic()
    timer = threading.Timer(0.5, lambda: store.register(make_runner(), OFFERED, ttl_seconds=60))
    timer.start()
    response = service.submit(body_of(), wait_seconds=1.0)
    assert time.monotonic() - started >= 0.9
    # On a busy machine nothing may be left; then the store is not told to wait at all.
    assert all(seconds < 0.6 for seconds in store.waits_seconds)
    assert response.body["status"] == "queued"
    timer.join()


class _FailsAfterSubmit(MemoryStore):
    """A store that cannot be reached any more as soon as a job was stored."""

    def wait(self, job_id: str, seconds: float) -> Job | None:
        raise StoreUnavailable("gone")


def test_a_stored_job_is_reported_as_submitted_when_the_store_fails_afterwards() -> None:
    """After an error the client would submit it again; with the id it can ask later."""
    store = _FailsAfterSubmit(make_settings())
    store.register(make_runner(), OFFERED, ttl_seconds=60)
    response = make_service(store).submit(body_of(), wait_seconds=5)
    assert response.body == {"job_id": response.id, "status": "queued"}
    assert store.get(response.id) is not None
