"""The use cases of jobs, over the store in memory, with a runner that the test plays itself."""

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from chalicelib.catalog import load_catalog
from chalicelib.errors import (
    InvalidRequest,
    JobEnded,
    JobNotFound,
    QueueFull,
    RequestError,
    StoreUnavailable,
)
from chalicelib.models import Job, Reason, Result, Stage, Verdict
from chalicelib.service import MAX_WAIT_SECONDS, CompileService, parse_wait
from chalicelib.storage.memory import MemoryStore
from tests.factories import make_environment, make_result, make_runner, make_settings

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


def _service(store: MemoryStore, *, patience_seconds: float = 0.0) -> CompileService:
    return CompileService(store, load_catalog(), announcement_patience_seconds=patience_seconds)


def _body(**fields: Any) -> bytes:
    return json.dumps({"source_code": "int x;", "language": "cpp"} | fields).encode()


@pytest.fixture
def store() -> MemoryStore:
    """A store in which one runner has announced `OFFERED`."""
    made = MemoryStore(make_settings())
    made.announce(make_runner(), OFFERED, ttl_seconds=60)
    return made


@pytest.fixture
def service(store: MemoryStore) -> CompileService:
    """The service over `store`."""
    return _service(store)


@pytest.fixture
def runner(store: MemoryStore) -> Iterator[Callable[[Callable[[Job], Result]], None]]:
    """Starts a runner that ends each job with what the given function returns."""
    ended = threading.Event()
    threads: list[threading.Thread] = []

    def start(compile_job: Callable[[Job], Result]) -> None:
        def work() -> None:
            while not ended.is_set():
                claim = store.claim("runner", 0.05)
                if claim is not None:
                    assert store.complete(claim, compile_job(claim.job))

        threads.append(threading.Thread(target=work))
        threads[-1].start()

    yield start
    ended.set()
    for thread in threads:
        thread.join()


def _stored(store: MemoryStore, service: CompileService, **fields: Any) -> Job:
    job = store.get(service.submit(_body(**fields)).id)
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
    answer = service.submit(_body())
    assert answer.body == {"job_id": answer.id, "status": "queued"}
    assert not answer.ended
    claim = store.claim("runner", 0)
    assert claim is not None and claim.job.id == answer.id


def test_a_refused_request_stores_nothing(store: MemoryStore, service: CompileService) -> None:
    """Neither a job nor a place in the queue is left of it."""
    with pytest.raises(RequestError):
        service.submit(_body(compiler="msvc"))
    assert store.counts().by_status == dict.fromkeys(store.counts().by_status, 0)


def test_the_job_past_the_queue_size_is_refused() -> None:
    """QUEUE_SIZE jobs may wait; the next one hears when to come back."""
    store = MemoryStore(make_settings(queue_size=2))
    store.announce(make_runner(), OFFERED, ttl_seconds=60)
    service = _service(store)
    service.submit(_body())
    service.submit(_body())
    with pytest.raises(QueueFull) as caught:
        service.submit(_body())
    assert caught.value.retry_after_seconds is not None and caught.value.retry_after_seconds >= 1


# -- wait


def test_a_job_that_ends_within_the_wait_is_answered_with_its_result(
    service: CompileService, runner: Callable[[Callable[[Job], Result]], None]
) -> None:
    """The answer to submit is the result itself, with every field of it."""
    runner(lambda job: make_result(job.id, stdout="out", stderr="err"))
    answer = service.submit(_body(), wait_seconds=10)
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
    answer = service.submit(_body(), wait_seconds=0.3)
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
    runner: Callable[[Callable[[Job], Result]], None],
) -> None:
    """What ended otherwise than well is told as such."""
    runner(lambda job: make_result(job.id, **result))
    answer = service.submit(_body(), wait_seconds=10)
    assert (answer.body["status"], answer.body["verdict"]) == (status, result["verdict"].value)


def test_the_wait_for_a_first_announcement_is_part_of_the_wait() -> None:
    """A wait of 1 s is 1 s, also when the first half of it was spent on a runner that started late."""
    store = MemoryStore(make_settings())
    service = _service(store, patience_seconds=5)
    timer = threading.Timer(0.5, lambda: store.announce(make_runner(), OFFERED, ttl_seconds=60))
    timer.start()
    started = time.monotonic()
    answer = service.submit(_body(), wait_seconds=1.0)
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
    store.announce(make_runner(), OFFERED, ttl_seconds=60)
    answer = _service(store).submit(_body(), wait_seconds=5)
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
    store.announce(make_runner(), OFFERED, ttl_seconds=60)
    service = _service(store)
    job_id = service.submit(_body()).id
    now[0] = 3599
    assert service.fetch(job_id).body["status"] == "queued"
    now[0] = 3601
    with pytest.raises(JobNotFound):
        service.fetch(job_id)


def test_a_running_job_tells_how_far_it_is(store: MemoryStore, service: CompileService) -> None:
    """Claimed is `processing`, with the attempt and when it began."""
    job_id = service.submit(_body()).id
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
    job_id = service.submit(_body()).id
    if claimed:
        assert store.claim("runner", 0) is not None
    for _ in range(2):
        assert service.cancel(job_id).body == {"job_id": job_id, "status": "cancelled"}
    body = service.fetch(job_id).body
    assert (body["verdict"], body["reason"], body["success"]) == ("inconclusive", "cancelled", False)


def test_a_job_that_has_ended_is_not_cancelled(store: MemoryStore, service: CompileService) -> None:
    """It is a conflict that names the status, and the result stays."""
    job_id = service.submit(_body()).id
    claim = store.claim("runner", 0)
    assert claim is not None and store.complete(claim, make_result(job_id))
    with pytest.raises(JobEnded, match="completed"):
        service.cancel(job_id)
    assert service.fetch(job_id).body["verdict"] == "compiles"
