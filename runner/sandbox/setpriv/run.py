"""One started setpriv chain: what its slot uses, and ending everything that the slot's user id runs.

The user id is the job: processes are found by it and killed by it, whatever they did to their parents and
sessions. Nothing that the job wrote is opened; its directories are measured through descriptors.
"""

import os
import resource
import signal
import subprocess
import time
from pathlib import Path

from runner.sandbox.base import Limits, SandboxError
from runner.sandbox.cpu_fairness import Weight
from runner.sandbox.limits import file_count_limit
from runner.sandbox.procfs import Usage
from runner.sandbox.supervisor import KILL_SECONDS
from runner.sandbox.uid_pool import pool, slot_cleanup
from runner.sandbox.uid_pool.killer import Killer
from runner.sandbox.uid_pool.uid_usage import UserUsage

# Measuring directories may take this part of the time, so many files are measured less often.
_MEASURING_PART = 0.1


class SetprivRun:
    """One started chain. Leaving the context leaves no process of the slot, or the slot in quarantine."""

    def __init__(
        self,
        process: "subprocess.Popen[bytes]",
        uid: int,
        limits: Limits,
        directories: tuple[Path, ...],
        killer: Killer,
    ) -> None:
        """`directories` are those that the job can write, each with the disk limit to itself."""
        self.process = process
        self.own_peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        self._uid = uid
        self._limits = limits
        self._killer = killer
        self._usage = UserUsage(uid, process.pid)
        self._weight = Weight()
        self._paths = directories
        self._directories: list[int] = []
        self._measure_at = 0.0

    def __enter__(self) -> "SetprivRun":
        try:
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            for path in self._paths:
                self._directories.append(os.open(path, flags))
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def usage(self) -> Usage:
        """Sample the slot, and hold it to its weight."""
        usage = self._usage.sample()
        nice = self._weight.nice_for(usage.runnable)
        if nice > usage.nice:
            self._killer.slow_down(self._uid, nice)
        return usage

    def disk_full(self) -> bool:
        """Whether a directory of the job holds too many bytes or files, or its file system is full.

        The job's directories share a file system with others. While all of it holds less than one
        job may, there is nothing to be counted.
        """
        for directory in self._directories:
            found = os.fstatvfs(directory)
            if (found.f_blocks and not found.f_bfree) or (found.f_files and not found.f_ffree):
                return True
            used_bytes = (found.f_blocks - found.f_bfree) * found.f_frsize
            used_files = found.f_files - found.f_ffree
            if used_bytes < self._limits.disk_bytes and used_files <= file_count_limit(self._limits):
                continue
            started = time.monotonic()
            if started >= self._measure_at:
                if self._over(directory):
                    return True
                ended = time.monotonic()
                self._measure_at = ended + (ended - started) / _MEASURING_PART
        return False

    def _over(self, directory: int) -> bool:
        """Whether what lies below the descriptor `directory` is over the disk limit."""
        files = used_bytes = 0
        try:
            for _, directories, names, descriptor in os.fwalk(".", dir_fd=directory, follow_symlinks=False):
                files += len(directories) + len(names)
                for name in names:
                    try:
                        found = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
                    except FileNotFoundError:
                        continue
                    used_bytes += found.st_blocks * 512
                if used_bytes >= self._limits.disk_bytes or files > file_count_limit(self._limits):
                    return True
        except (OSError, RecursionError):
            # A tree too deep to be walked is too large by any measure; one that changed is looked at again.
            return files > file_count_limit(self._limits) // 2
        return False

    def kill(self) -> None:
        """Kill the chain, which is root's at first, and everything of the slot."""
        if self.process.returncode is None:
            # Not Popen.kill, which first takes the exit status if there is one; the supervisor wants that.
            os.kill(self.process.pid, signal.SIGKILL)
        self._killer.kill_all_of(self._uid)

    def _close(self) -> None:
        """Kill what is alive, wait for it, and close everything."""
        try:
            if self.process.returncode is None:
                self.process.kill()
                self.process.wait(KILL_SECONDS)
            self._usage.child = 0
            slot_cleanup.clear(self._uid, self._killer, self._usage)
        except (SandboxError, subprocess.TimeoutExpired) as error:
            pool.quarantine(self._uid)
            raise SandboxError(f"the slot {self._uid} is not used again: {error}") from error
        finally:
            for directory in self._directories:
                os.close(directory)
            self._directories.clear()
            for pipe in (self.process.stdout, self.process.stderr):
                if pipe is not None:
                    pipe.close()
