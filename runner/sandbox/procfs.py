"""What processes use right now, read from /proc: the only reader of /proc in the sandboxes.

`processes_of_tree` lists a process and its descendants, `processes_of_user` the processes of one user id, and
`sum_of` sums up what they use.
Rusage only tells what has ended, and the kernel's limits are per process, so the sum over living
processes has to be sampled. A sample is a snapshot of something that moves: a process that appears or
ends meanwhile is counted or not, and the next sample corrects it.

Everything read here is written by the kernel except the command name, which is skipped. To sample one
more number: a field of `Process`, and its sum in `sum_of`.
"""

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")

# Fields of /proc/PID/stat as proc(5) numbers them, counted from the state (its field 3), which is the first
# after the name.
_STATE, _PARENT, _UTIME, _STIME, _CUTIME, _CSTIME, _NICE, _THREADS, _STARTED = (
    0,
    1,
    11,
    12,
    13,
    14,
    16,
    17,
    19,
)

# States of a task: it runs or waits for a core; it has ended.
_RUNNABLE, _ENDED = b"R", (b"Z", b"X")

# The memory that only this job needs, in fields of /proc/PID/status: what it wrote, also that in swap, and
# its page tables, which cost 4 kB for each 2 MB of addresses, even if these were only read.
_COUNTED = (b"\nRssAnon:", b"\nRssShmem:", b"\nVmSwap:", b"\nVmPTE:")

# What the kernel may keep for one open file: a pipe with the two pages that it gets without asking when its
# user has used up fs.pipe-user-pages-soft (64 MiB, which are not counted), and the structures of both ends.
_DESCRIPTOR_BYTES = 12 * 1024

# What may wait in one socket: the size that it gets without asking (net.core.wmem_default, which a network
# namespace of its own does not show), and the message with which it goes over that.
SOCKET_BYTES = 3 * 212_992 // 2

# A program has some hundred mappings, a Java some thousand. This many take 0.1 s to read.
_MAPPINGS = 100_000

# The niceness when nothing is alive: there is nothing to be slowed down.
_HIGHEST_NICE = 19


@dataclass(frozen=True, slots=True)
class Usage:
    """One sample. `peak_bytes` is the largest that any single living process has ever been.

    `runnable` of the `tasks` run or want to; `nice` is the lowest niceness of a living process. A sandbox
    whose kernel shares the processor between jobs by itself leaves these two out.
    """

    cpu_seconds: float
    resident_bytes: int
    peak_bytes: int
    tasks: int
    runnable: int = 0
    nice: int = 0


@dataclass(frozen=True, slots=True)
class Process:
    """One process as /proc shows it. CPU times in clock ticks; `children_ticks` is of those waited for.

    `started` is in clock ticks since the boot: with the pid it names a process for ever. `runnable` of its
    `threads` run or want to; `nice` is the lowest niceness of a living one. `resident_bytes` counts
    anonymous and shared memory, page tables, and what `descriptors` open files may cost at most; pages of
    files (the compiler's own code) belong to the page cache.
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
    descriptors: int
    resident_bytes: int
    peak_bytes: int


def processes_of_tree(root: int, *, tasks_at_most: int) -> list[Process]:
    """The process `root` and its descendants; none when it has ended.

    Threads count as tasks; after `tasks_at_most` of them the rest is not looked at, since the caller ends
    the run.
    """
    processes: list[Process] = []
    tasks = 0
    waiting = [root]
    seen = {root}
    while waiting and tasks < tasks_at_most:
        pid = waiting.pop()
        try:
            process = _parse(pid, _status(pid))
            children = [
                int(child)
                for thread in os.listdir(f"/proc/{pid}/task")
                for child in _read(f"/proc/{pid}/task/{thread}/children").split()
            ]
        except (FileNotFoundError, ProcessLookupError):
            if pid != root:
                processes.append(_ended(pid))
            continue
        processes.append(process)
        tasks += process.threads
        for child in children:
            if child not in seen:
                seen.add(child)
                waiting.append(child)
    return processes


def sum_of(processes: Sequence[Process]) -> Usage:
    """What these processes use together. CPU time includes children that were waited for."""
    return Usage(
        cpu_seconds=sum(process.own_ticks + process.children_ticks for process in processes) * TICK_SECONDS,
        resident_bytes=sum(process.resident_bytes for process in processes),
        peak_bytes=max((process.peak_bytes for process in processes), default=0),
        tasks=sum(process.threads for process in processes),
        runnable=sum(process.runnable for process in processes),
        nice=min((process.nice for process in processes), default=_HIGHEST_NICE),
    )


def processes_of_user(uid: int) -> list[Process]:
    """Every process whose real user id is `uid`, zombies included."""
    processes = []
    # The directory belongs to root where the process is not dumpable, which a job can arrange.
    for pid, owner in _pids(owners=(uid, 0)):
        try:
            status = _status(pid)
            if _numbers(status, b"\nUid:")[:1] == [uid]:
                processes.append(_parse(pid, status))
        except (FileNotFoundError, ProcessLookupError):
            if owner == uid:
                processes.append(_ended(pid))
    return processes


def users_of_children_of(parents: Sequence[int]) -> set[int]:
    """The real user ids of all processes whose parent is one of these."""
    uids: set[int] = set()
    for pid, _ in _pids():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            status = _status(pid)
            if any(parent in parents for parent in _numbers(status, b"\nPPid:")[:1]):
                uids.update(_numbers(status, b"\nUid:")[:1])
    return uids


def start_ticks(pid: int) -> int:
    """When that process started, in clock ticks since the boot. Raises OSError when it is gone."""
    return int(_stat_fields(_read(f"/proc/{pid}/stat"))[_STARTED])


def running_tasks() -> int:
    """How many tasks of the whole machine run or want to, the caller included."""
    return int(_read("/proc/loadavg").split()[3].partition(b"/")[0])


def unix_sockets(pid: int | None = None) -> int:
    """How many there are in the network namespace of that process, by default this one; 0 if it has ended."""
    try:
        table = _read(f"/proc/{pid or 'self'}/net/protocols")
    except OSError:
        return 0
    rows = (line.split() for line in table.splitlines())
    # The columns: name, size, number of sockets. UNIX is for datagrams.
    return sum(int(row[2]) for row in rows if row[0] in (b"UNIX", b"UNIX-STREAM"))


def mappings(pid: int) -> int | None:
    """How many mappings that process has, counted up to about `_MAPPINGS`; None when we may not know."""
    count = 0
    try:
        descriptor = os.open(f"/proc/{pid}/maps", os.O_RDONLY | os.O_CLOEXEC)
        try:
            while count < _MAPPINGS and (lines := os.read(descriptor, 65536)):
                count += lines.count(b"\n")
        finally:
            os.close(descriptor)
    except PermissionError:
        return None
    except OSError:
        return 0  # it has ended
    return count


def supported() -> bool:
    """Whether this kernel lists a process's children (CONFIG_PROC_CHILDREN)."""
    pid = os.getpid()
    return os.path.exists(f"/proc/{pid}/task/{pid}/children")


