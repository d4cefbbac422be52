"""The pool of unprivileged user ids for jobs, one per running job, when the runner is root.

The kernel does not hold root to its process limit, and root in a sandbox is one bug away from
root outside. So each run of a root runner leases an id that nobody else on the host uses.

A lease is an abstract Unix socket with the id in its name: the kernel frees it with its process,
however that ends, and it needs no directory that is writable, private and shared by runners.
An id whose job could not be cleared away is quarantined: its lease is kept for as long as the runner lives.
"""

import contextlib
import functools
import os
import pwd
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

from runner.sandbox.base import SandboxError

# Ids for jobs: more than one host runs at once, as a job needs a good part of a core.
POOL_SIZE = 256

# Each id of a job has a second one that no process keeps: that of the helper which kills jobs (killer.py).
_RANGE = 2 * POOL_SIZE

# Ids that no distribution gives to anybody: above those of systemd's containers, below those that it keeps
# for files of other hosts (https://systemd.io/UIDS-GIDS/). Half a million ranges.
_UNUSED = range(0x7000_0000, 0x7FFE_0000)

# For a user namespace that has only the usual 65,536 ids: ids of ordinary accounts (on Debian 1000 to 59999,
# given out from the bottom). The kernel counts the processes of such a namespace apart.
_ORDINARY = range(30_000, 56_000)


def first_uid(network: int, maps: Sequence[str]) -> int:
    """The first id for runners in the network namespace `network` (an inode number).

    Runners in different network namespaces do not see each other's leases. With ids in common, a runner on
    the host would kill the jobs of one in a container as leftovers. The kernel numbers network namespaces
    from the lowest number that is free, some seventy apart, so thousands of them get a range each.
    `maps` are the texts of /proc/self/uid_map and gid_map, which say what ids exist here.
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

_leased: dict[int, socket.socket] = {}
_quarantined: dict[int, socket.socket] = {}


@functools.cache
def _is_account(uid: int) -> bool:
    """Whether the id belongs to a user of this host, whose processes are not ours to end."""
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


@contextlib.contextmanager
def lease(first_uid: int = FIRST_UID, count: int = POOL_SIZE) -> Iterator[int]:
    """Hold one of `count` user ids, which is a group id as well. Raises SandboxError when all are taken."""
    for uid in range(first_uid, first_uid + count):
        if _is_account(uid):
            continue
        lock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            # Runners of other versions on the same host know the name as well: it must stay as it is.
            lock.bind(f"\0will-it-compile/slot/{uid}")
        except OSError:
            lock.close()
            continue
        _leased[uid] = lock
        try:
            yield uid
        finally:
            del _leased[uid]
            if uid not in _quarantined:
                lock.close()
        return
    raise SandboxError(f"all {count} user ids for jobs are in use")


def quarantine(uid: int) -> None:
    """Keep the leased `uid` from every later job while this process lives: something of its job is left."""
    _quarantined[uid] = _leased[uid]


def end_quarantine(uid: int) -> None:
    """Let jobs have `uid` again. Call only after checking that no process of its job is left."""
    _quarantined.pop(uid).close()


def quarantined() -> tuple[int, ...]:
    """The ids that this process has put into quarantine."""
    return tuple(_quarantined)
