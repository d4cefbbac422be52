"""What the sandbox tests share: limits that are hit quickly, and a look at the host's processes."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn, Protocol

import pytest

from chalicelib.catalog import load_catalog
from chalicelib.models import Reason, Verdict
from runner.sandbox.base import Limits, Sandbox, SandboxResult
from runner.sandbox.limits import MIB, default_limits
from runner.verdict import classify, limit_patterns
from runner.workspace import Workspace

# Small enough that each limit is hit within a second, large enough for the probe itself.
TIGHT = Limits(
    wall_seconds=20,
    cpu_seconds=10,
    memory_bytes=64 * MIB,
    output_bytes=64 * 1024,
    disk_bytes=8 * MIB,
    processes=16,
    open_files=64,
)


class Run(Protocol):
    """Runs the probe: `run("read", "/etc/passwd", cpu_seconds=1)`. Keywords change `TIGHT`."""

    def __call__(
        self, *words: str, environment: Mapping[str, str] | None = None, **limits: Any
    ) -> SandboxResult:
        """Run it in a workspace of its own."""
        ...


def missing(what: str) -> NoReturn:
    """End the test: a missing tool is a failure where CI=true and a skip elsewhere."""
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what)


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
        return sandbox.run(argv, workspace, replace(default_limits(), **limits))


def judge(family: str, run: SandboxResult) -> tuple[Verdict, Reason | None]:
    """As the runner judges a run of a compiler of that family, which prints what matters on stderr."""
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
        found = above.stat()
        if found.st_uid == os.getuid() and found.st_mode & 0o055 != 0o055:
            above.chmod(found.st_mode | 0o055)


def _command_name(process: Path) -> str:
    try:
        return (process / "comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""
