"""Jobs and results as Redis hashes, field by field, as the data model names them.

Flat fields rather than one JSON blob, because operators read these hashes by hand and
scripts need single fields. A field that is missing (written by an older release) takes the
model's default.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime

from chalicelib.models import CompileRequest, Job, Result, Status

Fields = dict[str, str]


def format_time(moment: datetime | None) -> str:
    """RFC 3339 in UTC with microseconds; empty for None."""
    if moment is None:
        return ""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_time(text: str) -> datetime | None:
    """The inverse of `format_time`."""
    return datetime.fromisoformat(text) if text else None


def job_to_fields(job: Job) -> Fields:
    """All fields of ``job:<id>`` but the fencing token, which the scripts keep."""
    return {
        "id": job.id,
        "request": job.request.model_dump_json(),
        "status": job.status.value,
        "created_at": format_time(job.created_at),
        "started_at": format_time(job.started_at),
        "completed_at": format_time(job.completed_at),
        "attempts": str(job.attempts),
        "runner": job.runner,
        "fingerprint": job.fingerprint,
        "owner": job.owner,
    }


def job_from_fields(fields: Mapping[str, str]) -> Job:
    """The inverse of `job_to_fields`."""
    created_at = parse_time(fields["created_at"])
    assert created_at is not None, "created_at is written with the record"
    return Job(
        id=fields["id"],
        request=CompileRequest.model_validate_json(fields["request"]),
        status=Status(fields["status"]),
        created_at=created_at,
        started_at=parse_time(fields.get("started_at", "")),
        completed_at=parse_time(fields.get("completed_at", "")),
        attempts=int(fields.get("attempts", "0")),
        runner=fields.get("runner", ""),
        fingerprint=fields.get("fingerprint", ""),
        owner=fields.get("owner", ""),
    )


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
        if name in ("diagnostics", "environment", "command", "command_environment"):
            values[name] = json.loads(text) if text else None
        elif name in ("reason", "exit_code"):
            values[name] = text or None
        else:
            values[name] = text
    return Result.model_validate({k: v for k, v in values.items() if v is not None})


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
