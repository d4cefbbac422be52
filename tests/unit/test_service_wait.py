"""Waiting for a job in the call that submits it, with a runner that the test plays itself."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from chalicelib.errors import InvalidRequest, StoreUnavailable
from chalicelib.models import Job, Reason, Verdict
from chalicelib.service import MAX_WAIT_SECONDS, CompileService, parse_wait
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
    """Starts a runner that ends each job with what the given function returns."""
    with runners_over(store) as start:
        yield start


def test_a_job_that_ends_within_the_wait_is_answered_with_its_result(
    service: CompileService, runner: StartRunner
) -> None:
    """The answer to submit is the result itself, with every field of it."""
    runner(lambda job: make_result(job.id, stdout="out", stderr="err"))
    answer = service.submit(body_of(), wait_seconds=10)
    assert answer.ended
    assert set(answer.body) == {
        "job_id", "status", "verdict", "reason", "success", "compiled", "stdout", "stderr", "exit_code",
        "duration", "error", "diagnostics", "truncated", "environment", "command", "attempts", "cached",
        "command_environment", "receipt", "expectation", "created_at", "started_at", "completed_at",
    }  # fmt: skip
    assert (answer.body["status"], answer.body["verdict"]) == ("completed", "compiles")
    assert (answer.body["stdout"], answer.body["stderr"], answer.body["attempts"]) == ("out", "err", 1)
    assert service.fetch(answer.id).body == answer.body


def test_a_wait_ends_when_its_time_is_over(service: CompileService) -> None:
    """Without a runner the wait takes as long as it was asked to, and the job is as it was."""
    started = time.monotonic()
    answer = service.submit(body_of(), wait_seconds=0.3)
    assert 0.3 <= time.monotonic() - started < 2
    assert not answer.ended
    assert (answer.body["status"], answer.body["started_at"], answer.body["completed_at"]) == (
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
    """What ended otherwise than well is told as such."""
    runner(lambda job: make_result(job.id, **result))
    answer = service.submit(body_of(), wait_seconds=10)
    assert (answer.body["status"], answer.body["verdict"]) == (status, result["verdict"].value)


def test_the_wait_for_a_first_registration_is_part_of_the_wait() -> None:
    """A wait of 1 s is 1 s, also when the first half of it was spent on a runner that started late."""
    store = MemoryStore(make_settings())
    service = make_service(store, patience_seconds=5)
    timer = threading.Timer(0.5, lambda: store.register(make_runner(), OFFERED, ttl_seconds=60))
    timer.start()
    started = time.monotonic()
    answer = service.submit(body_of(), wait_seconds=1.0)
    assert 0.9 <= time.monotonic() - started < 1.4
    assert answer.body["status"] == "queued"
    timer.join()


class _LeavesAfterSubmit(MemoryStore):
    """A store that is away as soon as a job was stored."""

    def wait(self, job_id: str, seconds: float) -> Job | None:
        raise StoreUnavailable("gone")


def test_a_job_that_was_stored_is_told_as_accepted_although_the_store_left() -> None:
    """An error would make the client submit it again; it gets the id instead, and asks later."""
    store = _LeavesAfterSubmit(make_settings())
    store.register(make_runner(), OFFERED, ttl_seconds=60)
    answer = make_service(store).submit(body_of(), wait_seconds=5)
    assert answer.body == {"job_id": answer.id, "status": "queued"}
    assert store.get(answer.id) is not None


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ((), 0.0),
        (("0",), 0.0),
        (("25",), 25.0),
        (("025",), 25.0),
        (("0.5",), 0.5),
        (("24.999999",), 24.999999),
    ],
)
def test_a_wait_is_a_number_of_seconds(given: tuple[str, ...], seconds: float) -> None:
    """0 when it is not given; 25 at most."""
    assert parse_wait(given) == seconds
    assert seconds <= MAX_WAIT_SECONDS


@pytest.mark.parametrize(
    "text",
    ["", " 1", "-1", "+1", "26", "25.000001", "1e1", "nan", "inf", "0x1", "1,5", "1.", ".5", "٣", "1\n"],
)
def test_another_wait_is_refused(text: str) -> None:
    """The message says what is allowed."""
    with pytest.raises(InvalidRequest, match="number of seconds from 0 to 25"):
        parse_wait((text,))


def test_a_wait_that_is_given_twice_is_refused() -> None:
    """Nobody has to guess which one holds."""
    with pytest.raises(InvalidRequest, match="more than once"):
        parse_wait(("1", "2"))
