"""What a job's processes have used of the processor, those included that vanished without a trace.

The kernel hands the time of an ended process to a parent that waits for it. A parent that ignores SIGCHLD
waits for nothing: its children vanish, with what they used. So each process counts with what it had when it
was last seen; and for those that no sample meets, each new one stands for the time since the last sample:
of children that live for 12 ms, samples every 20 ms meet three in five.

That part is an estimate, so it counts a little less than it says, and only where it is the larger one.
"""

import contextlib
import os
import time
from collections.abc import Sequence

from runner.sandbox import procfs
from runner.sandbox.procfs import Process

# How far the estimate may be off before it counts: by chance 3 % in a long run of short processes, and by a
# few samples in a short one. A job that hides all of its time is ended at 1.1 times its limit.
_CERTAIN_PART = 0.95
_SPARE_SECONDS = 0.1


class CpuTime:
    """The processor time of one job, from samples of its living processes."""

    def __init__(self) -> None:
        self._sampled_at = time.monotonic()
        self._seconds: dict[tuple[int, int], float] = {}
        self._estimate = 0.0

    def update(self, processes: Sequence[Process]) -> float:
        """Take in one more sample; returns the seconds that were used at least. They never become fewer."""
        now = time.monotonic()
        since, self._sampled_at = now - self._sampled_at, now
        share = _share_of_a_core()
        seconds: dict[tuple[int, int], float] = {}
        met = 0.0
        for process in processes:
            key = (process.pid, process.started)
            used = seconds[key] = max(_own_seconds(process), self._seconds.get(key, 0.0))
            if key in self._seconds:
                self._estimate += used - self._seconds[key]
            else:
                # It has used less than that, or is one of several that came and went in this time.
                met += max(used, min(process.runnable * share, _cores()) * since)
        self._estimate += min(met, _cores() * since)
        self._seconds = seconds
        return max(0.0, self._estimate * _CERTAIN_PART - _SPARE_SECONDS)


def _own_seconds(process: Process) -> float:
    """What the process itself has used: by its clock, since its ticks are as long as it may live."""
    with contextlib.suppress(OSError):
        # The number of a process's clock, as clock_getcpuclockid(3) makes it.
        return time.clock_gettime((~process.pid << 3) | 2)
    return process.own_ticks * procfs.TICK_SECONDS


def _share_of_a_core() -> float:
    """The part of a core that a task which wants one has now, if all tasks of the host weigh the same."""
    others = procfs.running_tasks() - 1  # without this process, which runs only to look
    return min(1.0, (os.cpu_count() or 1) / max(1, others))


def _cores() -> int:
    """The cores that jobs can have, which are those of the runner."""
    return len(os.sched_getaffinity(0))
