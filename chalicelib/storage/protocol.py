"""The job store's protocol. Its docstring is the contract; `tests/contract` holds every store to it.

To add a store: implement `JobStore`, add it to `tests/contract/conftest.py`, and choose it in `bootstrap.py`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from chalicelib.models import Environment, Job, Matrix, Result, RunnerInfo, Status, Totals

# The consumer group of all runners on `job:stream`; a published name.
GROUP = "runners"


@dataclass(frozen=True, slots=True)
class Claim:
    """A runner's right to work on a job: valid while its lease is renewed.

    `token` is the fencing token: a newer claim of the same job has a higher one, and a write under an older
    one has no effect. `attempts` counts the claims that were not released, this one included.
    """

    job: Job
    token: int
    attempts: int
    runner: str


@dataclass(frozen=True, slots=True)
class Counts:
    """The number of jobs in each status, the totals over all runners, and how long the oldest job has waited.

    That is 0 when no job waits. For a job that was queued again it counts from then.
    """

    by_status: Mapping[Status, int]
    totals: Totals
    oldest_queued_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class SweepReport:
    """What one sweep did. All counts are jobs."""

    # Back to the queue: the lease ran out, or the queue had lost them.
    released: int = 0
    # Completed for a process that had decided how they end and then died.
    completed: int = 0
    # Ended in `error`, because MAX_ATTEMPTS runners died over them.
    given_up: int = 0
    # Removed: their record had expired.
    discarded: int = 0

    @property
    def fixed(self) -> int:
        """Jobs that the sweep had to touch."""
        return self.released + self.completed + self.given_up + self.discarded

    def __str__(self) -> str:
        parts = (
            (self.released, "put back into the queue"),
            (self.completed, "completed for a process that died"),
            (self.given_up, "ended in error, all attempts used up"),
            (self.discarded, "discarded, their records had expired"),
        )
        return "; ".join(f"{count} {what}" for count, what in parts if count) or "nothing to do"


def count_ended(statuses: Iterable[Status | None]) -> int:
    """How many of the jobs have ended. A job that is unknown (None) counts: it will not change any more."""
    return sum(status is None or status.terminal for status in statuses)


class JobStore(Protocol):
    """Keeps jobs and results, and gives queued jobs to runners.

    The contract:

    - **Status.** From submit until its record expires, `job TTL` after its last change, a job is in exactly
      one status at any moment. The status sets are the authority; the record's `status` field is a copy that
      may lag by one step.
    - **Submit** is idempotent by job id, and all or nothing: when it raises `QueueFull`, nothing is stored.
      There is room for QUEUE_SIZE jobs, and for requests that take a quarter of what STORE_LIMIT_MB leaves.
      Once it has returned, the job will end, whatever dies.
    - **Order.** Jobs are claimed in the order in which they were submitted. A job that was released, or whose
      lease ran out, goes to the end of the queue.
    - **Claim** gives a job to exactly one runner, under a lease that the runner must `renew` at least every
      `lease` seconds. When the lease runs out, the sweep releases the job, and its next claim has a higher
      token. A job whose lease ran out `max_attempts` times ends in `error`. A claim that its runner released
      is not counted.
    - **End.** A job ends once: by `complete`, by `cancel`, or by the sweep when its attempts are used up. The
      first of them wins, and the others say so by what they return (`False`, or the job's status). The
      result can be read before the status is terminal.
    - **Bounded.** No method waits longer than its `seconds` argument plus the store's own time-outs. A sweep
      costs the same however many jobs there are.
    - **Errors.** `StoreError` and its children; no exception of a library passes.
    - **Threads.** All methods may be called from several threads at once.
    """

    def ping(self) -> None:
        """Returns when the store can be reached; raises `StoreError` otherwise."""
        ...

    def get(self, job_id: str) -> Job | None:
        """The job with its present status; None when it is unknown or expired."""
        ...

    def get_result(self, job_id: str) -> Result | None:
        """The job's result, once there is one."""
        ...

    def get_outlines(self, job_ids: Sequence[str]) -> tuple[Result | None, ...]:
        """The results of several jobs, without `stdout` and `stderr`; None for a job without a result."""
        ...

    def submit(self, job: Job) -> None:
        """Stores and queues a job. Raises `QueueFull`, and stores nothing, when too much waits."""
        ...

    def submit_matrix(self, matrix: Matrix, jobs: Sequence[Job]) -> None:
        """Stores a matrix and queues its jobs, all of them or none; idempotent by their ids.

        Raises `QueueFull` when there is no room for all of them now, and `BatchTooLarge` when there can never
        be; then neither the matrix nor any of the jobs is stored.
        """
        ...

    def get_matrix(self, matrix_id: str) -> Matrix | None:
        """The matrix, until `job TTL` after it was submitted; its jobs live at least as long."""
        ...

    def claim(self, runner: str, block_seconds: float) -> Claim | None:
        """The next queued job, now `processing` under a lease; None when none came in time.

        May return None early.
        """
        ...

    def renew(self, runner: str, claims: Sequence[Claim]) -> frozenset[str]:
        """Renews the leases of `claims`. Returns the ids of jobs that are no longer this runner's."""
        ...

    def release(self, claim: Claim) -> bool:
        """Puts a claimed job back into the queue; the attempt is not counted.

        False when the claim is not valid any more.
        """
        ...

    def complete(self, claim: Claim, result: Result) -> bool:
        """Ends a claimed job with `result`. False when the claim is not valid any more."""
        ...

    def cancel(self, job_id: str) -> Status | None:
        """Ends a queued or running job as `cancelled`. Idempotent.

        Returns `CANCELLED` when it is, another terminal status when the cancel came too late, None when the
        job is unknown.
        """
        ...

    def wait(self, job_id: str, seconds: float) -> Job | None:
        """Like `get`, but waits up to `seconds` for the job to end, without a busy loop."""
        ...

    def wait_all(self, job_ids: Sequence[str], enough: int, seconds: float) -> tuple[Status | None, ...]:
        """The statuses of several jobs, as soon as `enough` of them have ended, or after `seconds`.

        None stands for a job that is unknown; it counts as ended.
        """
        ...

    def counts(self) -> Counts:
        """Jobs per status and totals, at one moment."""
        ...

    def register(self, runner: RunnerInfo, environments: Sequence[Environment], ttl_seconds: float) -> None:
        """Says for `ttl_seconds` that a runner lives and which environments it offers."""
        ...

    def unregister(self, runner_id: str) -> None:
        """Removes a runner's registration. Its environments stay known."""
        ...

    def runners(self) -> tuple[RunnerInfo, ...]:
        """The runners whose registration has not run out, by id."""
        ...

    def environments(self) -> tuple[Environment, ...]:
        """What the living runners offer, each once, by language and id.

        When no runner lives: what was registered last, so that jobs can be submitted for runners that are
        about to start.
        """
        ...

    def sweep(self) -> SweepReport:
        """Releases the jobs of dead runners and fixes lost index entries.

        Any number of processes may call it, as often as they like: it does its work once per third of a
        lease.
        """
        ...

    def close(self) -> None:
        """Closes connections. Idempotent."""
        ...
