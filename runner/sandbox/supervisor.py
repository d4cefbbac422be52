"""Watches one confined program until it ends or has to be ended, and tells how it ended.

For every sandbox that starts its program as a child process. It reads both output streams with
bounded memory, samples the processes, holds the limits that the kernel cannot, and ends the run
through the sandbox's own `kill`. It decides nothing from what the program wrote.

One thread per run, no helper threads: a single selector waits for output and for the end, and
wakes up once per sampling period for everything else.
"""

import os
import re
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import IO, Protocol

from runner.sandbox.base import LimitHit, Limits, SandboxError, SandboxResult
from runner.sandbox.output import OutputStream, output_fields
from runner.sandbox.procfs import Usage
from runner.sandbox.start_barrier import NOT_STARTED

# Memory grows by about 2 GB/s on one core, so 40 MB between two samples, and a cancelled run
# ends well within 0.2 s. A sample of four processes costs 0.3 ms of the runner's CPU.
SAMPLE_SECONDS = 0.02

# From SIGKILL to the last process gone. The kernel needs milliseconds, or longer while it frees
# gigabytes on a busy host; beyond this something is stuck, and the job's user id must not be used again.
KILL_SECONDS = 10.0

_CHUNK_BYTES = 65536

# A shell turns a deadly signal N into the exit status of this plus N. So do bwrap and a container engine.
_SIGNAL_BASE = 128


class Confined(Protocol):
    """A started program as its sandbox knows it."""

    @property
    def process(self) -> "subprocess.Popen[bytes]":
        """The sandbox's child process, whose end is the end of the run."""
        ...

    def usage(self) -> Usage:
        """Sample the program's processes; nothing is used when all have ended."""
        ...

    def disk_full(self) -> bool:
        """Whether the program has used up what it may write."""
        ...

    def kill(self) -> None:
        """Send SIGKILL to everything that the program started. Safe to call at any time."""
        ...


class _Pipe:
    """The pipe of one output stream."""

    def __init__(self, pipe: "IO[bytes]", output: OutputStream) -> None:
        self.descriptor = pipe.fileno()
        self.output = output
        self.open = True
        os.set_blocking(self.descriptor, False)

    def read(self) -> bool:
        """Read one chunk. False when there is nothing now or nothing ever again."""
        try:
            chunk = os.read(self.descriptor, _CHUNK_BYTES)
        except BlockingIOError:
            return False
        if not chunk:
            self.open = False
            return False
        self.output.take(chunk)
        return True


def supervise(
    confined: Confined,
    limits: Limits,
    *,
    started: float,
    cancel: threading.Event | None,
    own_peak_kib: int,
    notable: re.Pattern[bytes] | None = None,
) -> SandboxResult:
    """Watch until the child process has ended, and reap it.

    Exit code and signal of the result are those of the child process: a sandbox whose child is not the
    program itself puts the program's in their place.

    `started` is `time.monotonic()` from before the start. `own_peak_kib` is the runner's own
    peak memory at that time: a child's peak in rusage begins at its parent's, so only a larger
    one says something about the program. `notable` is the command's. Raises SandboxError when the program
    survives SIGKILL.
    """
    process = confined.process
    assert process.stdout is not None and process.stderr is not None
    outputs = OutputStream(limits, notable), OutputStream(limits, notable)
    pipes = [
        _Pipe(pipe, output) for pipe, output in zip((process.stdout, process.stderr), outputs, strict=True)
    ]
    limit_hit: LimitHit | None = None
    cancelled = False
    kill_deadline: float | None = None
    cpu_seconds = 0.0
    peak_bytes = 0

    end = os.pidfd_open(process.pid)
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(end, selectors.EVENT_READ)
            for pipe in pipes:
                selector.register(pipe.descriptor, selectors.EVENT_READ, pipe)
            next_sample = started + SAMPLE_SECONDS
            ended = False
            while not ended:
                for key, _ in selector.select(max(0.0, next_sample - time.monotonic())):
                    if key.data is None:
                        ended = True
                        continue
                    key.data.read()
                    if not key.data.open:
                        selector.unregister(key.fd)
                now = time.monotonic()
                if kill_deadline is not None:
                    if now > kill_deadline and not ended:
                        raise SandboxError(f"a process survived SIGKILL for {KILL_SECONDS:.0f} seconds")
                    next_sample = now + SAMPLE_SECONDS
                    continue
                if any(output.flooded for output in outputs):
                    limit_hit = LimitHit.OUTPUT
                elif cancel is not None and cancel.is_set():
                    cancelled = not ended
                elif not ended and now >= next_sample:
                    usage = confined.usage()
                    cpu_seconds = max(cpu_seconds, usage.cpu_seconds)
                    peak_bytes = max(peak_bytes, usage.peak_bytes, usage.resident_bytes)
                    limit_hit = _exceeded(usage, limits, confined, now - started)
                    next_sample = time.monotonic() + SAMPLE_SECONDS
                if (limit_hit is not None or cancelled) and not ended:
                    confined.kill()
                    kill_deadline = now + KILL_SECONDS
        _, wait_status, rusage = os.wait4(process.pid, 0)
    finally:
        os.close(end)
    process.returncode = status = os.waitstatus_to_exitcode(wait_status)
    duration_seconds = time.monotonic() - started

    # Everything that could write has ended, so what is in the pipes now is all there will be.
    for pipe in pipes:
        while pipe.open and not pipe.output.flooded and pipe.read():
            pass
    cpu_seconds = max(cpu_seconds, rusage.ru_utime + rusage.ru_stime)
    if rusage.ru_maxrss > own_peak_kib:
        peak_bytes = max(peak_bytes, rusage.ru_maxrss * 1024)
    if limit_hit is None and not cancelled:
        limit_hit = _exceeded_at_the_end(outputs, limits, confined, cpu_seconds, status)
    return SandboxResult(
        exit_code=status if status >= 0 else None,
        signal=-status if status < 0 else None,
        **output_fields(*outputs),
        duration_seconds=duration_seconds,
        cpu_seconds=cpu_seconds,
        peak_memory_bytes=peak_bytes,
        limit_hit=limit_hit,
        cancelled=cancelled,
    )


