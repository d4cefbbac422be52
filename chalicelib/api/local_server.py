"""What the server of `chalice local` needs besides what Chalice gives it; Lambda never comes here.

Chalice's handler takes the head of a request at its word: a Content-Length that is no number, or
larger than memory, ends in a stack trace and a dropped connection, and a body that does not come
holds a thread for ever. `harden` refuses such a head with a 4xx, before any of it is used. It is
given Chalice's class, because nothing in this package imports Chalice.
"""

import os
import socket
import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer

# Connections that may wait to be accepted: more than the threads of any burst that one machine serves.
BACKLOG = 256
# API Gateway takes no longer body either.
MAX_CONTENT_BYTES = 10 * 1024 * 1024
# A client on the same machine sends its whole request at once; an idle one can connect again.
SILENCE_SECONDS = 30.0
# A body that is refused is still read, up to this much: to close on unread bytes would reset the
# connection, and the client might never see the answer.
_DRAINED_BYTES = 64 * 1024 * 1024

_TEMPLATE = '{"error": "bad_request", "message": "%(explain)s", "details": []}\n'


def widen(server: type[TCPServer]) -> None:
    """Lets as many clients knock at once as a burst of them may bring; the default is 5."""
    server.request_queue_size = BACKLOG


def refuse_politely(server: type[TCPServer]) -> None:
    """Makes an address that cannot be served one sentence and the end of this process, exit code 1."""
    bind = server.server_bind

    def bound(self: TCPServer) -> None:
        try:
            bind(self)
        except OSError as error:
            address = ":".join(str(part) for part in self.server_address[:2])
            sys.stderr.write(
                f"will-it-compile: cannot serve on {address}: {error.strerror}. Choose another port: "
                "make run PORT=9000, or chalice local --port 9000.\n"
            )
            sys.stderr.flush()
            # Not SystemExit, which waits for the thread that tries the compilers; its sandboxes die with us.
            os._exit(1)

    # Chalice makes its server of this very class and takes no other, so it is changed in place.
    server.server_bind = bound  # type: ignore[method-assign]


def harden(handler: type[BaseHTTPRequestHandler], *, silence_seconds: float = SILENCE_SECONDS) -> None:
    """Changes a handler class (for this whole process) so that no head of a request can break it."""
    parse_request, handle = handler.parse_request, handler.handle

    def checked(self: BaseHTTPRequestHandler) -> bool:
        if not parse_request(self):
            return False
        refused = _refusal(self)
        if refused is not None:
            self.send_error(refused[0], explain=refused[1])
            _drain(self)
        return refused is None

    def patient(self: BaseHTTPRequestHandler) -> None:
        try:
            handle(self)
        except ConnectionError:
            self.close_connection = True  # the client left, as it may

    # Without it each answer on a kept connection takes about 40 ms longer: head and body are written
    # apart, and the second waits for the acknowledgement of the first (Nagle, delayed ACK).
    handler.disable_nagle_algorithm = True
    handler.timeout = silence_seconds
    # What the standard library refuses by itself, a line that is too long for example, is JSON as well.
    handler.error_content_type = "application/json"
    handler.error_message_format = _TEMPLATE
    # Chalice makes its server of this very class and takes no other, so it is changed in place.
    handler.parse_request = checked  # type: ignore[method-assign]
    # Typed by the base class of the base class.
    handler.handle = patient  # type: ignore[assignment, method-assign]


def _refusal(handler: BaseHTTPRequestHandler) -> tuple[HTTPStatus, str] | None:
    """Why this head cannot be served: a status and a sentence; None when it can."""
    headers = handler.headers
    if handler.command == "HEAD":
        # It would be answered with a body, which the client would take for the next answer.
        return HTTPStatus.METHOD_NOT_ALLOWED, "HEAD is not supported: send GET."
    if not headers.get("Authorization", "").isascii():
        return HTTPStatus.BAD_REQUEST, "The header Authorization has characters that are not ASCII."
    if "Transfer-Encoding" in headers:
        return HTTPStatus.LENGTH_REQUIRED, "Send the body in one piece, with a Content-Length."
    lengths = set(headers.get_all("Content-Length", ["0"]))
    # More than 15 digits is not a number that is compared with a limit; int() refuses thousands.
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
    remaining = _DRAINED_BYTES
    try:
        while remaining > 0 and (read := len(handler.rfile.read1(65536))):
            remaining -= read
    except OSError:
        return
