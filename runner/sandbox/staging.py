"""Reads a job's files in the workspace, and copies them to where its sandbox wants them.

All of it happens before anything of the job has run. Nothing here follows a symbolic link.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from runner.sandbox.base import SandboxError


def entries(root: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Every file and directory below `root`, each directory before what is in it.

    Raises SandboxError for anything else. The runner alone has written there, and it makes no links.
    """
    for directory, directories, files in os.walk(root):
        for name in (*directories, *files):
            path = Path(directory) / name
            status = os.lstat(path)
            if not stat.S_ISDIR(status.st_mode) and not stat.S_ISREG(status.st_mode):
                raise SandboxError(f"the workspace holds {name!r}, which is neither a file nor a directory")
            yield path, status


def permissions(status: os.stat_result) -> int:
    """The permissions of a copy: everybody inside may read it, and run what its owner may run."""
    return 0o755 if stat.S_ISDIR(status.st_mode) or status.st_mode & stat.S_IXUSR else 0o644


def open_to_read(path: Path) -> int:
    """Open a file of the workspace and return its descriptor."""
    return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)


def copy_tree(source: Path, target: Path, uid: int) -> None:
    """Copy what is in `source` into the empty directory `target`, for the user and group `uid`."""
    for path, status in entries(source):
        copy = target / path.relative_to(source)
        if stat.S_ISDIR(status.st_mode):
            copy.mkdir()
        else:
            with open(open_to_read(path), "rb") as original, copy.open("xb") as file:
                file.write(original.read())
        copy.chmod(permissions(status))
        os.chown(copy, uid, uid, follow_symlinks=False)
