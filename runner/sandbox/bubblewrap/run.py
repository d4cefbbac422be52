"""One started bwrap: finding the process inside, watching what it uses, and ending it for good.

Everything is held by descriptors (the process by a pidfd, its file systems by O_PATH), because a
process id or a path could mean something else by the time it is used. What the job writes and its
files are never read.
"""

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace

from runner.sandbox import procfs
from runner.sandbox.base import Limits, SandboxError
from runner.sandbox.cpu_fairness import Weight
from runner.sandbox.cpu_time import CpuTime
from runner.sandbox.host_paths import TMP
from runner.sandbox.limits import file_count_limit
from runner.sandbox.mapping_tables import MappingTables
from runner.sandbox.procfs import Usage
from runner.sandbox.start_barrier import readable
from runner.sandbox.supervisor import KILL_SECONDS, close_pipes, first_line, send_kill

# bwrap needs 10 ms to start its child; a host that takes this long cannot compile either.
START_SECONDS = 10.0


class BubblewrapRun:
    """One started bwrap, and process 1 inside it. Leaving the context leaves nothing alive."""

    def __init__(
        self,
        process: "subprocess.Popen[bytes]",
        status: int,
        limits: Limits,
        inside: str,
        slow_down: Callable[[int], None] | None = None,
    ) -> None:
        """`slow_down` sets the niceness of all of the job, where it has a user id to itself."""
        self.process = process
        self._slow_down = slow_down or self._slow_down_group
        self._weight = Weight()
        self._cpu_time = CpuTime()
        self._mapping_tables = MappingTables()
        self.watched = False
        self._status = status
        self._status_text = b""
        self._limits = limits
        self._unwatched = {TMP, inside}
        self._file_systems: list[int] = []
        self._init_pid = 0
        self._init = -1

    def __enter__(self) -> "BubblewrapRun":
        try:
            self._find_init()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _find_init(self) -> None:
        """Wait until bwrap names its child, and take hold of it.

        The pid alone could belong to another process by the time it is used. The descriptor cannot, once the
        process behind it is seen to be in the namespace that bwrap has made. To look at its parent would not
        help: when bwrap has died, its child has another parent.
        """
        report = self._wait_for_child()
        pid = report["child-pid"]
        try:
            descriptor = os.pidfd_open(pid)
            namespace = os.stat(f"/proc/{pid}/ns/pid").st_ino
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            return  # it has ended already
        if namespace != report.get("pid-namespace"):
            os.close(descriptor)
            return
        self._init_pid, self._init = pid, descriptor
        # On a host that runs out of memory, the kernel should end jobs before anything else.
        with contextlib.suppress(OSError), open(f"/proc/{pid}/oom_score_adj", "w") as file:
            file.write("1000")

    def _wait_for_child(self) -> dict[str, int]:
        """What bwrap reports of its child. Raises SandboxError when it ends before that."""
        deadline = time.monotonic() + START_SECONDS
        ended = os.pidfd_open(self.process.pid)
        try:
            while "child-pid" not in (report := self._report()):
                ready = readable((self._status, ended), deadline - time.monotonic())
                # A child that outlives bwrap keeps the report open, so bwrap's own end is waited for, too.
                if not ready or not readable((self._status,), 0) or not self._read_status():
                    detail = _message(self.process) if ready else f"no start within {START_SECONDS:.0f} s"
                    raise SandboxError(f"bubblewrap failed: {detail}")
            return report
        finally:
            os.close(ended)

    def usage(self) -> Usage:
        """Sample the job, and slow it down where it takes more than its share.

        Process 1 is the sandbox's own and does not count as one of the job's tasks.
        """
        if self._init < 0:
            return Usage(0.0, 0, 0, 0)
        # Also counts process 1, and one more to tell "at the limit" from "over it".
        processes = procfs.processes_of_tree(self._init_pid, tasks_at_most=self._limits.processes + 2)
        usage = procfs.sum_of(processes)
        cpu_seconds = max(usage.cpu_seconds, self._cpu_time.update(processes))
        nice = self._weight.update(usage.runnable)
        if nice > usage.nice:
            self._slow_down(nice)
        # All sockets in the job's own network namespace are the job's.
        in_sockets = procfs.unix_sockets(self._init_pid) * procfs.SOCKET_BYTES
        in_mappings = self._mapping_tables.update(processes)
        return replace(
            usage,
            cpu_seconds=cpu_seconds,
            resident_bytes=usage.resident_bytes + in_sockets + in_mappings,
            tasks=max(0, usage.tasks - 1),
        )

    def _slow_down_group(self, nice: int) -> None:
        """Raise the niceness of the job's process group, led by process 1; none can leave it (seccomp)."""
        # While process 1 has not ended, its number cannot belong to another group.
        if not readable((self._init,), 0):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.setpriority(os.PRIO_PGRP, self._init_pid, nice)

    def disk_full(self) -> bool:
        """Whether /work or /tmp has no block left, or holds too many files."""
        self._watch_file_systems()
        for descriptor in self._file_systems:
            status = os.fstatvfs(descriptor)
            files = status.f_files - status.f_ffree
            if status.f_bfree == 0 or files > file_count_limit(self._limits):
                return True
        return False

    def _watch_file_systems(self) -> None:
        """Take hold of the job's file systems as soon as they are mounted.

        Before that the same path leads to the host's directories, so the file system must have the size
        that bwrap was told. A job can neither mount nor unmount, and O_PATH with O_NOFOLLOW reads
        nothing that it wrote.
        """
        if self._init < 0:
            return
        for directory in sorted(self._unwatched):
            with contextlib.suppress(OSError):
                descriptor = os.open(
                    f"/proc/{self._init_pid}/root{directory}",
                    os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC,
                )
                status = os.fstatvfs(descriptor)
                pages = -(-self._limits.disk_bytes // status.f_frsize)
                if status.f_blocks != pages or os.stat(descriptor).st_dev == os.stat(directory).st_dev:
                    os.close(descriptor)
                    continue
                self._file_systems.append(descriptor)
                self._unwatched.discard(directory)
        self.watched = not self._unwatched

    def kill(self) -> None:
        """Kill process 1, and with it the whole namespace; bwrap then reports and ends."""
        if self._init < 0:
            send_kill(self.process)
            return
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._init, signal.SIGKILL)

    def exit_code(self) -> int | None:
        """The status that bwrap reported, 128 + N for signal N; None if it never did."""
        while self._read_status():
            pass
        return self._report().get("exit-code")

    def _read_status(self) -> bool:
        """Read more of bwrap's report. False at its end."""
        chunk = os.read(self._status, 4096)
        self._status_text += chunk
        return bool(chunk)

    def _report(self) -> dict[str, int]:
        """What bwrap has reported so far: one JSON object per complete line."""
        report: dict[str, int] = {}
        for line in self._status_text.splitlines(keepends=True):
            if line.endswith(b"\n"):
                report.update(json.loads(line))
        return report

    def _close(self) -> None:
        """Kill what is alive, wait for it, and close everything."""
        try:
            self.kill()
            if self._init >= 0 and not readable((self._init,), KILL_SECONDS):
                raise SandboxError(
                    f"process 1 of the sandbox survived SIGKILL for {KILL_SECONDS:.0f} seconds"
                )
            if self.process.returncode is None:
                self.process.kill()
                self.process.wait(KILL_SECONDS)
        finally:
            for descriptor in [*self._file_systems, *([self._init] if self._init >= 0 else [])]:
                os.close(descriptor)
            self._file_systems.clear()
            self._init = -1
            close_pipes(self.process)


def _message(process: "subprocess.Popen[bytes]") -> str:
    """Why bwrap has given up, in its own words; it ends within moments of closing its status."""
    try:
        _, text = process.communicate(timeout=1)
    except subprocess.TimeoutExpired:
        return "no message"
    return first_line(text) or f"exit status {process.returncode}"
