"""A TCP proxy on loopback that cuts connections at a chosen byte: what does half a command do?"""

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

from tests.support.servers.tools import free_port

HOST = "127.0.0.1"
CHUNK_BYTES = 65536


class CuttingProxy:
    """Forwards to a port. `arm` makes it cut connections after a number of bytes in one direction.

    Nothing beyond the cut is forwarded, so half a command can arrive, or its whole answer be lost.
    `passed` counts the bytes of each direction since the last `arm`.
    """

    def __init__(self, target_port: int) -> None:
        self.port = free_port()
        self._target = (HOST, target_port)
        self._listener = socket.create_server((HOST, self.port))
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._direction = ""
        self._after_bytes = self._left = self._cuts = 0
        self.passed = {"request": 0, "answer": 0}

    def arm(self, direction: str, after_bytes: int, *, cuts: int = 1) -> None:
        """Cuts when `after_bytes` more of "request" or "answer" have passed; then `cuts - 1` times again."""
        with self._lock:
            self._direction, self._after_bytes, self._left = direction, after_bytes, after_bytes
            self._cuts = cuts
            self.passed = {"request": 0, "answer": 0}

    def disarm(self) -> int:
        """Forwards everything again; returns how many cuts did not happen."""
        with self._lock:
            left, self._cuts = self._cuts, 0
            return left

    def _allowed(self, direction: str, size: int) -> tuple[int, bool]:
        """How many bytes of a chunk may pass, and whether the connection is cut after them."""
        with self._lock:
            if not self._cuts or direction != self._direction:
                self.passed[direction] += size
                return size, False
            if size < self._left:
                self._left -= size
                self.passed[direction] += size
                return size, False
            allowed = self._left
            self._cuts -= 1
            self._left = self._after_bytes
            self.passed[direction] += allowed
            return allowed, True

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self._target)
            except OSError:
                client.close()
                continue
            with self._lock:
                self._open |= {client, server}
            for direction, source, sink in (("request", client, server), ("answer", server, client)):
                threading.Thread(target=self._forward, args=(direction, source, sink), daemon=True).start()

    def _forward(self, direction: str, source: socket.socket, sink: socket.socket) -> None:
        try:
            while chunk := source.recv(CHUNK_BYTES):
                allowed, cut = self._allowed(direction, len(chunk))
                sink.sendall(chunk[:allowed])
                if cut:
                    break
        except OSError:
            pass  # the other direction's thread closed it
        for end in (source, sink):
            with suppress(OSError):  # closed already
                end.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()
        for end in self._open:
            end.close()
