"""The sandbox protocol: what it takes to run a compiler over hostile source.

`Sandbox.run` tells how the program ended and which limit it hit, and never finds that out by reading text
that the job could have written. A failure of the sandbox itself is an exception, so that it can never be
taken for the compiler's exit status.

To add a sandbox: implement the protocol in a package of its own and name it in `SANDBOXES`
(runner/sandbox/__init__.py). The contract suite in tests/sandbox then runs over it. `SANDBOX` in
chalicelib/settings.py must allow the name; a test says so when it does not.
"""

import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, runtime_checkable

from runner.workspace import Workspace


class LimitHit(StrEnum):
    """The limit that ended a run."""

    TIMEOUT = "timeout"
    MEMORY = "memory"
    OUTPUT = "output"
    DISK = "disk"
    PROCESSES = "processes"


@dataclass(frozen=True, slots=True)
class Command:
    """The program to run, with its arguments: nothing of it is ever read by a shell.

    `argv[0]` is an absolute path, a name to be found in the sandbox's PATH, or a path relative to the
    workspace (`./tool`). `env` adds variables to the few that the sandbox sets; nothing is inherited.
    `notable` finds the lines that are kept of the output beyond the limit, each with a line break before it.
    """

    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    notable: re.Pattern[bytes] | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """What one run may use. `limits.default_limits` has the defaults, and why they are what they are.

    CPU time, memory and processes count over the whole process tree. `output_bytes` and `flood_bytes` hold
    for stdout and stderr separately, `disk_bytes` for the workspace and the private /tmp separately,
    `open_files` for each process. Output beyond `output_bytes` is dropped; beyond `flood_bytes` it ends the
    run.
    """

    wall_seconds: float
    cpu_seconds: float
    memory_bytes: int
    output_bytes: int
    flood_bytes: int
    disk_bytes: int
    processes: int
    open_files: int


@dataclass(frozen=True, slots=True)
class SandboxResult:
    """How one run ended.

    Exactly one of `exit_code` and `signal` is set. stdout and stderr hold at most
    `Limits.output_bytes` each, the beginning of what was written. Times are in seconds; CPU time
    is summed over the process tree. `peak_memory_bytes` is sampled, so it may be too low for a process
    that lives for less than one sampling period.

    Of a stream that was truncated, `stdout_rest` and `stderr_rest` hold what is kept of the rest, from the
    line that was cut on: all of it, or with `output_lost` its notable lines and its end. `output_bytes` is
    how much was written to the longer of both streams.
    """

    exit_code: int | None
    signal: int | None
    stdout: bytes
    stderr: bytes
    stdout_truncated: bool
    stderr_truncated: bool
    duration_seconds: float
    cpu_seconds: float
    peak_memory_bytes: int
    limit_hit: LimitHit | None
    cancelled: bool
    stdout_rest: bytes = b""
    stderr_rest: bytes = b""
    output_lost: bool = False
    output_bytes: int = 0


class SandboxError(Exception):
    """The sandbox itself failed: nothing is known about the program that it should have run."""


class SandboxUnavailable(SandboxError):
    """This sandbox does not work on this host. The message says, in one line, what is missing."""


class Sandbox(Protocol):
    """Runs one program at a time per call, from any number of threads."""

    @property
    def name(self) -> str:
        """The name that the setting SANDBOX uses."""
        ...

    @property
    def weaknesses(self) -> tuple[str, ...]:
        """Protections that are missing on this host, one sentence each; known after `probe`."""
        ...

    def run(
        self,
        command: Command,
        workspace: Workspace,
        limits: Limits,
        *,
        cancel: threading.Event | None = None,
    ) -> SandboxResult:
        """Run `command` in the workspace, with stdin empty, until it ends or a limit ends it.

        The program sees a copy of the workspace as the caller left it, at `workspace.inside`,
        which is also its working directory. What it writes is dropped: a step that needs the files
        of an earlier step belongs into the same run.

        When this returns or raises, nothing that the program started is alive. Setting `cancel`
        ends the run within 0.2 s; an engine needs up to a second more to remove a container.

        Raises SandboxError when the sandbox failed and not the program. A program that cannot be
        started (missing, not executable) counts as such a failure, and so do the exit statuses 125
        to 127, by which the small tools that start the program say that they could not.
        """
        ...

    def find_compiler(self, name: str) -> str | None:
        """The host's path of a compiler that jobs can call by `name`, or None when it is not there.

        A sandbox whose compilers this process cannot see returns the name itself: the self-test finds out.
        """
        ...

    def probe(self) -> None:
        """Run a real program the way `run` would. Raises SandboxUnavailable."""
        ...


@runtime_checkable
class ImageSandbox(Sandbox, Protocol):
    """A sandbox that runs programs of container images, of which there may be several."""

    @property
    def image(self) -> str:
        """The image that `run` takes its programs from."""
        ...

    @property
    def images(self) -> tuple[str, ...]:
        """All images that are there, the sandbox's own first if it is one of them; known after `probe`."""
        ...

    def within(self, image: str) -> Sandbox:
        """The same sandbox, for the programs of another one of `images`."""
        ...
