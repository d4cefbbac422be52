"""The runner's loop over the store in memory, with a compiler that the test steers."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from chalicelib.errors import StoreUnavailable
from chalicelib.models import CompileRequest, Reason, Result, Status
from chalicelib.storage.memory import MemoryStore
from chalicelib.storage.protocol import Claim
from runner.worker import Runner
from tests.support.factories import make_environment, make_job, make_result, make_runner, make_settings
from tests.support.servers import wait_until


class SteeredCompiler:
    """Says "compiles" when `go` is set, or as soon as it is cancelled."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.started: list[str] = []
        self.cancelled: list[str] = []
        self.running = 0
        self.most_running = 0
        self._lock = threading.Lock()

    def compile(
        self,
        job_id: str,
        request: CompileRequest,
        *,
        attempts: int = 1,
        cancel: threading.Event | None = None,
    ) -> Result:
        """As `runner.compiler.Compiler.compile`."""
        assert cancel is not None
        with self._lock:
            self.started.append(job_id)
            self.running += 1
            self.most_running = max(self.most_running, self.running)
        while not self.go.is_set() and not cancel.is_set():
            time.sleep(0.005)
        with self._lock:
            self.running -= 1
            if cancel.is_set():
                self.cancelled.append(job_id)
        return make_result(job_id, attempts=attempts)


class BrokenCompiler(SteeredCompiler):
    """Raises, which a compiler must not do."""

    def compile(
        self,
        job_id: str,
        request: CompileRequest,
        *,
        attempts: int = 1,
        cancel: threading.Event | None = None,
    ) -> Result:
        """Always fails."""
        raise RuntimeError("a defect")


class FlakyStore(MemoryStore):
    """A store in memory that is away while `away` is set."""

    away = False

    def claim(self, runner: str, block_seconds: float) -> Claim | None:
        """Away, or as ever."""
        if self.away:
            raise StoreUnavailable("away")
        return super().claim(runner, block_seconds)

    def complete(self, claim: Claim, result: Result) -> bool:
        """Away, or as ever."""
        if self.away:
            raise StoreUnavailable("away")
        return super().complete(claim, result)


class StuckStore(MemoryStore):
    """A store whose claims hang while `stuck` is set."""

    stuck = False

    def claim(self, runner: str, block_seconds: float) -> Claim | None:
        """Hangs, or as ever."""
        while self.stuck:
            time.sleep(0.01)
        return super().claim(runner, block_seconds)


@contextmanager
def running(
    store: MemoryStore,
    compiler: SteeredCompiler,
    *,
    workers: int = 2,
    lease: float = 15,
    leave_sign: Callable[[float], None] | None = None,
) -> Iterator[Runner]:
    """A runner at work; stopped at the end."""
    runner = Runner(
        store,
        compiler,
        make_runner(max_workers=workers),
        [make_environment()],
        lease_seconds=lease,
        stop_grace_seconds=8,
        leave_sign=leave_sign,
    )
    thread = threading.Thread(target=runner.run)
    thread.start()
    try:
        yield runner
    finally:
        compiler.go.set()
        runner.stop()
        thread.join(13)
        assert not thread.is_alive()


def eventually(condition: Callable[[], bool], what: str) -> None:
    """Waits for a condition, at most 10 s."""
    wait_until(condition, what, timeout_seconds=10)


def status_of(store: MemoryStore, job_id: str) -> Status:
    """The present status."""
    job = store.get(job_id)
    assert job is not None
    return job.status


def test_it_registers_itself_and_withdraws() -> None:
    """A runner is known while it runs, with what it offers, and gone when it stopped."""
    store = MemoryStore(make_settings())
    with running(store, SteeredCompiler()):
        eventually(lambda: len(store.runners()) == 1, "the registration")
        assert store.environments() == (make_environment(),)
    assert store.runners() == ()


def test_it_never_claims_more_than_it_has_workers_for() -> None:
    """With two workers the third job waits in the queue, where another runner could take it."""
    store, compiler = MemoryStore(make_settings()), SteeredCompiler()
    jobs = [make_job() for _ in range(5)]
    for job in jobs:
        store.submit(job)
    with running(store, compiler, workers=2):
        eventually(lambda: compiler.running == 2, "two jobs at work")
        time.sleep(0.2)
        assert [status_of(store, job.id) for job in jobs[2:]] == [Status.QUEUED] * 3
        compiler.go.set()
        eventually(lambda: all(status_of(store, job.id).terminal for job in jobs), "the end of all")
    assert compiler.most_running == 2
    assert sorted(compiler.started) == sorted(job.id for job in jobs)


def test_a_cancelled_job_is_ended_within_a_second() -> None:
    """The compiler is told to stop, and its word does not count."""
    store, compiler, job = MemoryStore(make_settings()), SteeredCompiler(), make_job()
    store.submit(job)
    with running(store, compiler):
        eventually(lambda: compiler.running == 1, "the job at work")
        store.cancel(job.id)
        began = time.monotonic()
        eventually(lambda: compiler.cancelled == [job.id], "the compiler's end")
        assert time.monotonic() - began < 1.0
    assert status_of(store, job.id) is Status.CANCELLED


