"""The job store in Redis: standalone, behind Sentinel, or a cluster, with one code path.

How it works. `job:<id>` and `result:<id>` hold what is large; the status sets, the stream and
the hash `job:live` hold what must change together, in one slot, by the scripts in `lua/`
(invariants in `lua/prelude.lua`). The life of a job::

    submit    record, then enqueue (set + stream)
    claim     XREADGROUP delivers an id; `claim` moves it to processing; `record` says so
    heartbeat `renew` resets the idle time of the pending entry: that is the lease
    complete  `seal` (who wins) → `result` → `finish` (the move) → `record` (wakes waiting clients)
    cancel    the same four steps, from the API
    sweep     `recover` requeues what is idle for longer than the lease

What it must never do: KEYS, SCAN or MULTI; a script over two slots; a wait without bound.
"""

import time
import uuid
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from redis.exceptions import RedisError, ResponseError

from chalicelib.errors import QueueFull
from chalicelib.models import Environment, Job, Result, RunnerInfo, Status, Totals, utc_now
from chalicelib.settings import Settings
from chalicelib.storage import keys
from chalicelib.storage.announcements import Announcements
from chalicelib.storage.base import GROUP, Claim, Counts, SweepReport
from chalicelib.storage.codec import (
    format_time,
    job_from_fields,
    job_to_fields,
    result_from_fields,
    result_to_fields,
)
from chalicelib.storage.connection import LONGEST_BLOCK_SECONDS, translated
from chalicelib.storage.endings import attempts_used_up, cancelled, queue_full
from chalicelib.storage.link import RedisLink
from chalicelib.storage.scripts import Argument, Script

# Polling is the fallback for a lost pub/sub message: rare, so a second is soon enough.
POLL_SECONDS = 1.0
# With 5 ids looked at for each job that ends, at most one expired id in five stays behind.
PRUNE_SAMPLE = 5
# Like Redis's own expiry: go on while more than a quarter of a sample was expired, a few times.
PRUNE_ROUNDS = 4
# What one sweep looks at: enough for every job of a few runners, too little to be felt by Redis.
SWEEP_ENTRIES = 200


