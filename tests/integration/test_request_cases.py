"""Whole requests over HTTP, to a local server with embedded workers: tests/cases/requests/*.jsonl.

Their form is described in tests/support/request_cases.py. A case is skipped where its compiler is not
installed.

`PENDING` has the cases that are known to be answered wrongly, with what is missing. They are expected to
fail, strictly: whoever makes one right deletes its line here, and the test then holds it. To see what such a
case is answered: ``pytest --runxfail tests/integration/test_request_cases.py -k ID``.
"""

import http.client
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from chalicelib.catalog import load_catalog
from tests.support.api import wait_until_ready
from tests.support.compilers import compilers_here, real_compilers
from tests.support.processes import ApiProcess
from tests.support.request_cases import Call, RequestCase, problems_of, request_cases

PENDING: dict[str, str] = {}

# Every case is one or a few small compiles; a busy machine takes many times as long as a quiet one.
_PATIENCE_SECONDS = 120.0
_ANY = "any compiler"


def _parameter(case: RequestCase) -> Any:
    pending = PENDING.get(case.id)
    marks = [pytest.mark.xfail(strict=True, reason=pending)] if pending else []
    return pytest.param(case, id=case.id, marks=marks)


def _patterns() -> list[str]:
    """The newest installed compiler of each family and language, for the setting COMPILERS."""
    newest = {
        (language.id, entry.family): f"{language.id}/{entry.id.replace('{version}', '*')}"
        for language in load_catalog().languages
        for entry in compilers_here(language)
    }
    return list(newest.values())


@pytest.fixture(scope="module")
def api() -> Iterator[ApiProcess]:
    """A server with one compiler of each family and language that is here."""
    real_compilers()  # skips, or fails where CI=true, on a machine that cannot compile
    with ApiProcess({"COMPILERS": ",".join(_patterns())}) as process:
        wait_until_ready(process)
        yield process


@pytest.fixture(scope="module")
def offered(api: ApiProcess) -> set[tuple[str, str]]:
    """Language and id, family or ANY of each compiler that the server has."""
    environments = api.call("GET", "/api/v1/environments").json()["environments"]
    return {(item["language"], name) for item in environments for name in (item["id"], item["family"], _ANY)}


# The first test waits for the probe of all compilers.
@pytest.mark.timeout(400)
@pytest.mark.parametrize("case", [_parameter(case) for case in request_cases()])
def test_a_whole_request_is_answered_as_expected(
    case: RequestCase, api: ApiProcess, offered: set[tuple[str, str]]
) -> None:
    """Statuses, verdicts and places are those of the case."""
    for need in (need for call in case.calls for need in _needs(call)):
        if need not in offered:
            pytest.skip(f"{need[1]} for {need[0]} is not here")
    problems = []
    for call in case.calls:
        status, answer = _answer(api, call)
        problems += [f"{call.body}: {problem}" for problem in problems_of(call.expect, status, answer)]
    assert not problems, "\n".join([case.claim, *problems])


def test_every_case_has_a_name_of_its_own() -> None:
    """At least forty cases, each with a claim; what is pending is one of them."""
    cases = request_cases()
    names = [case.id for case in cases]
    assert len(names) == len(set(names)) >= 40
    assert all(case.claim.endswith(".") and case.calls for case in cases)
    assert set(PENDING) <= set(names)


def _needs(call: Call) -> list[tuple[str, str]]:
    """Language and compiler that the server must have; ANY where the request names no compiler."""
    body = call.body or {}
    language = load_catalog().language(body.get("language", ""))
    if language is None:
        return []
    compilers = [body["compiler"]] if "compiler" in body else body.get("compilers", [_ANY])
    return [(language.id, name) for name in compilers]


def _answer(api: ApiProcess, call: Call) -> tuple[int, Any]:
    """Status and body of the answer, once what was submitted has ended."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    reply = api.call(call.method, call.path, call.body, headers=call.headers)
    status, answer = reply.status, reply.json() if reply.body else {}
    while reply.status == http.client.ACCEPTED and time.monotonic() < deadline:
        path, _, query = call.path.partition("?")
        name = answer.get("job_id") or answer.get("matrix_id")
        reply = api.call("GET", f"{path}/{name}?{query}")
        answer = json.loads(reply.body)
        status = reply.status
    return status, answer
