"""Jobs' records and results in Redis: the hashes `job:<id>` and `result:<id>`, one key at a time.

These keys spread over a cluster's slots, so nothing here touches two of them in one step. Writes
carry the fencing token: an older claim never overwrites what a newer one wrote.
"""

from collections.abc import Sequence
from typing import Any

from chalicelib.models import Job, Result, Status
from chalicelib.storage.redis import keys
from chalicelib.storage.redis.client import RedisLink, flattened
from chalicelib.storage.redis.codec import (
    format_time,
    job_from_fields,
    job_to_fields,
    result_from_fields,
    result_to_fields,
)
from chalicelib.storage.redis.connection import translated

# A record holds up to 1 MiB of source: so many of them are sent well within the time-out of a socket.
CHUNK = 8

_OUTLINE = [name for name in Result.model_fields if name not in ("stdout", "stderr")]


class Records:
    """Reads and writes single jobs and results; knows nothing of queues."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link

    def write(self, jobs: Sequence[Job]) -> None:
        """Writes records as they are."""
        for start in range(0, len(jobs), CHUNK):
            with translated(self._link.settings):
                pipe = self._link.client.pipeline(transaction=False)
                for job in jobs[start : start + CHUNK]:
                    pipe.hset(keys.job(job.id), mapping=job_to_fields(job))
                    pipe.pexpire(keys.job(job.id), self._link.ttl_ms)
                pipe.execute()

    def read(self, job_id: str) -> Job | None:
        """A record as it is; its status may lag behind the sets."""
        with translated(self._link.settings):
            fields = self._link.client.hgetall(keys.job(job_id))
        return job_from_fields(fields) if fields else None

    def delete(self, job_ids: Sequence[str]) -> None:
        """Removes records that were never queued."""
        with translated(self._link.settings):
            pipe = self._link.client.pipeline(transaction=False)
            for job_id in job_ids:
                pipe.delete(keys.job(job_id))
            pipe.execute()

    def change(self, job_id: str, token: int, status: Status, **changes: Any) -> Job | None:
        """Writes what became of a job and wakes who waits for it; see `record.lua` for what is refused.

        Returns the record as it then is, None when it has expired.
        """
        fields = {"status": status.value} | {
            name: str(value) if isinstance(value, (int, str)) else format_time(value)
            for name, value in changes.items()
        }
        arguments = [token, self._link.ttl_ms, keys.events(job_id), *flattened(fields.items())]
        with translated(self._link.settings):
            flat = self._link.scripts.record(self._link.client, [keys.job(job_id)], arguments)
        return job_from_fields(dict(zip(flat[::2], flat[1::2], strict=True))) if flat else None

    def read_result(self, job_id: str) -> tuple[Result, int] | None:
        """A result and the fencing token under which it was written."""
        with translated(self._link.settings):
            fields = self._link.client.hgetall(keys.result(job_id))
        return (result_from_fields(fields), int(fields.get("token", 0))) if fields else None

    def read_outlines(self, job_ids: Sequence[str]) -> list[Result | None]:
        """Results without what the compilers wrote, which may be long."""
        if not job_ids:
            return []
        with translated(self._link.settings):
            pipe = self._link.client.pipeline(transaction=False)
            for job_id in job_ids:
                pipe.hmget(keys.result(job_id), _OUTLINE)
            answers = pipe.execute()
        found = [
            {name: text for name, text in zip(_OUTLINE, texts, strict=True) if text is not None}
            for texts in answers
        ]
        return [result_from_fields(fields) if fields else None for fields in found]

    def write_result(self, result: Result, token: int) -> bool:
        """Writes a result; False when one of a newer claim is there."""
        arguments = [token, self._link.ttl_ms, *flattened(result_to_fields(result).items())]
        with translated(self._link.settings):
            script = self._link.scripts.result
            return bool(script(self._link.client, [keys.result(result.job_id)], arguments))

    def expired(self, job_ids: Sequence[str]) -> list[str]:
        """Those of the ids whose record is gone."""
        if not job_ids:
            return []
        with translated(self._link.settings):
            pipe = self._link.client.pipeline(transaction=False)
            for job_id in job_ids:
                pipe.exists(keys.job(job_id))
            return [job_id for job_id, found in zip(job_ids, pipe.execute(), strict=True) if not found]
