"""The handlers as API Gateway calls them: which form an answer has, its status and its headers."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

import app
from chalicelib.bootstrap import Application
from chalicelib.catalog import load_catalog
from chalicelib.service import CompileService
from chalicelib.storage.memory import MemoryStore
from tests.support.factories import make_environment, make_result, make_runner, make_settings

SARIF = "application/sarif+json"


@pytest.fixture
def store() -> Iterator[MemoryStore]:
    """The store behind the handlers, in which a runner has registered gcc-12."""
    settings = make_settings()
    made = MemoryStore(settings)
    made.register(make_runner(), [make_environment()], ttl_seconds=60)
    before = dict(app._held)
    app.use(Application(settings, made, CompileService(made, load_catalog())))
    yield made
    app._held.clear()
    app._held.update(before)


def _call(
    method: str, route: str, *, accept: str | None = None, body: Any = None, **query: str
) -> dict[str, Any]:
    """One event of a REST API with Lambda proxy integration. `route` is a template and its one value."""
    template, _, value = route.partition("=")
    names = [part[1:-1] for part in template.split("/") if part.startswith("{")]
    event = {
        "requestContext": {
            "httpMethod": method,
            "resourcePath": template,
            "path": "/stage" + (template.replace("{" + names[0] + "}", value) if names else template),
            "identity": {"sourceIp": "127.0.0.1"},
        },
        "headers": {"Content-Type": "application/json"} | ({"Accept": accept} if accept else {}),
        "multiValueQueryStringParameters": {name: [each] for name, each in query.items()} or None,
        "pathParameters": dict.fromkeys(names, value) or None,
        "stageVariables": None,
        "body": None if body is None else json.dumps(body),
        "isBase64Encoded": False,
    }
    answer: dict[str, Any] = app.app(event, None)
    assert not answer.get("isBase64Encoded", False)
    return answer


BODY = {"source_code": "int x;", "language": "cpp"}


def _end_all(store: MemoryStore) -> None:
    while (claim := store.claim("runner", 0.05)) is not None:
        store.complete(claim, make_result(claim.job.id, environment=make_environment(), command=("g++-12",)))


@pytest.mark.parametrize(("kind", "identifier"), [("compile", "job_id"), ("matrix", "matrix_id")])
def test_a_job_and_a_matrix_go_from_202_to_200_in_the_form_asked_for(
    store: MemoryStore, kind: str, identifier: str
) -> None:
    """JSON with 202 while SARIF is still to come, SARIF as text with 200 then; JSON is 200 at any time."""
    posted = _call("POST", f"/api/v1/{kind}", body=BODY, accept=SARIF)
    assert posted["statusCode"] == 202
    subject = json.loads(posted["body"])[identifier]
    assert posted["headers"]["Content-Type"] == "application/json"
    assert posted["headers"]["Location"] == f"/stage/api/v1/{kind}/{subject}"
    route = f"/api/v1/{kind}/{{{identifier}}}={subject}"
    pending = _call("GET", route, format="sarif")
    assert (pending["statusCode"], pending["headers"]["Content-Type"]) == (202, "application/json")
    assert json.loads(pending["body"])[identifier] == subject
    assert _call("GET", route)["statusCode"] == 200
    _end_all(store)
    for told in (_call("GET", route, format="sarif"), _call("GET", route, accept=f"{SARIF}; charset=utf-8")):
        assert (told["statusCode"], told["headers"]["Content-Type"]) == (200, SARIF)
        assert told["headers"]["Vary"] == "Accept"
        assert "Location" not in told["headers"]
        assert json.loads(told["body"])["version"] == "2.1.0"
    plain = _call("GET", route, accept="*/*")
    assert plain["headers"]["Content-Type"] == "application/json"
    assert json.loads(plain["body"])[identifier] == subject


def test_a_matrix_is_cancelled_by_delete(store: MemoryStore) -> None:
    """The answer is the matrix, all of which has ended."""
    subject = json.loads(_call("POST", "/api/v1/matrix", body=BODY)["body"])["matrix_id"]
    answer = _call("DELETE", f"/api/v1/matrix/{{matrix_id}}={subject}")
    assert answer["statusCode"] == 200
    assert json.loads(answer["body"])["inconclusive_on"] == [
        {"compiler": "gcc-12", "standard": "c++17", "target": "x86_64-linux"}
    ]


@pytest.mark.parametrize("route", ["/api/v1/compile", "/api/v1/matrix"])
@pytest.mark.usefixtures("store")
def test_a_form_that_there_is_not_is_refused_before_anything_is_stored(
    store: MemoryStore, route: str
) -> None:
    """400 in JSON, whatever was asked for."""
    for answer in (
        _call("POST", route, body=BODY, format="xml"),
        _call("POST", route, body=BODY, accept="a/b"),
    ):
        assert (answer["statusCode"], answer["headers"]["Content-Type"]) == (400, "application/json")
        assert json.loads(answer["body"])["error"] == "invalid_request"
    assert sum(store.counts().by_status.values()) == 0
