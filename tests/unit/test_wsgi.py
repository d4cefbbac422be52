"""The WSGI application over a Lambda handler: which event a request becomes, and which response a reply."""

import base64
import dataclasses
import io
import json
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import pytest

import app
from chalicelib.api.responses import ApiResponse
from chalicelib.api.wsgi import Gateway
from chalicelib.service import CompileService
from chalicelib.storage.memory import MemoryStore
from tests.support.factories import make_settings
from tests.support.services import make_application

PATHS = ("/", "/jobs", "/jobs/{id}", "/jobs/{id}/log", "/jobs/all")
OK = {"statusCode": 200, "headers": {}, "body": "{}"}


class Recorder:
    """A handler that keeps its events and always gives the same reply."""

    def __init__(self, reply: Mapping[str, Any]) -> None:
        self.events: list[dict[str, Any]] = []
        self._reply = reply

    def __call__(self, event: dict[str, Any], _context: object) -> Mapping[str, Any]:
        """One request."""
        self.events.append(event)
        return self._reply


def _send(
    target: str,
    *,
    method: str = "GET",
    body: bytes = b"",
    reply: Mapping[str, Any] = OK,
    **headers: str,
) -> tuple[list[dict[str, Any]], str, list[tuple[str, str]], bytes]:
    """The events of the handler; then status line, headers and body of the response."""
    handler = Recorder(reply)
    environ = {
        "REQUEST_METHOD": method,
        "REQUEST_URI": target,
        "REMOTE_ADDR": "192.0.2.7",
        "wsgi.input": io.BytesIO(body + b"the next request"),
        **headers,
    }
    if body:
        environ["CONTENT_LENGTH"] = str(len(body))
    response: list[Any] = []

    def start_response(status: str, headers: list[tuple[str, str]], _exception: object = None) -> Any:
        response.extend((status, headers))

    chunks = Gateway(handler, PATHS)(environ, start_response)
    return handler.events, response[0], response[1], b"".join(chunks)


@pytest.mark.parametrize(
    ("target", "resource", "parameters"),
    [
        ("/", "/", {}),
        ("/jobs", "/jobs", {}),
        ("/jobs/", "/jobs", {}),
        ("/jobs/all", "/jobs/all", {}),
        ("/jobs/7", "/jobs/{id}", {"id": "7"}),
        ("/jobs/a%2Fb", "/jobs/{id}", {"id": "a%2Fb"}),
        ("/jobs//", "/jobs/{id}", {"id": ""}),
        ("//jobs/7?x=/y", "/jobs/{id}", {"id": "7"}),
        ("/jobs/7/log", "/jobs/{id}/log", {"id": "7"}),
        ("http://example.org/jobs/7?x", "/jobs/{id}", {"id": "7"}),
        ("http://example.org", "/", {}),
    ],
)
def test_a_path_is_matched_with_its_parameters(
    target: str, resource: str, parameters: dict[str, str]
) -> None:
    """A fixed name comes before a parameter, and a parameter keeps its encoding."""
    [event], *_ = _send(target)
    assert event["requestContext"]["resourcePath"] == resource
    assert event["pathParameters"] == parameters


@pytest.mark.parametrize("target", ["/job", "/jobs/7/8", "/jobs/7/log/x", "*", "/jobs%2F7", "http://x/y"])
def test_an_unknown_path_is_answered_as_by_api_gateway(target: str) -> None:
    """403 in JSON, and the handler is not asked."""
    events, status, headers, body = _send(target)
    assert (events, status) == ([], "403 Forbidden")
    assert json.loads(body) == {"message": "Missing Authentication Token"}
    assert ("Content-Type", "application/json") in headers


