"""The runner's loop with the store in memory, and with a compiler that the test controls."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest

from chalicelib.errors import StoreError, StoreUnavailable
from chalicelib.models import Environment, Reason, Result, RunnerInfo, Status
from chalicelib.storage.memory import MemoryStore
from chalicelib.storage.protocol import Claim, SweepReport
from runner.worker import Runner, TimekeeperDied
from tests.support.factories import make_environment, make_job, make_result, make_runner, make_settings
from tests.support.servers import wait_until


class SteeredCompiler:
    """In place of `JobExecutor.compile_claim`: returns when `go` is set, or as soon as it is cancelled."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.started: list[str] = []
        self.cancelled: list[str] = []
        self.running = 0
        self.most_running = 0
        self._lock = threading.Lock()

    def __call__(self, claim: Claim, cancel: threading.Event) -> Result:
        """The result "compiles"."""
        job_id = claim.job.id
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
        return make_result(job_id, attempts=claim.attempts)


class BrokenCompiler(SteeredCompiler):
    """Raises, which it must not do."""

    def __call__(self, claim: Claim, cancel: threading.Event) -> Result:
        """Always fails."""
        raise RuntimeError("a defect")


class FlakyStore(MemoryStore):
    """A store in memory that cannot be reached while `away` is set."""

    away = False

    def claim(self, runner: str, block_seconds: float) -> Claim | None:
        """Raises while `away` is set."""
        if self.away:
            raise StoreUnavailable("away")
        return super().claim(runner, block_seconds)

    def complete(self, claim: Claim, result: Result) -> bool:
        """Raises while `away` is set."""
        if self.away:
            raise StoreUnavailable("away")
        return super().complete(claim, result)


class StuckStore(MemoryStore):
    """A store whose claims hang while `stuck` is set."""

    stuck = False

    def claim(self, runner: str, block_seconds: float) -> Claim | None:
        """Hangs while `stuck` is set."""
        while self.stuck:
            time.sleep(0.01)
        return super().claim(runner, block_seconds)


class DenyingStore(MemoryStore):
    """A store that lets no runner register while `denies` is set, and gives jobs all the same."""

    denies = True

    def register(self, runner: RunnerInfo, environments: Sequence[Environment], ttl_seconds: float) -> None:
        """Raises what Redis's refusal of a command becomes."""
        if self.denies:
            raise StoreError("Redis at localhost:6379 refused a command: not allowed from script")
        super().register(runner, environments, ttl_seconds)


class DefectiveStore(MemoryStore):
    """A store of which each method fails a few times with an exception of another kind than ours."""

    def __init__(self, failures: int) -> None:
        super().__init__(make_settings())
        self._failures = dict.fromkeys(("claim", "renew", "register", "sweep", "complete"), failures)

    def _fail(self, method: str) -> None:
        if self._failures[method] > 0:
            self._failures[method] -= 1
            raise ValueError(f"a defect of {method}")

    def claim(self, runner: str, block_seconds: float) -> Claim | None:
        """Fails first."""
        self._fail("claim")
        return super().claim(runner, block_seconds)

    def renew(self, runner: str, claims: Sequence[Claim]) -> frozenset[str]:
        """Fails first."""
        self._fail("renew")
        return super().renew(runner, claims)

    def register(self, runner: RunnerInfo, environments: Sequence[Environment], ttl_seconds: float) -> None:
        """Fails first."""
        self._fail("register")
        super().register(runner, environments, ttl_seconds)

    def sweep(self) -> SweepReport:
        """Fails first."""
        self._fail("sweep")
        return super().sweep()

    def complete(self, claim: Claim, result: Result) -> bool:
        """Fails first."""
        self._fail("complete")
        return super().complete(claim, result)


