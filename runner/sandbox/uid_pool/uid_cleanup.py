"""Ends what runs under a job's user id: before and after each job, and for all ids when a runner starts.

A user id of the pool is given to jobs alone and to one job at a time (pool.py holds the lease), so a process
that has it while nobody holds the lease was left by a runner that died. Nothing else is ever touched: an id
that another runner has leased, or that belongs to a user of this host, is not ours to clear. When a runner
starts, only orphans count, because it does not see the leases of runners in other network namespaces.
"""

import contextlib
import os
import time
from collections.abc import Iterator

from runner.sandbox.base import SandboxError
from runner.sandbox.procfs import processes_of_user
from runner.sandbox.supervisor import KILL_SECONDS
from runner.sandbox.uid_pool import pool
from runner.sandbox.uid_pool.killer import Killer
from runner.sandbox.uid_pool.uid_usage import UidUsage, has_processes, users_of_orphans

# Between two looks at processes that are about to end: the kernel takes about a millisecond for one.
_LOOK_SECONDS = 0.002


def clear(uid: int, killer: Killer, usage: UidUsage | None = None, *, seconds: float = KILL_SECONDS) -> None:
    """Kill every process of the leased `uid` until /proc shows no more of them, zombies included.

    `usage` adds up what they used. Raises SandboxError when something is left after `seconds`.
    """
    usage = usage or UidUsage(uid, 0)
    deadline = time.monotonic() + seconds
    while has_processes(uid):
        killer.kill_all_of(uid)
        processes = processes_of_user(uid)
        usage.reap(processes)
        if not processes:
            return
        if time.monotonic() > deadline:
            raise SandboxError(f"a process survived SIGKILL for {seconds:g} seconds")
        time.sleep(_LOOK_SECONDS)


@contextlib.contextmanager
def clean_lease(killer: Killer) -> Iterator[int]:
    """Hold a user id that no process has. What an earlier job left under it is killed first.

    An id that cannot be cleared goes into quarantine, and the next one is taken. When the context ends with a
    SandboxError the id is cleared again. Raises SandboxError when all ids are taken.
    """
    while True:
        with pool.lease() as uid:
            if has_processes(uid) and not _clear_or_quarantine(uid, killer):
                continue
            try:
                yield uid
            except SandboxError:
                # The sandbox failed, and may have lost hold of a process that it had started.
                _clear_or_quarantine(uid, killer)
                raise
            return


def _clear_or_quarantine(uid: int, killer: Killer) -> bool:
    try:
        clear(uid, killer)
    except SandboxError:
        pool.quarantine(uid)
        return False
    return True


def sweep(killer: Killer) -> None:
    """Kill what dead runners left under any id of the pool. Only root can; leased ids are left alone."""
    if os.geteuid() != 0:
        return
    for uid in users_of_orphans(range(pool.FIRST_UID, pool.FIRST_UID + pool.POOL_SIZE)):
        # It may be leased by a job that is running, which is right, or impossible to clear, which
        # `clean_lease` will notice when it wants to use the id.
        with contextlib.suppress(SandboxError), pool.lease(uid, 1):
            clear(uid, killer)
