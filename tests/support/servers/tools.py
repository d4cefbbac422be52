"""Small things that every server needs: a free port, and waiting with a deadline."""

import random
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]

# Below 32768, where Linux begins to hand out ports to outgoing connections: a server that is down for a while
# would otherwise find its port taken, or a client that retries would connect to itself. And below 22000, so
# that a cluster node's bus, which is at port + 10000, stays below it too and meets no other server.
_PORTS = range(12_000, 22_000)
_BUS_OFFSET = 10_000


def free_port() -> int:
    """A TCP port that nothing listens on (nor on the port + 10000), another one each time."""
    return next(_free_ports)


def _search_ports() -> Iterator[int]:
    # SystemRandom, because hypothesis and tests seed the shared generator, and two runs at once must differ.
    for port in random.SystemRandom().sample(_PORTS, len(_PORTS)):
        if _is_free(port) and _is_free(port + _BUS_OFFSET):
            yield port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


_free_ports = _search_ports()


def wait_until(
    condition: Callable[[], bool], what: str, *, timeout_seconds: float = 60.0, every_seconds: float = 0.02
) -> None:
    """Returns as soon as `condition()` is true; raises `TimeoutError("… {what} …")` at the deadline."""
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {timeout_seconds:g} s")
        time.sleep(every_seconds)
