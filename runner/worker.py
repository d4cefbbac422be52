"""The runner's loop: claim → compile → complete, with renewals and a graceful stop.

Threads: one claims (only while a slot is free, so that no job waits inside a runner), up to MAX_WORKERS
compile, and the timekeeper renews leases, registers and sweeps. All state that they share is `_active`,
under one lock. When the store cannot be reached nothing is lost: claiming pauses, and results are kept
and sent again until the store is back.

Both loops survive whatever is raised in one of their rounds: it is logged, and the next round comes. Should
the timekeeper end all the same, so does `run`, with `TimekeeperDied`: a runner that renews nothing must be
started again.
"""

import functools
import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from chalicelib.errors import StoreError
from chalicelib.models import Environment, Reason, Result, RunnerInfo, UntestedCompiler
from chalicelib.outages import Outages
from chalicelib.storage.protocol import Claim, JobStore
from runner.task_protection import NoProtection, TaskProtection

logger = logging.getLogger("will_it_compile.runner")

# Own instance: seeding the global generator elsewhere must not affect it.
_jitter = random.Random()  # noqa: S311 -- no secret

# How long one read waits for a job; a stop is noticed within this time.
CLAIM_BLOCK_SECONDS = 1.0
# A cancelled compile must be dead within a second, so its runner asks more than twice as often.
RENEW_SECONDS = 0.4
# Pauses while the store cannot be reached: short enough to notice its return, long enough not to hinder it.
SHORTEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.2, 3.0
# A registration survives a few lost renewals, like a lease.
REGISTRATIONS_PER_TTL = 3
# A defect shows in every round, that is twice a second: one stack trace a minute says as much.
LOG_AGAIN_SECONDS = 60.0


class TimekeeperDied(RuntimeError):
    """The thread that renews leases has ended; what holds the runner must end as well."""


@dataclass(eq=False, slots=True)
class _Active:
    """A claimed job that is being compiled here. `cancel` ends its compiler."""

    claim: Claim
    cancel: threading.Event = field(default_factory=threading.Event)
    # Its compiler has ended and its result is being stored.
    completing: bool = False