def test_a_stop_lets_a_running_job_finish() -> None:
    """A job that ends within the grace is completed, not handed back."""
    store, compiler, job = MemoryStore(make_settings()), SteeredCompiler(), make_job()
    store.submit(job)
    with running(store, compiler) as runner:
        eventually(lambda: compiler.running == 1, "the job at work")
        runner.stop()
        waiting = make_job()
        store.submit(waiting)
        time.sleep(0.1)
        compiler.go.set()
        eventually(lambda: status_of(store, job.id) is Status.COMPLETED, "the job's end")
    # At most one claim may have been on its way when the stop came.
    assert len(compiler.started) <= 2


def test_a_stop_hands_back_what_does_not_finish() -> None:
    """After the grace the compiler is ended and the job is queued again, its attempt not counted."""
    store, compiler, job = MemoryStore(make_settings()), SteeredCompiler(), make_job()
    store.submit(job)
    runner = Runner(store, compiler, make_runner(), [], lease_seconds=15, stop_grace_seconds=0.3)
    thread = threading.Thread(target=runner.run)
    thread.start()
    eventually(lambda: compiler.running == 1, "the job at work")
    runner.stop()
    thread.join(10)
    assert not thread.is_alive()
    assert compiler.cancelled == [job.id]
    again = store.claim("another", 1.0)
    assert again is not None
    assert (again.job.id, again.attempts) == (job.id, 1)


def test_a_result_survives_the_absence_of_the_store() -> None:
    """A finished result is kept and offered again until the store takes it."""
    store, compiler, job = FlakyStore(make_settings()), SteeredCompiler(), make_job()
    store.submit(job)
    with running(store, compiler):
        eventually(lambda: compiler.running == 1, "the job at work")
        store.away = True
        compiler.go.set()
        eventually(lambda: compiler.running == 0, "the compiler's end")
        time.sleep(0.3)
        assert status_of(store, job.id) is Status.PROCESSING
        store.away = False
        eventually(lambda: status_of(store, job.id) is Status.COMPLETED, "the job's end")


def test_a_defect_in_the_compiler_ends_in_error_and_spares_the_runner() -> None:
    """An exception does not kill the worker; the job ends as inconclusive."""
    store, job = MemoryStore(make_settings()), make_job()
    store.submit(job)
    with running(store, BrokenCompiler()):
        eventually(lambda: status_of(store, job.id).terminal, "the job's end")
    result = store.get_result(job.id)
    assert result is not None
    assert result.reason is Reason.INFRASTRUCTURE


def test_a_sign_tells_when_the_claiming_loop_went_round() -> None:
    """It is young while the runner waits for a store that is away, and grows old when a claim hangs."""
    away, signs = FlakyStore(make_settings()), list[float]()
    with running(away, SteeredCompiler(), leave_sign=signs.append):
        away.away = True
        eventually(lambda: len(signs) >= 5, "signs without a store")
    # A claim waits for a second, and a pause takes one at most; a busy machine has its own.
    assert max(signs) < 20
    stuck, signs = StuckStore(make_settings()), []
    with running(stuck, SteeredCompiler(), leave_sign=signs.append) as runner:
        stuck.stuck = True
        eventually(lambda: max(signs, default=0) > 2.5, "an old sign")
        signs.clear()
        runner.stop()
        eventually(lambda: signs[-3:] == [0.0] * 3, "signs of a runner that stops")
        stuck.stuck = False


def test_a_long_job_keeps_its_lease() -> None:
    """A job that takes several leases is renewed, and not given to another."""
    store, compiler, job = MemoryStore(make_settings(lease_seconds=0.4)), SteeredCompiler(), make_job()
    store.submit(job)
    with running(store, compiler, lease=0.4):
        eventually(lambda: compiler.running == 1, "the job at work")
        time.sleep(1.5)
        compiler.go.set()
        eventually(lambda: status_of(store, job.id) is Status.COMPLETED, "the job's end")
    assert compiler.started == [job.id]


@pytest.mark.parametrize("workers", [1, 3])
def test_jobs_of_one_worker_end_in_order(workers: int) -> None:
    """With one worker the jobs end in the order of their submission; with three all of them end."""
    store, compiler = MemoryStore(make_settings()), SteeredCompiler()
    compiler.go.set()
    jobs = [make_job() for _ in range(20)]
    for job in jobs:
        store.submit(job)
    with running(store, compiler, workers=workers):
        eventually(lambda: all(status_of(store, job.id).terminal for job in jobs), "the end of all")
    expected = [job.id for job in jobs]
    assert compiler.started == expected if workers == 1 else sorted(compiler.started) == sorted(expected)