def test_the_event_has_what_the_client_sent() -> None:
    """Method, path, address, headers and every value of the query."""
    [event], *_ = _send(
        "/jobs/7?a=1&b=x%20y&a=2&c", method="DELETE", HTTP_X_ONE="1", HTTP_HOST="h:1", CONTENT_TYPE="text/x"
    )
    assert event["requestContext"]["httpMethod"] == "DELETE"
    assert event["requestContext"]["path"] == "/jobs/7"
    assert event["requestContext"]["identity"] == {"sourceIp": "192.0.2.7"}
    assert event["headers"] == {"x-one": "1", "host": "h:1", "content-type": "text/x"}
    assert event["multiValueQueryStringParameters"] == {"a": ["1", "2"], "b": ["x y"], "c": [""]}
    assert (event["body"], event["isBase64Encoded"]) == (None, False)


def test_no_query_is_null_as_from_api_gateway() -> None:
    """Chalice reads it like that."""
    [event], *_ = _send("/jobs")
    assert event["multiValueQueryStringParameters"] is None


def test_a_body_reaches_the_handler_byte_by_byte() -> None:
    """Any bytes, as long as Content-Length says and no longer."""
    body = bytes(range(256))
    [event], *_ = _send("/jobs", method="POST", body=body)
    assert event["isBase64Encoded"]
    assert base64.b64decode(event["body"]) == body
    assert event["headers"]["content-length"] == "256"


def test_a_reply_becomes_the_response() -> None:
    """Status, headers with one and several values, and a body in UTF-8 with its length in bytes."""
    reply = {
        "statusCode": 202,
        "headers": {"content-type": "text/x", "Location": "/jobs/7"},
        "multiValueHeaders": {"Vary": ["Accept", "Origin"]},
        "body": "é",
    }
    _, status, headers, body = _send("/jobs", reply=reply)
    assert (status, body) == ("202 Accepted", "é".encode())
    assert headers == [
        ("Content-Length", "2"),
        ("content-type", "text/x"),
        ("Location", "/jobs/7"),
        ("Vary", "Accept"),
        ("Vary", "Origin"),
    ]


@pytest.mark.parametrize(
    ("reply", "body"),
    [
        ({"body": base64.b64encode(b"\xff\x00").decode(), "isBase64Encoded": True}, b"\xff\x00"),
        ({"body": None}, b""),
        ({}, b""),
    ],
)
def test_a_reply_may_be_binary_or_empty(reply: dict[str, Any], body: bytes) -> None:
    """The two other forms in which Lambda gives a body."""
    assert _send("/jobs", reply={"statusCode": 200, "headers": {}} | reply)[3] == body


def test_head_has_a_head_only() -> None:
    """405, and no byte of a body, which a client would take for the next answer."""
    events, status, headers, body = _send("/jobs", method="HEAD")
    assert (events, status, body) == ([], "405 Method Not Allowed", b"")
    assert dict(headers)["Content-Type"] == "application/json"


class Meeting:
    """A service in which two requests are always inside at the same time."""

    def __init__(self) -> None:
        self._both = threading.Barrier(2)

    def submit(self, *_arguments: object) -> ApiResponse:
        """Waits for the other request."""
        self._both.wait(timeout=10)
        return ApiResponse("7", {}, ended=False)


@pytest.fixture
def meeting() -> Iterator[None]:
    """The routes of app.py over a `Meeting`."""
    application = make_application(MemoryStore(make_settings()))
    with app.use(dataclasses.replace(application, service=cast(CompileService, Meeting()))):
        yield


@pytest.mark.usefixtures("meeting")
def test_requests_at_the_same_time_are_kept_apart() -> None:
    """Each thread's handler sees its own request, also when another one came after it."""

    def location(stage: str) -> str:
        event = {
            "requestContext": {
                "httpMethod": "POST",
                "resourcePath": "/api/v1/compile",
                "path": f"{stage}/api/v1/compile",
            },
            "headers": {},
            "multiValueQueryStringParameters": None,
            "pathParameters": {},
            "stageVariables": {},
            "body": None,
        }
        return str(app.app(event, None)["headers"]["Location"])

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(location, ("/one", "/two"))) == [
            "/one/api/v1/compile/7",
            "/two/api/v1/compile/7",
        ]
