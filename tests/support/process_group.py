"""A process and all its descendants, for tests that nothing of them is left at the end.

A process is identified by its id and start time, because ids are used again. Linux only, as the sandbox is.
"""

import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from tests.support.servers import ManagedProcess, wait_until


class ProcessGroup(ManagedProcess):
    """A process that remembers its descendants, as often as it is asked to look."""

    def __init__(
        self, name: str, argv: Sequence[str], *, log_path: Path, env: Mapping[str, str], cwd: Path
    ) -> None:
        """As ManagedProcess."""
        super().__init__(name, argv, log_path=log_path, env=env, cwd=cwd)
        self._known: set[tuple[int, str]] = set()

    def remember_descendants(self) -> set[tuple[int, str]]:
        """This process and its descendants that are alive now, as (id, start time)."""
        waiting, alive = [self.pid], set[tuple[int, str]]()
        while waiting:
            pid = waiting.pop()
            with suppress(OSError):
                alive.add((pid, start_time(pid)))
                for thread in Path(f"/proc/{pid}/task").iterdir():
                    waiting += map(int, (thread / "children").read_text().split())
        self._known |= alive
        return alive

    def assert_nothing_is_left(self) -> None:
        """No remembered process is alive, and no other one of the same session."""
        # A process that got its signal may need a moment.
        with suppress(TimeoutError):
            wait_until(lambda: not self.left(), "an end", timeout_seconds=5)
        assert {pid: command_line(pid) for pid in self.left()} == {}

    def left(self) -> set[int]:
        """The ids of what is still alive of it."""
        alive = {pid for pid, started in self._known if is_alive(pid) and start_time(pid) == started}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and is_alive(int(entry.name)) and session(int(entry.name)) == self.pid:
                alive.add(int(entry.name))
        return alive

    def close(self) -> None:
        """Ends it and all its descendants, each by its id, whether the test passed or not."""
        if self.running:
            self.remember_descendants()
        super().close()
        for pid in self.left():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.show_log()


def _stat(pid: int) -> list[str]:
    """The fields of proc(5) stat from the state on; the name before them may contain anything."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def start_time(pid: int) -> str:
    """With the id it identifies a process for ever; empty when the process is gone."""
    with suppress(OSError):
        return _stat(pid)[19]
    return ""


def session(pid: int) -> int:
    """The session that a process belongs to; 0 when it is gone."""
    with suppress(OSError):
        return int(_stat(pid)[3])
    return 0


def command_line(pid: int) -> str:
    """The arguments that it was started with, for a message."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""


def is_alive(pid: int) -> bool:
    """It runs, and is not a zombie that waits for its parent."""
    with suppress(OSError):
        return _stat(pid)[0] not in "ZX"
    return False
