"""What a process and its descendants use right now, read from /proc.

Rusage only tells what has ended, and the kernel's limits are per process: the sum over a living
tree has to be sampled. A sample is a snapshot of something that moves; a process that appears or
ends meanwhile is counted or not, and the next sample corrects it. Everything read here is written
by the kernel except the command name, which is skipped.
"""

import contextlib
import os
from dataclasses import dataclass

_TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")

# Field numbers of proc(5) stat, counted from the state, which is the first after the name.
_UTIME, _CUSTIME_END, _NICE = 11, 15, 16

# States of a task: it runs or waits for a core; it has ended.
RUNNABLE, ENDED = b"R", (b"Z", b"X")


@dataclass(frozen=True, slots=True)
class Usage:
    """One sample. `peak_bytes` is the largest that any single living process has ever been.

    `runnable` of the `tasks` run or want to; `nice` is the lowest niceness of a living process. A sandbox
    whose kernel shares the processor between jobs by itself leaves them out.
    """

    cpu_seconds: float
    resident_bytes: int
    peak_bytes: int
    tasks: int
    runnable: int = 0
    nice: int = 0


def sample(root: int, *, tasks_at_most: int) -> Usage:
    """Sum up the process `root` and its descendants. All zero when it has ended.

    CPU time includes children that were waited for. `resident_bytes` counts anonymous and shared
    memory; pages of files (the compiler's own code) belong to the page cache. Threads count as
    tasks; after `tasks_at_most` of them the rest is not looked at, since the caller ends the run.
    """
    cpu_ticks = resident_kib = peak_kib = tasks = runnable = 0
    niceness = []
    waiting = [root]
    seen = set(waiting)
    while waiting and tasks < tasks_at_most:
        pid = waiting.pop()
        try:
            stat = _read(f"/proc/{pid}/stat")
            status = _read(f"/proc/{pid}/status")
            threads = os.listdir(f"/proc/{pid}/task")
            children = [
                int(child)
                for thread in threads
                for child in _read(f"/proc/{pid}/task/{thread}/children").split()
            ]
        except (FileNotFoundError, ProcessLookupError):
            continue
        numbers = numbers_of(stat)
        states = thread_states(pid, numbers, len(threads))
        runnable += sum(state == RUNNABLE for state, _ in states)
        niceness += [nice for _, nice in states]
        cpu_ticks += sum(int(number) for number in numbers[_UTIME:_CUSTIME_END])
        tasks += len(threads)
        resident_kib += _kib(status, b"\nRssAnon:") + _kib(status, b"\nRssShmem:")
        peak_kib = max(peak_kib, _kib(status, b"\nVmHWM:"))
        for child in children:
            if child not in seen:
                seen.add(child)
                waiting.append(child)
    return Usage(
        cpu_ticks * _TICK_SECONDS,
        resident_kib * 1024,
        peak_kib * 1024,
        tasks,
        runnable,
        min(niceness, default=0),
    )


def numbers_of(stat: bytes) -> list[bytes]:
    """The fields of a stat file behind the name, which is in parentheses and may hold anything, `)` too."""
    return stat[stat.rindex(b")") + 2 :].split()


def thread_states(pid: int, numbers: list[bytes], threads: int) -> list[tuple[bytes, int]]:
    """State and niceness of each thread of a process; `numbers` are those of its first one."""
    stats = [numbers]
    if threads > 1:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            threads_directory = f"/proc/{pid}/task"
            stats = [
                numbers_of(_read(f"{threads_directory}/{thread}/stat"))
                for thread in os.listdir(threads_directory)
            ]
    return [(stat[0], int(stat[_NICE])) for stat in stats if stat[0] not in ENDED]


def supported() -> bool:
    """Whether this kernel lists a process's children (CONFIG_PROC_CHILDREN)."""
    pid = os.getpid()
    return os.path.exists(f"/proc/{pid}/task/{pid}/children")


def _read(path: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        chunks = []
        while chunk := os.read(descriptor, 65536):
            chunks.append(chunk)
        return b"".join(chunks)
    finally:
        os.close(descriptor)


def _kib(status: bytes, field: bytes) -> int:
    """The number behind a field of /proc/PID/status; 0 where it is missing (a zombie has none)."""
    start = status.find(field)
    if start < 0:
        return 0
    return int(status[start + len(field) :].split(maxsplit=1)[0])
