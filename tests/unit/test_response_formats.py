"""The routes as API Gateway calls them: the format of a response, its status and its headers."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

import app
from chalicelib.storage.memory import MemoryStore
from tests.support.factories import make_environment, make_result
from tests.support.services import make_application, make_store

SARIF = "application/sarif+json"


@pytest.fixture
def store() -> Iterator[MemoryStore]:
    """The store behind the routes, in which a runner has registered gcc-12."""
    memory_store = make_store([make_environment()])
    with app.use(make_application(memory_store)):
        yield memory_store


def _call(
    method: str, route: str, *, accept: str | None = None, body: Any = None, **query: str
) -> dict[str, Any]:
    """The response to one event of a REST API with Lambda proxy integration.

    `route` is the template of a path, followed by ``=`` and the value of its parameter if it has one.
    """
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
        "multiValueQueryStringParameters": {name: [text] for name, text in query.items()} or None,
        "pathParameters": dict.fromkeys(names, value) or None,
        "stageVariables": None,
        "body": None if body is None else json.dumps(body),
        "isBase64Encoded": False,
    }
    response: dict[str, Any] = app.app(event, None)
    assert not response.get("isBase64Encoded", False)
    return response


BODY = {"source_code": "int x;", "language": "cpp"}


def _complete_all(store: MemoryStore) -> None:
    while (claim := store.claim("runner", 0.05)) is not None:
        store.complete(claim, make_result(claim.job.id, environment=make_environment(), command=("g++-12",)))


@pytest.mark.parametrize(("kind", "identifier"), [("compile", "job_id"), ("matrix", "matrix_id")])
def test_a_job_and_a_matrix_go_from_202_to_200_in_the_requested_format(
    store: MemoryStore, kind: str, identifier: str
) -> None:
    """SARIF comes with 200 once the job has ended; until then JSON with 202. JSON by GET is always 200."""
    posted = _call("POST", f"/api/v1/{kind}", body=BODY, accept=SARIF)
    assert posted["statusCode"] == 202
    subject = json.loads(posted["body"])[identifier]
    assert posted["headers"]["Content-Type"] == "application/json"
    assert posted["headers"]["Location"] == f"/stage/api/v1/{kind}/{subject}"
    route = f"/api/v1/{kind}/{{{identifier}}}={subject}"
    unfinished = _call("GET", route, format="sarif")
    assert (unfinished["statusCode"], unfinished["headers"]["Content-Type"]) == (202, "application/json")
    assert json.loads(unfinished["body"])[identifier] == subject
    assert _call("GET", route)["statusCode"] == 200
    _complete_all(store)
    for ended in (_call("GET", route, format="sarif"), _call("GET", route, accept=f"{SARIF}; charset=utf-8")):
        assert (ended["statusCode"], ended["headers"]["Content-Type"]) == (200, SARIF)
        assert ended["headers"]["Vary"] == "Accept"
        assert "Location" not in ended["headers"]
        assert json.loads(ended["body"])["version"] == "2.1.0"
    plain = _call("GET", route, accept="*/*")
    assert plain["headers"]["Content-Type"] == "application/json"
    assert json.loads(plain["body"])[identifier] == subject


def test_a_matrix_is_cancelled_by_delete(store: MemoryStore) -> None:
    """The response is the matrix, in which every cell has ended."""
    subject = json.loads(_call("POST", "/api/v1/matrix", body=BODY)["body"])["matrix_id"]
    response = _call("DELETE", f"/api/v1/matrix/{{matrix_id}}={subject}")
    assert response["statusCode"] == 200
    assert json.loads(response["body"])["inconclusive_on"] == [
        {"compiler": "gcc-12", "standard": "c++17", "target": "x86_64-linux"}
    ]


@pytest.mark.parametrize("route", ["/api/v1/compile", "/api/v1/matrix"])
@pytest.mark.usefixtures("store")
def test_an_unknown_format_is_invalid_and_nothing_is_stored(store: MemoryStore, route: str) -> None:
    """400 in JSON, whatever format was requested."""
    for response in (
        _call("POST", route, body=BODY, format="xml"),
        _call("POST", route, body=BODY, accept="a/b"),
    ):
        assert (response["statusCode"], response["headers"]["Content-Type"]) == (400, "application/json")
        assert json.loads(response["body"])["error"] == "invalid_request"
    assert sum(store.counts().by_status.values()) == 0