@contextmanager
def running(
    store: MemoryStore,
    compiler: SteeredCompiler,
    *,
    workers: int = 2,
    lease: float = 15,
    touch_alive: Callable[[float], None] | None = None,
) -> Iterator[Runner]:
    """A running runner; it is stopped at the end."""
    runner = Runner(
        store,
        compiler,
        make_runner(max_workers=workers),
        [make_environment()],
        lease_seconds=lease,
        stop_grace_seconds=8,
        touch_alive=touch_alive,
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
    """The current status."""
    job = store.get(job_id)
    assert job is not None
    return job.status


def test_it_registers_and_unregisters() -> None:
    """A runner is registered with what it offers while it runs, and not after it has stopped."""
    store = MemoryStore(make_settings())
    with running(store, SteeredCompiler()):
        eventually(lambda: len(store.runners()) == 1, "the registration")
        assert store.environments() == (make_environment(),)
    assert store.runners() == ()


def test_it_never_claims_more_than_it_has_workers_for() -> None:
    """With two workers the third job waits in the queue, where another runner could claim it."""
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
    """Its compiler is ended, and the result that it returns does not count."""
    store, compiler, job = MemoryStore(make_settings()), SteeredCompiler(), make_job()
    store.submit(job)
    with running(store, compiler):
        eventually(lambda: compiler.running == 1, "the job at work")
        store.cancel(job.id)
        cancelled_at = time.monotonic()
        eventually(lambda: compiler.cancelled == [job.id], "the compiler's end")
        assert time.monotonic() - cancelled_at < 1.0
    assert status_of(store, job.id) is Status.CANCELLED


def test_a_stop_lets_a_running_job_complete() -> None:
    """A job that ends within the grace period is completed, not released."""
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
    # One more claim may have been under way when the stop came.
    assert len(compiler.started) <= 2


def test_a_stop_releases_a_job_that_does_not_complete() -> None:
    """After the grace period its compiler is ended and it is queued again; the attempt does not count."""
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


def test_a_result_survives_while_the_store_cannot_be_reached() -> None:
    """The result is kept, and sent again until the store accepts it."""
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


def test_an_exception_ends_the_job_but_not_the_runner() -> None:
    """A defect in the executor makes the result inconclusive, and the worker goes on."""
    store, job = MemoryStore(make_settings()), make_job()
    store.submit(job)
    with running(store, BrokenCompiler()):
        eventually(lambda: status_of(store, job.id).terminal, "the job's end")
    result = store.get_result(job.id)
    assert result is not None
    assert result.reason is Reason.INFRASTRUCTURE


def test_both_loops_survive_any_exception(caplog: pytest.LogCaptureFixture) -> None:
    """Each step fails once and is done in the next round; a job whose result was not stored is done again."""
    store, compiler, job = DefectiveStore(1), SteeredCompiler(), make_job()
    store.submit(job)
    compiler.go.set()
    with running(store, compiler, lease=0.6):
        eventually(lambda: len(store.runners()) == 1, "the registration")
        eventually(lambda: len(compiler.started) == 1, "the claim")
    records = [record for record in caplog.records if record.exc_info]
    assert {str(record.exc_info[1]) for record in records if record.exc_info} >= {
        f"a defect of {method}" for method in ("claim", "register", "complete")
    }


def test_a_defect_that_stays_is_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    """Registering fails in every round: one stack trace, however many rounds there are."""
    store, ages = DefectiveStore(1000), list[float]()
    with running(store, SteeredCompiler(), lease=0.1, touch_alive=ages.append):
        eventually(lambda: len(ages) >= 12, "a dozen rounds")
    messages = [record.getMessage() for record in caplog.records]
    assert sum("registering failed unexpectedly" in message for message in messages) == 1
    assert sum("claiming failed unexpectedly" in message for message in messages) == 1


def test_a_runner_that_cannot_register_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    """At warning, with the store's words, and again when it fails after it worked."""

    def warnings() -> int:
        return sum(
            record.levelname == "WARNING" and "registering failed" in record.getMessage()
            for record in caplog.records
        )

    store, ages = DenyingStore(make_settings()), list[float]()
    with running(store, SteeredCompiler(), lease=0.1, touch_alive=ages.append):
        eventually(lambda: len(ages) >= 12, "a dozen rounds")
        assert warnings() == 1
        store.denies = False
        eventually(lambda: len(store.runners()) == 1, "the registration")
        store.denies = True
        eventually(lambda: warnings() == 2, "the second warning")
    assert "not allowed from script" in caplog.text


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_runner_ends_with_its_timekeeper() -> None:
    """When the timekeeper dies, `run` releases the running job and raises, and nothing reports it alive."""

    class EndOfThread(BaseException):
        """What no loop catches."""

    store, compiler, job = MemoryStore(make_settings()), SteeredCompiler(), make_job()
    store.submit(job)
    rounds = list[float]()

    def touch_alive(age_seconds: float) -> None:
        rounds.append(age_seconds)
        if compiler.running:
            raise EndOfThread

    runner = Runner(
        store,
        compiler,
        make_runner(),
        [],
        lease_seconds=15,
        stop_grace_seconds=60,
        touch_alive=touch_alive,
    )
    with pytest.raises(TimekeeperDied):
        runner.run()
    assert compiler.cancelled == [job.id]
    assert status_of(store, job.id) is Status.QUEUED
    reported = len(rounds)
    time.sleep(0.5)
    assert len(rounds) == reported


def test_the_age_of_the_last_round_is_reported() -> None:
    """It stays low while the runner waits for a store that is away, and grows when a claim hangs."""
    away, ages = FlakyStore(make_settings()), list[float]()
    with running(away, SteeredCompiler(), touch_alive=ages.append):
        away.away = True
        eventually(lambda: len(ages) >= 5, "reports without a store")
    # A claim waits for a second and a pause takes at most another one; the rest is for a busy machine.
    assert max(ages) < 20
    stuck, ages = StuckStore(make_settings()), []
    with running(stuck, SteeredCompiler(), touch_alive=ages.append) as runner:
        stuck.stuck = True
        eventually(lambda: max(ages, default=0) > 2.5, "a high age")
        ages.clear()
        runner.stop()
        eventually(lambda: ages[-3:] == [0.0] * 3, "reports of a runner that stops")
        stuck.stuck = False


def test_a_long_job_keeps_its_lease() -> None:
    """A job that takes several lease times is renewed, and no other runner gets it."""
    store, compiler, job = MemoryStore(make_settings(lease_seconds=0.4)), SteeredCompiler(), make_job()
    store.submit(job)
    with running(store, compiler, lease=0.4):
        eventually(lambda: compiler.running == 1, "the job at work")
        time.sleep(1.5)
        compiler.go.set()
        eventually(lambda: status_of(store, job.id) is Status.COMPLETED, "the job's end")
    assert compiler.started == [job.id]


@pytest.mark.parametrize("workers", [1, 3])
def test_one_worker_runs_jobs_in_order(workers: int) -> None:
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
