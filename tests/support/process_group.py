"""A process with all that it started, and all that those started: for tests that nothing is left of it.

Processes are known by id and start time, since ids come again. Linux only, as the sandbox is.
"""

import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from tests.support.servers import ManagedProcess, wait_until


class FamilyProcess(ManagedProcess):
    """One that remembers whom it started, as often as it is asked to look."""

    def __init__(
        self, name: str, argv: Sequence[str], *, log_path: Path, env: Mapping[str, str], cwd: Path
    ) -> None:
        """As ManagedProcess."""
        super().__init__(name, argv, log_path=log_path, env=env, cwd=cwd)
        self._family: set[tuple[int, str]] = set()

    def remember_family(self) -> set[tuple[int, str]]:
        """Every process that this one has started and that lives now, as (id, start time)."""
        waiting, found = [self.pid], set[tuple[int, str]]()
        while waiting:
            pid = waiting.pop()
            with suppress(OSError):
                found.add((pid, start_time(pid)))
                for thread in Path(f"/proc/{pid}/task").iterdir():
                    waiting += map(int, (thread / "children").read_text().split())
        self._family |= found
        return found

    def assert_nothing_is_left(self) -> None:
        """No process that was remembered is alive, and none that is still in the session of this one."""
        # What was told to end may need a moment.
        with suppress(TimeoutError):
            wait_until(lambda: not self.left(), "an end", timeout_seconds=5)
        assert {pid: command_line(pid) for pid in self.left()} == {}

    def left(self) -> set[int]:
        """What is still alive of it."""
        alive = {pid for pid, started in self._family if is_alive(pid) and start_time(pid) == started}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and is_alive(int(entry.name)) and session(int(entry.name)) == self.pid:
                alive.add(int(entry.name))
        return alive

    def close(self) -> None:
        """Ends it and all that it started, each by its id, however the test went."""
        if self.running:
            self.remember_family()
        super().close()
        for pid in self.left():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.show_log()


def _stat(pid: int) -> list[str]:
    """The fields of proc(5) stat from the state on; the name before them may hold anything."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def start_time(pid: int) -> str:
    """With the id, the name of a process for ever; empty when it is gone."""
    with suppress(OSError):
        return _stat(pid)[19]
    return ""


def session(pid: int) -> int:
    """The session that a process belongs to; 0 when it is gone."""
    with suppress(OSError):
        return int(_stat(pid)[3])
    return 0


def command_line(pid: int) -> str:
    """What it was started with, for a message."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""


def is_alive(pid: int) -> bool:
    """It runs, and is no zombie that waits for its parent."""
    with suppress(OSError):
        return _stat(pid)[0] not in "ZX"
    return False
