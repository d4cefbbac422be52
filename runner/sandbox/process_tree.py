"""What a process and its descendants use right now, read from /proc.

Rusage only tells what has ended, and the kernel's limits are per process: the sum over a living
tree has to be sampled. A sample is a snapshot of something that moves; a process that appears or
ends meanwhile is counted or not, and the next sample corrects it. Everything read here is written
by the kernel except the command name, which is skipped.
"""

import os
from dataclasses import dataclass

_TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")

# Field numbers of proc(5) stat, counted from the state, which is the first after the name.
_UTIME, _CUSTIME_END = 11, 15


@dataclass(frozen=True, slots=True)
class Usage:
    """One sample. `peak_bytes` is the largest that any single living process has ever been."""

    cpu_seconds: float
    resident_bytes: int
    peak_bytes: int
    tasks: int


def sample(root: int, *, tasks_at_most: int) -> Usage:
    """Sum up the process `root` and its descendants. All zero when it has ended.

    CPU time includes children that were waited for. `resident_bytes` counts anonymous and shared
    memory; pages of files (the compiler's own code) belong to the page cache. Threads count as
    tasks; after `tasks_at_most` of them the rest is not looked at, since the caller ends the run.
    """
    cpu_ticks = resident_kib = peak_kib = tasks = 0
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
        # The name is in parentheses and may hold anything, a closing one included.
        numbers = stat[stat.rindex(b")") + 2 :].split()
        cpu_ticks += sum(int(number) for number in numbers[_UTIME:_CUSTIME_END])
        tasks += len(threads)
        resident_kib += _kib(status, b"\nRssAnon:") + _kib(status, b"\nRssShmem:")
        peak_kib = max(peak_kib, _kib(status, b"\nVmHWM:"))
        for child in children:
            if child not in seen:
                seen.add(child)
                waiting.append(child)
    return Usage(cpu_ticks * _TICK_SECONDS, resident_kib * 1024, peak_kib * 1024, tasks)


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
