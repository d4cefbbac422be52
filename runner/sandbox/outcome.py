"""Tells a program's own end from a failure of the small tools that start it. Shared by the sandboxes.

Those tools (timeout, prlimit, env, sh) say by the exit statuses 125 to 127 that they could not start
the program. A program may use the same numbers; that is taken for a failure of the sandbox as well,
which is the safe mistake: it is reported as our own and never as a rejection.
"""

import os
import shutil
from collections.abc import Sequence

from runner.sandbox.base import SandboxError, SandboxResult
from runner.sandbox.host_paths import COMPILERS, PATH, USR_DIRECTORIES, compilers_folder
from runner.sandbox.supervisor import Ended, limit_of_signal
from runner.workspace import Workspace

CHAIN_FAILED = (125, 126, 127)


def check_arguments(argv: Sequence[str]) -> None:
    """Refuse, before anything starts, what no program can be started with. Raises SandboxError."""
    if not argv or not argv[0]:
        raise SandboxError("there is no program to run")
    if any("\0" in argument for argument in argv):
        raise SandboxError("an argument contains a NUL character")


def check_program(argv: Sequence[str], workspace: Workspace, root: str = "") -> None:
    """Also refuse a program that is not in the sandbox, whose root is the host directory `root`."""
    check_arguments(argv)
    program = argv[0]
    if "/" not in program:
        found = shutil.which(program, path=":".join(_outside(place, root) for place in PATH.split(":")))
    elif program.startswith("/"):
        inside = program.startswith(("/usr/", *(f"{directory}/" for directory in USR_DIRECTORIES)))
        found = root + program if inside else None
    else:
        found = str(workspace.path / program)
    if found is None or not os.access(found, os.X_OK):
        raise SandboxError(f"the sandbox has no program {program}")


def _outside(directory: str, root: str) -> str:
    """A directory of the sandbox as the host names it."""
    own = compilers_folder()
    if root or own is None or not directory.startswith(f"{COMPILERS}/"):
        return root + directory
    return f"{own}{directory.removeprefix(COMPILERS)}"


def result_of(
    ended: Ended, exit_code: int | None, signal_number: int | None, argv: Sequence[str]
) -> SandboxResult:
    """The result of a run whose program ended with `exit_code` or by `signal_number`.

    Raises SandboxError when the exit status says that the program was never started.
    """
    killed = ended.limit_hit is not None or ended.cancelled
    if exit_code in CHAIN_FAILED and not killed:
        raise SandboxError(f"the sandbox could not start {argv[0]} (status {exit_code})")
    return SandboxResult(
        exit_code=exit_code,
        signal=signal_number,
        stdout=ended.stdout,
        stderr=ended.stderr,
        stdout_truncated=ended.stdout_truncated,
        stderr_truncated=ended.stderr_truncated,
        duration_seconds=ended.duration_seconds,
        cpu_seconds=ended.cpu_seconds,
        peak_memory_bytes=ended.peak_memory_bytes,
        limit_hit=ended.limit_hit if killed else limit_of_signal(signal_number),
        cancelled=ended.cancelled,
    )


def first_line(text: bytes) -> str:
    """The first line of what a tool said, for an error message."""
    return text.decode(errors="replace").strip().partition("\n")[0]
