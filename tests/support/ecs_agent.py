"""The agent of ECS as a task sees it: an HTTP server on loopback that records requests and answers them.

Its answers have the formats of the real one (taskprotection/v1 in https://github.com/aws/amazon-ecs-agent):
one of `protection`, `failure` with status 200, and `error`.
"""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from tests.support.servers import free_port

# Status and body. Bytes are sent as they are.
Answer = tuple[int, "dict[str, Any] | bytes"]

FAILURE: Answer = (
    200,
    {"failure": {"Arn": "arn:task", "Reason": "DEPLOYMENT_BLOCKED", "Detail": "too many\nprotected tasks"}},
)
ERROR: Answer = (
    400,
    {
        "error": {"Arn": "arn:task", "Code": "ThrottlingException", "Message": "Rate exceeded"},
        "requestID": "1",
    },
)


@dataclass(frozen=True, slots=True)
class AgentRequest:
    """One request and the time at which it came."""

    at: float
    method: str
    path: str
    body: dict[str, Any]

    @property
    def protect(self) -> bool:
        """Whether it asks for a protection."""
        return bool(self.body["ProtectionEnabled"])


def done(body: dict[str, Any]) -> Answer:
    """The answer that confirms the requested state."""
    protection = {"ProtectionEnabled": body["ProtectionEnabled"], "TaskArn": "arn:task"}
    if "ExpiresInMinutes" in body:
        protection["ExpirationDate"] = "2030-01-01T00:00:00Z"
    return 200, {"protection": protection}


class EcsAgent:
    """A context manager that listens from entry to exit. `answer` and `delay_seconds` may be changed."""

    def __init__(
        self, *, delay_seconds: float = 0, answer: Callable[[dict[str, Any]], Answer] = done
    ) -> None:
        self.port = free_port()
        self.uri = f"http://127.0.0.1:{self.port}/api/task-1"
        self.delay_seconds = delay_seconds
        self.answer = answer
        self.requests: list[AgentRequest] = []
        self._ended = threading.Event()
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None

    def protections(self) -> list[bool]:
        """The states that were requested, in order."""
        return [request.protect for request in self.requests]

    def __enter__(self) -> Self:
        agent = self

        class Handler(BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                agent._serve(self)

            def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 -- a name of http.server
                """Log nothing: `requests` has it."""

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None and self._thread is not None
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _serve(self, request: BaseHTTPRequestHandler) -> None:
        body = json.loads(request.rfile.read(int(request.headers["Content-Length"])))
        self.requests.append(AgentRequest(time.monotonic(), request.command, request.path, body))
        self._ended.wait(self.delay_seconds)
        status, content = self.answer(body)
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        try:
            request.send_response(status)
            request.send_header("Content-Type", "application/json")
            request.send_header("Content-Length", str(len(data)))
            request.end_headers()
            request.wfile.write(data)
        except OSError:
            pass  # the client has gone
