"""The use cases of jobs but for waiting, over the store in memory: submit, fetch and cancel."""

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
    """Newest by version and not by name: clang-16 before gcc-12 before gcc-9."""
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
    ("asked", "got"), [("gcc", "gcc-12"), ("clang", "clang-16"), ("gcc-9", "gcc-9"), (" GCC-9 ", "gcc-9")]
)
def test_a_family_stands_for_its_newest_compiler(
    asked: str, got: str, store: MemoryStore, service: CompileService
) -> None:
    """`gcc` is the newest gcc; an id is that compiler."""
    assert _stored(store, service, compiler=asked).request.compiler == got


def test_every_way_to_send_a_source_is_the_same_job(store: MemoryStore, service: CompileService) -> None:
    """`source_code`, `code` and `files` with one file have one fingerprint."""
    code = base64.b64encode("int é;".encode()).decode()
    prints = {
        _stored(store, service, source_code="int é;").fingerprint,
        _stored(store, service, source_code=None, code=code).fingerprint,
        _stored(store, service, source_code=None, files={"main.cpp": "int é;"}).fingerprint,
    }
    assert len(prints) == 1


def test_an_accepted_job_is_queued_under_the_id_that_is_told(
    store: MemoryStore, service: CompileService
) -> None:
    """The answer is the id and `queued`, and that very job can be claimed."""
    answer = service.submit(body_of())
    assert answer.body == {"job_id": answer.id, "status": "queued"}
    assert not answer.ended
    claim = store.claim("runner", 0)
    assert claim is not None and claim.job.id == answer.id


def test_a_refused_request_stores_nothing(store: MemoryStore, service: CompileService) -> None:
    """Neither a job nor a place in the queue is left of it."""
    with pytest.raises(RequestError):
        service.submit(body_of(compiler="msvc"))
    assert store.counts().by_status == dict.fromkeys(store.counts().by_status, 0)


def test_the_job_past_the_queue_size_is_refused() -> None:
    """QUEUE_SIZE jobs may wait; the next one hears when to come back."""
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
    """Whatever stands for an id, in both calls; the message stays short."""
    for call in (service.fetch, service.cancel):
        with pytest.raises(JobNotFound) as caught:
            call(job_id)
        assert len(caught.value.message) < 200
        assert caught.value.message.isprintable()


def test_a_job_is_not_found_after_its_time_to_live() -> None:
    """A job that was there is unknown when REDIS_JOB_TTL_HOURS are over."""
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


def test_a_running_job_tells_how_far_it_is(store: MemoryStore, service: CompileService) -> None:
    """Claimed is `processing`, with the attempt and when it began."""
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
    """Queued or running; to cancel it again changes nothing, and its result says so."""
    job_id = service.submit(body_of()).id
    if claimed:
        assert store.claim("runner", 0) is not None
    for _ in range(2):
        assert service.cancel(job_id).body == {"job_id": job_id, "status": "cancelled"}
    body = service.fetch(job_id).body
    assert (body["verdict"], body["reason"], body["success"]) == ("inconclusive", "cancelled", False)


def test_a_job_that_has_ended_is_not_cancelled(store: MemoryStore, service: CompileService) -> None:
    """It is a conflict that names the status, and the result stays."""
    job_id = service.submit(body_of()).id
    claim = store.claim("runner", 0)
    assert claim is not None and store.complete(claim, make_result(job_id))
    with pytest.raises(JobEnded, match="completed"):
        service.cancel(job_id)
    assert service.fetch(job_id).body["verdict"] == "compiles"
