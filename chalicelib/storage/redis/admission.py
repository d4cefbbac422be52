"""How jobs get into the queue of Redis: one, or all those of a matrix, or none.

The order of the writes is the promise: records, then the matrix, then the queue, in one step for all jobs.

- Who stops after the records or the matrix was never answered, so nobody knows the ids; nothing is queued,
  and what was written expires. Should somebody read a cell all the same, it is queued then, and ends.
- Once the step into the queue is done, every job will end, and its matrix is there to be found.
- A step that is repeated because its answer was lost finds the jobs in their place.
"""

from collections.abc import Sequence

from chalicelib.matrix.model import Matrix
from chalicelib.models import Job, Status
from chalicelib.storage.redis import keys
from chalicelib.storage.redis.client import RedisLink
from chalicelib.storage.redis.connection import translated
from chalicelib.storage.redis.jobs import Records
from chalicelib.storage.redis.lifecycle import Finisher

# A queue that is full may be full of ids whose jobs expired, when no runner was there for a day: so
# many are looked at before a job is refused.
FULL_QUEUE_SAMPLE = 20


class Admission:
    """Lets jobs into the queue, within QUEUE_SIZE."""

    def __init__(self, link: RedisLink, records: Records, finisher: Finisher) -> None:
        self._link = link
        self._records = records
        self._finisher = finisher

    def admit(self, jobs: Sequence[Job], matrix: Matrix | None = None) -> bool:
        """Stores and queues all of the jobs, and the matrix that they are; False, and nothing is stored, when
        the queue has no room for them. May be repeated."""
        if self._try(jobs, matrix):
            return True
        with translated(self._link.settings):
            index = self._link.keys.index(Status.QUEUED)
            sample = self._link.client.srandmember(index, FULL_QUEUE_SAMPLE)
        return bool(self._finisher.discard_expired(sample)) and self._try(jobs, matrix)

    def _try(self, jobs: Sequence[Job], matrix: Matrix | None) -> bool:
        link = self._link
        queue_size = link.settings.queue_size
        full = self.waiting() + len(jobs) > queue_size
        # Known before anything is written; a retry of what is queued already is let through.
        if full and not link.coordinate(link.scripts.locate, jobs[0].id)[0]:
            return False
        self._records.write(jobs)
        if matrix is None:
            answer, _ = link.coordinate(link.scripts.enqueue, jobs[0].id, queue_size, link.ttl_ms)
        else:
            with translated(link.settings):
                link.client.set(keys.matrix(matrix.id), matrix.model_dump_json(), px=link.ttl_ms)
            job_ids = [job.id for job in jobs]
            answer, _ = link.coordinate(link.scripts.enqueue_all, queue_size, link.ttl_ms, *job_ids)
        if answer != "full":
            return True
        if matrix is not None:
            with translated(link.settings):
                link.client.delete(keys.matrix(matrix.id))
        self._records.delete([job.id for job in jobs])
        return False

    def matrix(self, matrix_id: str) -> Matrix | None:
        """A matrix that was admitted; None when it is unknown or expired."""
        with translated(self._link.settings):
            text = self._link.client.get(keys.matrix(matrix_id))
        return Matrix.model_validate_json(text) if text else None

    def waiting(self) -> int:
        """How many jobs are queued."""
        with translated(self._link.settings):
            return int(self._link.client.scard(self._link.keys.index(Status.QUEUED)))
