"""Folders that belong to this program alone: nobody else can read, write or name what is in them.

They are in places that others share, such as /tmp. So owner, kind and permissions are checked on the folder
that was opened, and a link is never followed.
"""

import os
import stat
from pathlib import Path

OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

# Somebody else may have taken the first name in a shared folder, on purpose: then the next one is tried.
_NAMES_TRIED = 10


def _check(status: os.stat_result, path: str | Path) -> None:
    """Raise PermissionError unless it is a folder of this user that nobody else can use."""
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
        raise PermissionError(f"{path} must be a folder that only this user can use")


def open_private(path: Path) -> int:
    """Open the folder, which is made if it is not there; returns its descriptor.

    Raises OSError, also if it is a link, or somebody else's, or others can use it.
    """
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        _check(os.lstat(path), path)
    descriptor = os.open(path, OPEN_FOLDER)
    try:
        _check(os.fstat(descriptor), path)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def own_folder(shared: Path) -> Path:
    """This user's folder in `shared`, which all users may write to: the same one for each runner.

    Raises PermissionError when others have taken all of its names.
    """
    name = f"will-it-compile-{os.geteuid()}"
    for path in (shared / name, *(shared / f"{name}.{number}" for number in range(1, _NAMES_TRIED))):
        try:
            os.close(open_private(path))
        except (PermissionError, NotADirectoryError, FileExistsError):
            continue
        return path
    raise PermissionError(
        f"{shared / name} must be a folder that only this user can use, and so must one of the other "
        "names that were tried: remove it, or set TMPDIR to another folder"
    )
