"""The job store in Redis: standalone, behind Sentinel, or a cluster, with one code path.

How it works. `job:<id>` and `result:<id>` hold what is large; the status sets, the stream and
the hash `job:live` hold what must change together, in one slot, by the scripts in `lua/`
(invariants in `lua/prelude.lua`). The life of a job::

    submit    record, then enqueue (set + stream)
    claim     XREADGROUP delivers an id; `claim` moves it to processing; `record` says so
    renewal `renew` resets the idle time of the pending entry: that is the lease
    complete  `seal` (who wins) → `result` → `finish` (the move) → `record` (wakes waiting clients)
    cancel    the same four steps, from the API
    sweep     `recover` requeues what is idle for longer than the lease

The parts: `link.py` (client, keys, scripts), `records.py` (single hashes), `admission.py` (into the queue),
`finisher.py` (ends and repair), `registrations.py` (runners); this module is the queue, and the whole.

What it must never do: KEYS, SCAN or MULTI; a script over two slots; a wait without bound.
"""

import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from redis.exceptions import ResponseError

from chalicelib.errors import QueueFull
from chalicelib.matrix.model import Matrix
from chalicelib.models import Environment, Job, Result, RunnerInfo, Status, Totals, utc_now
from chalicelib.settings import Settings
from chalicelib.storage.endings import cancelled, ended_among, never_fits, queue_full
from chalicelib.storage.protocol import GROUP, Claim, Counts, SweepReport
from chalicelib.storage.redis import keys
from chalicelib.storage.redis.admission import Admission
from chalicelib.storage.redis.client import RedisLink, flattened, paired
from chalicelib.storage.redis.connection import LONGEST_BLOCK_SECONDS, translated
from chalicelib.storage.redis.jobs import Records
from chalicelib.storage.redis.lifecycle import Finisher
from chalicelib.storage.redis.listener import Listener
from chalicelib.storage.redis.runner_registry import RunnerRegistry

# Polling is the fallback for a lost pub/sub message: rare, so a second is soon enough.
POLL_SECONDS = 1.0


