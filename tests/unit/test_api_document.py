"""docs/api.md against the code: routes, fields and values.

The tables of routes, errors and limits are made from the code (test_reference.py), and tests/e2e runs the
examples.
"""

import re
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
    ExpectedDiagnostic,
    Fix,
    Reason,
    Severity,
    Status,
    Totals,
    Verdict,
    utc_now,
)
from chalicelib.storage import endings
from chalicelib.storage.protocol import Counts
from tests.contract.test_matrices import make_matrix
from tests.support.documents import cells, names_in, quoted, table, text_of
from tests.support.factories import make_environment, make_job, make_result, make_runner


def _sections(level: str) -> dict[str, str]:
    """Heading → text of the sections of docs/api.md, down to the next heading of that level or above."""
    parts = re.split(rf"^(?=#{{2,{len(level)}}} )", text_of("docs/api.md"), flags=re.MULTILINE)
    return dict(
        part.removeprefix(level).strip().split("\n", 1) for part in parts if part.startswith(f"{level} ")
    )


def test_each_route_has_a_section_with_a_curl() -> None:
    """Its headings are the routes of app.py, method and path, and each shows how it is called."""
    routes = {f"`{method} {path}`" for path, methods in app.routes.items() for method in methods}
    sections = {head: text for head, text in _sections("###").items() if re.match(r"`[A-Z]+ /", head)}
    assert set(sections) == routes
    assert [head for head, text in sections.items() if "curl " not in text] == []


def test_retry_after_of_a_full_queue_is_as_described() -> None:
    """A tenth of the jobs over the workers, from 1 s to the page's bound; 30 s without a runner."""
    runner = make_runner(max_workers=5)
    assert endings.retry_after_seconds(100, [runner], 2.0) == 4
    assert endings.retry_after_seconds(1, [runner], 0.01) == 1
    assert endings.retry_after_seconds(10**6, [runner], 30.0) == endings.LONGEST_RETRY_SECONDS
    assert endings.retry_after_seconds(100, [], None) == 30


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
    assert missing <= set(quoted(_sections("##")["Matrix"]))
    matrix = make_matrix([make_job()])
    report = Report(matrix, [Status.COMPLETED])
    report.add(
        0, make_result(matrix.cells[0].job_id, diagnostics=[Diagnostic(severity=Severity.ERROR, message="")])
    )
    language = load_catalog().language("cpp")
    answer = report.to_json(language)
    assert names_in(told) == set(answer)
    named = {name for text in quoted(_sections("##")["Matrix"]) for name in re.findall(r"\w+", text)}
    parts = [answer["summary"], answer["cells"][0], answer["minimum_standard"][0], answer["groups"][0]]
    assert {name for part in parts for name in part} - named == set()


def test_the_api_page_has_every_format() -> None:
    """With its Content-Type."""
    rows = table("docs/api.md", "format", "Content-Type")
    shown = {row[0].strip("`"): row[1].strip("`") for row in rows}
    assert shown == {form.value: form.media_type for form in content_negotiation.OutputFormat}


def test_the_api_page_has_every_field_of_an_expectation_a_diagnostic_and_a_fix() -> None:
    """What may be expected of a diagnostic, what one has, and what an edit consists of."""
    assert set(ExpectedDiagnostic.model_fields) <= set(quoted(_sections("###")["Expectations"]))
    job = set(quoted(_sections("##")["Job"]))
    assert set(Diagnostic.model_fields) | set(Fix.model_fields) <= job


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
