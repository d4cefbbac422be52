"""A process with all its descendants, for tests that none of them is left when it has ended.

A process is identified by id and start time, since ids are used again. Linux only, as the sandbox is.
"""

import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from tests.support.servers import ManagedProcess, wait_until


class FamilyProcess(ManagedProcess):
    """A process that remembers its descendants: those that live whenever `remember_family` is called."""

    def __init__(
        self, name: str, argv: Sequence[str], *, log_path: Path, env: Mapping[str, str], cwd: Path
    ) -> None:
        """As ManagedProcess."""
        super().__init__(name, argv, log_path=log_path, env=env, cwd=cwd)
        self._family: set[tuple[int, str]] = set()

    def remember_family(self) -> set[tuple[int, str]]:
        """Every descendant that lives now, this process included, as (id, start time)."""
        waiting, living = [self.pid], set[tuple[int, str]]()
        while waiting:
            pid = waiting.pop()
            with suppress(OSError):
                living.add((pid, start_time(pid)))
                for thread in Path(f"/proc/{pid}/task").iterdir():
                    waiting += map(int, (thread / "children").read_text().split())
        self._family |= living
        return living

    def assert_nothing_is_left(self) -> None:
        """No descendant that was remembered is alive, and no process of this one's session."""
        # A process that was told to end may need a moment.
        with suppress(TimeoutError):
            wait_until(lambda: not self.left(), "the end of all processes")
        assert {pid: command_line(pid) for pid in self.left()} == {}

    def left(self) -> set[int]:
        """The ids of those that are still alive."""
        alive = {pid for pid, started in self._family if is_alive(pid) and start_time(pid) == started}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and is_alive(int(entry.name)) and session(int(entry.name)) == self.pid:
                alive.add(int(entry.name))
        return alive

    def close(self) -> None:
        """End it and its descendants, each by its id, however the test went."""
        if self.running:
            self.remember_family()
        super().close()
        for pid in self.left():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.show_log()


def _stat(pid: int) -> list[str]:
    """The fields of proc(5) stat from the state on; the name before that may hold anything."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def start_time(pid: int) -> str:
    """When it started: with the id this names a process for ever. Empty when it is gone."""
    with suppress(OSError):
        return _stat(pid)[19]
    return ""


def session(pid: int) -> int:
    """The session that a process belongs to; 0 when it is gone."""
    with suppress(OSError):
        return int(_stat(pid)[3])
    return 0


def command_line(pid: int) -> str:
    """The command line, for a message."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""


def is_alive(pid: int) -> bool:
    """Whether it runs; a zombie that waits for its parent does not."""
    with suppress(OSError):
        return _stat(pid)[0] not in "ZX"
    return False
