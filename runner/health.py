"""Whether the runner in this container is alive: the file that it touches, and the check that reads it.

    python -S -m runner.health     exit code 0: alive; 1: not, with a line that says why

The runner's timekeeper sets the time of the file to when the claiming loop last completed a round, so the
file gets old if either of the two hangs. A runner without its Redis goes on with its rounds: a restart
would not help it. There can be one runner for each TMPDIR, as in a container.

The check runs beside compiles for as long as the container lives, so it imports very little.
"""

import contextlib
import os
import stat
import sys
import time

_FOLDER, _FILE = "will-it-compile-health", "alive"

# A round takes about two seconds, and half a minute when each of its steps has to give up on Redis.
STALE_SECONDS = 60


class AliveFile:
    """The file, held open. Only its owner can reach it: nothing that a job does on the file system can."""

    def __init__(self, temporary: str) -> None:
        """`temporary` is the folder for temporary files. Raises OSError, also if others can write there."""
        folder = os.path.join(temporary, _FOLDER)
        try:
            os.mkdir(folder, 0o700)
        except FileExistsError:
            _check_owner(folder)
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        self._descriptor = os.open(os.path.join(folder, _FILE), flags, 0o600)

    def touch(self, age_seconds: float) -> None:
        """Record that the last complete round was `age_seconds` ago."""
        at = time.time() - age_seconds
        # If this fails the check notices; it must not end the thread that calls it.
        with contextlib.suppress(OSError):
            os.utime(self._descriptor, (at, at))

    def close(self) -> None:
        """Close the file; it is touched no more."""
        os.close(self._descriptor)


def check(temporary: str) -> str | None:
    """Why the runner that uses this folder for temporary files counts as dead, or None if it is alive."""
    folder = os.path.join(temporary, _FOLDER)
    try:
        _check_owner(folder)
        status = os.lstat(os.path.join(folder, _FILE))
    except OSError as error:
        return f"no runner has reported here: {error}"
    # A clock that was set back must not make a dead runner look alive for long, so the future counts as well.
    age_seconds = abs(time.time() - status.st_mtime)
    return f"the runner has not reported for {age_seconds:.0f} s" if age_seconds > STALE_SECONDS else None


def _check_owner(folder: str) -> None:
    status = os.lstat(folder)
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
        raise PermissionError(f"{folder} must be a folder that only this user can use")


def main() -> int:
    """Run the check; returns the exit code."""
    problem = check(os.environ.get("TMPDIR") or "/tmp")  # noqa: S108 -- the place is checked
    if problem:
        print(problem)  # noqa: T201 -- the engine stores it with the state of the container
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main())
