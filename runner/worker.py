"""The runner's loop: claim → compile → complete, with renewals and a graceful stop.

Threads: one claims (only while a slot is free, so that no job waits inside a runner), up to
MAX_WORKERS compile, one keeps time (renews leases, registers, sweeps). All state that they
share is `_active`, under one lock. When the store is away nothing is lost: claiming pauses,
finished results are kept and offered again until the store is back.
"""

import functools
import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from chalicelib.errors import StoreError
from chalicelib.models import CompileRequest, Environment, Reason, Result, RunnerInfo
from chalicelib.storage.protocol import Claim, JobStore
from runner.task_protection import NoProtection

logger = logging.getLogger("will_it_compile.runner")

# Of our own: whoever seeds the generator of the module counts on being its only user.
_jitter = random.Random()  # noqa: S311 -- no secret

# How long one read waits for a job: a stop is noticed as soon.
CLAIM_BLOCK_SECONDS = 1.0
# A cancelled compile must be dead within a second: its runner asks twice as often.
RENEW_SECONDS = 0.4
# Pauses while the store is away: soon enough to notice its return, too rare to hinder it.
SHORTEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.2, 3.0
# An registration outlives a few lost renewals, like a lease.
REGISTRATIONS_PER_TTL = 3


class CompilesJobs(Protocol):
    """What the worker needs of a compiler; `runner.executor.JobExecutor` is the real one."""

    def compile(
        self,
        job_id: str,
        request: CompileRequest,
        *,
        attempts: int = 1,
        cancel: threading.Event | None = None,
    ) -> Result:
        """One job to one result; never raises for what a job did."""
        ...


class ProtectsTask(Protocol):
    """What hears when a job is at work; `runner.task_protection.TaskProtection` is the real one."""

    def job_began(self) -> None:
        """Returns at once."""
        ...

    def job_ended(self) -> None:
        """Returns at once."""
        ...


@dataclass(eq=False, slots=True)
class _Active:
    """A job that is being compiled here. `cancel` ends its compiler."""

    claim: Claim
    cancel: threading.Event = field(default_factory=threading.Event)
    # Its compiler has ended and its result is being offered.
    completing: bool = False


