"""The job store in Redis: standalone, behind Sentinel, or a cluster, with one code path. Start reading here.

How it works. `job:<id>` and `result:<id>` hold what is large. The status sets, the stream and the hash
`job:live` hold what must change together; they are in one slot and changed only by the scripts in `lua/`
(keys and invariants: `lua/prelude.lua`). The life of a job::

    submit    source, record, then `submit` (queued set + stream)
    claim     XREADGROUP delivers an id; `claim` moves it to processing; `update_job` writes it down
    renew     `renew` resets the idle time of the pending stream entry: that is the lease
    release   `release` moves it back to queued; `update_job` writes it down
    complete  `seal` (who wins) → `write_result` → `move_sealed` → `update_job` (wakes waiting clients)
    cancel    the same four steps, from the API
    sweep     `sweep_due`, and then `sweep` releases what was idle for longer than a lease, and fixes what was
    interrupted

The parts: `client.py` (connection, errors), `scripts.py` (the scripts and their answers), `keys.py` (names),
`jobs.py` (the hashes), `lifecycle.py` (into the queue, to the end, sweep), `runner_registry.py` and
`listener.py`.

What it must never do: KEYS, SCAN or MULTI; a script over two slots; a wait without a bound.
"""

import logging
import time
import uuid
from collections.abc import Mapping, Sequence

from chalicelib.models import Environment, Job, Matrix, Result, RunnerInfo, Status, is_id, utc_now
from chalicelib.settings import Settings
from chalicelib.storage.backpressure import batch_too_large, queue_full, sources_full
from chalicelib.storage.protocol import Claim, Counts, SweepReport, count_ended
from chalicelib.storage.redis.client import RedisClient
from chalicelib.storage.redis.jobs import JobRecords
from chalicelib.storage.redis.lifecycle import Lifecycle
from chalicelib.storage.redis.listener import Listener
from chalicelib.storage.redis.runner_registry import RunnerRegistry
from chalicelib.storage.redis.scripts import Claimed, NotClaimed, Seal, SealOutcome, SubmitReply

logger = logging.getLogger("will_it_compile")

# Polling is the fallback for a lost pub/sub message, which is rare: a second is soon enough.
POLL_SECONDS = 1.0
# Entries that are looked at for the oldest queued job: more than workers that are busy, at a quarter of a ms.
OLDEST_ENTRIES = 1000


