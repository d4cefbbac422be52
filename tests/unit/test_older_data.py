"""What an older release stored or registered can still be read: later fields take their defaults."""

import json

from chalicelib.models import CompileRequest, Environment
from chalicelib.storage.redis.jobs import (
    job_from_fields,
    job_to_fields,
    result_from_fields,
    result_to_fields,
)
from tests.support.factories import make_environment, make_job, make_result

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
    fields = job_to_fields(job)
    request = json.loads(fields["request"])
    for name in LATER["request"]:
        del request[name]
    assert job_from_fields(fields | {"request": json.dumps(request)}) == job


def test_fields_of_a_newer_release_are_ignored() -> None:
    """While two releases run side by side, the older one reads what the newer one wrote."""
    environment = make_environment().model_dump(mode="json") | {"later": 1}
    assert Environment.model_validate(environment) == make_environment()
    job = make_job()
    request = job.request.model_dump(mode="json") | {"later": {"a": 1}}
    assert CompileRequest.model_validate(request) == job.request
    fields = result_to_fields(make_result("0" * 32)) | {"later": "x", "token": "3"}
    assert result_from_fields(fields) == make_result("0" * 32)