class Runner:
    """Claims and compiles jobs of one store until it is stopped."""

    def __init__(
        self,
        store: JobStore,
        compile_claim: Callable[[Claim, threading.Event], Result],
        info: RunnerInfo,
        environments: Sequence[Environment] | None,
        *,
        lease_seconds: float,
        stop_grace_seconds: float,
        protection: TaskProtection | NoProtection | None = None,
        touch_alive: Callable[[float], None] | None = None,
    ) -> None:
        """Prepare a runner; `run` starts it.

        Without `environments` it claims nothing before `offer` was called. `compile_claim` compiles the job
        of a claim and ends early when the event is set; it raises nothing for what a job did. `protection`
        counts the jobs that start and end. `touch_alive` is called at each renewal with the seconds since
        the claiming loop last completed a round.
        """
        self._store = store
        self._compile_claim = compile_claim
        self._info = info
        self._environments = tuple(environments or ())
        self._untested: tuple[UntestedCompiler, ...] = ()
        self._offers = threading.Event()
        if environments is not None:
            self._offers.set()
        self._register_at = 0.0
        self._renew_seconds = min(RENEW_SECONDS, lease_seconds / 4)
        self._register_seconds = lease_seconds / REGISTRATIONS_PER_TTL
        self._registration_ttl_seconds = lease_seconds
        self._stop_grace_seconds = stop_grace_seconds
        self._protection = protection or NoProtection()
        self._touch_alive = touch_alive or (lambda _age_seconds: None)
        self._last_round_at = time.monotonic()
        self._slots = threading.Semaphore(info.max_workers)
        self._lock = threading.Lock()
        self._active: dict[str, _Active] = {}
        self._workers: set[threading.Thread] = set()
        self._stopping = threading.Event()
        self._done = threading.Event()
        self._outages = Outages(logger, over="%s is back")
        # What failed unexpectedly, and when it was last logged.
        self._logged_at: dict[str, float] = {}

    def run(self) -> None:
        """Claim and compile until `stop` is called; returns when all jobs are completed or released.

        Raises `TimekeeperDied` when it can renew no lease any more; the running jobs are released first.
        """
        # Daemon threads: a process that gets a second signal need not wait for them.
        timekeeper = threading.Thread(target=self._keep_time, name="timekeeper", daemon=True)
        timekeeper.start()
        while not self._offers.wait(CLAIM_BLOCK_SECONDS) and not self._stopping.is_set():
            self._last_round_at = time.monotonic()
        if not self._stopping.is_set():
            logger.info("runner %s: ready, %d workers", self._info.id, self._info.max_workers)
        died = False
        while not self._stopping.is_set() and not died:
            self._last_round_at = time.monotonic()
            try:
                self._claim_one()
            except Exception as error:  # noqa: BLE001 -- no job, and nothing in the store, ends a runner
                self._log_defect("claiming", error)
                self._stopping.wait(LONGEST_PAUSE_SECONDS)
            died = not timekeeper.is_alive()
        self._drain(0.0 if died else self._stop_grace_seconds)
        self._done.set()
        timekeeper.join()
        self._quietly("unregistering", lambda: self._store.unregister(self._info.id))
        if died:
            raise TimekeeperDied("the thread that renews the leases has ended: the log says why")
        logger.info("runner %s: stopped", self._info.id)

    def offer(self, environments: Sequence[Environment], untested: Sequence[UntestedCompiler] = ()) -> None:
        """Register these compilers from now on, and that the others are still tested."""
        with self._lock:
            self._environments, self._untested = tuple(environments), tuple(untested)
        self._register_at = 0.0  # in the timekeeper's next round
        if environments:
            self._offers.set()

    def stop(self) -> None:
        """Ask `run` to end: no more claims; jobs that do not complete in time are released. Idempotent."""
        self._stopping.set()
        self._offers.set()

    # -- claiming

    def _claim_one(self) -> None:
        if not self._slots.acquire(timeout=CLAIM_BLOCK_SECONDS):
            return
        try:
            claim = self._claim()
        except Exception:
            self._slots.release()
            raise
        if claim is None:
            self._slots.release()
            return
        active = _Active(claim)
        worker = threading.Thread(target=self._work, args=(active,), name=f"job-{claim.job.id}", daemon=True)
        with self._lock:
            self._active[claim.job.id] = active
            self._workers.add(worker)
        self._protection.job_started()
        try:
            worker.start()
        except RuntimeError:  # this process may start no more threads
            self._forget(active, worker)
            self._release(claim)
            raise

    def _claim(self) -> Claim | None:
        """A claim, or None. When the store cannot be reached: one log line, a pause, and None."""
        try:
            claim = self._store.claim(self._info.id, CLAIM_BLOCK_SECONDS)
        except StoreError as error:
            self._store_failed(
                "claiming", f"cannot claim jobs: {error.message}; trying again until Redis answers"
            )
            jitter = _jitter.uniform(1, 5)
            self._stopping.wait(jitter * SHORTEST_PAUSE_SECONDS)
            return None
        self._outages.worked("claiming")
        return claim

    def _store_failed(self, by: str, message: str) -> None:
        """Log it once, whichever step notices it: all of them fail while Redis is away."""
        self._outages.failed(f"runner {self._info.id}: the store", by, message)

    def _quietly(self, what: str, call: Callable[[], object]) -> None:
        """Call the store for something that will be tried again anyway."""
        try:
            call()
        except StoreError as error:
            self._store_failed(what, f"{what} failed: {error.message}; trying again")
        except Exception as error:  # noqa: BLE001 -- the other steps of a round must come all the same
            self._log_defect(what, error)
        else:
            self._outages.worked(what)

    def _log_defect(self, what: str, error: Exception) -> None:
        """Log an unexpected exception, unless the same step failed a moment ago."""
        now = time.monotonic()
        if now - self._logged_at.get(what, -LOG_AGAIN_SECONDS) >= LOG_AGAIN_SECONDS:
            self._logged_at[what] = now
            logger.error(
                "runner %s: %s failed unexpectedly, and is tried again; this is a defect: please report it",
                self._info.id,
                what,
                exc_info=error,
            )

    # -- one job

    def _work(self, active: _Active) -> None:
        claim = active.claim
        try:
            result = self._compile(active)
            active.completing = not active.cancel.is_set()
            if active.completing:
                self._complete(active, result)
        except Exception:
            # Its lease runs out, and the sweep gives it to another runner, or ends it.
            logger.exception("job %s: its result could not be stored; its lease will run out", claim.job.id)
        finally:
            self._forget(active, threading.current_thread())

    def _forget(self, active: _Active, worker: threading.Thread) -> None:
        with self._lock:
            self._active.pop(active.claim.job.id, None)
            self._workers.discard(worker)
        self._protection.job_ended()
        self._slots.release()

    def _compile(self, active: _Active) -> Result:
        claim = active.claim
        try:
            return self._compile_claim(claim, active.cancel)
        except Exception:
            logger.exception("job %s: unexpected failure, the job ends without a verdict", claim.job.id)
            sentence = "The runner failed while compiling this job; its log says more."
            return Result.inconclusive(claim.job.id, Reason.INFRASTRUCTURE, sentence)

    def _complete(self, active: _Active, result: Result) -> None:
        """Send the result until the store takes it, or says that the claim is not valid any more."""
        claim, step = active.claim, f"completing {active.claim.job.id}"
        pause_seconds = SHORTEST_PAUSE_SECONDS
        completed = None
        while completed is None:
            try:
                completed = self._store.complete(claim, result)
            except StoreError as error:
                self._store_failed(
                    step, f"job {claim.job.id}: its result is not stored yet, trying again: {error.message}"
                )
                jitter = _jitter.uniform(0.5, 1.0)
                if active.cancel.wait(jitter * pause_seconds):
                    return
                pause_seconds = min(LONGEST_PAUSE_SECONDS, 2 * pause_seconds)
        self._outages.worked(step)
        if completed:
            logger.info(
                "job %s: %s in %d ms (%s, attempt %d)",
                claim.job.id,
                result.reason or result.verdict,
                result.duration // 1_000_000,
                claim.job.request.compiler,
                claim.attempts,
            )
        else:
            logger.warning(
                "job %s: its result is dropped: the job was cancelled, or its lease had expired", claim.job.id
            )

    # -- keeping time

    def _keep_time(self) -> None:
        while not self._done.wait(self._renew_seconds):
            self._quietly("showing that it is alive", self._show_alive)
            self._quietly("renewing", self._renew)
            now = time.monotonic()
            if now >= self._register_at:
                self._register_at = now + self._register_seconds
                self._quietly("registering", self._register)
                self._quietly("sweeping", self._sweep)

    def _show_alive(self) -> None:
        # While stopping there are no rounds; the stop has a time limit of its own.
        self._touch_alive(0.0 if self._stopping.is_set() else time.monotonic() - self._last_round_at)

    def _renew(self) -> None:
        with self._lock:
            active = dict(self._active)
        if not active:
            return
        lost = self._store.renew(self._info.id, [item.claim for item in active.values()])
        for job_id in lost:
            if active[job_id].completing:
                continue  # it has just ended; if it was lost, `complete` says so
            logger.info("job %s: cancelled, or claimed by another runner: ending its compiler", job_id)
            active[job_id].cancel.set()

    def _register(self) -> None:
        with self._lock:
            active_workers = len(self._active)
            environments, untested = self._environments, self._untested
        if untested and not self._offers_all_that_is_known(environments):
            return
        info = self._info.model_copy(update={"active_workers": active_workers, "untested": untested})
        self._store.register(info, environments, self._registration_ttl_seconds)

    def _offers_all_that_is_known(self, environments: Sequence[Environment]) -> bool:
        """Whether registering these hides nothing.

        While no runner lives, clients can ask for what was registered last, and those jobs wait for this
        runner. A list with the few compilers that have passed so far would replace that one.
        """
        offered = {(item.language, item.id) for item in environments}
        return all((item.language, item.id) in offered for item in self._store.environments())

    def _sweep(self) -> None:
        report = self._store.sweep()
        if report.fixed:
            logger.info("sweep: %s", report)

    # -- stopping

    def _drain(self, grace_seconds: float) -> None:
        """Wait for the running jobs; release those that do not complete in time."""
        deadline = time.monotonic() + grace_seconds
        with self._lock:
            workers = list(self._workers)
        if workers:
            logger.info(
                "runner %s: stopping, waits up to %g s for %d running jobs",
                self._info.id,
                grace_seconds,
                len(workers),
            )
        for worker in workers:
            worker.join(max(0.0, deadline - time.monotonic()))
        with self._lock:
            remaining = list(self._active.values())
        for active in remaining:
            active.cancel.set()
        for worker in workers:
            worker.join(CLAIM_BLOCK_SECONDS)
        for active in remaining:
            self._quietly("releasing", functools.partial(self._release, active.claim))

    def _release(self, claim: Claim) -> None:
        if self._store.release(claim):
            logger.info("job %s: released, another runner will claim it", claim.job.id)