class RedisStore:
    """`JobStore` on Redis. `client` may be passed in by tests; otherwise `settings` say where."""

    def __init__(self, settings: Settings, *, client: Any = None) -> None:
        self._settings = settings
        self._link = RedisLink(settings, client)
        self._records = Records(self._link)
        self._finisher = Finisher(self._link, self._records)
        self._admission = Admission(self._link, self._records, self._finisher)
        self._registrations = RunnerRegistry(self._link)
        self._keys, self._scripts = self._link.keys, self._link.scripts
        self._coordinate = self._link.coordinate

    def ping(self) -> None:
        with translated(self._settings, probing=True):
            # A cluster's PING would ask any node; what matters is the one with the coordination keys.
            self._link.client.exists(self._keys.stream)

    def close(self) -> None:
        self._link.close()

    # -- records and results

    def store(self, job: Job) -> None:
        self._records.write([job])

    def get(self, job_id: str) -> Job | None:
        job = self._records.read(job_id)
        return job if job is None or job.status.terminal else self._present(job)

    def _present(self, job: Job) -> Job:
        """A job that its record calls live, with the status that the sets give it.

        Mends what it meets: an ended job whose record was not written (its writer died in
        between), and a job that is in no set (evicted, or lost in a failover).
        """
        status_text, _ = self._coordinate(self._scripts.locate, job.id)
        if not status_text:
            self._coordinate(self._scripts.enqueue, job.id, 0, self._link.ttl_ms)
            return job.model_copy(update={"status": Status.QUEUED})
        status = Status(status_text)
        if not status.terminal:
            return job.model_copy(update={"status": status})
        found = self._records.read_result(job.id)
        ended_at = utc_now()
        changed = self._records.change(job.id, found[1] if found else 0, status, completed_at=ended_at)
        return changed or job.model_copy(update={"status": status, "completed_at": ended_at})

    def store_result(self, result: Result) -> None:
        self._records.write_result(result, token=0)

    def get_result(self, job_id: str) -> Result | None:
        found = self._records.read_result(job_id)
        return found[0] if found else None

    def get_outlines(self, job_ids: Sequence[str]) -> tuple[Result | None, ...]:
        return tuple(self._records.read_outlines(job_ids))

    # -- queue

    def submit(self, job: Job) -> None:
        if not self._admission.admit([job]):
            raise self._full(1)

    def submit_matrix(self, matrix: Matrix, jobs: Sequence[Job]) -> None:
        if len(jobs) > self._settings.queue_size:
            raise never_fits(len(jobs), self._settings.queue_size)
        if not self._admission.admit(jobs, matrix):
            raise self._full(len(jobs))

    def get_matrix(self, matrix_id: str) -> Matrix | None:
        return self._admission.matrix(matrix_id)

    def _full(self, wanted: int) -> QueueFull:
        waiting, totals = self._admission.waiting(), self.counts().totals
        return queue_full(waiting, self._settings.queue_size, self.runners(), totals, wanted=wanted)

    def claim(self, runner: str, block_seconds: float) -> Claim | None:
        delivery = self._read(runner, block_seconds)
        if delivery is None:
            return None
        entry, job_id = delivery
        claimant = f"{runner}/{uuid.uuid4().hex}"
        answer = self._coordinate(self._scripts.claim, job_id, entry, claimant, self._link.ttl_ms)
        match answer[0]:
            case "claimed":
                return self._begin(job_id, runner, token=int(answer[1]), attempts=int(answer[2]))
            case "sealed":
                self._finisher.finish_sealed(job_id, answer[1])
            case "nowhere":
                self.get(job_id)  # queues it again, if its record says that it has not ended
        return None

    def _read(self, runner: str, block_seconds: float) -> tuple[str, str] | None:
        """The next stream entry for this runner as (entry, job id)."""
        block_ms = max(1, round(min(block_seconds, LONGEST_BLOCK_SECONDS) * 1000))
        with translated(self._settings):
            try:
                answer = self._read_group(runner, block_ms)
            except ResponseError as error:
                if "NOGROUP" not in str(error):
                    raise
                self._make_group()
                answer = self._read_group(runner, block_ms)
        if not answer:
            return None
        [[_, [[entry, fields]]]] = answer
        return entry, fields["id"]

    def _read_group(self, runner: str, block_ms: int) -> Any:
        return self._link.client.xreadgroup(GROUP, runner, {self._keys.stream: ">"}, count=1, block=block_ms)

    def _make_group(self) -> None:
        # From the start of the stream: what was queued before the first runner came is to be done, too.
        try:
            self._link.client.xgroup_create(self._keys.stream, GROUP, id="0", mkstream=True)
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise

    def _begin(self, job_id: str, runner: str, *, token: int, attempts: int) -> Claim | None:
        job = self._records.change(
            job_id, token, Status.PROCESSING, started_at=utc_now(), attempts=attempts, runner=runner
        )
        if job is None:
            # The record expired or was evicted: there is nothing to compile and nobody to tell.
            self._coordinate(self._scripts.discard, job_id)
            return None
        return Claim(job=job, token=token, attempts=attempts, runner=runner)

    def renew(self, runner: str, claims: Sequence[Claim]) -> frozenset[str]:
        if not claims:
            return frozenset()
        pairs = flattened((claim.job.id, claim.token) for claim in claims)
        return frozenset(self._coordinate(self._scripts.renew, runner, *pairs))

    # -- ends

    def complete(self, claim: Claim, result: Result) -> bool:
        result = result.model_copy(update={"attempts": claim.attempts})
        done, answer = self._finisher.end(result, claim.token)
        if done or answer != ["ended", result.status.value]:
            return done
        # A retry after the job had ended just so counts as done.
        found = self._records.read_result(claim.job.id)
        return found is not None and found[1] == claim.token

    def release(self, claim: Claim) -> bool:
        job_id, token = claim.job.id, claim.token
        given = self._coordinate(self._scripts.requeue, job_id, token, self._link.ttl_ms, "returned")
        if given:
            attempts = claim.attempts - 1
            self._records.change(job_id, token, Status.QUEUED, started_at="", runner="", attempts=attempts)
        return bool(given)

    def cancel(self, job_id: str) -> Status | None:
        job = self.get(job_id)
        if job is None or job.status.terminal:
            return job.status if job else None
        _, answer = self._finisher.end(cancelled(job_id, attempts=job.attempts), None)
        match answer[0]:
            case "sealed":
                return Status.CANCELLED
            case "lost":  # its runner has just sealed another end
                return Status(answer[1].partition(":")[2])
            case "ended":
                return Status(answer[1])
        return None

    def sweep(self) -> SweepReport:
        # Without a runner nobody else says that they are still wanted, and jobs are refused without them.
        self._registrations.keep_environments()
        report = self._finisher.sweep()
        if report is None:
            return SweepReport()
        self._registrations.forget_old_environments()
        return report

    # -- waiting

    def wait(self, job_id: str, seconds: float) -> Job | None:
        deadline = time.monotonic() + seconds
        job = self.get(job_id)
        if job is None or job.status.terminal or seconds <= 0:
            return job
        with Listener(self._link, keys.events(job_id)) as listener:
            while True:
                job = self.get(job_id)
                remaining = deadline - time.monotonic()
                if job is None or job.status.terminal or remaining <= 0:
                    return job
                listener.wait(min(remaining, POLL_SECONDS))

    def wait_all(self, job_ids: Sequence[str], wanted: int, seconds: float) -> tuple[Status | None, ...]:
        deadline = time.monotonic() + seconds
        found = self._statuses(job_ids, {})
        if seconds <= 0 or ended_among(found.values()) >= wanted:
            return tuple(found[job_id] for job_id in job_ids)
        with Listener(self._link, *(keys.events(job_id) for job_id in job_ids)) as listener:
            while True:
                found = self._statuses(job_ids, found)
                remaining = deadline - time.monotonic()
                if ended_among(found.values()) >= wanted or remaining <= 0:
                    return tuple(found[job_id] for job_id in job_ids)
                listener.wait(min(remaining, POLL_SECONDS))

    def _statuses(
        self, job_ids: Sequence[str], before: Mapping[str, Status | None]
    ) -> dict[str, Status | None]:
        """The status of each job; what had ended before is not asked again."""
        ended = {job_id: status for job_id, status in before.items() if status is None or status.terminal}
        asked = [job_id for job_id in job_ids if job_id not in ended]
        texts = self._coordinate(self._scripts.statuses, *asked) if asked else []
        for job_id, text in zip(asked, texts, strict=True):
            if text:
                ended[job_id] = Status(text)
            else:  # in no set: expired, or lost and to be mended
                job = self.get(job_id)
                ended[job_id] = job.status if job else None
        return ended

    # -- runners

    def counts(self) -> Counts:
        per_status, flat, age_ms = self._coordinate(self._scripts.counts)
        totals = {name.removeprefix("total_"): int(value) for name, value in paired(flat)}
        return Counts(
            by_status=dict(zip(Status, map(int, per_status), strict=True)),
            totals=Totals.of(totals),
            oldest_queued_seconds=int(age_ms) / 1000,
        )

    def register(self, runner: RunnerInfo, environments: Sequence[Environment], ttl_seconds: float) -> None:
        self._registrations.register(runner, environments, ttl_seconds)

    def unregister(self, runner_id: str) -> None:
        self._registrations.unregister(runner_id)

    def runners(self) -> tuple[RunnerInfo, ...]:
        return self._registrations.runners()

    def environments(self) -> tuple[Environment, ...]:
        return self._registrations.environments()
