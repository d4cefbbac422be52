"""Whether the runner of this container is alive: the sign that it leaves, and the check that looks for it.

    python -S -m runner.health     exit code 0: alive; 1: not, and a line that says why

The sign is the time of a file. The runner's timekeeper sets it to when the claiming loop last went round, so
it grows old when either of them hangs. A runner whose Redis is away goes round all the same: a restart would
not help it. One runner for each TMPDIR, as in a container.

The check runs beside compiles for as long as the container lives: it imports next to nothing.
"""

import contextlib
import os
import stat
import sys
import time

_FOLDER, _FILE = "will-it-compile-health", "alive"

# A round takes about two seconds, and half a minute when Redis has to be given up on at each step of it.
STALE_SECONDS = 60


class Sign:
    """The file, held open. Nothing that a job does on the file system reaches it: it is its owner's alone."""

    def __init__(self, temporary: str) -> None:
        """`temporary` is the folder of temporary files. Raises OSError, also when the place is not ours."""
        folder = os.path.join(temporary, _FOLDER)
        try:
            os.mkdir(folder, 0o700)
        except FileExistsError:
            _check_owner(folder)
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        self._descriptor = os.open(os.path.join(folder, _FILE), flags, 0o600)

    def leave(self, age_seconds: float) -> None:
        """Says that all went round that long ago, or since then."""
        at = time.time() - age_seconds
        # A sign that cannot be left is missed by the check; it must not end the thread that leaves it.
        with contextlib.suppress(OSError):
            os.utime(self._descriptor, (at, at))

    def close(self) -> None:
        """Leaves no more signs."""
        os.close(self._descriptor)


def trouble(temporary: str) -> str | None:
    """What speaks against the runner that works with that directory; None: it is alive."""
    folder = os.path.join(temporary, _FOLDER)
    try:
        _check_owner(folder)
        found = os.lstat(os.path.join(folder, _FILE))
    except OSError as error:
        return f"no sign of a runner: {error}"
    # A clock that was set back must not make a dead runner look alive for long, so the future counts as well.
    age_seconds = abs(time.time() - found.st_mtime)
    return f"no sign of the runner for {age_seconds:.0f} s" if age_seconds > STALE_SECONDS else None


def _check_owner(folder: str) -> None:
    found = os.lstat(folder)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise PermissionError(f"{folder} must be a folder of this user's alone")


def main() -> int:
    """Checks; returns the exit code."""
    found = trouble(os.environ.get("TMPDIR") or "/tmp")  # noqa: S108 -- the place is checked
    if found:
        print(found)  # noqa: T201 -- the engine keeps it with the state of the container
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
