"""What an older release stored or registered can still be read: later fields take their defaults."""

import json

import pytest
from pydantic import ValidationError

from chalicelib.models import CompileRequest, Environment
from chalicelib.storage.redis.jobs import (
    job_from_fields,
    job_to_fields,
    result_from_fields,
    result_to_fields,
)
from chalicelib.storage.sources import pack, unpack
from tests.support.factories import make_environment, make_job, make_request, make_result

LATER = {
    "environment": {"version_text", "image"},
    "request": {"expect"},
    "result": {"command_environment", "usage", "limits", "compiled_files"},
}


def test_a_result_without_the_later_fields_is_read() -> None:
    """Fields may be missing in the hash, and in the environment that it holds."""
    result = make_result("0" * 32, environment=make_environment(), command=("gcc",))
    fields = result_to_fields(result)
    for name in LATER["result"]:
        del fields[name]
    environment = json.loads(fields["environment"])
    for name in LATER["environment"]:
        del environment[name]
    fields["environment"] = json.dumps(environment)
    assert result_from_fields(fields) == result


def test_a_job_without_the_later_fields_is_read() -> None:
    """Fields may be missing in the request that it holds."""
    job = make_job()
    request = json.loads(job.request.model_dump_json())
    for name in LATER["request"]:
        del request[name]
    assert unpack(json.dumps(request), {}) == job.request


def test_a_record_of_an_older_release_is_read() -> None:
    """It has a whole request, and only the fields of the first release."""
    job = make_job()
    fields = job_to_fields(job, job.request.model_dump_json())
    for name in set(fields) - {"id", "request", "status", "created_at"}:
        del fields[name]
    assert job_from_fields(fields, unpack(fields["request"], {})) == job


def test_an_older_release_cannot_mistake_a_request_whose_source_is_apart() -> None:
    """Without `files` and `main` it is unreadable there, and the job ends in error: never a wrong verdict."""
    packed = pack([make_request("int x;\n" * 4000)])
    assert packed.texts
    with pytest.raises(ValidationError, match="files"):
        CompileRequest.model_validate_json(packed.records[0])


def test_fields_of_a_newer_release_are_ignored() -> None:
    """While two releases run side by side, the older one reads what the newer one wrote."""
    environment = make_environment().model_dump(mode="json") | {"later": 1}
    assert Environment.model_validate(environment) == make_environment()
    job = make_job()
    request = job.request.model_dump(mode="json") | {"later": {"a": 1}}
    assert CompileRequest.model_validate(request) == job.request
    fields = result_to_fields(make_result("0" * 32)) | {"later": "x", "token": "3"}
    assert result_from_fields(fields) == make_result("0" * 32)
