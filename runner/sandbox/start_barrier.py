"""The barrier between the tools that make a sandbox and the program that runs in it.

The last tool of a chain is a small shell. It says that everything before it has worked, and waits at the
barrier; only when the runner lets it through does it become the program. So:

- whatever fails before is a failure of the sandbox;
- no program starts unless the process that has to end it was alive after the chain was tied to its life. A
  runner that dies earlier closes its end of the barrier by dying, and the chain ends by itself.

Both ends are one socket pair. The chain has its end as standard input, since that is the one descriptor that
every tool passes on. The job never has it.
"""

import contextlib
import os
import select
import socket
from collections.abc import Iterable
from types import TracebackType

# The exit statuses by which the tools of a chain (timeout, prlimit, env, sh) say that they could not start
# the program. A program may use the same numbers. To take that for a failure of the sandbox is the safe
# mistake: it is reported as our own failure and never as a rejection.
NOT_STARTED = (125, 126, 127)

# What our own shells exit with then.
GAVE_UP = NOT_STARTED[0]

# What the last shell runs; its arguments are the program and the program's arguments.
SCRIPT = f'echo >&0; read -r _ || exit {GAVE_UP}; exec "$@" </dev/null'


class StartBarrier:
    """One barrier. `inside` is for the chain's standard input; leaving the context closes what is open."""

    def __init__(self) -> None:
        self._outside, self._inside = socket.socketpair()
        self.opened = False

    @property
    def inside(self) -> int:
        """The descriptor that the chain inherits as its standard input."""
        return self._inside.fileno()

    def chain_started(self) -> None:
        """The chain has its own copy by now. Call this at once, or the chain's end goes unnoticed."""
        self._inside.close()

    def open(self, process: int, seconds: float) -> bool:
        """Wait for the chain and let it through. False when it ended instead; `opened` keeps the answer.

        `process` is the pid of our child that starts the chain, and whose life ends it. Raises TimeoutError.
        """
        child = os.pidfd_open(process)
        try:
            ready = readable((self._outside.fileno(), child), seconds)
        finally:
            os.close(child)
        if not ready:
            raise TimeoutError
        # A child that has ended could not end the chain any more.
        if child not in ready:
            with contextlib.suppress(ConnectionError):
                if self._outside.recv(1):
                    self._outside.send(b"\n")
                    self.opened = True
        self._outside.close()
        return self.opened

    def __enter__(self) -> "StartBarrier":
        """Return the barrier itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close both ends: a chain that still waits ends."""
        self._inside.close()
        self._outside.close()


def readable(descriptors: Iterable[int], seconds: float) -> set[int]:
    """Wait until one of these has something to read, or is at its end; returns those that do, empty for none.

    poll(2), as select(2) takes no descriptor above 1023.
    """
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    return {descriptor for descriptor, _ in poll.poll(max(0.0, seconds) * 1000)}
