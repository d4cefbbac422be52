"""One job inside a started container: its output, what it uses, and its end.

The counterpart of supervisor.py for a program that is not our child: the engine is asked everything, over
one connection that carries both output streams and one for questions. Nothing is decided from what the
program wrote. CPU time and memory are those of the container's control group, sampled.
"""

import contextlib
import re
import signal
import socket
import struct
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import docker
from docker.errors import APIError, NotFound

from runner.sandbox.base import LimitHit, Limits, SandboxError, SandboxResult
from runner.sandbox.host_paths import TMP
from runner.sandbox.output import OutputStream, output_fields
from runner.sandbox.supervisor import exit_or_signal, first_line

# The container's own program: a shell and its `sleep`.
BASE_TASKS = 2

# The pauses between two questions to the engine, in seconds: at best, and on a busy host. The answer about
# usage takes 5 ms, that about the disk (which starts a program) or the processes some 60 ms. So that asking
# does not become the load itself, a pause is `_PAUSE` times what the answer took, within these bounds. What
# the kernel limits (memory, processes of the container, CPU time of a process) does not wait for an answer.
_SAMPLE_SECONDS = (0.05, 0.25)
_LOOK_INSIDE_SECONDS = (0.3, 3.0)
_PAUSE = 10

# How often a cancel is looked for while nothing else happens.
_LOOK_SECONDS = 0.02

# The engine reports the end of a program a moment after its output has ended.
_REPORT_SECONDS = 10.0

# Free blocks and inodes of the directories, and how many processes the kernel has ended for their memory, in
# the words of control groups of either version.
_INSIDE = (
    'stat -f -c "free %f %d" "$@"; '
    "cat /sys/fs/cgroup/memory.events /sys/fs/cgroup/memory/memory.oom_control 2>/dev/null"
)

_HEADER = struct.Struct(">BxxxL")  # stream number, length: one frame of the engine's output
_STDOUT, _STDERR = 1, 2


