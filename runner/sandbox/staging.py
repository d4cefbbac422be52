"""Copies a job's files to where its sandbox wants them, before anything of the job has run."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from runner.sandbox.base import SandboxError


def entries(root: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Every file and directory below `root`, each directory before what is in it.

    Raises SandboxError for anything else: the runner alone has written there, so there is no link.
    """
    for directory, directories, files in os.walk(root):
        for name in (*directories, *files):
            path = Path(directory) / name
            found = os.lstat(path)
            if not stat.S_ISDIR(found.st_mode) and not stat.S_ISREG(found.st_mode):
                raise SandboxError(f"the workspace holds something that is no file: {name!r}")
            yield path, found


def permissions(found: os.stat_result) -> int:
    """What a copy may be used for: everybody inside may read it, and run what its owner may run."""
    return 0o755 if stat.S_ISDIR(found.st_mode) or found.st_mode & stat.S_IXUSR else 0o644


def copy_tree(source: Path, target: Path, uid: int) -> None:
    """Copy what is in `source` into the empty directory `target`, for the user and group `uid`."""
    for path, found in entries(source):
        copy = target / path.relative_to(source)
        if stat.S_ISDIR(found.st_mode):
            copy.mkdir()
        else:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
            with open(os.open(path, flags), "rb") as file, copy.open("xb") as written:
                written.write(file.read())
        copy.chmod(permissions(found))
        os.chown(copy, uid, uid, follow_symlinks=False)
