"""Unprivileged user ids for jobs, one per running job, when the runner is root.

The kernel does not hold root to its process limit, and root in a sandbox is one bug away from
root outside. So each run of a root runner leases an id that nobody else on the host uses.

A lease is an abstract Unix socket with the id in its name: the kernel frees it with its process,
however that ends, and it needs no directory that is writable, private and shared by runners.
"""

import contextlib
import socket
from collections.abc import Iterator

from runner.sandbox.base import SandboxError

# The top of the range for ordinary accounts on Debian (1000 to 59999), which are given out from
# the bottom; 60000 and up belong to packages and to systemd's dynamic users.
FIRST_UID = 59_000

# More than one host runs at once: a job needs a good part of a core.
SLOTS = 256


@contextlib.contextmanager
def lease(first_uid: int = FIRST_UID, slots: int = SLOTS) -> Iterator[int]:
    """Hold a user id, to be used as group id as well. Raises SandboxError when all are taken."""
    for uid in range(first_uid, first_uid + slots):
        lock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            lock.bind(f"\0will-it-compile/slot/{uid}")
        except OSError:
            lock.close()
            continue
        with lock:
            yield uid
        return
    raise SandboxError(f"all {slots} user ids for jobs are in use")
