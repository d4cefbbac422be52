"""Unprivileged user ids for jobs, one per running job, when the runner is root.

The kernel does not hold root to its process limit, and root in a sandbox is one bug away from
root outside. So each run of a root runner leases an id that nobody else on the host uses.

A lease is an abstract Unix socket with the id in its name: the kernel frees it with its process,
however that ends, and it needs no directory that is writable, private and shared by runners.
An id whose job could not be cleared away is quarantined: its lease is never given back.
"""

import contextlib
import functools
import os
import pwd
import socket
from collections.abc import Iterator

from runner.sandbox.base import SandboxError

# More than one host runs at once: a job needs a good part of a core.
SLOTS = 256

# Ids of ordinary accounts on Debian (1000 to 59999), which are given out from the bottom. Runners in
# different network namespaces do not see each other's leases, but the kernel counts processes by user id all
# over the host, so a fork bomb of one could stop the jobs of another: each namespace has a range of its own.
FIRST_UID = 30_000 + os.stat("/proc/self/ns/net").st_ino % 100 * SLOTS

_held: dict[int, socket.socket] = {}
_quarantined: dict[int, socket.socket] = {}


@functools.cache
def _is_somebody(uid: int) -> bool:
    """Whether the id belongs to a user of this host, whose processes are not ours to end."""
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


@contextlib.contextmanager
def lease(first_uid: int = FIRST_UID, slots: int = SLOTS) -> Iterator[int]:
    """Hold a user id, to be used as group id as well. Raises SandboxError when all are taken."""
    for uid in range(first_uid, first_uid + slots):
        if _is_somebody(uid):
            continue
        lock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            lock.bind(f"\0will-it-compile/slot/{uid}")
        except OSError:
            lock.close()
            continue
        _held[uid] = lock
        try:
            yield uid
        finally:
            del _held[uid]
            if uid not in _quarantined:
                lock.close()
        return
    raise SandboxError(f"all {slots} user ids for jobs are in use")


def quarantine(uid: int) -> None:
    """Never give the leased `uid` back while this process lives: something of its job is left."""
    _quarantined[uid] = _held[uid]


def pardon(uid: int) -> None:
    """End the quarantine of an id, for who has seen that nothing of its job is left."""
    _quarantined.pop(uid).close()


def quarantined() -> tuple[int, ...]:
    """The ids that this process has put into quarantine."""
    return tuple(_quarantined)
