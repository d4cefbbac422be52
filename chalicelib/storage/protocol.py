"""The job store's protocol. Its docstring is the contract; `tests/contract` holds every store to it.

To add a store: implement `JobStore`, add it to the contract suite's fixture, and choose it
in `bootstrap.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from chalicelib.matrix.model import Matrix
from chalicelib.models import Environment, Job, Result, RunnerInfo, Status, Totals

# The consumer group of all runners on `job:stream` (design, data model).
GROUP = "runners"


@dataclass(frozen=True, slots=True)
class Claim:
    """A runner's right to work on a job: valid while its lease is renewed.

    `token` is the fencing token: a newer claim of the same job has a higher one, and a
    write under an older one is refused. `attempts` counts the claims that were not
    handed back in good order, this one included.
    """

    job: Job
    token: int
    attempts: int
    runner: str


@dataclass(frozen=True, slots=True)
class Counts:
    """How many jobs are in each status, the totals over all runners, and how long the oldest job waits.

    That one is 0 when none waits; a job that was handed back waits anew.
    """

    by_status: Mapping[Status, int]
    totals: Totals
    oldest_queued_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class SweepReport:
    """What one sweep mended. All counts are jobs."""

    requeued: int = 0
    finished: int = 0
    exhausted: int = 0
    discarded: int = 0

    @property
    def fixed(self) -> int:
        """Jobs that the sweep had to touch."""
        return self.requeued + self.finished + self.exhausted + self.discarded


class JobStore(Protocol):
    """Keeps jobs and results, and hands queued jobs to runners.

    The contract:

    - **Status.** A job that was submitted is in exactly one status at any moment, until its
      record expires, `job TTL` after its last change. The status sets are the authority; the
      record's `status` field is a copy that may lag by one step.
    - **Submit** is idempotent by job id, and all or nothing: when it raises `QueueFull`,
      nothing of the job is stored. Once it returned, the job will end, whatever dies.
    - **Order.** Jobs are handed out in order of submission. A job that comes back (its runner
      died or handed it back) goes to the end.
    - **Claim** gives a job to exactly one runner, for as long as `renew` renews the lease:
      at least every `lease` seconds. After that the job comes back and its next claim has a
      higher token. After `max_attempts` claims that were not handed back it ends in `error`.
    - **End.** A job ends once: by `complete`, by `cancel`, or by the sweep when its attempts are
      used up. Whoever comes second is told so (`False`, or the status that it has). The result
      is readable before the status is terminal.
    - **Bounded.** No method waits longer than its `seconds` argument plus the store's own
      time-outs. `sweep` costs the same however many jobs there are.
    - **Errors.** `StoreError` and its children; no exception of a library passes.
    - **Threads.** All methods may be called from several threads at once.
    """

    def ping(self) -> None:
        """Returns when the store can be reached; raises `StoreError` otherwise."""
        ...

    def store(self, job: Job) -> None:
        """Writes the job's record, without queueing it. Overwrites.

        A record that has not ended and is in no status counts as lost: the Redis store
        queues it again when somebody reads it.
        """
        ...

    def get(self, job_id: str) -> Job | None:
        """The job with its present status; None when unknown or expired."""
        ...

    def store_result(self, result: Result) -> None:
        """Writes a result, without changing the job's status. A claim's result is not overwritten."""
        ...

    def get_result(self, job_id: str) -> Result | None:
        """The result, once there is one."""
        ...

    def get_outlines(self, job_ids: Sequence[str]) -> tuple[Result | None, ...]:
        """The results of several jobs, without `stdout` and `stderr`; None where there is none."""
        ...

    def submit(self, job: Job) -> None:
        """Stores and queues a job. Raises `QueueFull` and stores nothing when too many wait."""
        ...

    def submit_matrix(self, matrix: Matrix, jobs: Sequence[Job]) -> None:
        """Stores a matrix and queues its jobs, all of them or none; idempotent by their ids.

        Raises `QueueFull` when there is no room for all of them, and `InvalidRequest` when there could
        never be; then neither the matrix nor one of the jobs is stored.
        """
        ...

    def get_matrix(self, matrix_id: str) -> Matrix | None:
        """The matrix, until `job TTL` after it was submitted; its jobs live no shorter."""
        ...

    def claim(self, runner: str, block_seconds: float) -> Claim | None:
        """The next queued job, now `processing` under a lease; None when none came in time.

        May return None early.
        """
        ...

    def renew(self, runner: str, claims: Sequence[Claim]) -> frozenset[str]:
        """Renews the leases of `claims`. Returns the ids that are no longer this runner's."""
        ...

    def complete(self, claim: Claim, result: Result) -> bool:
        """Ends a claimed job with `result`. False when the claim is no longer valid."""
        ...

    def release(self, claim: Claim) -> bool:
        """Hands a claimed job back to the queue; its attempt is not counted.

        False when the claim is no longer valid.
        """
        ...

    def cancel(self, job_id: str) -> Status | None:
        """Ends a queued or running job as `cancelled`. Idempotent.

        Returns `CANCELLED` when it is, another terminal status when it came too late,
        None when the job is unknown.
        """
        ...

    def wait(self, job_id: str, seconds: float) -> Job | None:
        """Like `get`, but waits up to `seconds` for the job to end; no busy loop."""
        ...

    def wait_all(self, job_ids: Sequence[str], wanted: int, seconds: float) -> tuple[Status | None, ...]:
        """The statuses of several jobs (None: unknown), once `wanted` of them are at an end.

        Waits up to `seconds` for that. A job that is unknown counts as one that is at an end.
        """
        ...

    def counts(self) -> Counts:
        """Jobs per status and totals, at one moment."""
        ...

    def register(self, runner: RunnerInfo, environments: Sequence[Environment], ttl_seconds: float) -> None:
        """Says for `ttl_seconds` that a runner lives and what it offers."""
        ...

    def unregister(self, runner_id: str) -> None:
        """Takes a runner's registration back (its environments stay known)."""
        ...

    def runners(self) -> tuple[RunnerInfo, ...]:
        """The runners whose registration has not run out, by id."""
        ...

    def environments(self) -> tuple[Environment, ...]:
        """What the living runners offer, without doubles, by language and id.

        When no runner lives: what was registered last, so that jobs can be accepted
        for runners that are about to start.
        """
        ...

    def sweep(self) -> SweepReport:
        """Brings back what dead runners held and mends lost index entries.

        Any number of processes may call it, as often as they like: it does its work once
        per third of a lease.
        """
        ...

    def close(self) -> None:
        """Releases connections. Idempotent."""
        ...