def _exceeded(usage: Usage, limits: Limits, confined: Confined, wall_seconds: float) -> LimitHit | None:
    """The limit that a running program is over, if any: the cause before its consequences."""
    if usage.resident_bytes > limits.memory_bytes:
        return LimitHit.MEMORY
    if usage.tasks >= limits.processes:
        return LimitHit.PROCESSES
    if confined.disk_full():
        return LimitHit.DISK
    if usage.cpu_seconds >= limits.cpu_seconds or wall_seconds >= limits.wall_seconds:
        return LimitHit.TIMEOUT
    return None


def _exceeded_at_the_end(
    outputs: Sequence[OutputStream], limits: Limits, confined: Confined, cpu_seconds: float, status: int
) -> LimitHit | None:
    """The limit that a program was over when it ended by itself, if any.

    A full disk counts only for a program that failed: one that filled the last block and succeeded
    has not missed anything.
    """
    if any(output.flooded for output in outputs):
        return LimitHit.OUTPUT
    if cpu_seconds >= limits.cpu_seconds:
        return LimitHit.TIMEOUT
    if status != 0 and confined.disk_full():
        return LimitHit.DISK
    return None


_LIMIT_SIGNALS: dict[int, LimitHit] = {signal.SIGXCPU: LimitHit.TIMEOUT, signal.SIGXFSZ: LimitHit.DISK}


def limit_of_signal(number: int | None) -> LimitHit | None:
    """The limit that a program's own deadly signal stands for: the kernel's CPU and file limits."""
    return None if number is None else _LIMIT_SIGNALS.get(number)


def exit_or_signal(status: int) -> tuple[int | None, int | None]:
    """Exit code and signal, of which one is None, from a status that holds both as a shell's does."""
    if _SIGNAL_BASE < status < _SIGNAL_BASE + signal.NSIG:
        return None, status - _SIGNAL_BASE
    return status, None


def check_started(result: SandboxResult, program: str) -> SandboxResult:
    """The result, with the limit that the program's deadly signal stands for, if any.

    Raises SandboxError when the exit code says that `program` was never started.
    """
    if result.limit_hit is not None or result.cancelled:
        return result
    if result.exit_code in NOT_STARTED:
        raise SandboxError(f"the sandbox could not start {program} (status {result.exit_code})")
    return replace(result, limit_hit=limit_of_signal(result.signal))


def send_kill(process: "subprocess.Popen[bytes]") -> None:
    """Send SIGKILL to a child that has not been waited for.

    Not Popen.kill, which takes the exit status when there is one already: `supervise` takes it itself.
    """
    if process.returncode is None:
        os.kill(process.pid, signal.SIGKILL)


def close_pipes(process: "subprocess.Popen[bytes]") -> None:
    """Close our ends of the output of a child that has ended."""
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


def first_line(text: bytes) -> str:
    """The first line of what a tool printed, for an error message."""
    return text.decode(errors="replace").strip().partition("\n")[0]
