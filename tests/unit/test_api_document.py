"""docs/api.md against the code: its routes, fields and values.

The tables of routes, errors and limits are made from the code (test_reference.py), and tests/e2e runs the
examples. The fields of nested objects are in sentences: the tests check that each one is mentioned.
"""

import re
from collections.abc import Iterable
from typing import Any

import pytest

from app import app
from chalicelib.api import (
    compile_request,
    content_negotiation,
    responses,
)
from chalicelib.catalog import (
    load_catalog,
)
from chalicelib.matrix import plan
from chalicelib.matrix.report import Report
from chalicelib.models import (
    Diagnostic,
    Environment,
    ExpectedDiagnostic,
    Fix,
    Reason,
    Severity,
    Status,
    Totals,
    Verdict,
    utc_now,
)
from chalicelib.storage import backpressure
from chalicelib.storage.protocol import Counts
from tests.support.documents import cells, names_in, quoted, table, text_of
from tests.support.factories import make_environment, make_job, make_matrix, make_result, make_runner


def test_each_route_has_a_section_with_a_curl() -> None:
    """The headings are the routes of app.py, with method and path, and each shows how it is called."""
    routes = {f"{method} {path}" for path, methods in app.routes.items() for method in methods}
    parts = re.split(r"^###? (?:`([A-Z]+ [^`]+)`)?.*$", text_of("docs/api.md"), flags=re.MULTILINE)
    sections = {head: text for head, text in zip(parts[1::2], parts[2::2], strict=True) if head}
    assert set(sections) == routes
    assert [head for head, text in sections.items() if "curl " not in text] == []


def test_retry_after_of_a_full_queue_is_as_described() -> None:
    """A tenth of the jobs divided by the workers, from 1 s up to the page's bound; 30 s without a runner."""
    runner = make_runner(max_workers=5)
    assert backpressure.retry_after_seconds(100, [runner], 2.0) == 4
    assert backpressure.retry_after_seconds(1, [runner], 0.01) == 1
    assert backpressure.retry_after_seconds(10**6, [runner], 30.0) == backpressure.LONGEST_RETRY_SECONDS
    assert backpressure.retry_after_seconds(100, [], None) == 30


def test_the_api_page_has_every_request_field() -> None:
    """The first table of fields is that of a request, with the defaults."""
    request_table = _field_tables()[0]
    fields = compile_request.ClientRequest.model_fields
    assert names_in(request_table) == set(fields)
    defaults = {row[0].strip("`"): row[2] for row in request_table}
    required = {name for name, field in fields.items() if field.is_required()}
    assert {name for name, default in defaults.items() if default == "required"} == required
    assert (defaults["stage"], defaults["options"], defaults["cache"]) == ("`compile`", "`[]`", "`true`")


def test_the_api_page_has_every_field_of_a_matrix() -> None:
    """The fields that a request does not have, those of the response, and those inside of these."""
    request_table, response_table = _field_tables()[1:3]
    assert names_in(request_table) == set(plan.ClientMatrix.model_fields) - set(
        compile_request.ClientRequest.model_fields
    )
    body = _matrix_body()
    assert names_in(response_table) == set(body)
    mentioned = _mentioned(_section("Matrix"))
    for nested in (body["summary"], body["cells"][0], body["minimum_standard"][0], body["groups"][0]):
        assert set(nested) - mentioned == set()


def _matrix_body() -> dict[str, Any]:
    matrix = make_matrix([make_job()])
    report = Report(matrix, [Status.COMPLETED])
    diagnostic = Diagnostic(severity=Severity.ERROR, message="")
    report.add(0, make_result(matrix.cells[0].job_id, diagnostics=[diagnostic]))
    return report.to_json(load_catalog().language("cpp"))


def test_the_api_page_has_every_format() -> None:
    """Each with its Content-Type."""
    rows = table("docs/api.md", "format", "Content-Type")
    media_types = {row[0].strip("`"): row[1].strip("`") for row in rows}
    assert media_types == {item.value: item.media_type for item in content_negotiation.OutputFormat}


def test_the_api_page_has_every_field_of_an_ended_job() -> None:
    """The last table of fields is that of a job with its result."""
    job = make_job()
    assert names_in(_field_tables()[3]) == set(responses.ended_job(job, make_result(job.id)))


def _nested_objects() -> dict[str, Iterable[str]]:
    """Objects whose fields the page has in sentences: name → fields."""
    job, counts = make_job(), Counts(by_status=dict.fromkeys(Status, 0), totals=Totals())
    environments = responses.environments([make_environment()], [make_runner()])
    result = make_result(job.id, environment=make_environment())
    return {
        "submitted job": responses.submitted_job(job),
        "unfinished job": responses.unfinished_job(job),
        "statistics": responses.statistics(counts, [make_runner()], utc_now()),
        "environments": environments,
        "environment": environments["environments"][0],
        "runner": environments["runners"][0],
        "environment of a result": responses.ended_job(job, result)["environment"],
        "diagnostic": Diagnostic.model_fields,
        "fix": Fix.model_fields,
        "expected diagnostic": ExpectedDiagnostic.model_fields,
    }


@pytest.mark.parametrize("name", _nested_objects())
def test_the_api_page_mentions_every_field_of_a_nested_object(name: str) -> None:
    """Each field of the object is quoted somewhere on the page."""
    assert set(_nested_objects()[name]) - _mentioned(text_of("docs/api.md")) == set()


def test_the_api_page_promises_no_field_that_is_kept_back() -> None:
    """A field of an environment that responses leave out is not on the page."""
    environments = responses.environments([make_environment()], [])["environments"]
    kept_back = set(Environment.model_fields) - set(environments[0])
    assert kept_back == {"version_key"}
    assert kept_back & _mentioned(text_of("docs/api.md")) == set()


def _mentioned(text: str) -> set[str]:
    """Every word in backticks."""
    return {word for name in quoted(text) for word in re.findall(r"\w+", name)}


def _section(title: str) -> str:
    """The text under a heading of the second level."""
    [section] = re.findall(rf"^## {title}$(.*?)(?=^## )", text_of("docs/api.md"), re.MULTILINE | re.DOTALL)
    return str(section)


def _field_tables() -> list[list[list[str]]]:
    """The tables of fields: request, matrix, its response, the ended job."""
    blocks = re.findall(r"(?:^\|.*\n)+", text_of("docs/api.md"), re.MULTILINE)
    tables = [[cells(line) for line in block.splitlines()] for block in blocks]
    field_tables = [rows[2:] for rows in tables if rows[0][:2] == ["field", "type"]]
    assert len(field_tables) == 4
    return field_tables


@pytest.mark.parametrize(
    ("head", "values"),
    [("status", Status), ("verdict", Verdict), ("reason", Reason), ("severity", Severity)],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_api_page_explains_every_value(head: str, values: Any) -> None:
    """Its tables have all statuses, verdicts, reasons and severities, and no others."""
    assert names_in(table("docs/api.md", head, "meaning")) == {value.value for value in values}
