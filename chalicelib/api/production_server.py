"""The API behind a production server: `python app.py`, which is what the API's container runs.

waitress reads HTTP on one thread and answers on many; `wsgi.py` turns each request into a call of the
Lambda handler. Here are the numbers with their reasons, the answers to requests that cannot be read (JSON, as
for all other errors), and the graceful stop. `make run` uses `chalice local` instead: see `local_server.py`.
Lambda must never import this module: waitress is not in its zip.
"""

import argparse
import json
import logging
import socket
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from http import HTTPStatus
from wsgiref.types import WSGIApplication

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError, TransferEncodingNotImplemented
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask
from waitress.utilities import RequestHeaderFieldsTooLarge

from chalicelib.api import error_responses
from chalicelib.api.wsgi import MAX_CONTENT_BYTES, SERVER_NAME, Gateway, Handler
from chalicelib.stop_signals import StopSignals

# A request that waits (`?wait=25`) holds its thread, so this is how many clients can wait at once. An idle
# thread costs about 20 kB; docker-compose.yml allows 512 threads and processes.
THREADS = 400
# Connections cost no thread, only a file and what is buffered for them; most systems allow 1024 files.
CONNECTIONS = 900
# Connections that the kernel keeps until they are accepted: more than any burst that one machine serves.
BACKLOG = 1024
# A client that neither sends nor reads for so long is gone; one that is still there can connect again.
SILENCE_SECONDS = 30
# How often silent connections are looked for.
CLEANUP_SECONDS = 5
# Of the line and all headers together; and how many headers. Browsers and proxies send less than 8 KiB.
MAX_HEAD_BYTES = 65536
MAX_HEADERS = 100
# The longest `?wait=` is 25 s, and Redis may take 2 s more. docker-compose.yml gives the container 30 s.
STOP_SECONDS = 28.0
# After an early answer the rest of the request is still read, up to this many bytes and as long as they come:
# to close on unread bytes would reset the connection, and the client might never see the answer.
DRAIN_BYTES = 64 * 1024 * 1024
DRAIN_SILENCE_SECONDS = 2.0

logger = logging.getLogger("will_it_compile.server")


