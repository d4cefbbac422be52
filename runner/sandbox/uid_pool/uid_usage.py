"""What all processes of one user use, read from /proc: the counterpart of process_tree for a slot.

A job that has a user id to itself cannot leave it, so this finds everything that the job started, whatever
became of its parents. CPU time of processes that ended is with whoever waited for them; orphans come to this
process (it makes itself their subreaper), which waits for them here and adds what they used.
"""

import contextlib
import ctypes
import os
from dataclasses import dataclass, field

from runner.sandbox.procfs import ENDED, RUNNABLE, Usage, numbers_of, thread_states

_TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")
_PR_SET_CHILD_SUBREAPER = 36

# Orphans come to this process, or to the subreaper above them, which this process may be.
_INIT = 1

# The niceness of nobody: nothing is there to be slowed down.
_NICEST = 19


@dataclass(frozen=True, slots=True)
class Process:
    """One process as /proc shows it. CPU times in clock ticks; `children_ticks` is of those waited for.

    `runnable` of its threads run or want to; `nice` is the lowest niceness of one.
    """

    pid: int
    parent: int
    zombie: bool
    started: int
    own_ticks: int
    children_ticks: int
    threads: int
    runnable: int
    nice: int
    resident_bytes: int
    peak_bytes: int


def become_subreaper() -> None:
    """Let orphans of jobs come to this process, so that it can wait for them. Raises OSError."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def processes_of(uid: int) -> list[Process]:
    """Every process whose real user id is `uid`, zombies included."""
    found = []
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            # The directory belongs to root where the process is not dumpable, which a job can arrange.
            if entry.stat().st_uid not in (uid, 0):
                continue
            status = _read(f"/proc/{entry.name}/status")
            if _fields(status, b"\nUid:")[:1] != [uid]:
                continue
            stat = _read(f"/proc/{entry.name}/stat")
        except (FileNotFoundError, ProcessLookupError):
            continue
        # State, parent, ... as proc(5) numbers them, minus 3.
        numbers = numbers_of(stat)
        states = thread_states(int(entry.name), numbers, int(numbers[17]))
        resident = sum(sum(_fields(status, name)[:1]) for name in (b"\nRssAnon:", b"\nRssShmem:"))
        found.append(
            Process(
                pid=int(entry.name),
                parent=int(numbers[1]),
                zombie=numbers[0] in ENDED,
                started=int(numbers[19]),
                own_ticks=int(numbers[11]) + int(numbers[12]),
                children_ticks=int(numbers[13]) + int(numbers[14]),
                threads=int(numbers[17]),
                runnable=sum(state == RUNNABLE for state, _ in states),
                nice=min((nice for _, nice in states), default=_NICEST),
                resident_bytes=resident * 1024,
                peak_bytes=sum(_fields(status, b"\nVmHWM:")[:1]) * 1024,
            )
        )
    return found


def has_processes(uid: int) -> bool:
    """Whether `processes_of` would find any: one system call in the place of reading all of /proc."""
    try:
        os.getpriority(os.PRIO_USER, uid)
    except ProcessLookupError:
        return False
    return True


def users_of_orphans(uids: range) -> set[int]:
    """Those of `uids` that are the real user id of a process whose parent has died."""
    found = set()
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            status = _read(f"/proc/{entry.name}/status")
            if _fields(status, b"\nPPid:")[:1] in ([_INIT], [os.getpid()]):
                found.update(_fields(status, b"\nUid:")[:1])
    return found.intersection(uids)


@dataclass(slots=True)
class UserUsage:
    """Sums over the processes of the slot `uid`; `child` is the one that somebody else waits for."""

    uid: int
    child: int
    _reaped_seconds: float = 0.0
    _reaped_peak_bytes: int = 0
    _seen_ticks: dict[tuple[int, int], int] = field(default_factory=dict)

    def sample(self) -> Usage:
        """What there is now, and what was used by all that ever was.

        CPU time has two lower bounds, and the larger one counts: what living processes, their
        waited-for children and reaped orphans used; and what every process used when last seen,
        which also knows those whose parent ignores SIGCHLD.
        """
        processes = processes_of(self.uid)
        self.reap(processes)
        for process in processes:
            self._seen_ticks[process.pid, process.started] = process.own_ticks
        living = sum(process.own_ticks + process.children_ticks for process in processes)
        seen = sum(self._seen_ticks.values())
        return Usage(
            cpu_seconds=max(living * _TICK_SECONDS + self._reaped_seconds, seen * _TICK_SECONDS),
            resident_bytes=sum(process.resident_bytes for process in processes),
            peak_bytes=max([self._reaped_peak_bytes, *(process.peak_bytes for process in processes)]),
            tasks=sum(max(1, process.threads) for process in processes),
            runnable=sum(process.runnable for process in processes),
            nice=min((process.nice for process in processes), default=_NICEST),
        )

    def reap(self, processes: list[Process]) -> None:
        """Wait for the orphans among `processes` that have ended, and remove them from the list."""
        for process in [found for found in processes if found.zombie and found.pid != self.child]:
            if process.parent != os.getpid():
                continue
            try:
                pid, _, rusage = os.wait4(process.pid, os.WNOHANG)
            except ChildProcessError:
                continue
            if pid:
                self._reaped_seconds += rusage.ru_utime + rusage.ru_stime
                processes.remove(process)


def _read(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.read()


def _fields(status: bytes, name: bytes) -> list[int]:
    """The numbers behind a field of /proc/PID/status; none where it is missing (a zombie's memory)."""
    start = status.find(name)
    if start < 0:
        return []
    line = status[start + len(name) :].partition(b"\n")[0]
    return [int(word) for word in line.split() if word.isdigit()]
