"""How jobs end in Redis: seal, result, move, record; and what is mended when somebody stopped half way.

The order is the promise: the result is readable before the status is terminal, and the seal, taken
first, lets exactly one of runner, canceller and sweep through. Each step may be repeated.
"""

from collections.abc import Sequence

from chalicelib.models import Result, Status, utc_now
from chalicelib.storage.endings import attempts_used_up, cancelled
from chalicelib.storage.protocol import SweepReport
from chalicelib.storage.redis.client import RedisLink, paired
from chalicelib.storage.redis.connection import translated
from chalicelib.storage.redis.jobs import Records

# With 5 ids looked at for each job that ends, at most one expired id in five stays behind.
PRUNE_SAMPLE = 5
# Like Redis's own expiry: go on while more than a quarter of a sample was expired, a few times.
PRUNE_ROUNDS = 4
# What one sweep looks at: enough for every job of a few runners, too little to be felt by Redis.
SWEEP_ENTRIES = 200


class Finisher:
    """Ends jobs, and brings back those that nobody works on any more."""

    def __init__(self, link: RedisLink, records: Records) -> None:
        self._link = link
        self._records = records

    def end(self, result: Result, token: int | None) -> tuple[bool, list[str]]:
        """Ends a job under a claim's token, or (None) whatever its token is.

        Returns whether it was done, and the seal script's answer.
        """
        link = self._link
        wanted = "*" if token is None else token
        answer = link.coordinate(link.scripts.seal, result.job_id, wanted, result.status.value, link.ttl_ms)
        done = answer[0] == "sealed" and self._finish(result, int(answer[1]))
        return done, answer

    def _finish(self, result: Result, token: int) -> bool:
        """Result, move, record: the steps after the seal."""
        job_id, status, link = result.job_id, result.status, self._link
        if not self._records.write_result(result, token):
            return False
        duration_ms = result.duration // 1_000_000
        answer = link.coordinate(
            link.scripts.finish, job_id, token, status.value, link.ttl_ms, PRUNE_SAMPLE, duration_ms
        )
        if answer[0] != "done":
            return False
        self._records.change(job_id, token, status, completed_at=utc_now(), attempts=result.attempts)
        self._prune(status, answer[2:])
        return True

    def finish_sealed(self, job_id: str, seal: str, *, used_up: int | None = None) -> bool:
        """Ends a job for somebody who sealed its end and then went silent.

        `used_up` is the number of attempts when they are what ends it.
        """
        token_text, _, status_text = seal.partition(":")
        token = int(token_text)
        found = self._records.read_result(job_id)
        if found is not None and found[1] == token and found[0].status == status_text:
            return self._finish(found[0], token)
        if status_text == Status.CANCELLED:
            return self._finish(cancelled(job_id), token)
        if used_up is not None:
            return self._finish(attempts_used_up(job_id, used_up), token)
        # Sealed, and no result: it must be done again.
        self._link.coordinate(self._link.scripts.requeue, job_id, token, self._link.ttl_ms, "unsealed")
        return False

    def _prune(self, status: Status, sample: list[str]) -> None:
        """Removes sampled ids whose record has expired from a status set: sets cannot do it."""
        index = self._link.keys.index(status)
        for _ in range(PRUNE_ROUNDS):
            expired = self._records.expired(sample)
            with translated(self._link.settings):
                if expired:
                    self._link.client.srem(index, *expired)
                if len(expired) * 4 <= len(sample):
                    return
                sample = self._link.client.srandmember(index, PRUNE_SAMPLE)

    def discard_expired(self, job_ids: Sequence[str]) -> int:
        """Removes every trace of those jobs whose record is gone; returns how many there were."""
        expired = self._records.expired(job_ids)
        for job_id in expired:
            self._link.coordinate(self._link.scripts.discard, job_id)
        return len(expired)

    def sweep(self) -> SweepReport | None:
        """See `JobStore.sweep`; None when somebody swept less than a third of a lease ago."""
        link, settings = self._link, self._link.settings
        lease_ms = round(settings.lease_seconds * 1000)
        answer = link.coordinate(
            link.scripts.recover,
            lease_ms,
            SWEEP_ENTRIES,
            settings.max_attempts,
            link.ttl_ms,
            SWEEP_ENTRIES,
            lease_ms // 3,
        )
        if answer is None:
            return None
        requeued, sealed, exhausted, sampled = answer
        finished = sum(self.finish_sealed(job_id, seal) for job_id, seal in paired(sealed))
        for job_id, attempts, seal in zip(exhausted[::3], exhausted[1::3], exhausted[2::3], strict=True):
            self.finish_sealed(job_id, seal, used_up=int(attempts))
        return SweepReport(len(requeued), finished, len(exhausted) // 3, self.discard_expired(sampled))
