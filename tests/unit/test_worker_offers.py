"""A runner whose compilers pass their self-tests one by one: what it registers, and when it claims."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from chalicelib.models import Result, UntestedCompiler
from chalicelib.storage.memory import MemoryStore
from chalicelib.storage.protocol import Claim
from runner.worker import Runner
from tests.support.factories import make_environment, make_job, make_result, make_runner, make_settings
from tests.support.servers import wait_until

_CLANG = UntestedCompiler(id="clang-19", language="cpp", family="clang", version_key=(19,))


@contextmanager
def _running(store: MemoryStore) -> Iterator[Runner]:
    """A runner that offers nothing yet."""

    def compile_claim(claim: Claim, _cancel: threading.Event) -> Result:
        return make_result(claim.job.id, attempts=claim.attempts)

    runner = Runner(store, compile_claim, make_runner(), None, lease_seconds=15, stop_grace_seconds=8)
    thread = threading.Thread(target=runner.run)
    thread.start()
    try:
        yield runner
    finally:
        runner.stop()
        thread.join(13)
        assert not thread.is_alive()


def _ids(store: MemoryStore) -> list[str]:
    return [item.id for item in store.environments()]


def test_a_runner_claims_from_its_first_offer_on() -> None:
    """Before that a job stays in the queue; the registration follows each offer."""
    store, job = MemoryStore(make_settings()), make_job()
    store.submit(job)
    with _running(store) as runner:
        runner.offer([], [_CLANG])
        wait_until(lambda: bool(store.runners()), "a registration")
        assert store.runners()[0].untested == (_CLANG,) and _ids(store) == []
        assert store.counts().by_status[job.status] == 1
        runner.offer([make_environment()], [_CLANG])
        wait_until(lambda: _ids(store) == ["gcc-12"], "the first compiler")
        wait_until(lambda: store.get_result(job.id) is not None, "the job's result")
        runner.offer([make_environment(), make_environment(id="clang-19", family="clang")])
        wait_until(lambda: _ids(store) == ["clang-19", "gcc-12"], "the second compiler")
        assert store.runners()[0].untested == ()


def test_the_first_offers_hide_nothing_that_was_registered_last() -> None:
    """After a restart clients can still ask for every compiler; those jobs wait for the tests."""
    store = MemoryStore(make_settings())
    clang = make_environment(id="clang-19", family="clang")
    dead = make_runner()
    store.register(dead, [make_environment(), clang], 60)
    store.unregister(dead.id)
    with _running(store) as runner:
        runner.offer([make_environment()], [_CLANG])
        job = make_job()
        store.submit(job)
        wait_until(lambda: store.get_result(job.id) is not None, "the job's result")
        assert _ids(store) == ["clang-19", "gcc-12"] and store.runners() == ()
        # The tests are over: what it offers now is all that there is.
        runner.offer([make_environment()])
        wait_until(lambda: _ids(store) == ["gcc-12"], "the registration")


def test_a_runner_without_a_compiler_can_be_stopped() -> None:
    """Also while it waits for its first offer."""
    with _running(MemoryStore(make_settings())):
        pass