class DockerRun:
    """A program in the container `name`. Use as a context manager: it opens a connection of its own."""

    def __init__(
        self,
        client: "docker.APIClient",
        name: str,
        uid: int,
        limits: Limits,
        command: Sequence[str],
        stdin: bytes,
        word: bytes,
        notable: re.Pattern[bytes] | None = None,
    ) -> None:
        """`stdin` is what the command reads first, `word` what it prints before the program starts.

        `notable` is the job's own (`runner.sandbox.base.Command`).
        """
        self._client = client
        self._name = name
        self._limits = limits
        self._stdin = memoryview(stdin)
        self._word = word
        self._killed = self._killed_container = False
        self._unread = bytearray()
        self._outputs = {number: OutputStream(limits, notable) for number in (_STDOUT, _STDERR)}
        self._cpu_seconds = 0.0
        self._peak_bytes = 0
        self._stack = contextlib.ExitStack()
        self._exec = client.exec_create(
            name, list(command), stdin=True, stdout=True, stderr=True, user=f"{uid}:{uid}", workdir="/work"
        )["Id"]
        self._started = time.monotonic()
        self._socket = self._stack.enter_context(_start(client, self._exec))

    def __enter__(self) -> "DockerRun":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def supervise(self, program: str, cancel: threading.Event | None) -> SandboxResult:
        """Watch until the program has ended, or end it with its container.

        `program` is its name for an error message. Raises SandboxError when it never started.
        """
        limit_hit: LimitHit | None = None
        cancelled = False
        sample_at = self._started + _SAMPLE_SECONDS[0]
        inside_at = self._started + _LOOK_INSIDE_SECONDS[0]
        self._socket.settimeout(_LOOK_SECONDS)
        while self._exchange():
            now = time.monotonic()
            if self._flooded():
                limit_hit = LimitHit.OUTPUT
            elif cancel is not None and cancel.is_set():
                cancelled = True
            elif now - self._started >= self._limits.wall_seconds:
                limit_hit = LimitHit.TIMEOUT  # no question to the engine, which may take its time
            elif now >= sample_at:
                limit_hit = self._sample()
                if limit_hit is None and now >= inside_at:
                    if self._ended():
                        # That is the end of the run, even if a child of the program holds its output.
                        self._drain()
                        break
                    limit_hit = self._look_inside()
                    inside_at = _after(now, _LOOK_INSIDE_SECONDS)
                sample_at = _after(now, _SAMPLE_SECONDS)
            if limit_hit is not None or cancelled:
                self._kill()
                break
        duration_seconds = time.monotonic() - self._started
        if self._flooded():
            limit_hit = limit_hit or LimitHit.OUTPUT
        if limit_hit is None and not cancelled:
            limit_hit = self._limit_at_the_end()
        exit_code, signal_number = self._exit(program)
        return SandboxResult(
            exit_code=exit_code,
            signal=signal_number,
            **output_fields(self._outputs[_STDOUT], self._outputs[_STDERR]),
            duration_seconds=duration_seconds,
            cpu_seconds=self._cpu_seconds,
            peak_memory_bytes=self._peak_bytes,
            limit_hit=limit_hit,
            cancelled=cancelled,
        )

    def _exit(self, program: str) -> tuple[int | None, int | None]:
        """Exit code and signal, of which one is None. Raises SandboxError when the program never started."""
        if self._killed:
            return None, signal.SIGKILL
        status = self._exit_status()
        if self._word:
            message = first_line(bytes(self._outputs[_STDERR].beginning))
            raise SandboxError(f"the sandbox could not start {program} (status {status}): {message}")
        return exit_or_signal(status)

    def _exchange(self) -> bool:
        """Send what is left of the input and take what there is of the output. False at its end."""
        try:
            if self._stdin:
                self._stdin = self._stdin[self._socket.send(self._stdin[:65536]) :]
                if self._stdin:
                    return True
            chunk = self._socket.recv(65536)
        except TimeoutError:
            return True
        except (BrokenPipeError, ConnectionResetError):
            return False
        self._unread += chunk
        while len(self._unread) >= _HEADER.size:
            stream, length = _HEADER.unpack_from(self._unread)
            if len(self._unread) < _HEADER.size + length:
                break
            self._keep(stream, bytes(self._unread[_HEADER.size : _HEADER.size + length]))
            del self._unread[: _HEADER.size + length]
        return bool(chunk)

    def _keep(self, stream: int, data: bytes) -> None:
        """Add to the output of a stream, without the word that comes first on stdout."""
        if stream == _STDOUT and self._word:
            length = len(self._word)
            if not self._word.startswith(data[:length]):
                raise SandboxError("something in the container printed before the program was started")
            self._word, data = self._word[len(data) :], data[length:]
        self._outputs[stream].take(data)

    def _flooded(self) -> bool:
        return any(output.flooded for output in self._outputs.values())

    def _sample(self) -> LimitHit | None:
        """Ask what the container uses; returns the limit that it is over, if any."""
        limits = self._limits
        usage = self._stats()
        memory = usage.get("memory_stats", {})
        details: dict[str, int] = memory.get("stats", {})
        # Control groups of version 2 say anon and shmem; version 1 has one number for both, total_rss.
        resident = details.get("anon", details.get("total_rss", 0)) + details.get("shmem", 0)
        self._peak_bytes = max(self._peak_bytes, resident)
        cpu = usage.get("cpu_stats", {}).get("cpu_usage", {}).get("total_usage", 0) / 1e9
        self._cpu_seconds = max(self._cpu_seconds, cpu)
        tasks = usage.get("pids_stats", {}).get("current", 0) - BASE_TASKS
        if resident > limits.memory_bytes + 2 * limits.disk_bytes:
            return LimitHit.MEMORY
        if not self._word and tasks >= limits.processes:
            return LimitHit.PROCESSES
        if self._cpu_seconds >= limits.cpu_seconds:
            return LimitHit.TIMEOUT
        return None

    def _ended(self) -> bool:
        """Whether the program itself has ended, whatever became of what it started."""
        if self._word:
            return False  # it has not started, which takes seconds on a busy host
        try:
            pid = str(self._client.exec_inspect(self._exec)["Pid"])
            listed = self._client.top(self._name, "-eo pid,stat")["Processes"]
        except (APIError, KeyError):
            return False
        if pid == "0":
            return False  # the engine has not noted yet that it has started
        return not any(number == pid and not state.startswith("Z") for number, state in listed)

    def _drain(self) -> None:
        """Take what has been written, then end everything that could still write."""
        before = -1
        while not self._flooded():
            arrived = sum(output.printed_bytes for output in self._outputs.values()) + len(self._unread)
            if arrived == before:
                break
            before = arrived
            self._exchange()
        self._kill_container()

    def _stats(self) -> dict[str, Any]:
        try:
            usage: dict[str, Any] = self._client.stats(self._name, stream=False, one_shot=True)
        except (APIError, NotFound):
            return {}
        return usage

    def _look_inside(self) -> LimitHit | None:
        """Whether /work or /tmp is full, or the kernel has ended a process for its memory.

        Asked as root in the container. The engine itself reports on memory too late, and only for the
        program that the container was started with.
        """
        try:
            question = self._client.exec_create(
                self._name,
                ["/bin/sh", "-c", _INSIDE, "sh", "/work", TMP],
                user="0:0",
                stderr=False,
                tty=True,  # answers without frames
            )["Id"]
            with _start(self._client, question, tty=True) as answer:
                answer.settimeout(_REPORT_SECONDS)
                printed = b"".join(iter(lambda: answer.recv(4096), b"")).decode()
        except (APIError, OSError, UnicodeDecodeError):
            return None  # it ended meanwhile, or a fork bomb leaves no room: another limit will tell
        lines = [line.split() for line in printed.splitlines()]
        if any(words[0] == "oom_kill" and words[1] != "0" for words in lines if len(words) == 2):
            return LimitHit.MEMORY
        if any(words[0] == "free" and "0" in words[1:] for words in lines if len(words) == 3):
            return LimitHit.DISK
        return None

    def _limit_at_the_end(self) -> LimitHit | None:
        """The limit that a program was over when it ended by itself, if any."""
        if self._exit_status() == 0:
            return None
        state = self._client.inspect_container(self._name)["State"]
        if state.get("OOMKilled"):
            return LimitHit.MEMORY
        if not state.get("Running") and not self._killed_container:
            raise SandboxError("the container ended before the program in it")
        return self._look_inside()

    def _kill(self) -> None:
        self._killed = True
        self._kill_container()

    def _kill_container(self) -> None:
        self._killed_container = True
        # Output that nobody reads would hold up the engine, for ten seconds and more.
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(APIError):
            self._client.kill(self._name)

    def _exit_status(self) -> int:
        deadline = time.monotonic() + _REPORT_SECONDS
        while time.monotonic() < deadline:
            state = self._client.exec_inspect(self._exec)
            if state["ExitCode"] is not None and not state["Running"]:
                return int(state["ExitCode"])
            time.sleep(0.005)
        raise SandboxError(f"the engine did not say within {_REPORT_SECONDS:.0f} s how the program ended")


def _after(asked_at: float, bounds: tuple[float, float]) -> float:
    """When to ask again, after a question that was asked at `asked_at`."""
    now = time.monotonic()
    shortest, longest = bounds
    return now + min(longest, max(shortest, _PAUSE * (now - asked_at)))


@contextlib.contextmanager
def _start(client: "docker.APIClient", program: str, *, tty: bool = False) -> Iterator[socket.socket]:
    """Start a program that `exec_create` has prepared; the socket carries its input and output."""
    stream = client.exec_start(program, socket=True, tty=tty)
    connection: socket.socket = getattr(stream, "_sock", stream)
    try:
        yield connection
    finally:
        # The response holds the connection that the stream came from, and must be closed before it.
        response = getattr(stream, "_response", None)
        if response is not None:
            response.close()
        stream.close()
        connection.close()