def _pids(owners: Sequence[int] | None = None) -> Iterator[tuple[int, int]]:
    """All process ids, or those whose directory in /proc belongs to one of `owners`, and the owner."""
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                owner = entry.stat().st_uid
                if owners is None or owner in owners:
                    yield int(entry.name), owner


def _ended(pid: int) -> Process:
    """A process that was there a moment ago. That is all that is ever seen of one that lives for a moment."""
    return Process(
        pid=pid,
        parent=0,
        zombie=False,
        started=0,
        own_ticks=0,
        children_ticks=0,
        threads=1,
        runnable=1,
        nice=_HIGHEST_NICE,
        descriptors=0,
        resident_bytes=0,
        peak_bytes=0,
    )


def _parse(pid: int, status: bytes) -> Process:
    """The process `pid`, whose status was read just now. Raises FileNotFoundError, ProcessLookupError."""
    fields = _stat_fields(_read(f"/proc/{pid}/stat"))
    threads = int(fields[_THREADS])
    living = [thread for thread in _thread_fields(pid, fields, threads) if thread[_STATE] not in _ENDED]
    resident_kib = sum(sum(_numbers(status, name)[:1]) for name in _COUNTED)
    descriptors = _descriptors(pid, status)
    return Process(
        pid=pid,
        parent=int(fields[_PARENT]),
        zombie=fields[_STATE] in _ENDED,
        started=int(fields[_STARTED]),
        own_ticks=int(fields[_UTIME]) + int(fields[_STIME]),
        children_ticks=int(fields[_CUTIME]) + int(fields[_CSTIME]),
        threads=max(1, threads),
        runnable=sum(thread[_STATE] == _RUNNABLE for thread in living),
        nice=min((int(thread[_NICE]) for thread in living), default=_HIGHEST_NICE),
        descriptors=descriptors,
        resident_bytes=resident_kib * 1024 + descriptors * _DESCRIPTOR_BYTES,
        peak_bytes=sum(_numbers(status, b"\nVmHWM:")[:1]) * 1024,
    )


def _descriptors(pid: int, status: bytes) -> int:
    """How many files a process has open; before Linux 6.2, how many it has room for, a power of two."""
    return os.stat(f"/proc/{pid}/fd").st_size or sum(_numbers(status, b"\nFDSize:")[:1])


def _thread_fields(pid: int, fields: list[bytes], threads: int) -> list[list[bytes]]:
    """The stat fields of each thread of a process; `fields` are those of the process itself."""
    if threads > 1:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            return [
                _stat_fields(_read(f"/proc/{pid}/task/{thread}/stat"))
                for thread in os.listdir(f"/proc/{pid}/task")
            ]
    return [fields]


def _stat_fields(stat: bytes) -> list[bytes]:
    """The fields of a stat file behind the name, which is in parentheses and may hold anything, `)` too."""
    return stat[stat.rindex(b")") + 2 :].split()


def _status(pid: int) -> bytes:
    return _read(f"/proc/{pid}/status")


def _numbers(status: bytes, name: bytes) -> list[int]:
    """The numbers of a field of /proc/PID/status; empty where it is missing (a zombie has no memory)."""
    start = status.find(name)
    if start < 0:
        return []
    line = status[start + len(name) :].partition(b"\n")[0]
    return [int(word) for word in line.split() if word.isdigit()]


def _read(path: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        chunks = []
        while chunk := os.read(descriptor, 65536):
            chunks.append(chunk)
        return b"".join(chunks)
    finally:
        os.close(descriptor)
