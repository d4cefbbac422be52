"""How jobs get into the queue of Redis, how they end, and how the sweep fixes what was interrupted.

The order of the writes is the promise, and each step may be repeated.

- **Submit**: sources, records, then the matrix, then the queue, in one step for all jobs. A process that
  stops before that step has answered nobody, so nobody knows the ids; nothing is queued, and what was written
  expires. Should a client read such a job all the same, it is queued then (see `RedisStore.get`). Once the
  step is done, every job will end, and its matrix can be read.
- **End** (complete, cancel, and a sweep that gives up): seal, result, move, record. The seal lets exactly one
  of them win; the result is readable before the status is terminal.
"""

import time
from collections.abc import Sequence
from typing import NamedTuple

from chalicelib.models import Job, Matrix, Result, Status, utc_now
from chalicelib.storage.backpressure import fits
from chalicelib.storage.protocol import SweepReport
from chalicelib.storage.redis.client import RedisClient
from chalicelib.storage.redis.jobs import JobRecords
from chalicelib.storage.redis.scripts import Seal, SealOutcome, SealReply, SubmitReply, flattened
from chalicelib.storage.sources import Packed, pack

# When no runner was up for a day, a full queue may be full of ids whose jobs expired: this many are looked at
# before a job is turned away.
FULL_QUEUE_SAMPLE = 20
# With 5 ids looked at for each job that ends, at most one expired id in five stays behind.
PRUNE_SAMPLE = 5
# Like Redis's own expiry: go on while more than a quarter of a sample was expired, a few times.
PRUNE_ROUNDS = 4
# What one sweep looks at: enough for every job of a few runners, too little for Redis to notice.
SWEEP_ENTRIES = 200
# The bytes of this many queued jobs are counted by each sweep, which takes Redis some 5 ms.
COUNTED_IDS = 5000
# A consumer that never reads.
NOBODY = "nobody"
# Longer than any entry was idle: 34 years.
NEVER_MS = 2**40


class NoRoom(NamedTuple):
    """Why jobs were not submitted: how many wait, their bytes, and those of the new ones."""

    reply: SubmitReply
    waiting: int
    waiting_bytes: int
    new_bytes: int


