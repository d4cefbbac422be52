"""Jobs, their sources, results and matrices in Redis, one key at a time.

These keys spread over a cluster's slots, so no step here touches two of them. Writes carry the fencing token:
an older claim never overwrites what a newer one wrote.

Jobs and results are hashes of flat fields rather than one JSON text, because operators read them by hand and
scripts need single fields. A field that is missing (written by an older release) takes the model's default.
To add a field: add it to the model with a default, and for jobs to the two functions below.

The request of a job may name texts under `source:<sha256>` (see `storage/sources.py`). They are written
before the records that name them, and whenever a record gets a new time to live, so do they.

What cannot be read (another release's, damaged, somebody else's) is logged once, and has a stand-in: a job
that can only be ended, a result without a verdict. A matrix has no stand-in: `StoreUnreadable`.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

from chalicelib.errors import StoreError, StoreUnreadable
from chalicelib.models import CompileRequest, Job, Matrix, Result, Status, is_id
from chalicelib.storage.redis.client import RedisClient
from chalicelib.storage.redis.scripts import flattened
from chalicelib.storage.redis.unreadable import reason_of
from chalicelib.storage.sources import Packed, SourceLost, chunks, names_in, unpack
from chalicelib.timestamps import format_time, parse_time

Fields = dict[str, str]
ReadT = TypeVar("ReadT", Job, Result)

# A record holds a few kB, and 16 kB at most: this many of them are sent well within the time-out of a socket.
CHUNK = 64
# So is this much of sources.
CHUNK_BYTES = 2 * 1024 * 1024

_OUTLINE = [name for name in Result.model_fields if name not in ("stdout", "stderr")]
# Fields of a result that are JSON, and fields in which an empty text means None.
_JSON_FIELDS = (
    *("diagnostics", "usage", "limits", "environment", "command", "command_environment", "compiled_files"),
)
_NULLABLE_FIELDS = ("reason", "exit_code")


class StoredResult(NamedTuple):
    """A result, and the fencing token under which it was written."""

    result: Result
    token: int


class JobRecords:
    """Reads and writes single jobs, results and matrices; knows nothing about the queue."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client

    def write(self, jobs: Sequence[Job], packed: Packed) -> None:
        """Writes the sources of new jobs, then their records."""
        client = self._client
        for part in chunks(packed.texts, CHUNK_BYTES):
            with client.pipeline() as pipe:
                for name, text in part:
                    pipe.set(client.keys.source(name), text, px=client.ttl_ms)
                pipe.execute()
        records = list(zip(jobs, packed.records, strict=True))
        for start in range(0, len(records), CHUNK):
            with client.pipeline() as pipe:
                for job, request in records[start : start + CHUNK]:
                    pipe.hset(client.keys.job(job.id), mapping=job_to_fields(job, request))
                    pipe.pexpire(client.keys.job(job.id), client.ttl_ms)
                pipe.execute()

    def read(self, job_id: str, *, with_source: bool = True) -> Job | None:
        """A job as its record has it; the status may lag behind the status sets.

        Without its source, the request is empty if the record does not have it.
        """
        try:
            fields = self._client.hgetall(self._client.keys.job(job_id))
        except StoreUnreadable as error:
            return self._unreadable_job(job_id, error, {})
        return self._job(job_id, fields, with_source=with_source) if fields else None

    def _job(self, job_id: str, fields: Fields, *, with_source: bool) -> Job:
        try:
            request = self._request(fields["request"], with_source=with_source)
            return _of_job(job_id, job_from_fields(fields, request), fields["id"])
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 -- whatever a decoder raises, it says that this is not ours
            return self._unreadable_job(job_id, error, fields)

    def _request(self, record: str, *, with_source: bool) -> CompileRequest:
        """The request of a record. Its texts are kept as long as the record, from now on."""
        client, names = self._client, names_in(record)
        if names and not with_source:
            return CompileRequest.empty()
        keys = [client.keys.source(name) for name in names]
        texts = client.read_texts(keys, client.ttl_ms) if keys else {}
        return unpack(record, {name: texts[key] for name, key in zip(names, keys, strict=True)})

    def _keep_source(self, record: Fields) -> None:
        """Keeps the texts that a record names as long as the record, from now on."""
        try:
            names = names_in(record.get("request", "{}"))
        except ValueError:
            return  # whoever reads the job says so
        if names:
            with self._client.pipeline() as pipe:
                for name in names:
                    pipe.pexpire(self._client.keys.source(name), self._client.ttl_ms)
                pipe.execute()

    def _unreadable_job(self, job_id: str, error: Exception, fields: Fields) -> Job:
        why = reason_of(error)
        self._client.unreadable.log(self._client.keys.job(job_id), why, "its job can only end in error")
        status = fields.get("status", "")
        return Job.of_unreadable_record(
            job_id,
            why,
            Status(status) if status in set(Status) else Status.QUEUED,
            source_lost=isinstance(error, SourceLost),
        )

    def delete(self, job_ids: Sequence[str]) -> None:
        """Removes the records of jobs that were never queued."""
        with self._client.pipeline() as pipe:
            for job_id in job_ids:
                pipe.delete(self._client.keys.job(job_id))
            pipe.execute()

    def update(
        self, job_id: str, token: int, status: Status, *, with_source: bool = True, **changes: Any
    ) -> Job | None:
        """Writes a job's new status and wakes the clients that wait for it; see update_job.lua for the rules.

        Returns the job as its record then has it, as `read` does; None when the record has expired. The
        source is kept as long as the record.
        """
        fields = {"status": status.value} | {
            name: str(value) if isinstance(value, (int, str)) else format_time(value)
            for name, value in changes.items()
        }
        arguments = [token, self._client.ttl_ms, self._client.keys.events(job_id), *flattened(fields.items())]
        record = self._client.run(
            self._client.scripts.update_job, *arguments, on=[self._client.keys.job(job_id)]
        )
        if not with_source:
            self._keep_source(record)
        return self._job(job_id, record, with_source=with_source) if record else None

    def expired(self, job_ids: Sequence[str]) -> list[str]:
        """Those of the ids whose record no longer exists; what is no id never had one."""
        ids = [job_id for job_id in job_ids if is_id(job_id)]
        others = [job_id for job_id in job_ids if not is_id(job_id)]
        if not ids:
            return others
        with self._client.pipeline() as pipe:
            for job_id in ids:
                pipe.exists(self._client.keys.job(job_id))
            answers = pipe.execute()
        return others + [job_id for job_id, exists in zip(ids, answers, strict=True) if not exists]

    # -- results

    def write_result(self, result: Result, token: int) -> bool:
        """Writes a result; False when a newer claim has written one."""
        arguments = [token, self._client.ttl_ms, *flattened(result_to_fields(result).items())]
        script = self._client.scripts.write_result
        return self._client.run(script, *arguments, on=[self._client.keys.result(result.job_id)])

    def read_result(self, job_id: str) -> StoredResult | None:
        """A job's result, once there is one."""
        try:
            fields = self._client.hgetall(self._client.keys.result(job_id))
        except StoreUnreadable as error:
            return StoredResult(self._unreadable_result(job_id, error), 0)
        if not fields:
            return None
        token = fields.get("token", "0")
        # Whatever else it is, no claim has it as its token; 18 digits are more than there are claims.
        is_token = token.isascii() and token.isdigit() and len(token) <= 18
        return StoredResult(self._result(job_id, fields), int(token) if is_token else -1)

    def _result(self, job_id: str, fields: Fields) -> Result:
        try:
            return _of_job(job_id, result_from_fields(fields), fields["job_id"])
        except Exception as error:  # noqa: BLE001 -- whatever a decoder raises, it says that this is not ours
            return self._unreadable_result(job_id, error)

    def _unreadable_result(self, job_id: str, error: Exception) -> Result:
        self._client.unreadable.log(
            self._client.keys.result(job_id), reason_of(error), "clients get no verdict"
        )
        return Result.of_unreadable_result(job_id)

    def delete_result(self, job_id: str) -> None:
        """Removes a result that no claim wrote."""
        self._client.delete(self._client.keys.result(job_id))

    def read_outlines(self, job_ids: Sequence[str]) -> list[Result | None]:
        """Results without what the compilers wrote, which may be long."""
        if not job_ids:
            return []
        with self._client.pipeline() as pipe:
            for job_id in job_ids:
                pipe.hmget(self._client.keys.result(job_id), _OUTLINE)
            answers = self._client.read_each(pipe)
        return [self._outline(job_id, answer) for job_id, answer in zip(job_ids, answers, strict=True)]

    def _outline(self, job_id: str, answer: list[str | None] | StoreUnreadable) -> Result | None:
        if isinstance(answer, StoreUnreadable):
            return self._unreadable_result(job_id, answer)
        fields = {name: text for name, text in zip(_OUTLINE, answer, strict=True) if text is not None}
        return self._result(job_id, fields) if fields else None

    # -- matrices

    def write_matrix(self, matrix: Matrix) -> None:
        """Writes a matrix, as JSON."""
        self._client.set(
            self._client.keys.matrix(matrix.id), matrix.model_dump_json(), px=self._client.ttl_ms
        )

    def read_matrix(self, matrix_id: str) -> Matrix | None:
        """A matrix; None when it is unknown or expired. Raises `StoreUnreadable`."""
        key = self._client.keys.matrix(matrix_id)
        try:
            text = self._client.get(key)
            return _matrix(matrix_id, text) if text else None
        except (StoreUnreadable, ValueError) as error:
            why = reason_of(error)
            self._client.unreadable.log(key, why, "clients get 503")
            raise StoreUnreadable(f"{key} cannot be read: {why}") from error

    def delete_matrix(self, matrix_id: str) -> None:
        """Removes a matrix whose jobs were never queued."""
        self._client.delete(self._client.keys.matrix(matrix_id))


