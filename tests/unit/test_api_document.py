"""docs/api.md against the code: its tables have the routes, errors, fields, values and limits of the code.

The fields of nested objects are in sentences there: for these the tests check that each one is mentioned.
"""

import json
import re
from collections.abc import Iterable
from typing import Any

import pytest

from app import app
from chalicelib import diagnostic_groups, errors
from chalicelib.api import (
    compile_request,
    content_negotiation,
    error_responses,
    expectations,
    json_body,
    query,
    responses,
    source_files,
)
from chalicelib.catalog import (
    MAX_FILE_NAME_BYTES,
    MAX_FILE_NAME_LEVELS,
    MAX_OPTION_CHARACTERS,
    MAX_OPTIONS,
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
from runner.diagnostics import collector
from tests.support.documents import cells, names_in, quoted, table, text_of
from tests.support.factories import make_environment, make_job, make_matrix, make_result, make_runner


def test_the_api_page_has_every_route() -> None:
    """Its headings are the routes of app.py, with method and path."""
    routes = {f"{method} {path}" for path, methods in app.routes.items() for method in methods}
    headings = set(re.findall(r"^### `([A-Z]+ [^`]+)`$", text_of("docs/api.md"), re.MULTILINE))
    assert headings == routes


def _error_classes() -> list[type[errors.WillItCompileError]]:
    """The tree without its root, which has no response of its own."""
    classes: list[type[errors.WillItCompileError]] = []
    waiting = [errors.WillItCompileError]
    while waiting:
        below = waiting.pop().__subclasses__()
        classes += below
        waiting += below
    return [error for error in classes if error.__module__ == errors.__name__]


def test_the_api_page_has_every_error_with_its_status_and_retry_after() -> None:
    """The table has slug, status and Retry-After of each error, and of the two that are not in the tree."""
    expected: dict[str, tuple[int, str]] = {}
    for error in _error_classes():
        seconds = error.retry_after_seconds
        expected[error.slug] = (error_responses.status_of(error), "" if seconds is None else str(seconds))
    expected[errors.QueueFull.slug] = (429, f"1 to {backpressure.LONGEST_RETRY_SECONDS}")
    for response in (error_responses.internal_error(), error_responses.error_response(405, "")):
        expected[str(response.body["error"])] = (response.status, "")
    rows = table("docs/api.md", "error", "status")
    assert {row[0].strip("`"): (int(row[1]), row[2]) for row in rows} == expected
    assert len(rows) == len(expected)


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


def test_the_api_page_has_every_language_with_its_usual_file() -> None:
    """The languages of the catalogue, with the name that a single source gets."""
    rows = table("docs/api.md", "language", "usual name")
    usual_names = {row[0].strip("`"): row[1].strip("`") for row in rows}
    assert usual_names == {language.id: language.default_main for language in load_catalog().languages}


def test_the_api_page_has_every_format() -> None:
    """Each with its Content-Type."""
    rows = table("docs/api.md", "format", "Content-Type")
    media_types = {row[0].strip("`"): row[1].strip("`") for row in rows}
    assert media_types == {item.value: item.media_type for item in content_negotiation.OutputFormat}


def test_the_examples_on_the_api_page_are_valid() -> None:
    """One is the expectation of a request, the other a matrix."""
    examples = re.findall(r"^```json\n(.*?)^```$", text_of("docs/api.md"), re.MULTILINE | re.DOTALL)
    expect, matrix = (json.loads(example) for example in examples)
    body = {"source_code": "int x;", "language": "cpp", "expect": expect}
    offered = [make_environment(), make_environment(id="clang-16", family="clang")]
    assert compile_request.resolve(
        compile_request.parse(json.dumps(body).encode()), load_catalog(), offered
    ).expect
    matrix_plan = plan.make_plan(plan.parse(json.dumps(matrix).encode()), load_catalog(), offered)
    assert len(matrix_plan.requests) == 4


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


def test_the_limits_on_the_api_page_are_those_of_the_code() -> None:
    """Every limit of a request and of a result, with its unit."""
    limits = {
        "source, all files together, decoded": f"{source_files.MAX_SOURCE_BYTES} bytes",
        "body": f"{json_body.MAX_BODY_BYTES} bytes",
        "files": f"{source_files.MAX_FILES}",
        "file name": f"{MAX_FILE_NAME_BYTES} bytes",
        "parts of a file name": f"{MAX_FILE_NAME_LEVELS}",
        "options": f"{MAX_OPTIONS}",
        "option": f"{MAX_OPTION_CHARACTERS} characters",
        "expected diagnostics": f"{expectations.MAX_EXPECTED_DIAGNOSTICS}",
        "`wait`": f"{query.MAX_WAIT_SECONDS:g} seconds",
        "cells of a matrix": f"{plan.MAX_CELLS}",
        "source of a matrix, times its cells": f"{plan.MAX_MATRIX_BYTES} bytes",
        "names and globs in a list of a matrix": f"{plan.MAX_PATTERNS}",
        "details in an error": f"{json_body.MAX_DETAILS}",
        "diagnostics in a result, children included": f"{collector.MAX_DIAGNOSTICS}",
        "message of a diagnostic": f"{collector.MAX_MESSAGE_CHARACTERS} characters",
        "diagnostics in `groups` of a matrix, or in its SARIF, as JSON": (
            f"{diagnostic_groups.MAX_GROUPS_BYTES} bytes"
        ),
    }
    assert {row[0]: row[1] for row in table("docs/api.md", "limit", "value")} == limits