class RedisStore:
    """`JobStore` on Redis. `client` may be passed in by tests; otherwise `settings` say where."""

    def __init__(self, settings: Settings, *, client: Any = None) -> None:
        self._settings = settings
        self._link = RedisLink(settings, client)
        self._announcements = Announcements(self._link)
        self._keys, self._scripts = self._link.keys, self._link.scripts
        self._ttl_ms = self._link.ttl_ms
        self._lease_ms = round(settings.lease_seconds * 1000)

    @property
    def _client(self) -> Any:
        return self._link.client

    def _coordinate(self, script: Script, *arguments: Argument) -> Any:
        return self._link.coordinate(script, *arguments)

    def ping(self) -> None:
        with translated(self._settings, probing=True):
            # A cluster's PING would ask any node; what matters is the one with the coordination keys.
            self._client.exists(self._keys.stream)

    def close(self) -> None:
        self._link.close()

    # -- records and results

    def store(self, job: Job) -> None:
        with translated(self._settings):
            pipe = self._client.pipeline(transaction=False)
            pipe.hset(keys.job(job.id), mapping=job_to_fields(job))
            pipe.pexpire(keys.job(job.id), self._ttl_ms)
            pipe.execute()

    def get(self, job_id: str) -> Job | None:
        with translated(self._settings):
            fields = self._client.hgetall(keys.job(job_id))
        if not fields:
            return None
        job = job_from_fields(fields)
        return job if job.status.terminal else self._present(job)

    def _present(self, job: Job) -> Job:
        """A job that its record calls live, with the status that the sets give it.

        Mends what it meets: an ended job whose record was not written (its writer died in
        between), and a job that is in no set (evicted, or lost in a failover).
        """
        status_text, _ = self._coordinate(self._scripts.locate, job.id)
        if not status_text:
            self._coordinate(self._scripts.enqueue, job.id, 0, self._ttl_ms)
            return job.model_copy(update={"status": Status.QUEUED})
        status = Status(status_text)
        if status.terminal:
            with translated(self._settings):
                token = int(self._client.hget(keys.result(job.id), "token") or 0)
            self._record(job.id, token, status, completed_at=utc_now())
            return job.model_copy(update={"status": status, "completed_at": utc_now()})
        return job.model_copy(update={"status": status})

    def store_result(self, result: Result) -> None:
        self._put_result(result, token=0)

    def get_result(self, job_id: str) -> Result | None:
        with translated(self._settings):
            fields = self._client.hgetall(keys.result(job_id))
        return result_from_fields(fields) if fields else None

    def _put_result(self, result: Result, token: int) -> bool:
        pairs = _pairs(result_to_fields(result).items())
        with translated(self._settings):
            return bool(
                self._scripts.result(
                    self._client, [keys.result(result.job_id)], [token, self._ttl_ms, *pairs]
                )
            )

    def _record(self, job_id: str, token: int, status: Status, **changes: Any) -> dict[str, str]:
        fields = {"status": status.value} | {
            name: str(value) if isinstance(value, (int, str)) else format_time(value)
            for name, value in changes.items()
        }
        arguments = [token, self._ttl_ms, keys.events(job_id), *_pairs(fields.items())]
        with translated(self._settings):
            flat = self._scripts.record(self._client, [keys.job(job_id)], arguments)
        return dict(zip(flat[::2], flat[1::2], strict=True))

    # -- queue

    def submit(self, job: Job) -> None:
        waiting = self._index_size(Status.QUEUED)
        full = waiting >= self._settings.queue_size
        # Known before anything is written; a retry of a job that is queued already is let through.
        if full and not self._coordinate(self._scripts.locate, job.id)[0]:
            raise self._queue_full(waiting)
        self.store(job)
        answer, waiting = self._coordinate(
            self._scripts.enqueue, job.id, self._settings.queue_size, self._ttl_ms
        )
        if answer == "full":
            with translated(self._settings):
                self._client.delete(keys.job(job.id))
            raise self._queue_full(waiting)

    def _index_size(self, status: Status) -> int:
        with translated(self._settings):
            return int(self._client.scard(self._keys.index(status)))

    def _queue_full(self, waiting: int) -> QueueFull:
        return queue_full(waiting, self._settings.queue_size, self.runners(), self.counts().totals)

    def claim(self, runner: str, block_seconds: float) -> Claim | None:
        delivery = self._read(runner, block_seconds)
        if delivery is None:
            return None
        entry, job_id = delivery
        answer = self._coordinate(
            self._scripts.claim, job_id, entry, f"{runner}/{uuid.uuid4().hex}", self._ttl_ms
        )
        match answer[0]:
            case "claimed":
                return self._begin(job_id, runner, token=int(answer[1]), attempts=int(answer[2]))
            case "sealed":
                self._finish_sealed(job_id, answer[1])
            case "nowhere":
                self._restore(job_id)
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
        return self._client.xreadgroup(GROUP, runner, {self._keys.stream: ">"}, count=1, block=block_ms)

    def _make_group(self) -> None:
        # From the start of the stream: what was queued before the first runner came is to be done, too.
        try:
            self._client.xgroup_create(self._keys.stream, GROUP, id="0", mkstream=True)
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise

    def _begin(self, job_id: str, runner: str, *, token: int, attempts: int) -> Claim | None:
        fields = self._record(
            job_id, token, Status.PROCESSING, started_at=utc_now(), attempts=attempts, runner=runner
        )
        if not fields:
            # The record expired or was evicted: there is nothing to compile and nobody to tell.
            self._coordinate(self._scripts.discard, job_id)
            return None
        job = job_from_fields(fields)
        return Claim(job=job, token=token, attempts=attempts, runner=runner)

    def _restore(self, job_id: str) -> None:
        """Queues an id that no set knows, if its record says that it has not ended."""
        self.get(job_id)

    def heartbeat(self, runner: str, claims: Sequence[Claim]) -> frozenset[str]:
        if not claims:
            return frozenset()
        pairs = _pairs((claim.job.id, claim.token) for claim in claims)
        return frozenset(self._coordinate(self._scripts.renew, runner, *pairs))

    # -- ends

    def complete(self, claim: Claim, result: Result) -> bool:
        result = result.model_copy(update={"attempts": claim.attempts})
        answer = self._coordinate(self._scripts.seal, claim.job.id, claim.token, result.status.value)
        if answer[0] == "sealed":
            return self._finish(result, claim.token)
        # A retry after the job had ended just so counts as done.
        if answer != ["ended", result.status.value]:
            return False
        with translated(self._settings):
            return bool(self._client.hget(keys.result(claim.job.id), "token") == str(claim.token))

    def _finish(self, result: Result, token: int) -> bool:
        """Result, move, record: the steps after the seal. Each may be repeated."""
        job_id, status = result.job_id, result.status
        if not self._put_result(result, token):
            return False
        answer = self._coordinate(
            self._scripts.finish,
            job_id,
            token,
            status.value,
            self._ttl_ms,
            PRUNE_SAMPLE,
            result.duration // 1_000_000,
        )
        if answer[0] != "done":
            return False
        self._record(job_id, token, status, completed_at=utc_now(), attempts=result.attempts)
        self._prune(status, answer[2:])
        return True

    def _finish_sealed(self, job_id: str, seal: str, *, used_up: int | None = None) -> bool:
        """Ends a job for somebody who sealed its end and then went silent.

        `used_up` is the number of attempts when they are what ends it.
        """
        token_text, _, status_text = seal.partition(":")
        token = int(token_text)
        with translated(self._settings):
            fields = self._client.hgetall(keys.result(job_id))
        if fields and int(fields.get("token", 0)) == token and fields["status"] == status_text:
            return self._finish(result_from_fields(fields), token)
        if status_text == Status.CANCELLED:
            return self._finish(cancelled(job_id), token)
        if used_up is not None:
            return self._finish(attempts_used_up(job_id, used_up), token)
        # Sealed, and no result: it must be done again.
        self._coordinate(self._scripts.requeue, job_id, token, self._ttl_ms, "unsealed")
        return False

    def release(self, claim: Claim) -> bool:
        given = self._coordinate(self._scripts.requeue, claim.job.id, claim.token, self._ttl_ms, "returned")
        if given:
            self._record(
                claim.job.id,
                claim.token,
                Status.QUEUED,
                started_at="",
                runner="",
                attempts=claim.attempts - 1,
            )
        return bool(given)

    def cancel(self, job_id: str) -> Status | None:
        job = self.get(job_id)
        if job is None or job.status.terminal:
            return job.status if job else None
        answer = self._coordinate(self._scripts.seal, job_id, "*", Status.CANCELLED.value)
        match answer[0]:
            case "sealed":
                self._finish(cancelled(job_id, attempts=job.attempts), int(answer[1]))
                return Status.CANCELLED
            case "lost":  # its runner has just sealed another end
                return Status(answer[1].partition(":")[2])
            case "ended":
                return Status(answer[1])
        return None

    def _prune(self, status: Status, sample: list[str]) -> None:
        """Removes sampled ids whose record has expired from a status set: sets cannot do it."""
        for _ in range(PRUNE_ROUNDS):
            expired = self._expired(sample)
            if expired:
                with translated(self._settings):
                    self._client.srem(self._keys.index(status), *expired)
            if len(expired) * 4 <= len(sample):
                return
            with translated(self._settings):
                sample = self._client.srandmember(self._keys.index(status), PRUNE_SAMPLE)

    def _expired(self, job_ids: Sequence[str]) -> list[str]:
        if not job_ids:
            return []
        with translated(self._settings):
            pipe = self._client.pipeline(transaction=False)
            for job_id in job_ids:
                pipe.exists(keys.job(job_id))
            return [job_id for job_id, found in zip(job_ids, pipe.execute(), strict=True) if not found]

    # -- waiting

    def wait(self, job_id: str, seconds: float) -> Job | None:
        deadline = time.monotonic() + seconds
        job = self.get(job_id)
        if job is None or job.status.terminal or seconds <= 0:
            return job
        with translated(self._settings):
            listener = self._link.subscriber.pubsub()
        try:
            with translated(self._settings):
                listener.subscribe(keys.events(job_id))
                listener.get_message(timeout=LONGEST_BLOCK_SECONDS)  # the subscription's own answer
            while True:
                job = self.get(job_id)
                remaining = deadline - time.monotonic()
                if job is None or job.status.terminal or remaining <= 0:
                    return job
                with translated(self._settings):
                    listener.get_message(timeout=min(remaining, POLL_SECONDS))
        finally:
            with suppress(RedisError, OSError):
                listener.close()

    # -- runners

    def counts(self) -> Counts:
        per_status, flat = self._coordinate(self._scripts.counts)
        totals = {name.removeprefix("total_"): int(value) for name, value in _couples(flat)}
        return Counts(
            by_status=dict(zip(Status, map(int, per_status), strict=True)), totals=Totals.of(totals)
        )

    def announce(self, runner: RunnerInfo, environments: Sequence[Environment], ttl_seconds: float) -> None:
        self._announcements.announce(runner, environments, ttl_seconds)

    def withdraw(self, runner_id: str) -> None:
        self._announcements.withdraw(runner_id)

    def runners(self) -> tuple[RunnerInfo, ...]:
        return self._announcements.runners()

    def environments(self) -> tuple[Environment, ...]:
        return self._announcements.environments()

    # -- repair

    def sweep(self) -> SweepReport:
        with translated(self._settings):
            if not self._client.set(self._keys.sweep, "1", nx=True, px=max(1, self._lease_ms // 3)):
                return SweepReport()
        requeued, sealed, exhausted, sampled = self._coordinate(
            self._scripts.recover,
            self._lease_ms,
            SWEEP_ENTRIES,
            self._settings.max_attempts,
            self._ttl_ms,
            SWEEP_ENTRIES,
        )
        finished = sum(self._finish_sealed(job_id, seal) for job_id, seal in _couples(sealed))
        for job_id, attempts, seal in zip(exhausted[::3], exhausted[1::3], exhausted[2::3], strict=True):
            self._finish_sealed(job_id, seal, used_up=int(attempts))
        discarded = self._expired(sampled)
        for job_id in discarded:
            self._coordinate(self._scripts.discard, job_id)
        self._announcements.forget_old_environments()
        return SweepReport(len(requeued), finished, len(exhausted) // 3, len(discarded))


def _pairs(items: Iterable[tuple[Any, Any]]) -> list[Any]:
    return [part for item in items for part in item]


def _couples(flat: Sequence[Any]) -> list[tuple[Any, Any]]:
    return list(zip(flat[::2], flat[1::2], strict=True))
