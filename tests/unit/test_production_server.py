"""The production server on a loopback socket, over a WSGI application of the test.

tests/integration/test_both_servers.py shows with the real API that it answers as `chalice local` does; here
is what needs another clock, a large answer, or many clients.
"""

import contextlib
import http.client
import io
import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest

from chalicelib.api.production_server import ProductionServer
from chalicelib.api.wsgi import MAX_CONTENT_BYTES

HOST = "127.0.0.1"
# Short for a test, and long enough for a busy machine to send one request after the other.
SILENCE_SECONDS = 1
# More than the buffers of two sockets hold.
LARGE_BYTES = 32 * 1024 * 1024
# Far more than any of this takes; a test that hangs fails here.
PATIENCE_SECONDS = 20.0


class Application:
    """Answers with how many bytes a body had; a path asks for more: a wait, an error, a large answer."""

    def __init__(self) -> None:
        # How many requests are inside, and what those that wait are waiting for.
        self.waiting = threading.Semaphore(0)
        self.go_on = threading.Event()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """One request."""
        body = environ["wsgi.input"].read()
        match environ["PATH_INFO"]:
            case "/wait":
                self.waiting.release()
                assert self.go_on.wait(PATIENCE_SECONDS)
            case "/fail":
                raise RuntimeError("on purpose")
            case "/large":
                body = b"x" * LARGE_BYTES
        answer = body if environ["PATH_INFO"] == "/large" else str(len(body)).encode()
        start_response("200 OK", [("Content-Length", str(len(answer)))])
        return [answer]


class Served:
    """A running server, its application, and clients of it."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self.application = Application()
        self.server = ProductionServer(self.application, HOST, 0, silence_seconds=SILENCE_SECONDS)
        self.port = int(self.server.effective_port)
        self._stack = stack
        self._thread = threading.Thread(target=self.server.run)
        self._thread.start()

    def connect(self) -> socket.socket:
        """A connection, closed with the test."""
        return self._stack.enter_context(socket.create_connection((HOST, self.port), PATIENCE_SECONDS))

    def get(self, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """Status and body of a request on a connection of its own."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=PATIENCE_SECONDS)
        with contextlib.closing(connection):
            connection.request("GET" if body is None else "POST", path, body)
            response = connection.getresponse()
            return response.status, response.read()

    @property
    def ended(self) -> bool:
        """The server has returned."""
        return not self._thread.is_alive()

    def end(self) -> None:
        """Stops it, as a signal does, and waits."""
        self.application.go_on.set()
        self.server.stop()
        self._thread.join(PATIENCE_SECONDS)
        assert self.ended


@pytest.fixture
def served() -> Iterator[Served]:
    """A server of this test's own; its warnings are lines on standard error."""
    with contextlib.ExitStack() as stack:
        served = Served(stack)
        stack.callback(served.end)
        yield served


def _read_all(connection: socket.socket) -> bytes:
    answer = b""
    while received := connection.recv(65536):
        answer += received
    return answer


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_connection_is_kept_for_the_next_request(served: Served) -> None:
    """Bodies of every size are read, and the connection stays open."""
    connection = http.client.HTTPConnection(HOST, served.port, timeout=PATIENCE_SECONDS)
    with contextlib.closing(connection):
        for length in (2, 0, 100_000, MAX_CONTENT_BYTES):
            connection.request("POST", "/", b"x" * length)
            response = connection.getresponse()
            assert (response.status, response.read()) == (200, b"%d" % length)
            assert (response.will_close, response.headers["Server"]) == (False, "will-it-compile")


def test_many_clients_wait_at_the_same_time(served: Served) -> None:
    """A hundred requests are inside at once, and a quick one is still answered."""
    with ThreadPoolExecutor(100) as pool:
        answers = [pool.submit(served.get, "/wait") for _ in range(100)]
        for _ in range(100):
            assert served.application.waiting.acquire(timeout=PATIENCE_SECONDS)
        assert served.get("/") == (200, b"0")
        served.application.go_on.set()
        assert {answer.result() for answer in answers} == {(200, b"0")}


def test_a_body_that_does_not_come_holds_no_thread_and_is_given_up(served: Served) -> None:
    """A client that promises more than it sends is closed after the time of silence."""
    connection = served.connect()
    started = time.monotonic()
    connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{}")
    assert _read_all(connection) == b""
    assert SILENCE_SECONDS * 0.9 < time.monotonic() - started < PATIENCE_SECONDS


def test_a_client_that_does_not_read_is_given_up(served: Served) -> None:
    """The answer is dropped after the time of silence, with its connection."""
    connection = served.connect()
    connection.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
    _wait_until(lambda: len(served.server.active_channels) == 1)
    _wait_until(lambda: not served.server.active_channels)


def test_a_large_answer_arrives_whole(served: Served) -> None:
    """All of it, in memory: the container can write nowhere."""
    assert served.get("/large") == (200, b"x" * LARGE_BYTES)


def test_a_body_that_is_too_large_is_read_so_that_its_sender_sees_why(served: Served) -> None:
    """The client sends all of it, and still gets the 413 instead of a reset."""
    connection = served.connect()
    length = MAX_CONTENT_BYTES + 1
    connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % length)
    connection.sendall(b"x" * length)
    connection.shutdown(socket.SHUT_WR)
    answer = _read_all(connection)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"at most %d bytes" % MAX_CONTENT_BYTES in answer


def test_nobody_is_asked_for_a_body_that_is_too_large(served: Served) -> None:
    """A client that asks first (Expect: 100-continue) gets the 413, and not the word to go on."""
    connection = served.connect()
    head = b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"
    connection.sendall(head % (MAX_CONTENT_BYTES + 1))
    assert connection.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_an_exception_is_answered_in_our_shape_and_logged(served: Served) -> None:
    """500 without a stack trace, which is in the log."""
    log = io.StringIO()
    handler = logging.StreamHandler(log)
    logging.getLogger("waitress").addHandler(handler)
    try:
        status, body = served.get("/fail")
    finally:
        logging.getLogger("waitress").removeHandler(handler)
    assert (status, json.loads(body)["error"]) == (500, "internal_error")
    assert b"on purpose" not in body
    assert "RuntimeError: on purpose" in log.getvalue()


def test_a_stop_finishes_the_answers_and_lets_nobody_else_in(served: Served) -> None:
    """A request that is inside gets its answer, an idle client is let go, and a new one is not heard."""
    idle = served.connect()
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(served.get, "/wait")
        assert served.application.waiting.acquire(timeout=PATIENCE_SECONDS)
        served.server.stop()
        assert _read_all(idle) == b""
        with pytest.raises(ConnectionRefusedError):
            served.connect()
        assert not served.ended
        served.application.go_on.set()
        assert answer.result() == (200, b"0")
    _wait_until(lambda: served.ended)


def test_a_stop_does_not_wait_for_ever() -> None:
    """After the time that it is given the server returns, also while a request is inside."""
    application = Application()
    server = ProductionServer(application, HOST, 0)
    thread = threading.Thread(target=server.run, args=(0.5,))
    thread.start()
    with contextlib.closing(socket.create_connection((HOST, int(server.effective_port)), 5)) as client:
        client.sendall(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
        assert application.waiting.acquire(timeout=PATIENCE_SECONDS)
        server.stop()
        thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive()
        application.go_on.set()