class RedisStore:
    """`JobStore` on Redis. Tests may pass a client of their own."""

    def __init__(self, settings: Settings, *, client: RedisClient | None = None) -> None:
        self._settings = settings
        self._client = client or RedisClient(settings)
        self._scripts = self._client.scripts
        self._records = JobRecords(self._client)
        self._lifecycle = Lifecycle(self._client, self._records)
        self._registry = RunnerRegistry(self._client)

    def ping(self) -> None:
        self._client.ping()

    def close(self) -> None:
        self._client.close()

    # -- jobs and results

    def get(self, job_id: str) -> Job | None:
        return self._read(job_id, with_source=True)

    def _read(self, job_id: str, *, with_source: bool) -> Job | None:
        job = self._records.read(job_id, with_source=with_source)
        return job if job is None or job.status.terminal else self._with_present_status(job)

    def _with_present_status(self, job: Job) -> Job:
        """A job whose record says that it has not ended, with the status that the sets give it.

        Fixes two things on the way: an ended job whose record was not updated (the process that ended it died
        before that), and a job that is in no set (evicted, or lost in a failover).
        """
        [status] = self._client.run(self._scripts.statuses, job.id)
        if status is None:
            self._lifecycle.submit_again(job.id)
            return job.model_copy(update={"status": Status.QUEUED})
        if not status.terminal:
            return job.model_copy(update={"status": status})
        stored = self._records.read_result(job.id)
        ended_at = utc_now()
        updated = self._records.update(job.id, stored.token if stored else 0, status, completed_at=ended_at)
        ended = updated or job.model_copy(update={"completed_at": ended_at})
        # Whatever the record says: a token that no claim has keeps it from being updated.
        return ended.model_copy(update={"status": status})

    def get_result(self, job_id: str) -> Result | None:
        stored = self._records.read_result(job_id)
        return stored.result if stored else None

    def get_outlines(self, job_ids: Sequence[str]) -> tuple[Result | None, ...]:
        return tuple(self._records.read_outlines(job_ids))

    # -- queue

    def submit(self, job: Job) -> None:
        self._submit([job])

    def submit_matrix(self, matrix: Matrix, jobs: Sequence[Job]) -> None:
        if len(jobs) > self._settings.queue_size:
            raise batch_too_large(len(jobs), self._settings.queue_size)
        self._submit(jobs, matrix)

    def _submit(self, jobs: Sequence[Job], matrix: Matrix | None = None) -> None:
        no_room = self._lifecycle.submit(jobs, matrix)
        if no_room is None:
            return
        settings, runners, totals = self._settings, self.runners(), self.counts().totals
        if no_room.reply is SubmitReply.HEAVY:
            raise sources_full(
                no_room.waiting,
                no_room.waiting_bytes,
                settings.store_limit_bytes,
                no_room.new_bytes,
                runners,
                totals,
            )
        raise queue_full(no_room.waiting, settings.queue_size, runners, totals, new_jobs=len(jobs))

    def get_matrix(self, matrix_id: str) -> Matrix | None:
        return self._records.read_matrix(matrix_id)

    def claim(self, runner: str, block_seconds: float) -> Claim | None:
        delivery = self._client.next_entry(runner, block_seconds)
        if delivery is None:
            return None
        entry, job_id = delivery
        if not is_id(job_id):
            key = f"entry {entry} of {self._client.keys.stream}"
            self._client.unreadable.log(key, "it carries no id of a job", "it is dropped")
            self._client.drop_entry(entry)
            return None
        claimant = f"{runner}/{uuid.uuid4().hex}"
        reply = self._client.run(self._scripts.claim, job_id, entry, claimant, self._client.ttl_ms)
        match reply:
            case Claimed():
                return self._claimed(job_id, runner, reply)
            case Seal():
                self._lifecycle.complete_sealed(job_id, reply)
            case NotClaimed.IN_NO_SET:
                # This queues it again, if its record says that it has not ended.
                self._read(job_id, with_source=False)
        return None

    def _claimed(self, job_id: str, runner: str, reply: Claimed) -> Claim | None:
        job = self._records.update(
            job_id,
            reply.token,
            Status.PROCESSING,
            started_at=utc_now(),
            attempts=reply.attempts,
            runner=runner,
        )
        if job is None:
            # The record expired or was evicted: there is nothing to compile, and nobody waits for it.
            self._client.run(self._scripts.discard, job_id)
            return None
        claim = Claim(job=job, token=reply.token, attempts=reply.attempts, runner=runner)
        if job.unreadable:
            of_job = Result.of_lost_source if job.source_lost else Result.of_unreadable_record
            self.complete(claim, of_job(job_id, reply.attempts))
            return None
        return claim

    def renew(self, runner: str, claims: Sequence[Claim]) -> frozenset[str]:
        if not claims:
            return frozenset()
        tokens = [part for claim in claims for part in (claim.job.id, claim.token)]
        reply = self._client.run(self._scripts.renew, runner, *tokens)
        self._client.start_leases(runner, reply.left)
        return reply.lost

    def release(self, claim: Claim) -> bool:
        job_id, token = claim.job.id, claim.token
        if not self._client.run(self._scripts.release, job_id, token, self._client.ttl_ms, "released"):
            return False
        attempts = claim.attempts - 1
        self._records.update(
            job_id, token, Status.QUEUED, with_source=False, started_at="", runner="", attempts=attempts
        )
        return True

    # -- end

    def complete(self, claim: Claim, result: Result) -> bool:
        result = result.model_copy(update={"attempts": claim.attempts})
        completed, reply = self._lifecycle.seal_and_complete(result, claim.token)
        if completed or reply.outcome is not SealOutcome.ENDED or reply.status is not result.status:
            return completed
        # A retry of the call that ended the job counts as done.
        stored = self._records.read_result(claim.job.id)
        return stored is not None and stored.token == claim.token

    def cancel(self, job_id: str) -> Status | None:
        job = self._read(job_id, with_source=False)
        if job is None or job.status.terminal:
            return job.status if job else None
        result = Result.of_cancelled_job(job_id, attempts=job.attempts)
        _, reply = self._lifecycle.seal_and_complete(result, None)
        return Status.CANCELLED if reply.outcome is SealOutcome.SEALED else reply.status

    def sweep(self) -> SweepReport:
        # While no runner lives, nothing else keeps the environments, and without them no job is accepted.
        self._registry.keep_environments()
        keys = self._client.keys
        for key in self._client.run(self._scripts.set_aside, keys.set_aside, on=keys.for_scripts()):
            logger.error(
                "sweep: %s was of another type than ours and is now %s…; the jobs that it listed "
                "come back. Look for what else writes into this Redis",
                key,
                keys.set_aside,
            )
        report = self._lifecycle.sweep()
        if report is None:
            return SweepReport()
        self._registry.forget_old_environments()
        return report

    # -- waiting

    def wait(self, job_id: str, seconds: float) -> Job | None:
        deadline = time.monotonic() + seconds
        job = self._read(job_id, with_source=seconds <= 0)
        if job is None or seconds <= 0:
            return job
        if not job.status.terminal:
            with Listener(self._client, self._client.keys.events(job_id)) as listener:
                while (job := self._read(job_id, with_source=False)) and not job.status.terminal:
                    remaining_seconds = deadline - time.monotonic()
                    if remaining_seconds <= 0:
                        break
                    listener.wait(min(remaining_seconds, POLL_SECONDS))
        # A request that is whole needs no second read.
        return job if job is None or job.request.main else self.get(job_id)

    def wait_all(self, job_ids: Sequence[str], enough: int, seconds: float) -> tuple[Status | None, ...]:
        deadline = time.monotonic() + seconds
        statuses = self._statuses(job_ids, {})
        if seconds <= 0 or count_ended(statuses.values()) >= enough:
            return tuple(statuses[job_id] for job_id in job_ids)
        with Listener(self._client, *(self._client.keys.events(job_id) for job_id in job_ids)) as listener:
            while True:
                statuses = self._statuses(job_ids, statuses)
                remaining_seconds = deadline - time.monotonic()
                if count_ended(statuses.values()) >= enough or remaining_seconds <= 0:
                    return tuple(statuses[job_id] for job_id in job_ids)
                listener.wait(min(remaining_seconds, POLL_SECONDS))

    def _statuses(
        self, job_ids: Sequence[str], before: Mapping[str, Status | None]
    ) -> dict[str, Status | None]:
        """The status of each job. Jobs that had ended `before` are not read again."""
        statuses = {job_id: status for job_id, status in before.items() if status is None or status.terminal}
        unknown = [job_id for job_id in job_ids if job_id not in statuses]
        present = self._client.run(self._scripts.statuses, *unknown) if unknown else []
        for job_id, status in zip(unknown, present, strict=True):
            # A job in no set has expired, or was lost: then reading it queues it again.
            statuses[job_id] = status or self._status_of_record(job_id)
        return statuses

    def _status_of_record(self, job_id: str) -> Status | None:
        job = self._read(job_id, with_source=False)
        return job.status if job else None

    # -- runners

    def counts(self) -> Counts:
        now_ms = round(time.time() * 1000)
        return self._client.run(self._scripts.counts, now_ms, OLDEST_ENTRIES)

    def register(self, runner: RunnerInfo, environments: Sequence[Environment], ttl_seconds: float) -> None:
        self._registry.register(runner, environments, ttl_seconds)

    def unregister(self, runner_id: str) -> None:
        self._registry.unregister(runner_id)

    def runners(self) -> tuple[RunnerInfo, ...]:
        return self._registry.runners()

    def environments(self) -> tuple[Environment, ...]:
        return self._registry.environments()