class HeadError(Exception):
    """The head of a request cannot be served: the status, and a sentence for the client."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


class Parser(HTTPRequestParser):
    """Reads a request; says what is wrong with a head before any of the body is read."""

    def parse_header(self, header_plus: bytes) -> None:
        """Of waitress, called with the whole head."""
        try:
            self._parse(header_plus)
            self._check()
        except HeadError as error:
            self.error = error
            # Nothing after this head is a request, and nobody is to send the rest.
            self.body_rcv, self.content_length, self.expect_continue = None, 0, False

    def _parse(self, header_plus: bytes) -> None:
        if header_plus.count(b"\n") > MAX_HEADERS + 1:
            too_many = f"There are too many headers: at most {MAX_HEADERS} are read."
            raise HeadError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, too_many)
        if b"\r\n " in header_plus or b"\r\n\t" in header_plus:
            # waitress joins the lines; others take the second for a header of its own.
            folded = "A header line is malformed: it starts with a blank."
            raise HeadError(HTTPStatus.BAD_REQUEST, folded)
        try:
            super().parse_header(header_plus)
        except TransferEncodingNotImplemented:
            self.chunked = True
        except ParsingError as error:
            message = f"The request has bad HTTP syntax: {str(error).rstrip('.')}."
            raise HeadError(HTTPStatus.BAD_REQUEST, message) from None
        except ValueError:
            # int() does not take thousands of digits; the other cause is a bad address such as `http://[`.
            if self.headers.get("CONTENT_LENGTH", "").isdigit():
                self.content_length = MAX_CONTENT_BYTES + 1
            else:
                bad_address = "The request has bad HTTP syntax: its address cannot be read."
                raise HeadError(HTTPStatus.BAD_REQUEST, bad_address) from None

    def _check(self) -> None:
        if self.version not in ("1.0", "1.1"):
            bad_version = "The request has bad HTTP syntax: its first line must end in HTTP/1.1 (or 1.0)."
            raise HeadError(HTTPStatus.BAD_REQUEST, bad_version)
        if self.chunked or "TRANSFER_ENCODING" in self.headers:
            in_one_piece = "Send the body in one piece, with a Content-Length."
            raise HeadError(HTTPStatus.LENGTH_REQUIRED, in_one_piece)
        if self.content_length > MAX_CONTENT_BYTES:
            too_large = f"The body is too large: at most {MAX_CONTENT_BYTES} bytes are read."
            raise HeadError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, too_large)
        if not self.headers.get("AUTHORIZATION", "").isascii():
            not_ascii = "The header Authorization has characters that are not ASCII."
            raise HeadError(HTTPStatus.BAD_REQUEST, not_ascii)


class JsonErrorTask(ErrorTask):
    """Answers what did not come to the application: a head that cannot be served, or a failure of ours."""

    def execute(self) -> None:
        """Of waitress, called once on a thread."""
        status, body = self._answer()
        logger.info("request that cannot be served: %d, %s", status, body["message"])
        payload = json.dumps(body).encode()
        self.status = f"{status.value} {status.phrase}"
        self.response_headers.append(("Content-Type", "application/json"))
        self.content_length = len(payload)
        self.set_close_on_finish()
        self.channel.unread = True
        self.write(payload)

    def _answer(self) -> tuple[HTTPStatus, dict[str, object]]:
        error = self.request.error
        if isinstance(error, HeadError):
            status, message = error.status, error.message
        elif not isinstance(error, RequestHeaderFieldsTooLarge):
            return HTTPStatus.INTERNAL_SERVER_ERROR, error_responses.internal_error().body
        elif b"\n" in self.request.header_plus:
            status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            message = f"The headers are too long: at most {MAX_HEAD_BYTES} bytes are read."
        else:
            status = HTTPStatus.REQUEST_URI_TOO_LONG
            message = f"The address is too long: at most {MAX_HEAD_BYTES} bytes are read."
        return status, {"error": "bad_request", "message": message, "details": []}


class Channel(HTTPChannel):
    """One connection. After an early answer it reads on, so that the client can see the answer."""

    parser_class = Parser
    error_task_class = JsonErrorTask
    # Of waitress: to be closed when all answers are sent.
    close_when_flushed: bool
    # A request was answered before all of it was read.
    unread = False
    # The answer is sent and our side is closed: what comes now is dropped.
    draining = False
    drained_bytes = 0

    def writable(self) -> bool:
        """Of waitress: there is something to send, or to close."""
        return not self.draining and bool(super().writable())

    def readable(self) -> bool:
        """Of waitress: what the client sends is wanted."""
        return self.draining or bool(super().readable())

    def handle_write(self) -> None:
        """Of waitress: sends, and closes after the last answer."""
        if not (self.unread and self.close_when_flushed):
            super().handle_write()
            return
        self.close_when_flushed = False
        super().handle_write()
        if self.total_outbufs_len:
            self.close_when_flushed = True
        elif self.connected:
            self.draining = True
            self.socket.shutdown(socket.SHUT_WR)

    def handle_read(self) -> None:
        """Of waitress: there is something to read."""
        if not self.draining:
            super().handle_read()
            return
        # At the end of what the client sends, recv closes the channel.
        self.drained_bytes += len(self.recv(65536))
        self.last_activity = time.time()
        if self.drained_bytes > DRAIN_BYTES:
            self.handle_close()

    @property
    def idle(self) -> bool:
        """Nothing is left to answer or to send."""
        return not self.requests and not self.total_outbufs_len


class ProductionServer(TcpWSGIServer):
    """Serves a WSGI application until `stop`, and then finishes the answers that it has begun."""

    channel_class = Channel

    def __init__(
        self, application: WSGIApplication, host: str, port: int, *, silence_seconds: int = SILENCE_SECONDS
    ) -> None:
        """Listens at once. Raises `OSError` when the address cannot be served."""
        self._stopping = False
        adjustments = Adjustments(
            host=host,
            port=port,
            threads=THREADS,
            backlog=BACKLOG,
            connection_limit=CONNECTIONS,
            channel_timeout=silence_seconds,
            cleanup_interval=min(CLEANUP_SECONDS, silence_seconds),
            max_request_header_size=MAX_HEAD_BYTES,
            max_request_body_size=MAX_CONTENT_BYTES + 1,
            # In memory, however large: the container can write nowhere.
            inbuf_overflow=MAX_CONTENT_BYTES + 1,
            outbuf_overflow=sys.maxsize,
            # The page shows the scheme that the proxy names. It decides nothing.
            clear_untrusted_proxy_headers=False,
            ident=SERVER_NAME,
            # A client may leave when it likes.
            log_socket_errors=False,
            # select() takes no more than 1024 files.
            asyncore_use_poll=True,
        )
        super().__init__(application, {}, adj=adjustments)

    def stop(self) -> None:
        """Ends `run`, from another thread or a signal handler."""
        if not self._stopping:
            self._stopping = True
            self.pull_trigger()

    def run(self, stop_seconds: float = STOP_SECONDS) -> None:
        """Serves until `stop`; returns when all answers are sent, at most `stop_seconds` later."""
        while not self._stopping:
            self._turn()
        # Nobody new; a client without a request is let go. The others get their answer.
        wasyncore.dispatcher.close(self)
        deadline = time.monotonic() + stop_seconds
        while self._close_idle() and time.monotonic() < deadline:
            self._turn()
        if self.active_channels:
            logger.warning("server: %d requests were not answered in time", len(self.active_channels))
        for channel in list(self.active_channels.values()):
            channel.handle_close()
        self.task_dispatcher.shutdown(timeout=1)
        self.trigger.close()

    def _turn(self) -> None:
        wasyncore.loop(timeout=1, use_poll=True, map=self._map, count=1)

    def _close_idle(self) -> int:
        for channel in list(self.active_channels.values()):
            if channel.idle:
                channel.handle_close()
        return len(self.active_channels)

    def maintenance(self, now: float) -> None:
        """Of waitress, now and then: closes connections that are silent, also such as do not read."""
        for channel in list(self.active_channels.values()):
            silence = DRAIN_SILENCE_SECONDS if channel.draining else self.adj.channel_timeout
            if not channel.requests and channel.last_activity < now - silence:
                channel.handle_close()


def main(
    handler: Handler,
    paths: Iterable[str],
    start: Callable[[], Callable[[], None]],
    arguments: Sequence[str] | None = None,
) -> int:
    """Serves until SIGTERM or SIGINT; returns the exit code.

    `start` prepares the application, and returns what ends it.
    """
    parser = argparse.ArgumentParser(
        prog="python app.py",
        description="Serves the API. Settings come from the environment and from .env.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (%(default)s)")
    parser.add_argument("--port", default=8000, type=int, help="the port to listen on (%(default)s)")
    options = parser.parse_args(arguments)
    signals = StopSignals()
    end = start()
    _log_as_we_do()
    try:
        server = ProductionServer(Gateway(handler, paths), options.host, options.port)
    except OSError as error:
        address = f"{options.host}:{options.port}"
        sys.stderr.write(f"will-it-compile: cannot serve on {address}: {error.strerror}.\n")
        end()
        return 1

    signals.on_stop(server.stop)
    logger.info("server: serving on http://%s:%d, %d threads", options.host, options.port, THREADS)
    server.run()
    end()
    logger.info("server: stopped")
    return 0


def _log_as_we_do() -> None:
    """Warnings of waitress in our log, unless LOG_LEVEL asks for errors only."""
    ours, theirs = logging.getLogger("will_it_compile"), logging.getLogger("waitress")
    theirs.handlers, theirs.propagate = ours.handlers, False
    theirs.setLevel(max(ours.level, logging.WARNING))
