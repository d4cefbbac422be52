"""The bare compiler: the command of a result, run again without any sandbox, for comparison.

It runs the command of the receipt (`Result.command` and its variables) in a new folder, without the
arguments that are for the service's parser only. Compilers that jobs see in /compilers must be there for
the bare run as well, and tests must not change the host's root: on such a machine the command runs in a
mount namespace that contains the whole host. Only sources of our own may be compiled here.
"""

import os
import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from chalicelib.catalog import load_catalog
from chalicelib.models import Result
from runner.sandbox.host_paths import COMPILERS, PATH, compilers_folder, compilers_mounts
from runner.sanitize import clean_text
from runner.workspace import INSIDE

# Objects between compiler and linker have a new name each time.
_RANDOM_NAME = re.compile(r"/tmp/(?:cc[A-Za-z0-9]{6}|[\w+.-]+-[0-9a-f]{6})\.(?:o|ltrans\S*)")
# zig names its objects after a hash of their inputs, the folder included.
_ZIG_CACHE = re.compile(r"\.cache/zig/o/[0-9a-f]{32}/")
# Several times as long as the slowest command on a busy machine: linking with zig builds a library first.
_TIMEOUT_SECONDS = 110


@dataclass(frozen=True, slots=True)
class BareRun:
    """Exit status and both streams, with the folder named as jobs see theirs."""

    exit_code: int
    stdout: str
    stderr: str


def run_bare(result: Result, files: Mapping[str, str], parent: Path) -> BareRun:
    """Run the command of `result` with `files` in a new folder below `parent`."""
    folder = Path(tempfile.mkdtemp(dir=parent))
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    parser_arguments = load_catalog().parser_arguments
    command = [argument for argument in result.command if argument not in parser_arguments]
    ran = subprocess.run(
        bare_command(command),
        cwd=folder,
        env={**bare_env(folder), **result.command_environment},
        capture_output=True,
        check=False,
        timeout=_TIMEOUT_SECONDS,
    )
    stdout, stderr = (
        same_names(clean_text(stream).replace(str(folder), INSIDE)) for stream in (ran.stdout, ran.stderr)
    )
    return BareRun(ran.returncode, stdout, stderr)


def same_names(text: str) -> str:
    """`text` with the compiler's random names replaced by a fixed one."""
    return _ZIG_CACHE.sub(".cache/zig/o/", _RANDOM_NAME.sub("/tmp/object.o", text))


def bare_env(folder: Path) -> dict[str, str]:
    """The environment variables of a bare run in `folder`: those that the sandbox sets."""
    return {"PATH": f"{PATH}:{os.defpath}", "HOME": str(folder), "TMPDIR": "/tmp", "LANG": "C.UTF-8"}


def bare_command(command: Sequence[str]) -> list[str]:
    """`command`, in a mount namespace if /compilers does not exist on this machine."""
    folder = compilers_folder()
    return list(command) if folder is None or str(folder) == COMPILERS else with_compilers(folder, command)


def with_compilers(folder: Path, command: Sequence[str]) -> list[str]:
    """`command` in a mount namespace with the whole host, and `folder` as /compilers."""
    arguments = ["bwrap", "--tmpfs", "/"]
    for entry in sorted(Path("/").iterdir()):
        if str(entry) == COMPILERS:
            continue
        if entry.is_symlink():
            arguments += ["--symlink", str(entry.readlink()), str(entry)]
        elif entry.is_dir() and entry.name not in ("proc", "dev"):
            arguments += ["--bind", str(entry), str(entry)]
    arguments += [
        "--dev-bind",
        "/dev",
        "/dev",
        "--proc",
        "/proc",
        "--perms",
        "0755",
        "--dir",
        COMPILERS,
        *compilers_mounts(folder),
    ]
    return [*arguments, *command]
