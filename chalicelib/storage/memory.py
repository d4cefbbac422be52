"""The job store in memory: for the embedded mode, where API and workers are one process.

It keeps the same contract as the Redis store, with the same words, and has one lock instead of scripts. Jobs
live as long as the process; that is why it is not allowed on Lambda.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chalicelib.models import Environment, Job, Matrix, Result, RunnerInfo, Status, Totals, utc_now
from chalicelib.settings import Settings
from chalicelib.storage.backpressure import batch_too_large, fits, queue_full, sources_full
from chalicelib.storage.protocol import Claim, Counts, SweepReport, count_ended
from chalicelib.storage.sources import pack


@dataclass(slots=True)
class _Record:
    """A job and what the store knows about it; times are those of the store's clock."""

    job: Job
    expires_at: float
    # What its source takes in Redis: the same request is turned away in both.
    size_bytes: int
    token: int = 0
    releases: int = 0
    lease_ends_at: float = 0.0

    @property
    def attempts(self) -> int:
        return self.token - self.releases


class MemoryStore:
    """`JobStore` in this process. `clock` gives seconds that never go back."""

    def __init__(self, settings: Settings, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._changed = threading.Condition()
        # In order of expiry: each write moves its record to the end, and all live equally long.
        self._records: OrderedDict[str, _Record] = OrderedDict()
        self._results: dict[str, Result] = {}
        # In order of delivery; the value is the time at which the job was queued.
        self._queue: OrderedDict[str, float] = OrderedDict()
        self._processing: set[str] = set()
        self._totals: dict[str, int] = {}
        # (matrix, expires at), in order of expiry.
        self._matrices: OrderedDict[str, tuple[Matrix, float]] = OrderedDict()
        self._registry = _RunnerRegistry(clock)

    def ping(self) -> None:
        """Memory can always be reached."""

    def close(self) -> None:
        """There are no connections."""

    # -- jobs and results

    def _touch(self, record: _Record) -> None:
        record.expires_at = self._clock() + self._settings.job_ttl_seconds
        self._records.move_to_end(record.job.id)

    def _update(self, record: _Record, status: Status, **changes: object) -> None:
        record.job = record.job.model_copy(update={"status": status, **changes})
        self._touch(record)
        self._changed.notify_all()

    def _expire(self) -> None:
        now = self._clock()
        while self._records:
            job_id, record = next(iter(self._records.items()))
            if record.expires_at > now:
                return
            del self._records[job_id]
            self._results.pop(job_id, None)
            self._queue.pop(job_id, None)
            self._processing.discard(job_id)

    def _expire_matrices(self) -> None:
        while self._matrices and next(iter(self._matrices.values()))[1] <= self._clock():
            self._matrices.popitem(last=False)

    def _record_of(self, job_id: str) -> _Record | None:
        self._expire()
        return self._records.get(job_id)

    def get(self, job_id: str) -> Job | None:
        with self._changed:
            record = self._record_of(job_id)
            return record.job if record else None

    def get_result(self, job_id: str) -> Result | None:
        with self._changed:
            self._expire()
            return self._results.get(job_id)

    def get_outlines(self, job_ids: Sequence[str]) -> tuple[Result | None, ...]:
        results = (self.get_result(job_id) for job_id in job_ids)
        return tuple(result and result.model_copy(update={"stdout": "", "stderr": ""}) for result in results)

    # -- queue

    def submit(self, job: Job) -> None:
        with self._changed:
            self._submit([job])

    def submit_matrix(self, matrix: Matrix, jobs: Sequence[Job]) -> None:
        if len(jobs) > self._settings.queue_size:
            raise batch_too_large(len(jobs), self._settings.queue_size)
        with self._changed:
            self._submit(jobs)
            self._expire_matrices()
            self._matrices[matrix.id] = matrix, self._clock() + self._settings.job_ttl_seconds

    def _submit(self, jobs: Sequence[Job]) -> None:
        """Queues those of the jobs that are not known yet: all of them or none."""
        self._expire()
        packed = pack([job.request for job in jobs])
        weights = dict(zip((job.id for job in jobs), packed.weights, strict=True))
        new = [job for job in jobs if job.id not in self._records]
        if len(new) == len(jobs):
            self._check_room(len(new), sum(packed.weights))
        for job in new:
            self._records[job.id] = _Record(job, 0.0, weights[job.id])
            self._touch(self._records[job.id])
            self._queue[job.id] = self._clock()
        self._changed.notify_all()

    def _check_room(self, new_jobs: int, new_bytes: int) -> None:
        """Raises `QueueFull` when there is no room for them."""
        waiting, queue_size = len(self._queue), self._settings.queue_size
        runners, totals = self._registry.runners(), Totals.of(self._totals)
        if waiting + new_jobs > queue_size:
            raise queue_full(waiting, queue_size, runners, totals, new_jobs=new_jobs)
        waiting_bytes = sum(self._records[job_id].size_bytes for job_id in self._queue)
        limit_bytes = self._settings.store_limit_bytes
        if not fits(new_bytes, waiting_bytes, limit_bytes):
            raise sources_full(waiting, waiting_bytes, limit_bytes, new_bytes, runners, totals)

    def get_matrix(self, matrix_id: str) -> Matrix | None:
        with self._changed:
            self._expire_matrices()
            matrix, _ = self._matrices.get(matrix_id, (None, 0.0))
            return matrix

    def claim(self, runner: str, block_seconds: float) -> Claim | None:
        deadline = time.monotonic() + block_seconds
        with self._changed:
            self._expire()
            while not self._queue:
                remaining_seconds = deadline - time.monotonic()
                if remaining_seconds <= 0:
                    return None
                self._changed.wait(remaining_seconds)
                self._expire()
            job_id, _ = self._queue.popitem(last=False)
            record = self._records[job_id]
            record.token += 1
            record.lease_ends_at = self._clock() + self._settings.lease_seconds
            self._processing.add(job_id)
            self._update(
                record, Status.PROCESSING, started_at=utc_now(), attempts=record.attempts, runner=runner
            )
            return Claim(job=record.job, token=record.token, attempts=record.attempts, runner=runner)

    def _held_by(self, claim: Claim) -> _Record | None:
        """The record of a job that this claim still holds."""
        record = self._record_of(claim.job.id)
        if record is None or claim.job.id not in self._processing or record.token != claim.token:
            return None
        return record

    def renew(self, runner: str, claims: Sequence[Claim]) -> frozenset[str]:
        with self._changed:
            lost = set()
            for claim in claims:
                record = self._held_by(claim)
                if record is None or claim.runner != runner:
                    lost.add(claim.job.id)
                else:
                    record.lease_ends_at = self._clock() + self._settings.lease_seconds
            return frozenset(lost)

    def release(self, claim: Claim) -> bool:
        with self._changed:
            record = self._held_by(claim)
            if record is None:
                return False
            record.releases += 1
            self._release(record)
            return True

    def _release(self, record: _Record) -> None:
        self._processing.discard(record.job.id)
        self._queue[record.job.id] = self._clock()
        self._update(record, Status.QUEUED, started_at=None, runner="", attempts=record.attempts)

    # -- end

    def complete(self, claim: Claim, result: Result) -> bool:
        with self._changed:
            record = self._held_by(claim)
            if record is None:
                ended = self._record_of(claim.job.id)
                # A retry of the call that ended the job counts as done.
                return bool(ended and ended.token == claim.token and ended.job.status is result.status)
            self._end(record, result.model_copy(update={"attempts": claim.attempts}))
            return True

    def _end(self, record: _Record, result: Result) -> None:
        job_id = record.job.id
        self._queue.pop(job_id, None)
        self._processing.discard(job_id)
        self._results[job_id] = result
        for name, value in ((result.status.value, 1), ("duration_ms", result.duration // 1_000_000)):
            self._totals[name] = self._totals.get(name, 0) + value
        self._update(record, result.status, completed_at=utc_now(), attempts=result.attempts)

    def cancel(self, job_id: str) -> Status | None:
        with self._changed:
            record = self._record_of(job_id)
            if record is None:
                return None
            if not record.job.status.terminal:
                self._end(record, Result.of_cancelled_job(job_id, attempts=record.attempts))
            return record.job.status

    def sweep(self) -> SweepReport:
        with self._changed:
            self._expire()
            now = self._clock()
            processing = [self._records[job_id] for job_id in self._processing]
            released = given_up = 0
            for record in processing:
                if record.lease_ends_at > now:
                    continue
                if record.attempts >= self._settings.max_attempts:
                    self._end(record, Result.of_used_up_attempts(record.job.id, record.attempts))
                    given_up += 1
                else:
                    self._release(record)
                    released += 1
            return SweepReport(released=released, given_up=given_up)

    # -- waiting

    def wait(self, job_id: str, seconds: float) -> Job | None:
        deadline = time.monotonic() + seconds
        with self._changed:
            while True:
                record = self._record_of(job_id)
                remaining_seconds = deadline - time.monotonic()
                if record is None or record.job.status.terminal or remaining_seconds <= 0:
                    return record.job if record else None
                self._changed.wait(remaining_seconds)

    def wait_all(self, job_ids: Sequence[str], enough: int, seconds: float) -> tuple[Status | None, ...]:
        deadline = time.monotonic() + seconds
        with self._changed:
            while True:
                records = [self._record_of(job_id) for job_id in job_ids]
                statuses = tuple(record.job.status if record else None for record in records)
                remaining_seconds = deadline - time.monotonic()
                if count_ended(statuses) >= enough or remaining_seconds <= 0:
                    return statuses
                self._changed.wait(remaining_seconds)

    # -- runners

    def counts(self) -> Counts:
        with self._changed:
            self._expire()
            by_status = dict.fromkeys(Status, 0)
            for record in self._records.values():
                by_status[record.job.status] += 1
            queued_at = next(iter(self._queue.values()), None)
            age_seconds = 0.0 if queued_at is None else max(0.0, self._clock() - queued_at)
            return Counts(by_status, Totals.of(self._totals), oldest_queued_seconds=age_seconds)

    def register(self, runner: RunnerInfo, environments: Sequence[Environment], ttl_seconds: float) -> None:
        with self._changed:
            self._registry.register(runner, environments, ttl_seconds)
            self._changed.notify_all()

    def unregister(self, runner_id: str) -> None:
        with self._changed:
            self._registry.unregister(runner_id)

    def runners(self) -> tuple[RunnerInfo, ...]:
        with self._changed:
            return self._registry.runners()

    def environments(self) -> tuple[Environment, ...]:
        with self._changed:
            return self._registry.environments()


@dataclass(frozen=True, slots=True)
class _Registration:
    runner: RunnerInfo
    environments: tuple[Environment, ...]
    expires_at: float


class _RunnerRegistry:
    """The runners' part of the store, without a lock of its own: the store holds one around each call."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._registrations: dict[str, _Registration] = {}
        self._last_environments: tuple[Environment, ...] = ()

    def register(self, runner: RunnerInfo, environments: Sequence[Environment], ttl_seconds: float) -> None:
        self._last_environments = tuple(environments)
        expires_at = self._clock() + ttl_seconds
        self._registrations[runner.id] = _Registration(runner, self._last_environments, expires_at)

    def unregister(self, runner_id: str) -> None:
        self._registrations.pop(runner_id, None)

    def runners(self) -> tuple[RunnerInfo, ...]:
        now = self._clock()
        for runner_id, registration in list(self._registrations.items()):
            if registration.expires_at <= now:
                del self._registrations[runner_id]
        return tuple(self._registrations[runner_id].runner for runner_id in sorted(self._registrations))

    def environments(self) -> tuple[Environment, ...]:
        self.runners()  # removes those that have run out
        registered = [registration.environments for registration in self._registrations.values()]
        listings = registered or [self._last_environments]
        known = {(item.language, item.id): item for listing in listings for item in listing}
        return tuple(known[identity] for identity in sorted(known))