class Lifecycle:
    """Brings jobs into the queue, within QUEUE_SIZE and STORE_LIMIT_MB, and to their end."""

    def __init__(self, client: RedisClient, records: JobRecords) -> None:
        self._client = client
        self._records = records

    # -- submit

    def submit(self, jobs: Sequence[Job], matrix: Matrix | None = None) -> NoRoom | None:
        """Stores and queues all of the jobs, and the matrix that they belong to. May be repeated.

        Says why, when the queue has no room for all of them; then none of them is stored.
        """
        packed = pack([job.request for job in jobs])
        no_room = self._try_to_submit(jobs, packed, matrix)
        if no_room is None:
            return None
        sample = self._client.srandmember(self._client.keys.index(Status.QUEUED), FULL_QUEUE_SAMPLE)
        if self.discard_expired(sample) == 0:
            return no_room
        return self._try_to_submit(jobs, packed, matrix)

    def _try_to_submit(self, jobs: Sequence[Job], packed: Packed, matrix: Matrix | None) -> NoRoom | None:
        client, settings = self._client, self._client.settings
        # Checked before anything is written, except for a retry: its jobs are in the queue already.
        no_room = self._no_room_for(len(jobs), sum(packed.weights))
        if no_room and client.run(client.scripts.statuses, jobs[0].id) == [None]:
            return no_room
        self._records.write(jobs, packed)
        if matrix is not None:
            self._records.write_matrix(matrix)
        job_ids = [job.id for job in jobs]
        reply = client.run(
            client.scripts.submit,
            settings.queue_size,
            settings.store_limit_bytes,
            client.ttl_ms,
            *flattened(zip(job_ids, packed.weights, strict=True)),
        )
        if reply in (SubmitReply.QUEUED, SubmitReply.KNOWN):
            return None
        if matrix is not None:
            self._records.delete_matrix(matrix.id)
        # Not the sources: other jobs may name them by now. They expire.
        self._records.delete(job_ids)
        return NoRoom(reply, *self.waiting(), sum(packed.weights))

    def _no_room_for(self, new_jobs: int, new_bytes: int) -> NoRoom | None:
        settings = self._client.settings
        waiting, waiting_bytes = self.waiting()
        if waiting + new_jobs > settings.queue_size:
            return NoRoom(SubmitReply.FULL, waiting, waiting_bytes, new_bytes)
        if not fits(new_bytes, waiting_bytes, settings.store_limit_bytes):
            return NoRoom(SubmitReply.HEAVY, waiting, waiting_bytes, new_bytes)
        return None

    def submit_again(self, job_id: str) -> None:
        """Queues a job that was lost from all status sets; it was submitted once, so it needs no room."""
        self._client.run(self._client.scripts.submit, 0, 0, self._client.ttl_ms, job_id, 0)

    def waiting(self) -> tuple[int, int]:
        """The number of queued jobs, and the bytes of their sources."""
        with self._client.pipeline() as pipe:
            pipe.scard(self._client.keys.index(Status.QUEUED))
            pipe.hget(self._client.keys.live, "waiting_bytes")
            count, text = pipe.execute()
        return int(count), int(text) if text and text.isascii() and text.isdigit() else 0

    # -- end

    def seal_and_complete(self, result: Result, token: int | None) -> tuple[bool, SealReply]:
        """Ends a job under a claim's token, or (None, for a cancel) under whatever token it has.

        Returns whether it ended with this result, and what sealing it answered.
        """
        client = self._client
        reply = client.run(
            client.scripts.seal,
            result.job_id,
            "*" if token is None else token,
            result.status.value,
            client.ttl_ms,
        )
        completed = reply.outcome is SealOutcome.SEALED and self._complete(result, reply.token)
        return completed, reply

    def _complete(self, result: Result, token: int) -> bool:
        """The steps after the seal: result, move, record. False when another claim's end came first."""
        job_id, status, client = result.job_id, result.status, self._client
        if not self._write_result(result, token):
            return False
        duration_ms = result.duration // 1_000_000
        reply = client.run(
            client.scripts.move_sealed,
            job_id,
            token,
            status.value,
            client.ttl_ms,
            PRUNE_SAMPLE,
            duration_ms,
        )
        if not reply.moved:
            return False
        self._records.update(
            job_id, token, status, with_source=False, completed_at=utc_now(), attempts=result.attempts
        )
        self._prune(status, reply.sample)
        return True

    def _write_result(self, result: Result, token: int) -> bool:
        if self._records.write_result(result, token):
            return True
        # A result of a newer claim: then its seal is another one. Otherwise no claim wrote it, and it may not
        # keep the job from ending.
        client, job_id = self._client, result.job_id
        reply = client.run(client.scripts.seal, job_id, token, result.status.value, client.ttl_ms)
        if reply.outcome is not SealOutcome.SEALED:
            return False
        self._records.delete_result(job_id)
        return self._records.write_result(result, token)

    def complete_sealed(self, job_id: str, seal: Seal, *, used_up_attempts: int | None = None) -> bool:
        """Completes a job that another process sealed before it went silent.

        `used_up_attempts` is their number, when the sweep sealed the job because it has no attempts left.
        False when it must be compiled again.
        """
        stored = self._records.read_result(job_id)
        if stored is not None and stored.token == seal.token and stored.result.status is seal.status:
            return self._complete(stored.result, seal.token)
        if seal.status is Status.CANCELLED:
            return self._complete(Result.of_cancelled_job(job_id), seal.token)
        if used_up_attempts is not None:
            return self._complete(Result.of_used_up_attempts(job_id, used_up_attempts), seal.token)
        # Sealed by its runner, which died before it wrote the result.
        client = self._client
        client.run(client.scripts.release, job_id, seal.token, client.ttl_ms, "unsealed")
        return False

    # -- sweep

    def sweep(self) -> SweepReport | None:
        """See `JobStore.sweep`; None when the last sweep was less than a third of a lease ago."""
        client, settings = self._client, self._client.settings
        lease_ms = round(settings.lease_seconds * 1000)
        now_ms = round(time.time() * 1000)
        due = client.run(client.scripts.sweep_due, lease_ms // 3, client.ttl_ms, now_ms)
        if due is None:
            return None
        expired = client.expired_leases(lease_ms, SWEEP_ENTRIES)
        queued, processing = (
            client.srandmember(client.keys.index(status), SWEEP_ENTRIES)
            for status in (Status.QUEUED, Status.PROCESSING)
        )
        reply = client.run(
            client.scripts.sweep,
            lease_ms,
            settings.max_attempts,
            client.ttl_ms,
            COUNTED_IDS,
            due,
            len(expired),
            *expired,
            len(queued),
            *queued,
            len(processing),
            *processing,
        )
        if reply is None:
            return None
        # Those that have one keep it. A living runner renews it; otherwise it runs out, and a later sweep
        # finds it.
        client.start_leases(NOBODY, reply.unleased, min_idle_ms=NEVER_MS)
        completed = sum(self.complete_sealed(job_id, seal) for job_id, seal in reply.sealed)
        for job_id, attempts, seal in reply.used_up:
            self.complete_sealed(job_id, seal, used_up_attempts=attempts)
        return SweepReport(
            released=len(reply.released),
            completed=completed,
            given_up=len(reply.used_up),
            discarded=self.discard_expired([*queued, *processing]),
        )

    def discard_expired(self, job_ids: Sequence[str]) -> int:
        """Removes everything about those of the jobs whose record has expired; returns their number."""
        expired = self._records.expired(job_ids)
        for job_id in expired:
            self._client.run(self._client.scripts.discard, job_id)
        return len(expired)

    def _prune(self, status: Status, sample: list[str]) -> None:
        """Removes ids whose record has expired from a terminal set: members of a set have no TTL."""
        index = self._client.keys.index(status)
        for _ in range(PRUNE_ROUNDS):
            if not sample:  # the script may not sample
                sample = self._client.srandmember(index, PRUNE_SAMPLE)
            expired = self._records.expired(sample)
            if expired:
                self._client.srem(index, *expired)
            if len(expired) * 4 <= len(sample):
                return
            sample = self._client.srandmember(index, PRUNE_SAMPLE)
