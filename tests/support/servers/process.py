"""A process that a test starts, watches and ends, always by its own process id.

A subclass says how it is started (`argv`, `env`, `cwd`) and when it is ready. All that it prints goes to one
log file, which `log()` reads and every error shows, so that a failed test has the output of the process.
"""

import contextlib
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

# How much of a log an error shows: enough for a traceback, not for an hour of lines.
_SHOWN_CHARACTERS = 4_000


class ProcessError(AssertionError):
    """The process did not become ready, or did not end, as it must; carries the end of its log."""


class ManagedProcess:
    """One program under test control, and a context manager: started on entry, gone on exit."""

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        *,
        log_path: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        """`env` is the whole environment of the process; None inherits ours."""
        self.name = name
        self.argv = list(argv)
        self.log_path = log_path
        self._env = dict(env) if env is not None else None
        self._cwd = cwd
        self._process: subprocess.Popen[bytes] | None = None

    # For subclasses to override.

    def is_ready(self) -> bool:
        """Called repeatedly after the start; a subclass checks what its users will use."""
        return True

    # A quiet machine needs 3 s for any of our programs; one that does much else has not failed after a
    # minute.
    ready_timeout_seconds = 100.0

    # The life of the process.

    def start(self) -> None:
        """Starts it, also again after `stop` or `kill`, and returns when it is ready."""
        if self.running:
            raise ProcessError(f"{self.name} runs already")
        with self.log_path.open("ab") as log:
            # A session of its own, so that Ctrl-C in the terminal reaches pytest alone, which then ends us.
            self._process = subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._env,
                cwd=self._cwd,
                start_new_session=True,
            )
        self.wait_for(self.is_ready, "ready", timeout_seconds=self.ready_timeout_seconds)

    def stop(self, timeout_seconds: float = 60.0) -> int:
        """SIGTERM; returns the exit code, or raises `ProcessError` if it still runs at the deadline."""
        self.signal(signal.SIGTERM)
        return self.wait(timeout_seconds)

    def wait(self, timeout_seconds: float = 60.0) -> int:
        """Returns the exit code of a process that ends by itself; `ProcessError` at the deadline."""
        process = self._started()
        try:
            return process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            raise ProcessError(self._report(f"did not end within {timeout_seconds:g} s")) from None

    def kill(self) -> None:
        """SIGKILL, as in a crash or from an out-of-memory killer; it has ended when this returns."""
        process = self._started()
        process.kill()
        process.wait()

    def pause(self) -> None:
        """SIGSTOP: alive, connected and silent, as behind a network that drops everything."""
        self.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT, after `pause`."""
        self.signal(signal.SIGCONT)

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal to the process; `ProcessError` if it has ended already."""
        if not self.running:
            raise ProcessError(self._report(f"is not running, so {number.name} cannot reach it"))
        self._started().send_signal(number)

    def close(self) -> None:
        """Ends it whatever its state is; may be called twice."""
        if self._process is not None:
            self._process.kill()  # SIGKILL ends a stopped process too; a no-op once it has been waited for
            self._process.wait()

    # Its state.

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._started().pid

    @property
    def running(self) -> bool:
        """It was started and has not ended; a paused process runs."""
        return self._process is not None and self._process.poll() is None

    def log(self) -> str:
        """All that it printed so far, over all its starts."""
        with contextlib.suppress(FileNotFoundError):
            return self.log_path.read_text(errors="replace")
        return ""

    def show_log(self) -> None:
        """Prints the end of the log, which pytest shows with a failed test and hides otherwise."""
        if self.log_path.exists():
            print(self._report("has ended"))

    def wait_for(self, condition: Callable[[], bool], what: str, *, timeout_seconds: float = 60.0) -> None:
        """Until `condition()` is true; `ProcessError` when the process ends first, or at the deadline."""
        deadline = time.monotonic() + timeout_seconds
        while not condition():
            if not self.running:
                raise ProcessError(self._report(f"ended with {self._started().returncode} before: {what}"))
            if time.monotonic() > deadline:
                raise ProcessError(self._report(f"not within {timeout_seconds:g} s: {what}"))
            time.sleep(0.02)

    def wait_for_log(self, text: str, *, timeout_seconds: float = 60.0) -> None:
        """Until the log contains `text`; `ProcessError` when the process has ended, or at the deadline."""
        self.wait_for(lambda: text in self.log(), f"log says {text!r}", timeout_seconds=timeout_seconds)

    def _started(self) -> "subprocess.Popen[bytes]":
        if self._process is None:
            raise ProcessError(f"{self.name} was not started")
        return self._process

    def _report(self, what: str) -> str:
        return f"{self.name}: {what}\n--- its log ---\n{self.log()[-_SHOWN_CHARACTERS:]}"

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
