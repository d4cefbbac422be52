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
from collections.abc import Iterator, Sequence
from pathlib import Path

from runner.sandbox.base import SandboxError

# More than one host runs at once: a job needs a good part of a core.
SLOTS = 256

# Besides its own id a slot has one that no process keeps: the helper's, which kills jobs (killer.py).
_RANGE = 2 * SLOTS

# The ids that no distribution gives to anybody: above those of systemd's containers, below those that it
# keeps for files of other hosts (https://systemd.io/UIDS-GIDS/). Half a million ranges.
_UNUSED = range(0x7000_0000, 0x7FFE_0000)

# In a user namespace that knows only the usual 65,536 ids: those of ordinary accounts on Debian (1000 to
# 59999), which are given out from the bottom. The kernel counts such a namespace's processes apart.
_ORDINARY = range(30_000, 56_000)


def first_uid(network: int, maps: Sequence[str]) -> int:
    """The first id for runners in the network namespace with that inode, where `maps` say which ids exist.

    Runners in different network namespaces do not see each other's leases, but the kernel counts processes by
    user id all over the host, and a runner outside of a container sees those inside: with ids in common it
    would end their jobs as leftovers of its own. The kernel gives a namespace the lowest number that is free
    and some seventy more for the files below /proc/net: thousands of namespaces have a range each.
    `maps` are the texts of /proc/self/uid_map and gid_map.
    """
    ids = _UNUSED if all(_holds(text, _UNUSED) for text in maps) else _ORDINARY
    return ids.start + network % (len(ids) // _RANGE) * _RANGE


def _holds(text: str, ids: range) -> bool:
    """Whether one line of a map, `inside outside count`, has all of `ids`."""
    lines = [[int(word) for word in line.split()] for line in text.splitlines()]
    return any(inside <= ids.start and ids.stop <= inside + count for inside, _, count in lines)


FIRST_UID = first_uid(
    os.stat("/proc/self/ns/net").st_ino,
    [Path(f"/proc/self/{kind}_map").read_text(encoding="ascii") for kind in ("uid", "gid")],
)

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
