"""A copy of the project as a fresh clone would have it, set up already: for tests of what users type.

It has the files that git would take, and a `.venv` that shares its packages with the one that runs
these tests, so that `bin/setup` has nothing to do: from nothing it would take minutes.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.servers.tools import ROOT
from tests.support.skipping import require


def make_clone(folder: Path, git_folder: Path) -> Path:
    """Copies the project into `folder`, which must not exist; `git_folder` is for git to work in."""
    for program in ("make", "git", "bash", "bwrap"):
        require(program)
    for name in project_files(git_folder):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target)
    share_environment(folder / ".venv")
    return folder


def project_files(git_folder: Path) -> list[str]:
    """The files that git would take, tracked or not, also where the checkout is not a git repository."""
    git = ["git", f"--git-dir={git_folder}", f"--work-tree={ROOT}"]
    environment = {"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    listing = b""
    for command in (["init", "--quiet"], ["ls-files", "--others", "--exclude-standard", "-z"]):
        ran = subprocess.run([*git, *command], cwd=ROOT, env=environment, capture_output=True, check=True)
        listing = ran.stdout
    return [name for name in listing.decode().split("\0") if name]


def share_environment(target: Path) -> None:
    """A virtual environment at `target` with programs of its own and the packages of ours.

    Not a link to ours, so that set-up cannot change ours through it.
    """
    source = Path(sys.prefix)
    assert (source / "pyvenv.cfg").is_file(), (
        "these tests run in a virtual environment, as `make test` does it"
    )
    (target / "bin").mkdir(parents=True)
    for path in (source / "bin").iterdir():
        if path.is_symlink() or not path.is_file():
            (target / "bin" / path.name).symlink_to(os.readlink(path) if path.is_symlink() else path)
            continue
        data = path.read_bytes()
        if data.startswith(b"#!"):
            data = data.replace(f"{source}/bin/".encode(), f"{target}/bin/".encode(), 1)
        (target / "bin" / path.name).write_bytes(data)
        shutil.copymode(path, target / "bin" / path.name)
    for name in ("lib", "lib64", "include"):
        if (source / name).is_dir():
            (target / name).symlink_to((source / name).resolve())
    for stamp in source.glob(".*.stamp"):
        shutil.copy2(stamp, target / stamp.name)
    # It says in which folder an environment was made; the words of the original need not be those of `venv`.
    configuration = (source / "pyvenv.cfg").read_text()
    lines = [line for line in configuration.splitlines() if not line.startswith("command")]
    (target / "pyvenv.cfg").write_text("\n".join([*lines, f"command = python3 -m venv {target}", ""]))
