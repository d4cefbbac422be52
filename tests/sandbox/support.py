"""What the sandbox tests share: the sandboxes by name, limits that are hit quickly, the host's processes."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from chalicelib.catalog import load_catalog
from chalicelib.models import Reason, Verdict
from runner.sandbox import SANDBOXES
from runner.sandbox.base import Command, Limits, Sandbox, SandboxError, SandboxResult
from runner.sandbox.limits import MIB, default_limits
from runner.sandbox.setpriv.sandbox import Setpriv
from runner.verdict import classify, limit_patterns
from runner.workspace import Workspace
from tests.support.skipping import missing

# Everything that can be put under the contract: each sandbox of the runner, and the two halves of setpriv, of
# which each has to hold alone.
ALL_SANDBOXES: Mapping[str, Callable[..., Sandbox]] = {
    **SANDBOXES,
    "setpriv-without-jail": partial(Setpriv, Path("/")),
    "setpriv-without-landlock": partial(Setpriv, abi=0),
}

# Sandboxes for another kind of host than a developer's: test_setpriv.py runs these suites in a container.
IN_A_CONTAINER = ("setpriv",)


def sandboxes_here() -> list[str]:
    """The sandboxes that tests run over on this host, strongest first; in a container, those it is for."""
    if chosen := os.environ.get("TEST_SANDBOXES"):
        return chosen.split(",")
    return [name for name in SANDBOXES if name not in IN_A_CONTAINER]


# Small enough that each limit is hit within a second, large enough for the probe itself.
TIGHT = Limits(
    wall_seconds=20,
    cpu_seconds=10,
    memory_bytes=64 * MIB,
    output_bytes=64 * 1024,
    flood_bytes=4 * MIB,
    disk_bytes=8 * MIB,
    processes=16,
    open_files=64,
)


class Run(Protocol):
    """Runs the probe: `run("read", "/etc/passwd", cpu_seconds=1)`. Keywords change `TIGHT`."""

    def __call__(self, *words: str, env: Mapping[str, str] | None = None, **limits: Any) -> SandboxResult:
        """Run it in a workspace of its own."""
        ...


def build_probe(source: Path, binary: Path) -> Path:
    """Compile a probe to `binary`; static, so that it runs in an image with another C library."""
    names = ("gcc", "cc", *(f"gcc-{version}" for version in range(11, 20)))
    compiler = next(filter(None, map(shutil.which, names)), None)
    if compiler is None:
        missing("no C compiler for the probe")
    subprocess.run([compiler, "-O1", "-w", "-static", "-o", str(binary), str(source)], check=True)
    return binary


def compile_in(
    sandbox: Sandbox, argv: Sequence[str], files: Mapping[str, str], **limits: Any
) -> SandboxResult:
    """Run a real compiler over `files`; keywords change the default limits."""
    with Workspace.create(files) as workspace:
        return sandbox.run(Command(argv), workspace, replace(default_limits(), **limits))


def can_start(sandbox: Sandbox, argv: Sequence[str], **limits: Any) -> bool:
    """Whether a program starts at all under these limits, by running it; keywords change the default ones.

    Its loader needs memory before the program says anything. Where that is not enough the exit status is 127,
    which the sandbox has to take for a failure of its own.
    """
    with Workspace.create({}) as workspace:
        try:
            sandbox.run(Command(argv), workspace, replace(default_limits(), **limits))
        except SandboxError:
            return False
        return True


def judge(family: str, run: SandboxResult) -> tuple[Verdict, Reason | None]:
    """The verdict that the runner would reach about a run of a compiler of that family, from its stderr."""
    entry = load_catalog().family(family)
    return classify(
        run,
        limit_patterns=limit_patterns(entry.limit_messages),
        error_pattern=re.compile(entry.error_pattern) if entry.error_pattern else None,
    )


def processes_named(name: str) -> list[int]:
    """Every process on the host with this command name, zombies included."""
    processes = (entry for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return [int(entry.name) for entry in processes if _command_name(entry) == name]


def parent_of(pid: int) -> int:
    """The parent of a living process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("PPid:"):
            return int(line.split()[1])
    raise AssertionError(pid)


def let_everybody_in(directory: Path) -> None:
    """Open a test's directory to other users, so that only the sandbox can be what keeps them out."""
    for above in (directory, *directory.parents):
        status = above.stat()
        if status.st_uid == os.getuid() and status.st_mode & 0o055 != 0o055:
            above.chmod(status.st_mode | 0o055)


def _command_name(process: Path) -> str:
    try:
        return (process / "comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""
