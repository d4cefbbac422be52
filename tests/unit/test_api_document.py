"""docs/api.md against the code: routes, errors, fields, values and limits, in both directions."""

import re
from typing import Any

import pytest

from app import app
from chalicelib import errors, http, requests, responses, service
from chalicelib.catalog import MAX_FILE_NAME_BYTES, MAX_FILE_NAME_LEVELS, MAX_OPTION_CHARACTERS, MAX_OPTIONS
from chalicelib.models import Diagnostic, Reason, Severity, Status, Totals, Verdict, utc_now
from chalicelib.storage import endings
from chalicelib.storage.base import Counts
from runner.diagnostics import bounds
from tests.documents import cells, names_in, quoted, table, text_of
from tests.factories import make_environment, make_job, make_result, make_runner


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
        wanted[error.slug] = (http.status_of(error), "" if seconds is None else str(seconds))
    wanted[errors.QueueFull.slug] = (429, f"1 to {endings.LONGEST_RETRY_SECONDS}")
    for answer in (http.internal(), http.refusal(405, "")):
        wanted[str(answer.body["error"])] = (answer.status, "")
    rows = table("docs/api.md", "error", "status")
    assert {row[0].strip("`"): (int(row[1]), row[2]) for row in rows} == wanted
    assert len(rows) == len(wanted)


def test_retry_after_of_a_full_queue_is_as_described() -> None:
    """A tenth of the jobs over the workers, from 1 s to the page's bound; 30 s without a runner."""
    runner = make_runner(max_workers=5)
    assert endings.retry_after_seconds(100, [runner], 2.0) == 4
    assert endings.retry_after_seconds(1, [runner], 0.01) == 1
    assert endings.retry_after_seconds(10**6, [runner], 30.0) == endings.LONGEST_RETRY_SECONDS
    assert endings.retry_after_seconds(100, [], None) == 30
    assert "; 30 when no runner lives" in " ".join(text_of("docs/api.md").split())


def test_the_api_page_has_every_request_field() -> None:
    """The first table of fields is ClientRequest's, with its defaults."""
    tables = _field_tables()
    fields = requests.ClientRequest.model_fields
    assert names_in(tables[0]) == set(fields)
    shown = {row[0].strip("`"): row[2] for row in tables[0]}
    required = {name for name, field in fields.items() if field.is_required()}
    assert {name for name, default in shown.items() if default == "required"} == required
    assert (shown["stage"], shown["options"], shown["cache"]) == ("`compile`", "`[]`", "`true`")


def test_the_api_page_has_every_field_of_an_answer() -> None:
    """Fields of an ended job, of one that waits, of a diagnostic, of an environment and of the statistics."""
    job, moment = make_job(), utc_now()
    result = make_result(job.id, environment=make_environment())
    page = text_of("docs/api.md")
    assert names_in(_field_tables()[1]) == set(responses.ended(job, result))
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
    """The tables of fields, request first, then the ended job."""
    blocks = re.findall(r"(?:^\|.*\n)+", text_of("docs/api.md"), re.MULTILINE)
    tables = [[cells(line) for line in block.splitlines()] for block in blocks]
    found = [rows[2:] for rows in tables if rows[0][:2] == ["field", "type"]]
    assert len(found) == 2
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
        "source, all files together, decoded": f"{requests.MAX_SOURCE_BYTES} bytes",
        "body": f"{requests.MAX_BODY_BYTES} bytes",
        "files": f"{requests.MAX_FILES}",
        "file name": f"{MAX_FILE_NAME_BYTES} bytes",
        "parts of a file name": f"{MAX_FILE_NAME_LEVELS}",
        "options": f"{MAX_OPTIONS}",
        "option": f"{MAX_OPTION_CHARACTERS} characters",
        "`wait`": f"{service.MAX_WAIT_SECONDS:g} seconds",
        "details in an error": f"{requests.MAX_DETAILS}",
        "diagnostics in a result, children included": f"{bounds.MAX_DIAGNOSTICS}",
        "message of a diagnostic": f"{bounds.MAX_MESSAGE_CHARACTERS} characters",
    }
    assert {row[0]: row[1] for row in table("docs/api.md", "limit", "value")} == limits
