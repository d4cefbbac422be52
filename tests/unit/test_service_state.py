"""What the service says about itself, over the store in memory: compilers, statistics, readiness."""

import time

import pytest

from chalicelib.errors import InvalidRequest, NotReady
from chalicelib.models import Environment, Verdict
from chalicelib.service import CompileService
from chalicelib.storage.memory import MemoryStore
from tests.support.factories import make_environment, make_result, make_runner, make_settings
from tests.support.services import body_of, make_service, make_store

OFFERED = (
    make_environment(),
    make_environment(id="clang-16", family="clang", version="16.0.6", version_key=(16, 0, 6)),
    make_environment(language="c", standards=("c17", "gnu17"), default_standard="gnu17"),
)


@pytest.fixture
def store() -> MemoryStore:
    """A store in which one runner has registered `OFFERED`."""
    return make_store(OFFERED)


@pytest.fixture
def service(store: MemoryStore) -> CompileService:
    """The service over `store`."""
    return make_service(store)


def test_nothing_is_accepted_before_a_runner_registered_its_compilers() -> None:
    """If no compiler was ever registered, the service is not ready, and says when to try again."""
    store = MemoryStore(make_settings())
    with pytest.raises(NotReady) as caught:
        make_service(store).submit(body_of())
    assert caught.value.retry_after_seconds == 5
    assert sum(store.counts().by_status.values()) == 0


def test_a_malformed_request_needs_no_runner() -> None:
    """The error comes at once, and not after a wait for compilers."""
    started = time.monotonic()
    with pytest.raises(InvalidRequest):
        make_service(MemoryStore(make_settings()), patience_seconds=5).submit(b"{}")
    assert time.monotonic() - started < 1


def test_jobs_are_accepted_while_no_runner_lives(store: MemoryStore) -> None:
    """The last registration still counts: jobs wait for the next runner."""
    for info in store.runners():
        store.unregister(info.id)
    assert make_service(store).submit(body_of()).body["status"] == "queued"


def test_a_compiler_that_is_registered_later_is_offered(store: MemoryStore) -> None:
    """A service that has read the environments before sees a new one within seconds."""
    service = make_service(store)
    service.submit(body_of())
    later = make_environment(id="gcc-14", version="14.2.0", version_key=(14, 2, 0))
    store.register(make_runner(), (later,), ttl_seconds=60)
    deadline = time.monotonic() + 5
    while True:
        try:
            service.submit(body_of(compiler="gcc-14"))
            return
        except InvalidRequest:
            assert time.monotonic() < deadline
            time.sleep(0.2)


def test_environments_are_listed_as_registered(service: CompileService) -> None:
    """Each compiler with its abilities, and each runner with its sandbox."""
    body = service.environments()
    offered = [(item["language"], item["id"]) for item in body["environments"]]
    assert offered == [("c", "gcc-12"), ("cpp", "clang-16"), ("cpp", "gcc-12")]
    assert set(body["environments"][0]) == set(Environment.model_fields) - {"version_key"}
    assert [set(item) for item in body["runners"]] == [{"id", "sandbox", "sandbox_weaknesses", "max_workers"}]


def test_statistics_have_the_fields_of_the_contract(store: MemoryStore, service: CompileService) -> None:
    """All fields that users know are there, and the figures are sums over all runners."""
    store.register(make_runner(max_workers=3, active_workers=2), OFFERED, ttl_seconds=60)
    for verdict in (Verdict.COMPILES, Verdict.REJECTED):
        service.submit(body_of())
        claim = store.claim("runner", 0)
        assert claim is not None
        assert store.complete(claim, make_result(claim.job.id, verdict=verdict))
    service.submit(body_of())
    figures = service.statistics()
    assert set(figures) >= {
        "max_workers", "active_workers", "available_slots", "queued_jobs", "total_processed",
        "total_successful", "total_failed", "total_timeout", "total_errors", "uptime", "uptime_seconds",
        "start_time",
    }  # fmt: skip
    assert (figures["max_workers"], figures["active_workers"], figures["available_slots"]) == (8, 2, 6)
    assert (figures["queued_jobs"], figures["total_processed"]) == (1, 2)
    assert (figures["total_successful"], figures["total_failed"]) == (1, 1)
    assert (figures["total_timeout"], figures["total_errors"]) == (0, 0)
    assert figures["start_time"].endswith("Z")


def test_statistics_without_a_runner_are_zeros() -> None:
    """That is not an error: no workers, no uptime, no start time."""
    figures = make_service(MemoryStore(make_settings())).statistics()
    assert (figures["max_workers"], figures["runners"], figures["start_time"]) == (0, 0, None)
    assert (figures["uptime"], figures["uptime_seconds"]) == ("0:00:00", 0)


def test_ready_means_that_a_runner_lives(store: MemoryStore, service: CompileService) -> None:
    """The service is ready with a runner, and not ready after the last one has stopped."""
    assert service.ready() == {"status": "ready", "runners": 1}
    for info in store.runners():
        store.unregister(info.id)
    with pytest.raises(NotReady):
        service.ready()