class Runner:
    """Works for one store until it is stopped."""

    def __init__(
        self,
        store: JobStore,
        compiler: CompilesJobs,
        info: RunnerInfo,
        environments: Sequence[Environment],
        *,
        lease_seconds: float,
        stop_grace_seconds: float,
        protection: ProtectsTask | None = None,
        leave_sign: Callable[[float], None] | None = None,
    ) -> None:
        """`leave_sign` is told at each renewal how many seconds ago the claiming loop went round."""
        self._store = store
        self._compiler = compiler
        self._info = info
        self._environments = tuple(environments)
        self._renew_seconds = min(RENEW_SECONDS, lease_seconds / 4)
        self._register_seconds = lease_seconds / REGISTRATIONS_PER_TTL
        self._registration_ttl_seconds = lease_seconds
        self._stop_grace_seconds = stop_grace_seconds
        self._protection = protection or NoProtection()
        self._leave_sign = leave_sign or (lambda _age_seconds: None)
        self._went_round_at = time.monotonic()
        self._slots = threading.Semaphore(info.max_workers)
        self._lock = threading.Lock()
        self._active: dict[str, _Active] = {}
        self._workers: set[threading.Thread] = set()
        self._stopping = threading.Event()
        self._done = threading.Event()
        self._away = False

    def run(self) -> None:
        """Claims and compiles until `stop` is called; returns when all work is finished or handed back."""
        # Daemon threads: a process that is told twice to stop need not wait for them.
        timekeeper = threading.Thread(target=self._keep_time, name="timekeeper", daemon=True)
        timekeeper.start()
        logger.info("runner %s: ready, %d workers", self._info.id, self._info.max_workers)
        while not self._stopping.is_set():
            self._went_round_at = time.monotonic()
            self._claim_one()
        self._finish_up()
        self._done.set()
        timekeeper.join()
        self._quietly(lambda: self._store.unregister(self._info.id))
        logger.info("runner %s: stopped", self._info.id)

    def stop(self) -> None:
        """Asks `run` to end: no more claims; what does not finish in time is handed back. Idempotent."""
        self._stopping.set()

    # -- claiming

    def _claim_one(self) -> None:
        if not self._slots.acquire(timeout=CLAIM_BLOCK_SECONDS):
            return
        claim = self._try(lambda: self._store.claim(self._info.id, CLAIM_BLOCK_SECONDS))
        if claim is None:
            self._slots.release()
            return
        active = _Active(claim)
        worker = threading.Thread(target=self._work, args=(active,), name=f"job-{claim.job.id}", daemon=True)
        with self._lock:
            self._active[claim.job.id] = active
            self._workers.add(worker)
        self._protection.job_began()
        worker.start()

    def _try(self, call: Callable[[], Claim | None]) -> Claim | None:
        """Calls the store; when it is away: one log line, a pause, and None."""
        try:
            answer = call()
        except StoreError as error:
            if not self._away:
                logger.error("runner %s: %s; trying again until it is back", self._info.id, error.message)
            self._away = True
            jitter = _jitter.uniform(1, 5)
            self._stopping.wait(jitter * SHORTEST_PAUSE_SECONDS)
            return None
        if self._away:
            logger.info("runner %s: the store is back", self._info.id)
        self._away = False
        return answer

    def _quietly(self, call: Callable[[], object]) -> None:
        """Calls the store for something that will be tried again anyway."""
        try:
            call()
        except StoreError as error:
            logger.debug("runner %s: %s", self._info.id, error.message)

    # -- one job

    def _work(self, active: _Active) -> None:
        claim = active.claim
        try:
            result = self._compile(active)
            active.completing = not active.cancel.is_set()
            if active.completing:
                self._complete(active, result)
        finally:
            with self._lock:
                self._active.pop(claim.job.id, None)
                self._workers.discard(threading.current_thread())
            self._protection.job_ended()
            self._slots.release()

    def _compile(self, active: _Active) -> Result:
        claim = active.claim
        try:
            return self._compiler.compile(
                claim.job.id, claim.job.request, attempts=claim.attempts, cancel=active.cancel
            )
        except Exception:
            logger.exception("job %s: the compiler failed in an unforeseen way", claim.job.id)
            sentence = "the runner failed while compiling this job; this has been logged"
            return Result.inconclusive(claim.job.id, Reason.INFRASTRUCTURE, sentence)

    def _complete(self, active: _Active, result: Result) -> None:
        """Offers the result until the store takes or refuses it."""
        claim = active.claim
        pause_seconds = SHORTEST_PAUSE_SECONDS
        counted = None
        while counted is None:
            try:
                counted = self._store.complete(claim, result)
            except StoreError as error:
                logger.warning(
                    "job %s: its result is kept and offered again: %s", claim.job.id, error.message
                )
                jitter = _jitter.uniform(0.5, 1.0)
                if active.cancel.wait(jitter * pause_seconds):
                    return
                pause_seconds = min(LONGEST_PAUSE_SECONDS, 2 * pause_seconds)
        if counted:
            logger.info(
                "job %s: %s in %d ms (%s, attempt %d)",
                claim.job.id,
                result.reason or result.verdict,
                result.duration // 1_000_000,
                claim.job.request.compiler,
                claim.attempts,
            )
        else:
            logger.warning("job %s: its result came too late and was refused", claim.job.id)

    # -- keeping time

    def _keep_time(self) -> None:
        register_at = 0.0
        while not self._done.wait(self._renew_seconds):
            # A stop has its own bound: whoever asked for it kills what takes longer.
            self._leave_sign(0.0 if self._stopping.is_set() else time.monotonic() - self._went_round_at)
            self._quietly(self._renew)
            now = time.monotonic()
            if now >= register_at:
                register_at = now + self._register_seconds
                self._quietly(self._register)
                self._quietly(self._sweep)

    def _renew(self) -> None:
        with self._lock:
            active = dict(self._active)
        if not active:
            return
        lost = self._store.renew(self._info.id, [item.claim for item in active.values()])
        for job_id in lost:
            if active[job_id].completing:
                continue  # ended just now; if it was lost, `complete` says so
            logger.info("job %s: cancelled, or given to another runner: its compiler is ended", job_id)
            active[job_id].cancel.set()

    def _register(self) -> None:
        with self._lock:
            active_workers = len(self._active)
        info = self._info.model_copy(update={"active_workers": active_workers})
        self._store.register(info, self._environments, self._registration_ttl_seconds)

    def _sweep(self) -> None:
        report = self._store.sweep()
        if report.fixed:
            logger.info("sweep: %s", report)

    # -- stopping

    def _finish_up(self) -> None:
        """Waits for what runs; hands back what does not end in time."""
        deadline = time.monotonic() + self._stop_grace_seconds
        with self._lock:
            workers = list(self._workers)
        if workers:
            logger.info("runner %s: stopping; %d jobs still run", self._info.id, len(workers))
        for worker in workers:
            worker.join(max(0.0, deadline - time.monotonic()))
        with self._lock:
            remaining = list(self._active.values())
        for active in remaining:
            active.cancel.set()
        for worker in workers:
            worker.join(CLAIM_BLOCK_SECONDS)
        for active in remaining:
            self._quietly(functools.partial(self._hand_back, active.claim))

    def _hand_back(self, claim: Claim) -> None:
        if self._store.release(claim):
            logger.info("job %s: handed back", claim.job.id)
