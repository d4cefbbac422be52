"""The bare compiler: the command of a result run again outside of every sandbox, for comparison.

It runs what the receipt says (`Result.command` and its variables) in a folder of its own, without the
options that are there for the service's parser alone. The compilers that jobs see as /compilers must lie
there for the bare run as well, and the host's root is not ours to change: such a machine gets a plain mount
namespace, which has the whole host in it and nothing held back. Only sources of our own may be run here.
"""

import os
import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from chalicelib.models import Result
from runner.sandbox.host_paths import COMPILERS, PATH, compilers_folder, compilers_mounts
from runner.sanitize import clean_text
from runner.workspace import INSIDE

_FOR_THE_PARSER = {"-fdiagnostics-parseable-fixits", "--error-format=json"}
# Objects between compiler and linker have another name each time.
_RANDOM_NAME = re.compile(r"/tmp/(?:cc[A-Za-z0-9]{6}|[\w+.-]+-[0-9a-f]{6})\.(?:o|ltrans\S*)")
# zig names its objects after a hash of what they are made from, the folder among it.
_ZIG_CACHE = re.compile(r"\.cache/zig/o/[0-9a-f]{32}/")
# Several times what the slowest command takes on a busy machine: linking with zig builds a library first.
_TIMEOUT_SECONDS = 110


@dataclass(frozen=True, slots=True)
class BareRun:
    """What became of it: exit status and both streams, with the folder called as jobs call theirs."""

    exit_code: int
    stdout: str
    stderr: str


def run_bare(result: Result, files: Mapping[str, str], parent: Path) -> BareRun:
    """Runs the command of `result` on `files` in a new folder below `parent`."""
    folder = Path(tempfile.mkdtemp(dir=parent))
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    command = [argument for argument in result.command if argument not in _FOR_THE_PARSER]
    ran = subprocess.run(
        bare_command(command),
        cwd=folder,
        env={**bare_environment(folder), **result.command_environment},
        capture_output=True,
        check=False,
        timeout=_TIMEOUT_SECONDS,
    )
    stdout, stderr = (
        same_names(clean_text(stream).replace(str(folder), INSIDE)) for stream in (ran.stdout, ran.stderr)
    )
    return BareRun(ran.returncode, stdout, stderr)


def same_names(text: str) -> str:
    """`text` with one name in place of those that the compiler drew at random."""
    return _ZIG_CACHE.sub(".cache/zig/o/", _RANDOM_NAME.sub("/tmp/object.o", text))


def bare_environment(folder: Path) -> dict[str, str]:
    """The variables of a bare run in `folder`: those of the sandbox, as far as it sets any."""
    return {"PATH": f"{PATH}:{os.defpath}", "HOME": str(folder), "TMPDIR": "/tmp", "LANG": "C.UTF-8"}


def bare_command(command: Sequence[str]) -> list[str]:
    """`command` so that /compilers is there for it: with a mount namespace around it where that takes one."""
    own = compilers_folder()
    return list(command) if own is None or str(own) == COMPILERS else with_compilers(own, command)


def with_compilers(folder: Path, command: Sequence[str]) -> list[str]:
    """`command` in a mount namespace that has the whole host in it, and `folder` as /compilers."""
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
