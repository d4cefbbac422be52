"""The memory of the kernel for the mappings of a job's processes, which no sum shows.

A process may have 65,530 mappings (vm.max_map_count, a million on some distributions), each of which costs
the kernel 200 bytes or more, touched or not; and its children have them all again. To count them takes the
kernel a line of text for each, so one process is looked at with each sample. A new one counts as its parent.

Where a runner may not look (a setpriv without CAP_SYS_PTRACE; not being root, at a process that hides), the
first processes count nothing, and each further one as much as the kernel's own default allows.
"""

import time
from collections.abc import Callable, Sequence

from runner.sandbox import procfs
from runner.sandbox.procfs import Process

# struct vm_area_struct, and its part of the tree that holds them: 207 bytes were measured on Linux 6.18.
_MAPPING_BYTES = 220

# The default of vm.max_map_count, and how many processes may hide: more than compilers have, 220 MB together.
_HIDDEN = 65_530
_MAY_HIDE = 16

# Looking may take this part of the time: a job with many mappings is looked at less often.
_LOOKING_PART = 0.3


class MappingTables:
    """The mappings of one job, from samples of its living processes."""

    def __init__(self, look: Callable[[int], int | None] = procfs.mappings) -> None:
        """`look` says how many mappings a process has, or None where that may not be known."""
        self._look = look
        self._counts: dict[tuple[int, int], int | None] = {}
        self._looked_at: dict[tuple[int, int], float] = {}
        self._look_at = 0.0

    def update(self, processes: Sequence[Process]) -> int:
        """Take in one more sample, parents first; returns how many bytes the tables have, if known."""
        started = time.monotonic()
        by_key = {(process.pid, process.started): process for process in processes}
        self._looked_at = {key: at for key, at in self._looked_at.items() if key in by_key}
        if by_key and started >= self._look_at:
            key = min(by_key, key=lambda key: self._looked_at.get(key, 0.0))
            self._counts[key] = self._look(key[0])
            self._looked_at[key] = ended = time.monotonic()
            self._look_at = ended + (ended - started) / _LOOKING_PART
        by_pid: dict[int, int | None] = {pid: count for (pid, _), count in self._counts.items()}
        for key, process in by_key.items():
            if key not in self._looked_at:
                by_pid[process.pid] = self._counts[key] = by_pid.get(process.parent, 0)
        self._counts = {key: self._counts[key] for key in by_key}
        hidden = sum(count is None for count in self._counts.values())
        seen = sum(count or 0 for count in self._counts.values())
        return (seen + max(0, hidden - _MAY_HIDE) * _HIDDEN) * _MAPPING_BYTES
