"""Diagnostics made by hand, and the SARIF document of a job that has them."""

from typing import Any

from chalicelib.models import Diagnostic, Severity, Status, Verdict
from chalicelib.sarif.document import job_document
from tests.sarif.validator import faults_by_schema
from tests.support.factories import make_environment, make_job, make_request, make_result


def make_error(message: str, **changes: Any) -> Diagnostic:
    """An error in the first line of main.cpp; `changes` are fields of a diagnostic."""
    values: dict[str, Any] = {"severity": Severity.ERROR, "message": message, "file": "main.cpp", "line": 1}
    return Diagnostic(**(values | changes))


def make_document(*diagnostics: Diagnostic, source: str = "int x;\n", **changes: Any) -> dict[str, Any]:
    """The document of a rejected job, valid by the schema; `changes` are fields of its result."""
    job = make_job(request=make_request(source), status=Status.FAILED)
    values: dict[str, Any] = {
        "verdict": Verdict.REJECTED,
        "compiled": False,
        "exit_code": 1,
        "environment": make_environment(version_text="g++-12 (Debian) 12.2.0"),
        "command": ("g++-12", "-c", "main.cpp"),
        "diagnostics": diagnostics,
    }
    document = job_document(job, make_result(job.id, **(values | changes)))
    assert faults_by_schema(document) == []
    return document
