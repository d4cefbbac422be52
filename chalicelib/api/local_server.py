"""What Chalice's development server lacks; only `chalice local` uses this, never Lambda or the container.

Chalice's handler trusts the head of a request: a Content-Length that is not a number, or larger than
memory, ends in a stack trace and a dropped connection, a header line that cannot be parsed hides all that
follow it, and a body that never comes holds a thread for ever. `harden` answers such a head with a 4xx
before any of it is used. Chalice's classes are passed in, because nothing in this package imports Chalice;
Chalice takes no other classes, so they are changed in place. `production_server.py` is the server for
everything but a developer's machine.
"""

import os
import re
import socket
import sys
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from io import BufferedIOBase
from socketserver import BaseServer, TCPServer

from chalicelib.api.wsgi import MAX_CONTENT_BYTES, SERVER_NAME

# Connections that may wait to be accepted; the default is 5. More than one machine has in a burst.
BACKLOG = 256
# A client on the same machine sends its whole request at once; an idle one can connect again.
SILENCE_SECONDS = 30.0
# After an error the body is still read, up to this many bytes: to close on unread bytes would reset the
# connection, and the client might never see the answer.
_DRAIN_BYTES = 64 * 1024 * 1024

# A header line as RFC 9112 (5) has it: a token, a colon, printable text. The parser of the standard library
# is for mail: it ends the headers at a line like `X y: z`, joins folded lines and breaks lines at a bare CR.
# So a Content-Length might not count, and a body would be answered as a second request.
_HEADER_LINE = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*\r\n")

# The standard library splits this line at any blank, and answers one without a version as HTTP/0.9: without a
# head.
_FIRST_LINE = re.compile(rb"[^ \t\r\n]+ [^ \t\r\n]+ HTTP/1\.[01] *\r\n")

_TEMPLATE = '{"error": "bad_request", "message": "%(explain)s", "details": []}\n'


def widen_backlog(server: type[TCPServer]) -> None:
    """Lets a burst of clients connect at once."""
    server.request_queue_size = BACKLOG


def exit_when_asked(server: type[TCPServer], asked: Callable[[], object]) -> None:
    """Ends this process with exit code 0, from the loop that serves, when `asked` says so."""
    serve_actions = server.service_actions

    def exit_or_serve(self: BaseServer) -> None:
        # Only here, between two requests: raised by the signal itself it could be lost anywhere.
        if asked():
            raise SystemExit(0)
        serve_actions(self)

    # Why in place: see above.
    server.service_actions = exit_or_serve  # type: ignore[method-assign]


def exit_when_port_is_taken(server: type[TCPServer]) -> None:
    """Ends this process with one sentence and exit code 1 when it cannot listen on its address."""
    bind = server.server_bind

    def bind_or_exit(self: TCPServer) -> None:
        try:
            bind(self)
        except OSError as error:
            address = ":".join(str(part) for part in self.server_address[:2])
            sys.stderr.write(
                f"will-it-compile: cannot serve on {address}: {error.strerror}. Choose another port: "
                "make run PORT=9000, or chalice local --port 9000.\n"
            )
            sys.stderr.flush()
            # Not SystemExit, which would wait for the thread that tries the compilers. Its sandboxes end now.
            os._exit(1)

    # Why in place: see above.
    server.server_bind = bind_or_exit  # type: ignore[method-assign]


