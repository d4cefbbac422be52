"""One started setpriv chain: what its user id uses, and ending everything that runs under that id.

The user id is the job: processes are found by it and killed by it, whatever they did to their parents and
sessions. Nothing that the job wrote is opened; its directories are measured through descriptors.
"""

import os
import resource
import subprocess
import time
from pathlib import Path

from runner.sandbox.base import Limits, SandboxError
from runner.sandbox.cpu_fairness import Weight
from runner.sandbox.limits import file_count_limit
from runner.sandbox.procfs import Usage
from runner.sandbox.supervisor import KILL_SECONDS, close_pipes, send_kill
from runner.sandbox.uid_pool import pool, uid_cleanup
from runner.sandbox.uid_pool.killer import Killer
from runner.sandbox.uid_pool.uid_usage import UidUsage

# Measuring directories may take this part of the time: the more files there are, the less often it is done.
_MEASURING_PART = 0.1


class SetprivRun:
    """One started chain. Leaving the context ends every process of the user id, or quarantines the id."""

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
        self._usage = UidUsage(uid, process.pid)
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
        """Sample the job, and slow it down where it takes more than its share."""
        usage = self._usage.sample()
        nice = self._weight.update(usage.runnable)
        if nice > usage.nice:
            self._killer.slow_down(self._uid, nice)
        return usage

    def disk_full(self) -> bool:
        """Whether a directory of the job holds too many bytes or files, or its file system is full.

        The job's directories share a file system with those of other jobs. While all of it holds less
        than one job may, counting would be a waste.
        """
        for directory in self._directories:
            status = os.fstatvfs(directory)
            if (status.f_blocks and not status.f_bfree) or (status.f_files and not status.f_ffree):
                return True
            used_bytes = (status.f_blocks - status.f_bfree) * status.f_frsize
            used_files = status.f_files - status.f_ffree
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
        """Whether what is below the descriptor `directory` is over the disk limit."""
        files = used_bytes = 0
        try:
            for _, directories, names, descriptor in os.fwalk(".", dir_fd=directory, follow_symlinks=False):
                files += len(directories) + len(names)
                for name in names:
                    try:
                        status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
                    except FileNotFoundError:
                        continue
                    used_bytes += status.st_blocks * 512
                if used_bytes >= self._limits.disk_bytes or files > file_count_limit(self._limits):
                    return True
        except (OSError, RecursionError):
            # A tree that is too deep to be walked is too large anyway; one that changed is measured again.
            return files > file_count_limit(self._limits) // 2
        return False

    def kill(self) -> None:
        """Kill the chain, which runs as root at first, and everything of the user id."""
        send_kill(self.process)
        self._killer.kill_all_of(self._uid)

    def _close(self) -> None:
        """Kill what is alive, wait for it, and close everything."""
        try:
            if self.process.returncode is None:
                self.process.kill()
                self.process.wait(KILL_SECONDS)
            self._usage.child = 0
            uid_cleanup.clear(self._uid, self._killer, self._usage)
        except (SandboxError, subprocess.TimeoutExpired) as error:
            pool.quarantine(self._uid)
            raise SandboxError(f"the user id {self._uid} will not be used again: {error}") from error
        finally:
            for directory in self._directories:
                os.close(directory)
            self._directories.clear()
            close_pipes(self.process)
