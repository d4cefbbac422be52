"""The gate between the tools that make a sandbox and the program that runs in it. Shared by the sandboxes.

The last tool of a chain is a small shell. It says that everything before it has worked, and waits to be let
through; only then does it become the program. So whatever happens before is a failure of the sandbox, and no
program runs unless the one who has to end it was alive after the chain was tied to its life: who dies earlier
closes the gate by dying, and the chain ends by itself.

Both ends are one socket pair, as the chain's standard input, since that is the one descriptor that every
tool hands on. The job never has it.
"""

import contextlib
import os
import select
import socket
from collections.abc import Iterable
from types import TracebackType

# What the shell runs, with the program and its arguments as its own. 125 is a chain that failed (outcome.py).
SCRIPT = 'echo >&0; read -r _ || exit 125; exec "$@" </dev/null'


class Gate:
    """One gate. `inside` is for the chain's standard input; leaving the context closes what is open."""

    def __init__(self) -> None:
        self._outside, self._inside = socket.socketpair()
        self.opened = False

    @property
    def inside(self) -> int:
        """The descriptor that the chain inherits as its standard input."""
        return self._inside.fileno()

    def started(self) -> None:
        """The chain has its own copy by now: from here on, its end can be noticed."""
        self._inside.close()

    def open(self, process: int, seconds: float) -> bool:
        """Wait for the chain and let it through. False when it ended instead; see `opened` later.

        `process` is the pid of our child that starts the chain, and whose life ends it. Raises TimeoutError.
        """
        child = os.pidfd_open(process)
        try:
            said = _readable_of((self._outside.fileno(), child), seconds)
        finally:
            os.close(child)
        if not said:
            raise TimeoutError
        # One that has ended could not end the chain any more.
        if child not in said:
            with contextlib.suppress(ConnectionError):
                if self._outside.recv(1):
                    self._outside.send(b"\n")
                    self.opened = True
        self._outside.close()
        return self.opened

    def __enter__(self) -> "Gate":
        """Return the gate itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close both ends: a chain that still waits ends."""
        self._inside.close()
        self._outside.close()


def _readable_of(descriptors: Iterable[int], seconds: float) -> set[int]:
    """Those that have something to read, or their end, after a wait; poll(2), as select(2) stops at 1024."""
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    return {descriptor for descriptor, _ in poll.poll(seconds * 1000)}