def harden(handler: type[BaseHTTPRequestHandler], *, silence_seconds: float = SILENCE_SECONDS) -> None:
    """Changes a handler class (for this whole process) so that no head of a request can break it."""
    parse_request, handle = handler.parse_request, handler.handle
    send_continue = handler.handle_expect_100

    def parse_and_check(self: BaseHTTPRequestHandler) -> bool:
        # Missing in the types of the standard library. A blank line is what a client may send after a body.
        line: bytes = self.raw_requestline  # type: ignore[attr-defined]
        if line.strip() and not _FIRST_LINE.fullmatch(line):
            _answer_malformed_line(self, line)
            return False
        reader = self.rfile
        lines = _HeaderLines(reader)
        # The standard library keeps no line as it was sent, and what it parsed is not what others parse.
        self.rfile = lines
        try:
            readable = parse_request(self)
        finally:
            self.rfile = reader
        if not readable:
            return False
        error = lines.error() or _head_error(self)
        if error:
            self.send_error(error[0], explain=error[1])
            _drain(self)
            return False
        expects = self.headers.get("Expect", "").lower() == "100-continue"
        return send_continue(self) if expects and self.request_version == "HTTP/1.1" else True

    def go_on_later(_self: BaseHTTPRequestHandler) -> bool:
        # A client that asks whether its body will be read is answered when its head has been checked.
        return True

    def handle_until_client_leaves(self: BaseHTTPRequestHandler) -> None:
        try:
            handle(self)
        except ConnectionError:
            self.close_connection = True

    def server_name(_self: BaseHTTPRequestHandler) -> str:
        return SERVER_NAME

    # Without it each answer on a kept connection takes about 40 ms longer: head and body are written
    # separately, and the second waits for the acknowledgement of the first (Nagle, delayed ACK).
    handler.disable_nagle_algorithm = True
    handler.timeout = silence_seconds
    # Why in place: see above. mypy compares the names of parameters, too.
    handler.handle_expect_100 = go_on_later  # type: ignore[method-assign, assignment]
    # As above.
    handler.version_string = server_name  # type: ignore[method-assign, assignment]
    # The errors of the standard library itself, a line that is too long for example, are JSON as well.
    handler.error_content_type = "application/json"
    handler.error_message_format = _TEMPLATE
    # Why in place: see above.
    handler.parse_request = parse_and_check  # type: ignore[method-assign]
    # Typed by the base class of the base class.
    handler.handle = handle_until_client_leaves  # type: ignore[assignment, method-assign]


class _HeaderLines(BufferedIOBase):
    """Reads lines from another reader, and checks each: those of a request's headers, with the blank one."""

    def __init__(self, reader: BufferedIOBase) -> None:
        super().__init__()
        self._reader = reader
        self._well_formed = True

    def readline(self, size: int | None = -1, /) -> bytes:
        """The next line, at most `size` bytes of it."""
        line = self._reader.readline(-1 if size is None else size)
        if line != b"\r\n" and not _HEADER_LINE.fullmatch(line):
            self._well_formed = False
        return line

    def error(self) -> tuple[HTTPStatus, str] | None:
        """Why the lines so far cannot be served; None when they can."""
        if self._well_formed:
            return None
        return HTTPStatus.BAD_REQUEST, "A header line is malformed: each must be a name, a colon and text."


def _answer_malformed_line(handler: BaseHTTPRequestHandler, line: bytes) -> None:
    """Answers a request whose first line cannot be read, and closes its connection."""
    # Of the standard library, which sets them when it parses the line; an answer needs them.
    handler.command, handler.request_version = "", "HTTP/1.1"
    handler.requestline = line.decode("latin-1").rstrip()
    message = "The request has bad HTTP syntax: its first line must be a method, a path and HTTP/1.1."
    handler.send_error(HTTPStatus.BAD_REQUEST, explain=message)
    _drain(handler)


def _head_error(handler: BaseHTTPRequestHandler) -> tuple[HTTPStatus, str] | None:
    """Why this head cannot be served: a status and a sentence. None when it can."""
    headers = handler.headers
    if handler.command == "HEAD":
        # Chalice would send a body with the answer, and the client would read that as the next answer.
        return HTTPStatus.METHOD_NOT_ALLOWED, "HEAD is not supported: send GET."
    if not headers.get("Authorization", "").isascii():
        return HTTPStatus.BAD_REQUEST, "The header Authorization has characters that are not ASCII."
    if "Transfer-Encoding" in headers:
        return HTTPStatus.LENGTH_REQUIRED, "Send the body in one piece, with a Content-Length."
    lengths = headers.get_all("Content-Length", ["0"])
    # int() does not take thousands of digits; 15 are over the limit anyway.
    if len(lengths) > 1 or not all(text.isascii() and text.isdigit() for text in lengths):
        return HTTPStatus.BAD_REQUEST, "The header Content-Length must be one whole number of bytes."
    digits = lengths.pop()
    if len(digits) > 15 or int(digits) > MAX_CONTENT_BYTES:
        too_large = f"The body is too large: at most {MAX_CONTENT_BYTES} bytes are read."
        return HTTPStatus.REQUEST_ENTITY_TOO_LARGE, too_large
    return None


def _drain(handler: BaseHTTPRequestHandler) -> None:
    """Reads what the client still sends, for a moment, so that it can read the answer."""
    handler.connection.shutdown(socket.SHUT_WR)
    handler.connection.settimeout(1.0)
    remaining = _DRAIN_BYTES
    try:
        while remaining > 0 and (read := len(handler.rfile.read1(65536))):
            remaining -= read
    except OSError:
        return
