"""Clients do not wait for what cannot end in time: they are answered at once, and told when to ask again."""

import json
import time
from typing import Any

import pytest

from app import app, use
from chalicelib.models import Status
from chalicelib.queue_outlook import retry_after_seconds
from chalicelib.storage.memory import MemoryStore
from tests.support.factories import make_environment, make_job, make_result, make_runner, make_settings
from tests.support.services import body_of, make_application, make_service

OFFERED = (make_environment(),)
# So long that a test which really waits fails by its time-out.
LONG_SECONDS = 25


def busy_store(waiting: int, *, workers: int = 1) -> MemoryStore:
    """A store with a runner of `workers` workers, and with `waiting` jobs in its queue."""
    store = MemoryStore(make_settings(queue_size=1000))
    store.register(make_runner(max_workers=workers), OFFERED, ttl_seconds=600)
    for _ in range(waiting):
        store.submit(make_job())
    return store


@pytest.mark.parametrize(
    ("waiting", "workers", "wait_seconds", "expected"),
    [
        (0, 1, 25, None),
        (50, 1, 25, None),  # twice as long as the client waits: the estimate may be wrong by that
        (60, 1, 25, 30),
        (60, 4, 25, None),
        (60, 4, 5, 8),
        (900, 1, 25, 60),
        (900, 20, 25, None),
        (3, 1, 1, 2),
    ],
)
def test_the_queue_is_compared_with_the_wait(
    waiting: int, workers: int, wait_seconds: float, expected: int | None
) -> None:
    """Jobs in the queue, the mean of a compile and the workers decide; before the first compile it is 1 s."""
    assert retry_after_seconds(busy_store(waiting, workers=workers), wait_seconds) == expected


def test_the_mean_of_the_compiles_counts() -> None:
    """After compiles of a tenth of a second, the same queue is worth waiting for."""
    store = busy_store(60)
    assert retry_after_seconds(store, 25) is not None
    claim = store.claim("runner", 1.0)
    assert claim is not None
    assert store.complete(claim, make_result(claim.job.id, duration=100_000_000))
    assert retry_after_seconds(store, 25) is None


def test_a_client_is_answered_at_once_while_the_queue_is_too_long() -> None:
    """submit and fetch answer after a second with the status; the job is stored and stays queued."""
    store = busy_store(200)
    service = make_service(store)
    started = time.monotonic()
    submitted = service.submit(body_of(), wait_seconds=LONG_SECONDS)
    fetched = service.fetch(submitted.id, wait_seconds=LONG_SECONDS)
    assert time.monotonic() - started < LONG_SECONDS
    for response in (submitted, fetched):
        assert not response.ended and response.body["status"] == "queued"
        assert response.retry_after_seconds == 60
    assert store.counts().by_status[Status.QUEUED] == 201


def test_a_matrix_is_answered_at_once_while_the_queue_is_too_long() -> None:
    """The same for a matrix of which no cell has begun."""
    store = busy_store(200)
    body = json.dumps({"source_code": "int x;", "language": "cpp"}).encode()
    started = time.monotonic()
    response = make_application(store).matrices.submit(body, LONG_SECONDS)
    assert time.monotonic() - started < LONG_SECONDS
    assert not response.ended and response.retry_after_seconds == 60


def test_a_job_that_runs_is_waited_for() -> None:
    """A long queue does not end the wait for a job that a runner works on already."""
    store = busy_store(0)
    service = make_service(store)
    job = service.submit(body_of()).id
    claim = store.claim("runner", 1.0)
    assert claim is not None
    for _ in range(200):
        store.submit(make_job())
    response = service.fetch(job, wait_seconds=1.5)
    assert response.body["status"] == "processing" and response.retry_after_seconds is None


def test_the_answer_has_the_header() -> None:
    """202 with Retry-After, and no such header where the client waited for as long as it asked."""
    for waiting, expected in ((200, "60"), (0, None)):
        with use(make_application(busy_store(waiting))):
            answer = _post("1.2" if waiting == 0 else "25")
        assert (answer["statusCode"], answer["headers"].get("Retry-After")) == (202, expected)


def _post(wait: str) -> dict[str, Any]:
    """Submits a job as API Gateway does."""
    event = {
        "requestContext": {
            "httpMethod": "POST",
            "resourcePath": "/api/v1/compile",
            "path": "/api/v1/compile",
        },
        "multiValueQueryStringParameters": {"wait": [wait]},
        "headers": {"Content-Type": "application/json"},
        "multiValueHeaders": {},
        "pathParameters": None,
        "body": body_of().decode(),
        "isBase64Encoded": False,
        "stageVariables": None,
    }
    answer: dict[str, Any] = app(event, None)
    return answer
