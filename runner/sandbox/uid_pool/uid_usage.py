"""What all processes of one job use, found by the job's user id.

A job that has a user id to itself cannot leave it, so this finds everything that the job started, whatever
became of its parents. The CPU time of a process that has ended is with the parent that waited for it; orphans
come to this process (it makes itself their subreaper), which waits for them here and adds what they used.
"""

import ctypes
import os
import sys
from dataclasses import dataclass, field, replace
from typing import ClassVar

from runner.sandbox.cpu_time import CpuTime
from runner.sandbox.mapping_tables import MappingTables
from runner.sandbox.procfs import (
    SOCKET_BYTES,
    Process,
    Usage,
    processes_of_user,
    sum_of,
    unix_sockets,
    users_of_children_of,
)

_PR_SET_CHILD_SUBREAPER = 36

# Orphans come to this process, or to the subreaper above them, which this process may be.
_INIT = 1


def become_subreaper() -> None:
    """Let orphans of jobs come to this process, so that it can wait for them. Raises OSError."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def has_processes(uid: int) -> bool:
    """Whether any process has that user id: one system call, where a list takes all of /proc."""
    try:
        os.getpriority(os.PRIO_USER, uid)
    except ProcessLookupError:
        return False
    return True


def users_of_orphans(uids: range) -> set[int]:
    """Those of `uids` that are the real user id of a process whose parent has died."""
    return users_of_children_of((_INIT, os.getpid())).intersection(uids)


@dataclass(slots=True)
class UidUsage:
    """Sums over the processes of the user `uid`. `child` is our own child, which `supervise` waits for."""

    uid: int
    child: int
    # The fewest that this process has ever seen in its network namespace: those of the host itself.
    _fewest_sockets: ClassVar[int] = sys.maxsize

    _reaped_seconds: float = 0.0
    _cpu_time: CpuTime = field(default_factory=CpuTime)
    _mapping_tables: MappingTables = field(default_factory=MappingTables)

    def __post_init__(self) -> None:
        """Look at the sockets while the job has none: it waits at the start barrier."""
        self._new_sockets()

    def sample(self) -> Usage:
        """What there is now, and what was used by all that ever was.

        CPU time has two lower bounds, and the larger one counts: what living processes, their
        waited-for children and reaped orphans used; and that of `CpuTime`, which also knows those whose
        parent ignores SIGCHLD.
        """
        processes = processes_of_user(self.uid)
        self.reap(processes)
        seen_seconds = self._cpu_time.update(processes)
        usage = sum_of(processes)
        # Jobs share the network namespace, and nothing says whose a socket is: it is one of these files.
        sockets = min(self._new_sockets(), sum(process.descriptors for process in processes))
        in_mappings = self._mapping_tables.update(processes)
        return replace(
            usage,
            cpu_seconds=max(usage.cpu_seconds + self._reaped_seconds, seen_seconds),
            resident_bytes=usage.resident_bytes + sockets * SOCKET_BYTES + in_mappings,
        )

    @classmethod
    def _new_sockets(cls) -> int:
        """How many more there are than there were at the best of times."""
        sockets = unix_sockets()
        cls._fewest_sockets = min(cls._fewest_sockets, sockets)
        return sockets - cls._fewest_sockets

    def reap(self, processes: list[Process]) -> None:
        """Wait for the orphans among `processes` that have ended, and remove them from the list."""
        for process in list(processes):
            if not process.zombie or process.pid == self.child or process.parent != os.getpid():
                continue
            try:
                pid, _, rusage = os.wait4(process.pid, os.WNOHANG)
            except ChildProcessError:
                continue
            if pid:
                self._reaped_seconds += rusage.ru_utime + rusage.ru_stime
                processes.remove(process)
