"""A Lambda handler as a WSGI application: what API Gateway does between HTTP and the function.

Each request becomes the event that a REST API of API Gateway sends, and the handler's reply becomes the
response, so that routes and handlers are the same on Lambda and in the API's container. It knows neither
Chalice nor a server: handler and paths are passed in. It must never change or interpret a body.
"""

import base64
import json
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlsplit
from wsgiref.types import StartResponse, WSGIEnvironment

# The header Server of every server of ours: a version would tell an attacker which holes to try.
SERVER_NAME = "will-it-compile"
# API Gateway does not take a longer body either.
MAX_CONTENT_BYTES = 10 * 1024 * 1024

Event = dict[str, Any]
Handler = Callable[[Event, Any], Mapping[str, Any]]

logger = logging.getLogger("will_it_compile.server")


class Gateway:
    """Calls a Lambda handler for each request of a server; threads may share it."""

    def __init__(self, handler: Handler, paths: Iterable[str]) -> None:
        """`paths` are those of the API, with parameters as in `/jobs/{id}`."""
        self._handler = handler
        # A fixed name comes before a parameter in its place: "{" sorts after all letters.
        self._paths = sorted(paths)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """One request. An exception of the handler is left to the server."""
        started = time.monotonic()
        method = environ["REQUEST_METHOD"]
        reply = self._reply(method, environ)
        body = _body_of(reply)
        headers = [("Content-Length", str(len(body))), *_headers_of(reply)]
        status = HTTPStatus(reply["statusCode"])
        milliseconds = (time.monotonic() - started) * 1000
        logger.info("%s %a: %d in %.0f ms", method, _target(environ), status, milliseconds)
        start_response(f"{status.value} {status.phrase}", headers)
        return [] if method == "HEAD" else [body]

    def _reply(self, method: str, environ: WSGIEnvironment) -> Mapping[str, Any]:
        path, query = _split(_target(environ))
        match = self._match(path)
        if method == "HEAD":
            error = {"error": "bad_request", "message": "HEAD is not supported: send GET.", "details": []}
            return _json_reply(HTTPStatus.METHOD_NOT_ALLOWED, error)
        if match is None:
            return _json_reply(HTTPStatus.FORBIDDEN, {"message": "Missing Authentication Token"})
        resource, parameters = match
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        event: Event = {
            "requestContext": {
                "httpMethod": method,
                "resourcePath": resource,
                "path": path,
                "identity": {"sourceIp": environ.get("REMOTE_ADDR", "")},
            },
            "headers": _request_headers(environ),
            "pathParameters": parameters,
            # API Gateway sends null for an empty query.
            "multiValueQueryStringParameters": parse_qs(query, keep_blank_values=True) or None,
            "stageVariables": {},
            "body": base64.b64encode(body).decode() if body else None,
            "isBase64Encoded": bool(body),
        }
        return self._handler(event, None)

    def _match(self, path: str) -> tuple[str, dict[str, str]] | None:
        """The path of the API that matches, and its parameters; None when none matches."""
        # As API Gateway does: one slash at the end does not count.
        parts = (path[:-1] if path != "/" and path.endswith("/") else path).split("/")
        for resource in self._paths:
            names = resource.split("/")
            pairs = list(zip(names, parts, strict=False))
            if len(names) == len(parts) and all(name == part or _is_parameter(name) for name, part in pairs):
                return resource, {name[1:-1]: part for name, part in pairs if _is_parameter(name)}
        return None


def _is_parameter(name: str) -> bool:
    return name.startswith("{") and name.endswith("}")


def _target(environ: WSGIEnvironment) -> str:
    """The request target as it was sent; PATH_INFO is decoded, so that %2F there looks like a slash."""
    return str(environ["REQUEST_URI"])


def _split(target: str) -> tuple[str, str]:
    """Path and query of a request target."""
    if not target.startswith("/"):
        parts = urlsplit(target)  # a proxy's form: with scheme and host
        return parts.path or "/", parts.query
    path, _, query = target.partition("?")
    return "/" + path.lstrip("/"), query


def _request_headers(environ: WSGIEnvironment) -> dict[str, str]:
    headers = {
        name.removeprefix("HTTP_").replace("_", "-").lower(): str(value)
        for name, value in environ.items()
        if name.startswith("HTTP_")
    }
    for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if name in environ:
            headers[name.replace("_", "-").lower()] = environ[name]
    return headers


def _json_reply(status: HTTPStatus, body: Mapping[str, Any]) -> dict[str, Any]:
    return {"statusCode": status, "headers": {}, "body": json.dumps(body)}


def _body_of(reply: Mapping[str, Any]) -> bytes:
    body = reply.get("body") or ""
    if reply.get("isBase64Encoded"):
        return base64.b64decode(body)
    return body if isinstance(body, bytes) else str(body).encode()


def _headers_of(reply: Mapping[str, Any]) -> list[tuple[str, str]]:
    headers = [(str(name), str(value)) for name, value in reply["headers"].items()]
    for name, values in (reply.get("multiValueHeaders") or {}).items():
        headers += [(str(name), str(value)) for value in values]
    if not any(name.lower() == "content-type" for name, _ in headers):
        headers.append(("Content-Type", "application/json"))  # what API Gateway assumes
    return headers