# -- fields


def job_to_fields(job: Job, request: str) -> Fields:
    """All fields of ``job:<id>`` but the fencing token, which the scripts keep; `request` is packed."""
    return {
        "id": job.id,
        "request": request,
        "status": job.status.value,
        "created_at": format_time(job.created_at),
        "started_at": format_time(job.started_at),
        "completed_at": format_time(job.completed_at),
        "attempts": str(job.attempts),
        "runner": job.runner,
        "fingerprint": job.fingerprint,
        "owner": job.owner,
    }


def job_from_fields(fields: Mapping[str, str], request: CompileRequest) -> Job:
    """The inverse of `job_to_fields`, with the unpacked request."""
    created_at = _time(fields["created_at"])
    if created_at is None:
        raise ValueError("created_at is written with the record")
    return Job(
        id=fields["id"],
        request=request,
        status=Status(fields["status"]),
        created_at=created_at,
        started_at=_time(fields.get("started_at", "")),
        completed_at=_time(fields.get("completed_at", "")),
        attempts=int(fields.get("attempts", "0")),
        runner=fields.get("runner", ""),
        fingerprint=fields.get("fingerprint", ""),
        owner=fields.get("owner", ""),
    )


def _of_job(job_id: str, stored: ReadT, stored_id: str) -> ReadT:
    if stored_id != job_id:
        raise ValueError("it is that of another job")
    stored.model_dump_json()  # raises when a text is not valid Unicode, which no answer can hold
    return stored


def _matrix(matrix_id: str, text: str) -> Matrix:
    matrix = Matrix.model_validate_json(text)
    # Only ids may become parts of keys.
    if matrix.id != matrix_id or not all(is_id(cell.job_id) for cell in matrix.cells):
        raise ValueError("it is that of another matrix, or its jobs have no ids")
    return matrix


def _time(text: str) -> datetime | None:
    moment = parse_time(text)
    format_time(moment)  # raises when it is not in the calendar of UTC
    return moment


def result_to_fields(result: Result) -> Fields:
    """All fields of ``result:<id>``; lists and objects are JSON, None is empty.

    `status` is the terminal status that the result leads to.
    """
    values = result.model_dump(mode="json") | {"status": result.status.value}
    return {name: _text(value) for name, value in values.items()}


def result_from_fields(fields: Mapping[str, str]) -> Result:
    """The inverse of `result_to_fields`."""
    values: dict[str, object] = {}
    for name, text in fields.items():
        if name in _JSON_FIELDS:
            values[name] = json.loads(text) if text else None
        elif name in _NULLABLE_FIELDS:
            values[name] = text or None
        else:
            values[name] = text
    return Result.model_validate({name: value for name, value in values.items() if value is not None})


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return str(value)
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
