"""The job store in memory: for the embedded mode, where API and workers are one process.

The same contract as the Redis store with the same words for the same things, and one lock
instead of scripts. Jobs live as long as the process; that is why a Lambda refuses it.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chalicelib.matrix.model import Matrix
from chalicelib.models import Environment, Job, Result, RunnerInfo, Status, Totals, utc_now
from chalicelib.settings import Settings
from chalicelib.storage.endings import attempts_used_up, cancelled, ended_among, never_fits, queue_full
from chalicelib.storage.memory_runners import MemoryRunners
from chalicelib.storage.protocol import Claim, Counts, SweepReport


@dataclass(slots=True)
class _Record:
    """A job and what the store knows of it; times are of the store's clock."""

    job: Job
    expires_at: float
    result: Result | None = None
    token: int = 0
    returned: int = 0
    lease_ends_at: float = 0.0

    @property
    def attempts(self) -> int:
        return self.token - self.returned


class MemoryStore:
    """`JobStore` in this process. `clock` gives seconds that never go back."""

    def __init__(self, settings: Settings, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._changed = threading.Condition()
        # In order of expiry: each write moves its record to the end, and all live equally long.
        self._records: OrderedDict[str, _Record] = OrderedDict()
        self._results: dict[str, Result] = {}
        # In order of delivery: since when each waits.
        self._queue: OrderedDict[str, float] = OrderedDict()
        self._processing: set[str] = set()
        self._totals: dict[str, int] = {}
        # (matrix, expires at), in order of expiry.
        self._matrices: OrderedDict[str, tuple[Matrix, float]] = OrderedDict()
        self._runners = MemoryRunners(clock)

    def ping(self) -> None:
        """Memory is always there."""

    def close(self) -> None:
        """Nothing to release."""

    # -- records

    def store(self, job: Job) -> None:
        with self._changed:
            self._expire()
            self._put(job)

    def _put(self, job: Job) -> _Record:
        record = self._records.get(job.id)
        if record is None:
            record = self._records[job.id] = _Record(job, 0.0)
        record.job = job
        self._touch(record)
        return record

    def _touch(self, record: _Record) -> None:
        record.expires_at = self._clock() + self._settings.job_ttl_seconds
        self._records.move_to_end(record.job.id)

    def _change(self, record: _Record, status: Status, **changes: object) -> None:
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

    def _find(self, job_id: str) -> _Record | None:
        self._expire()
        return self._records.get(job_id)

    def get(self, job_id: str) -> Job | None:
        with self._changed:
            record = self._find(job_id)
            return record.job if record else None

    def store_result(self, result: Result) -> None:
        with self._changed:
            self._results[result.job_id] = result

    def get_result(self, job_id: str) -> Result | None:
        with self._changed:
            self._expire()
            return self._results.get(job_id)

    def get_outlines(self, job_ids: Sequence[str]) -> tuple[Result | None, ...]:
        found = (self.get_result(job_id) for job_id in job_ids)
        return tuple(result and result.model_copy(update={"stdout": "", "stderr": ""}) for result in found)

    # -- queue

    def submit(self, job: Job) -> None:
        with self._changed:
            self._admit([job])

    def submit_matrix(self, matrix: Matrix, jobs: Sequence[Job]) -> None:
        if len(jobs) > self._settings.queue_size:
            raise never_fits(len(jobs), self._settings.queue_size)
        with self._changed:
            self._admit(jobs)
            self._expire_matrices()
            self._matrices[matrix.id] = matrix, self._clock() + self._settings.job_ttl_seconds

    def _admit(self, jobs: Sequence[Job]) -> None:
        """Queues those of the jobs that are not known yet: all of them or none."""
        self._expire()
        new = [job for job in jobs if not self._in_a_status(job.id)]
        waiting, queue_size = len(self._queue), self._settings.queue_size
        if len(new) == len(jobs) and waiting + len(new) > queue_size:
            totals = Totals.of(self._totals)
            raise queue_full(waiting, queue_size, self._runners.living(), totals, wanted=len(new))
        for job in new:
            self._put(job)
            self._queue[job.id] = self._clock()
        self._changed.notify_all()

    def _in_a_status(self, job_id: str) -> bool:
        record = self._records.get(job_id)
        ended = record is not None and record.job.status.terminal
        return ended or job_id in self._queue or job_id in self._processing

    def get_matrix(self, matrix_id: str) -> Matrix | None:
        with self._changed:
            self._expire_matrices()
            found = self._matrices.get(matrix_id)
            return found[0] if found else None

    def claim(self, runner: str, block_seconds: float) -> Claim | None:
        deadline = time.monotonic() + block_seconds
        with self._changed:
            self._expire()
            while not self._queue:
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    return None
                self._changed.wait(remaining)
                self._expire()
            job_id, _ = self._queue.popitem(last=False)
            record = self._records[job_id]
            record.token += 1
            record.lease_ends_at = self._clock() + self._settings.lease_seconds
            self._processing.add(job_id)
            self._change(
                record, Status.PROCESSING, started_at=utc_now(), attempts=record.attempts, runner=runner
            )
            return Claim(job=record.job, token=record.token, attempts=record.attempts, runner=runner)

    def _valid(self, claim: Claim) -> _Record | None:
        """The record of a claim that still stands."""
        record = self._find(claim.job.id)
        if record is None or claim.job.id not in self._processing or record.token != claim.token:
            return None
        return record

    def renew(self, runner: str, claims: Sequence[Claim]) -> frozenset[str]:
        with self._changed:
            lost = set()
            for claim in claims:
                record = self._valid(claim)
                if record is None or claim.runner != runner:
                    lost.add(claim.job.id)
                else:
                    record.lease_ends_at = self._clock() + self._settings.lease_seconds
            return frozenset(lost)

    # -- ends

    def complete(self, claim: Claim, result: Result) -> bool:
        with self._changed:
            record = self._valid(claim)
            if record is None:
                ended = self._find(claim.job.id)
                # A retry after the job had ended just so counts as done.
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
        self._change(record, result.status, completed_at=utc_now(), attempts=result.attempts)

    def release(self, claim: Claim) -> bool:
        with self._changed:
            record = self._valid(claim)
            if record is None:
                return False
            record.returned += 1
            self._requeue(record)
            return True

    def _requeue(self, record: _Record) -> None:
        self._processing.discard(record.job.id)
        self._queue[record.job.id] = self._clock()
        self._change(record, Status.QUEUED, started_at=None, runner="", attempts=record.attempts)

    def cancel(self, job_id: str) -> Status | None:
        with self._changed:
            record = self._find(job_id)
            if record is None:
                return None
            if not record.job.status.terminal:
                self._end(record, cancelled(job_id, attempts=record.attempts))
            return record.job.status

    # -- waiting

    def wait(self, job_id: str, seconds: float) -> Job | None:
        deadline = time.monotonic() + seconds
        with self._changed:
            while True:
                record = self._find(job_id)
                remaining = deadline - time.monotonic()
                if record is None or record.job.status.terminal or remaining <= 0:
                    return record.job if record else None
                self._changed.wait(remaining)

    def wait_all(self, job_ids: Sequence[str], wanted: int, seconds: float) -> tuple[Status | None, ...]:
        deadline = time.monotonic() + seconds
        with self._changed:
            while True:
                records = [self._find(job_id) for job_id in job_ids]
                statuses = tuple(record.job.status if record else None for record in records)
                remaining = deadline - time.monotonic()
                if ended_among(statuses) >= wanted or remaining <= 0:
                    return statuses
                self._changed.wait(remaining)

    # -- runners

    def counts(self) -> Counts:
        with self._changed:
            self._expire()
            by_status = dict.fromkeys(Status, 0)
            for record in self._records.values():
                by_status[record.job.status] += 1
            since = next(iter(self._queue.values()), None)
            age = 0.0 if since is None else max(0.0, self._clock() - since)
            return Counts(by_status, Totals.of(self._totals), oldest_queued_seconds=age)

    def register(self, runner: RunnerInfo, environments: Sequence[Environment], ttl_seconds: float) -> None:
        with self._changed:
            self._runners.register(runner, environments, ttl_seconds)
            self._changed.notify_all()

    def unregister(self, runner_id: str) -> None:
        with self._changed:
            self._runners.unregister(runner_id)

    def runners(self) -> tuple[RunnerInfo, ...]:
        with self._changed:
            return self._runners.living()

    def environments(self) -> tuple[Environment, ...]:
        with self._changed:
            return self._runners.environments()

    # -- repair

    def sweep(self) -> SweepReport:
        with self._changed:
            self._expire()
            now = self._clock()
            silent = [self._records[job_id] for job_id in self._processing]
            silent = [record for record in silent if record.lease_ends_at <= now]
            requeued = exhausted = 0
            for record in silent:
                if record.attempts >= self._settings.max_attempts:
                    self._end(record, attempts_used_up(record.job.id, record.attempts))
                    exhausted += 1
                else:
                    self._requeue(record)
                    requeued += 1
            return SweepReport(requeued=requeued, exhausted=exhausted)
