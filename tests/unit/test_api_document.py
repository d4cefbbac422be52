"""docs/api.md against the code: routes, errors, fields, values and limits, in both directions."""

import json
import re
from typing import Any

import pytest

from app import app
from chalicelib import errors, service
from chalicelib.api import (
    compile_request,
    content_negotiation,
    error_responses,
    expectations,
    json_body,
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
from chalicelib.matrix import groups, plan
from chalicelib.matrix.report import Report
from chalicelib.models import (
    Diagnostic,
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
    """Its headings are the routes of app.py, method and path."""
    routes = {f"{method} {path}" for path, methods in app.routes.items() for method in methods}
    headings = set(re.findall(r"^### `([A-Z]+ [^`]+)`$", text_of("docs/api.md"), re.MULTILINE))
    assert headings == routes


def _errors() -> list[type[errors.WillItCompileError]]:
    """The tree without its root, which has no answer of its own."""
    found: list[type[errors.WillItCompileError]] = []
    waiting = [errors.WillItCompileError]
    while waiting:
        below = waiting.pop().__subclasses__()
        found += below
        waiting += below
    return [error for error in found if error.__module__ == errors.__name__]


def test_the_api_page_has_every_error_with_its_status_and_retry_after() -> None:
    """The table has slug, status and Retry-After of each error, of our 500 and of the framework's 405."""
    wanted: dict[str, tuple[int, str]] = {}
    for error in _errors():
        seconds = error.retry_after_seconds
        wanted[error.slug] = (error_responses.status_of(error), "" if seconds is None else str(seconds))
    wanted[errors.QueueFull.slug] = (429, f"1 to {backpressure.LONGEST_RETRY_SECONDS}")
    for answer in (error_responses.internal(), error_responses.refusal(405, "")):
        wanted[str(answer.body["error"])] = (answer.status, "")
    rows = table("docs/api.md", "error", "status")
    assert {row[0].strip("`"): (int(row[1]), row[2]) for row in rows} == wanted
    assert len(rows) == len(wanted)


def test_retry_after_of_a_full_queue_is_as_described() -> None:
    """A tenth of the jobs over the workers, from 1 s to the page's bound; 30 s without a runner."""
    runner = make_runner(max_workers=5)
    assert backpressure.retry_after_seconds(100, [runner], 2.0) == 4
    assert backpressure.retry_after_seconds(1, [runner], 0.01) == 1
    assert backpressure.retry_after_seconds(10**6, [runner], 30.0) == backpressure.LONGEST_RETRY_SECONDS
    assert backpressure.retry_after_seconds(100, [], None) == 30
    assert "; 30 when no runner lives" in " ".join(text_of("docs/api.md").split())


def test_the_api_page_has_every_request_field() -> None:
    """The first table of fields is ClientRequest's, with its defaults."""
    tables = _field_tables()
    fields = compile_request.ClientRequest.model_fields
    assert names_in(tables[0]) == set(fields)
    shown = {row[0].strip("`"): row[2] for row in tables[0]}
    required = {name for name, field in fields.items() if field.is_required()}
    assert {name for name, default in shown.items() if default == "required"} == required
    assert (shown["stage"], shown["options"], shown["cache"]) == ("`compile`", "`[]`", "`true`")


def test_the_api_page_has_every_field_of_a_matrix() -> None:
    """What it has beside a request's fields, what its answer has, and every field inside that."""
    asked, told = _field_tables()[1:3]
    assert names_in(asked) == set(plan.ClientMatrix.model_fields) - set(
        compile_request.ClientRequest.model_fields
    )
    missing = set(compile_request.ClientRequest.model_fields) - set(plan.ClientMatrix.model_fields)
    page = text_of("docs/api.md")
    [sentence] = re.findall(r"fields of a \[request\]\(#request\), but for (.*?)\. It has", page, re.DOTALL)
    assert set(quoted(sentence)) == missing
    matrix = make_matrix([make_job()])
    report = Report(matrix, [Status.COMPLETED])
    report.add(
        0, make_result(matrix.cells[0].job_id, diagnostics=[Diagnostic(severity=Severity.ERROR, message="")])
    )
    language = load_catalog().language("cpp")
    answer = report.to_json(language)
    assert names_in(told) == set(answer)
    [section] = re.findall(r"^## Matrix$(.*?)^## Formats$", page, re.MULTILINE | re.DOTALL)
    named = {name for text in quoted(section) for name in re.findall(r"\w+", text)}
    parts = [answer["summary"], answer["cells"][0], answer["minimum_standard"][0], answer["groups"][0]]
    assert {name for part in parts for name in part} - named == set()


def test_the_api_page_has_every_language_with_its_usual_file() -> None:
    """Those of the catalogue, with the name that a single source gets."""
    rows = table("docs/api.md", "language", "usual name")
    shown = {row[0].strip("`"): row[1].strip("`") for row in rows}
    assert shown == {each.id: each.default_main for each in load_catalog().languages}


def test_the_api_page_has_every_format() -> None:
    """With its Content-Type."""
    rows = table("docs/api.md", "format", "Content-Type")
    shown = {row[0].strip("`"): row[1].strip("`") for row in rows}
    assert shown == {form.value: form.media_type for form in content_negotiation.OutputFormat}


def test_the_api_page_has_every_field_of_an_expectation_and_a_fix() -> None:
    """What may be expected of a diagnostic, and what an edit consists of."""
    page = text_of("docs/api.md")
    [sentence] = re.findall(r"An expected diagnostic has at least one of (.*?), and is met", page, re.DOTALL)
    assert set(quoted(sentence)) == set(ExpectedDiagnostic.model_fields)
    [sentence] = re.findall(r"A fix is one edit: (.*?);", page, re.DOTALL)
    assert set(quoted(sentence)) == set(Fix.model_fields)


def test_the_examples_on_the_api_page_are_taken() -> None:
    """The expectation by a request, and the matrix by a matrix."""
    examples = re.findall(r"^```json\n(.*?)^```$", text_of("docs/api.md"), re.MULTILINE | re.DOTALL)
    expect, matrix = (json.loads(example) for example in examples)
    body = {"source_code": "int x;", "language": "cpp", "expect": expect}
    offered = [make_environment(), make_environment(id="clang-16", family="clang")]
    assert compile_request.resolve(
        compile_request.parse(json.dumps(body).encode()), load_catalog(), offered
    ).expect
    made = plan.make(plan.parse(json.dumps(matrix).encode()), load_catalog(), offered)
    assert len(made.requests) == 4


def test_the_api_page_has_every_field_of_an_answer() -> None:
    """Fields of an ended job, of one that waits, of a diagnostic, of an environment and of the statistics."""
    job, moment = make_job(), utc_now()
    result = make_result(job.id, environment=make_environment())
    page = text_of("docs/api.md")
    assert names_in(_field_tables()[3]) == set(responses.ended(job, result))
    listed = set(quoted(page))
    counts = Counts(by_status=dict.fromkeys(Status, 0), totals=Totals())
    for answer in (
        responses.pending(job),
        responses.accepted(job),
        responses.statistics(counts, [make_runner()], moment),
        responses.environments([make_environment()], [make_runner()]),
        responses.environments([make_environment()], [make_runner()])["environments"][0],
        responses.environments([make_environment()], [make_runner()])["runners"][0],
        responses.ended(job, result)["environment"],
    ):
        assert set(answer) - {name for text in listed for name in re.findall(r"\w+", text)} == set()
    [sentence] = re.findall(r"A diagnostic has (.*?); what", page, re.DOTALL)
    severity_and_rest = set(quoted(sentence)) - {"-Wunused-variable"}
    assert severity_and_rest == set(Diagnostic.model_fields)


def _field_tables() -> list[list[list[str]]]:
    """The tables of fields: request, matrix, its answer, the ended job."""
    blocks = re.findall(r"(?:^\|.*\n)+", text_of("docs/api.md"), re.MULTILINE)
    tables = [[cells(line) for line in block.splitlines()] for block in blocks]
    found = [rows[2:] for rows in tables if rows[0][:2] == ["field", "type"]]
    assert len(found) == 4
    return found


@pytest.mark.parametrize(
    ("head", "values"),
    [("status", Status), ("verdict", Verdict), ("reason", Reason), ("severity", Severity)],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_api_page_explains_every_value(head: str, values: Any) -> None:
    """Statuses, verdicts, reasons and severities are all there, and no other."""
    assert names_in(table("docs/api.md", head, "meaning")) == {value.value for value in values}


def test_the_limits_on_the_api_page_are_the_codes_own() -> None:
    """Every limit of a request and of a result, in its unit."""
    limits = {
        "source, all files together, decoded": f"{source_files.MAX_SOURCE_BYTES} bytes",
        "body": f"{json_body.MAX_BODY_BYTES} bytes",
        "files": f"{source_files.MAX_FILES}",
        "file name": f"{MAX_FILE_NAME_BYTES} bytes",
        "parts of a file name": f"{MAX_FILE_NAME_LEVELS}",
        "options": f"{MAX_OPTIONS}",
        "option": f"{MAX_OPTION_CHARACTERS} characters",
        "expected diagnostics": f"{expectations.MAX_EXPECTED_DIAGNOSTICS}",
        "`wait`": f"{service.MAX_WAIT_SECONDS:g} seconds",
        "cells of a matrix": f"{plan.MAX_CELLS}",
        "source of a matrix, times its cells": f"{plan.MAX_MATRIX_BYTES} bytes",
        "names and globs in a list of a matrix": f"{plan.MAX_PATTERNS}",
        "details in an error": f"{json_body.MAX_DETAILS}",
        "diagnostics in a result, children included": f"{collector.MAX_DIAGNOSTICS}",
        "message of a diagnostic": f"{collector.MAX_MESSAGE_CHARACTERS} characters",
        "diagnostics in `groups` of a matrix, or in its SARIF, as JSON": f"{groups.MAX_GROUPS_BYTES} bytes",
    }
    assert {row[0]: row[1] for row in table("docs/api.md", "limit", "value")} == limits
