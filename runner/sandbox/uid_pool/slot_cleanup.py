"""Ends what runs under the user id of a slot: of one before and after its job, of all when a runner starts.

A slot's user id is given to jobs alone and to one job at a time (pool.py holds the lease), so a process that
has it while nobody holds the lease was left by a runner that died. Nothing else is ever touched: an id that
is leased to somebody, or that belongs to a user of this host, is not ours to clear; and when a runner starts,
only orphans count, because a runner in another network namespace holds its leases where we do not see them.
"""

import contextlib
import os
import time
from collections.abc import Iterator

from runner.sandbox.base import SandboxError
from runner.sandbox.supervisor import KILL_SECONDS
from runner.sandbox.uid_pool import pool
from runner.sandbox.uid_pool.killer import Killer
from runner.sandbox.uid_pool.uid_usage import UserUsage, has_processes, processes_of, users_of_orphans

# Between two looks at processes that are about to end: the kernel takes about a millisecond for one.
_LOOK_SECONDS = 0.002


def clear(uid: int, killer: Killer, usage: UserUsage | None = None, *, seconds: float = KILL_SECONDS) -> None:
    """Kill everything of the leased slot `uid` until /proc shows nothing more, zombies included.

    `usage` learns what they used. Raises SandboxError when something is left after `seconds`.
    """
    usage = usage or UserUsage(uid, 0)
    deadline = time.monotonic() + seconds
    while has_processes(uid):
        killer.kill_all_of(uid)
        processes = processes_of(uid)
        usage.reap(processes)
        if not processes:
            return
        if time.monotonic() > deadline:
            raise SandboxError(f"a process survived SIGKILL for {seconds:g} seconds")
        time.sleep(_LOOK_SECONDS)


@contextlib.contextmanager
def clean_lease(killer: Killer) -> Iterator[int]:
    """Hold a slot that no process has: what is left in it is ended first, and after a failure.

    A slot that this does not clear goes into quarantine, and the next one is taken. Raises SandboxError
    when there is none.
    """
    while True:
        with pool.lease() as uid:
            if has_processes(uid) and not _clear_or_quarantine(uid, killer):
                continue
            try:
                yield uid
            except SandboxError:
                # Who ran something here may have lost hold of it.
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
    """End what dead runners left in any slot. Only root can; slots of living runners are left alone."""
    if os.geteuid() != 0:
        return
    for uid in users_of_orphans(range(pool.FIRST_UID, pool.FIRST_UID + pool.SLOTS)):
        # Leased by a job that runs, or not to be cleared: the first is right, and the second is seen again
        # when the slot is to be used.
        with contextlib.suppress(SandboxError), pool.lease(uid, 1):
            clear(uid, killer)
