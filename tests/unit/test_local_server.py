"""What is added to the server of `chalice local`, on a loopback socket, with a handler of the test's own.

tests/integration/test_bad_input.py shows with the real API which heads are errors; here is what needs another
clock or another server.
"""

import contextlib
import http.client
import io
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import app
from chalicelib.api.local_server import harden
from chalicelib.api.wsgi import MAX_CONTENT_BYTES

HOST = "127.0.0.1"
# Short for a test, and long enough for a busy machine to send one request after the other.
SILENCE_SECONDS = 1.0


class _Server(ThreadingHTTPServer):
    """Keeps the exceptions of its handlers instead of printing them."""

    daemon_threads = True

    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        self.failures: list[str] = []
        super().__init__((HOST, 0), handler)

    def handle_error(self, request: object, client_address: object) -> None:
        text = io.StringIO()
        with contextlib.redirect_stderr(text):
            # The stubs have narrower types for addresses; nothing here uses them.
            super().handle_error(request, client_address)  # type: ignore[arg-type]
        self.failures.append(text.getvalue())


@pytest.fixture
def server() -> Iterator[_Server]:
    """A server whose handler answers a POST with how many bytes its body had."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            answer = str(len(body)).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 -- the base class's name
            pass

    harden(Handler, silence_seconds=SILENCE_SECONDS)
    with _Server(Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def connect(server: _Server) -> Iterator[Callable[[], socket.socket]]:
    """Opens connections to the server, which are closed with the test."""
    with contextlib.ExitStack() as stack:
        yield lambda: stack.enter_context(socket.create_connection((HOST, server.server_port), timeout=10))


def _read_all(connection: socket.socket) -> bytes:
    answer = b""
    while received := connection.recv(65536):
        answer += received
    return answer


def _head(length: int) -> bytes:
    return f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode()


def test_a_body_is_read_and_the_connection_kept(server: _Server) -> None:
    """Good requests are answered one after the other on the same connection."""
    connection = http.client.HTTPConnection(HOST, server.server_port, timeout=10)
    for length in (2, 0, 100_000):
        connection.request("POST", "/", b"x" * length)
        answer = connection.getresponse()
        assert (answer.status, answer.read(), answer.will_close) == (200, b"%d" % length, False)
    connection.close()
    assert server.failures == []


def test_a_client_that_asks_is_told_to_go_on_when_its_head_is_good(
    connect: Callable[[], socket.socket], server: _Server
) -> None:
    """`Expect: 100-continue` gets 100 before the body, and the answer after it."""
    connection = connect()
    connection.sendall(_head(2)[:-2] + b"Expect: 100-continue\r\n\r\n")
    assert connection.recv(65536).startswith(b"HTTP/1.1 100 Continue\r\n")
    connection.sendall(b"{}")
    assert connection.recv(65536).startswith(b"HTTP/1.1 200 OK\r\n")
    assert server.failures == []


def test_a_client_that_asks_is_not_told_to_go_on_when_its_head_is_bad(
    connect: Callable[[], socket.socket],
) -> None:
    """The 400 comes first, and is all that comes."""
    connection = connect()
    connection.sendall(_head(2)[:-2] + b"Expect: 100-continue\r\nX y: z\r\n\r\n")
    assert _read_all(connection).startswith(b"HTTP/1.1 400 ")


def test_a_body_that_does_not_come_is_given_up(connect: Callable[[], socket.socket], server: _Server) -> None:
    """The connection of a client that promises more than it sends is closed after the time of silence."""
    connection = connect()
    started = time.monotonic()
    connection.sendall(_head(50) + b"{}")
    assert _read_all(connection) == b""
    assert SILENCE_SECONDS * 0.9 < time.monotonic() - started < 10
    assert server.failures == []


def test_a_body_that_is_too_large_is_read_so_that_its_sender_sees_why(
    connect: Callable[[], socket.socket], server: _Server
) -> None:
    """The client sends all of it, and still gets the 413 instead of a reset."""
    connection = connect()
    connection.sendall(_head(MAX_CONTENT_BYTES + 1))
    block = b"x" * 65536
    for _ in range(MAX_CONTENT_BYTES // len(block) + 1):
        connection.sendall(block)
    connection.shutdown(socket.SHUT_WR)
    answer = _read_all(connection)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"at most %d bytes" % MAX_CONTENT_BYTES in answer
    assert server.failures == []


def test_head_is_answered_without_a_body(connect: Callable[[], socket.socket]) -> None:
    """A client would read a body there as the next answer."""
    connection = connect()
    connection.sendall(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
    answer = _read_all(connection)
    assert answer.startswith(b"HTTP/1.1 405 ")
    assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("words", "serves"),
    [
        ("chalice local", True),
        ("/somewhere/chalice local --port 9000", True),
        ("chalice --project-dir x local --stage dev", True),
        ("chalice package out", False),
        ("chalice package --stage local out", False),
        ("chalice deploy --stage local", False),
        ("pytest local", False),
        ("", False),
    ],
)
def test_only_chalice_local_serves_locally(words: str, serves: bool) -> None:
    """Importing app.py starts workers under that command and under no other."""
    assert app._under_chalice_local(words.split()) is serves


def test_a_port_that_is_taken_is_one_sentence_and_the_end() -> None:
    """No stack trace, and no waiting for the compilers that are being tried meanwhile."""
    with socket.socket() as other:
        other.bind((HOST, 0))
        other.listen()
        port = str(other.getsockname()[1])
        run = subprocess.run(
            [str(Path(sys.executable).with_name("chalice")), "local", "--port", port, "--no-autoreload"],
            env={"PATH": os.environ["PATH"], "REDIS_ENABLED": "false"},
            cwd=Path(app.__file__).parent,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert run.returncode == 1
    assert f"will-it-compile: cannot serve on {HOST}:{port}: Address already in use." in run.stderr
    assert "Traceback" not in run.stdout + run.stderr
