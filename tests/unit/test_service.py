"""The use cases of jobs without waiting, over the store in memory: submit, fetch and cancel."""

import base64
from typing import Any

import pytest

from chalicelib.errors import (
    JobEnded,
    JobNotFound,
    QueueFull,
    RequestError,
)
from chalicelib.models import Job, Stage
from chalicelib.service import CompileService
from chalicelib.storage.memory import MemoryStore
from tests.support.factories import make_environment, make_result, make_runner, make_settings
from tests.support.services import body_of, make_service, make_store

OFFERED = (
    make_environment(id="gcc-9", version="9.5.0", version_key=(9, 5, 0)),
    make_environment(id="gcc-12", version="12.2.0", version_key=(12, 2, 0)),
    make_environment(id="clang-16", family="clang", version="16.0.6", version_key=(16, 0, 6)),
    make_environment(id="clang-14", family="clang", version="14.0.6", version_key=(14, 0, 6)),
    make_environment(
        id="gcc-12",
        language="c",
        standards=("c17", "gnu17"),
        default_standard="gnu17",
        version_key=(12, 2, 0),
    ),
)


@pytest.fixture
def store() -> MemoryStore:
    """A store in which one runner has registered `OFFERED`."""
    return make_store(OFFERED)


@pytest.fixture
def service(store: MemoryStore) -> CompileService:
    """The service over `store`."""
    return make_service(store)


def _stored(store: MemoryStore, service: CompileService, **fields: Any) -> Job:
    job = store.get(service.submit(body_of(**fields)).id)
    assert job is not None
    return job


# -- submit


def test_a_request_gets_the_newest_compiler_and_its_defaults(
    store: MemoryStore, service: CompileService
) -> None:
    """The newest by version number, not by name: clang-16, then gcc-12, then gcc-9."""
    request = _stored(store, service).request
    assert (request.compiler, request.standard, request.stage) == ("clang-16", "c++17", Stage.COMPILE)
    assert (request.architecture, request.os, request.main) == ("x86_64", "linux", "main.cpp")
    assert request.files == {"main.cpp": "int x;"}
    assert (request.options, request.cache) == ((), True)


@pytest.mark.parametrize("name", ["cpp", "C++", "c++", "cxx", "cplusplus", " CPP "])
def test_a_language_has_several_names(name: str, store: MemoryStore, service: CompileService) -> None:
    """Aliases and any case of letters name the same language."""
    assert _stored(store, service, language=name).request.language == "cpp"


@pytest.mark.parametrize(
    ("requested", "chosen"),
    [("gcc", "gcc-12"), ("clang", "clang-16"), ("gcc-9", "gcc-9"), (" GCC-9 ", "gcc-9")],
)
def test_a_family_stands_for_its_newest_compiler(
    requested: str, chosen: str, store: MemoryStore, service: CompileService
) -> None:
    """`gcc` is the newest gcc; an id is that compiler."""
    assert _stored(store, service, compiler=requested).request.compiler == chosen


def test_every_way_to_send_a_source_is_the_same_job(store: MemoryStore, service: CompileService) -> None:
    """`source_code`, `code` and `files` with one file have one fingerprint."""
    code = base64.b64encode("int é;".encode()).decode()
    prints = {
        _stored(store, service, source_code="int é;").fingerprint,
        _stored(store, service, source_code=None, code=code).fingerprint,
        _stored(store, service, source_code=None, files={"main.cpp": "int é;"}).fingerprint,
    }
    assert len(prints) == 1


def test_a_submitted_job_is_queued_under_the_id_in_the_response(
    store: MemoryStore, service: CompileService
) -> None:
    """The response is the id and `queued`, and a runner can claim that job."""
    response = service.submit(body_of())
    assert response.body == {"job_id": response.id, "status": "queued"}
    assert not response.ended
    claim = store.claim("runner", 0)
    assert claim is not None and claim.job.id == response.id


def test_an_invalid_request_stores_nothing(store: MemoryStore, service: CompileService) -> None:
    """It leaves neither a job nor an entry in the queue."""
    with pytest.raises(RequestError):
        service.submit(body_of(compiler="msvc"))
    assert store.counts().by_status == dict.fromkeys(store.counts().by_status, 0)


def test_the_job_past_the_queue_size_is_not_queued() -> None:
    """QUEUE_SIZE jobs may wait; the next client is told when to try again."""
    service = make_service(make_store(OFFERED, queue_size=2))
    service.submit(body_of())
    service.submit(body_of())
    with pytest.raises(QueueFull) as caught:
        service.submit(body_of())
    assert caught.value.retry_after_seconds is not None and caught.value.retry_after_seconds >= 1


# -- fetch and cancel


@pytest.mark.parametrize(
    "job_id", ["0" * 32, "", "../x", "A" * 32, "0" * 31, "0" * 33, "0" * 32 + "\n", "\x00", "x" * 9999]
)
def test_an_unknown_job_is_not_found(job_id: str, service: CompileService) -> None:
    """In both calls, whatever text is sent as an id; the message stays short."""
    for call in (service.fetch, service.cancel):
        with pytest.raises(JobNotFound) as caught:
            call(job_id)
        assert len(caught.value.message) < 200
        assert caught.value.message.isprintable()


def test_a_job_is_not_found_after_its_time_to_live() -> None:
    """A job is unknown after REDIS_JOB_TTL_HOURS."""
    now = [0.0]
    store = MemoryStore(make_settings(redis_job_ttl_hours=1), clock=lambda: now[0])
    store.register(make_runner(), OFFERED, ttl_seconds=60)
    service = make_service(store)
    job_id = service.submit(body_of()).id
    now[0] = 3599
    assert service.fetch(job_id).body["status"] == "queued"
    now[0] = 3601
    with pytest.raises(JobNotFound):
        service.fetch(job_id)


def test_a_running_job_says_how_far_it_is(store: MemoryStore, service: CompileService) -> None:
    """A claimed job is `processing`, with its attempt and its start time."""
    job_id = service.submit(body_of()).id
    assert store.claim("runner", 0) is not None
    body = service.fetch(job_id).body
    assert set(body) == {"job_id", "status", "attempts", "created_at", "started_at", "completed_at"}
    assert (body["status"], body["attempts"], body["completed_at"]) == ("processing", 1, None)
    assert body["started_at"] >= body["created_at"]


@pytest.mark.parametrize("claimed", [False, True])
def test_a_job_that_has_not_ended_is_cancelled(
    claimed: bool, store: MemoryStore, service: CompileService
) -> None:
    """Queued or running; cancelling it again changes nothing, and its result says that it was cancelled."""
    job_id = service.submit(body_of()).id
    if claimed:
        assert store.claim("runner", 0) is not None
    for _ in range(2):
        assert service.cancel(job_id).body == {"job_id": job_id, "status": "cancelled"}
    body = service.fetch(job_id).body
    assert (body["verdict"], body["reason"], body["success"]) == ("inconclusive", "cancelled", False)


def test_a_job_that_has_ended_is_not_cancelled(store: MemoryStore, service: CompileService) -> None:
    """The error names the status, and the result stays."""
    job_id = service.submit(body_of()).id
    claim = store.claim("runner", 0)
    assert claim is not None and store.complete(claim, make_result(job_id))
    with pytest.raises(JobEnded, match="completed"):
        service.cancel(job_id)
    assert service.fetch(job_id).body["verdict"] == "compiles"
