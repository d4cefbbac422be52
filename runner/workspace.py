"""A job's own directory on the host: created with the job's files, removed on exit.

An attacker may have chosen every name inside, and after a run may have replaced every entry. So names
are checked here although the API checked them too, files are created relative to directory descriptors
and never over something that exists, and removal works on descriptors and never follows a symbolic link.

Workspaces are in a folder of our own, and beside each is a small file that marks it as ours: what has no
mark is never removed. A directory is locked (flock) while its workspace exists. The lock ends with its
process: so `remove_stale_workspaces` can tell what a dead runner left from the workspaces of a live one.
"""

import contextlib
import fcntl
import os
import secrets
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from runner.private_folder import OPEN_FOLDER, own_folder

# The directory as the compiler sees it, in every sandbox that can choose: the same path for every job, so
# that paths in the output say nothing about the host and equal jobs have equal output.
INSIDE = "/work"

# The mark of the directory `<name>` is the file `<name>.workspace`, with this text in it.
_MARK_SUFFIX = ".workspace"
_MARK = b"This folder was made by will-it-compile for one job, and will be removed by it.\n"

# Linux has limits of 255 and 4096 bytes (NAME_MAX, PATH_MAX). With these a name that is too long is a
# ValueError before anything is created, and not an OSError in the middle.
_NAME_BYTES = 255
_PATH_BYTES = 4000

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def check_name(name: str) -> None:
    """Raise ValueError for a file name that could leave the workspace.

    Relative paths such as `include/a.hpp` are fine. Absolute names, `..`, `.` or empty parts and control
    characters are not. This is not `check_file_name` of chalicelib/file_names.py, which also says what is
    wise for a *request* (printable, nothing that a compiler writes): a workspace only has to be safe, and
    tools and tests need other names. How a name becomes an argument is up to `build_command`.
    """
    if not name:
        raise ValueError("a file name is empty")
    if any(ord(character) < 0x20 or ord(character) == 0x7F for character in name):
        raise ValueError(f"file name {name!r} contains a control character")
    try:
        encoded = name.encode()
    except UnicodeEncodeError:
        raise ValueError(f"file name {name!r} is not valid Unicode") from None
    if name.startswith("/"):
        raise ValueError(f"file name {name!r} is absolute")
    if len(encoded) > _PATH_BYTES:
        raise ValueError(f"a file name is longer than {_PATH_BYTES} bytes")
    for part in name.split("/"):
        if part in ("", ".", ".."):
            raise ValueError(f"file name {name!r} has an empty part, '.' or '..'")
        if len(part.encode()) > _NAME_BYTES:
            raise ValueError(f"a part of a file name is longer than {_NAME_BYTES} bytes")


class Workspace:
    """A job's directory. Use as a context manager; `create` makes one."""

    def __init__(self, path: Path, lock: int) -> None:
        """Use a fresh, locked directory. Callers use `create`."""
        self.path = path
        self.inside = INSIDE
        self._lock = lock

    @classmethod
    def create(cls, files: Mapping[str, str], parent: Path | None = None) -> "Workspace":
        """Create a directory that only this user can read, with `files` (name → text).

        `parent` defaults to our own folder among the temporary files. Raises ValueError for a name that
        fails `check_name` or is also a directory of another name; nothing is left behind then.
        """
        for name in files:
            check_name(name)
        for name in files:
            directory = name
            while "/" in directory:
                directory = directory.rpartition("/")[0]
                if directory in files:
                    raise ValueError(f"file name {directory!r} is also a directory of {name!r}")
        path, lock = _make_locked_directory(parent or workspaces_folder())
        workspace = cls(path, lock)
        try:
            for name, text in files.items():
                _write(lock, name, text)
        except BaseException:
            workspace.close()
            raise
        return workspace

    def __enter__(self) -> "Workspace":
        """Return the workspace itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the directory, whatever is in it now."""
        self.close()

    def close(self) -> None:
        """Remove the directory and everything in it. Safe to call twice. Raises OSError."""
        if self._lock < 0:
            return
        lock, self._lock = self._lock, -1
        try:
            _remove(self.path, lock)
        finally:
            os.close(lock)


def workspaces_folder() -> Path:
    """The folder of this user's workspaces, below TMPDIR. Raises PermissionError: see `own_folder`."""
    return own_folder(Path(tempfile.gettempdir()))


def remove_stale_workspaces(parent: Path | None = None) -> int:
    """Remove the workspaces that dead runners of this user left in `parent`; returns how many.

    Safe while other runners work in the same directory: a live workspace is locked. Nothing is removed that
    does not carry our mark.
    """
    folder = parent or workspaces_folder()
    removed = 0
    for entry in list(os.scandir(folder)):
        mark = Path(entry.path)
        if mark.suffix == _MARK_SUFFIX and _is_mark(mark):
            removed += _remove_if_stale(mark.with_suffix(""), mark)
    return removed


def _is_mark(path: Path) -> bool:
    """Whether it is a file that `_make_locked_directory` wrote: ours, and with our text."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        ours = stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid()
        return ours and file.read(len(_MARK) + 1) == _MARK


def _remove_if_stale(path: Path, mark: Path) -> bool:
    try:
        descriptor = os.open(path, OPEN_FOLDER)
    except FileNotFoundError:
        # Its runner died before it had made the directory, or after it had removed it.
        mark.unlink(missing_ok=True)
        return False
    except OSError:
        return False  # not a directory, or another user's
    try:
        if os.fstat(descriptor).st_uid != os.geteuid():
            return False
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _remove(path, descriptor)
    except OSError:
        return False  # in use (the lock is held), or removed in the meantime
    finally:
        os.close(descriptor)
    return True


def _mark_of(path: Path) -> Path:
    return path.with_name(f"{path.name}{_MARK_SUFFIX}")


def _make_locked_directory(parent: Path) -> tuple[Path, int]:
    """Make a private directory with its mark, and lock it.

    Until it is locked another runner may take it for a dead one's, and remove it or its mark: then another
    one is made. The mark comes first, so that no crash leaves a directory without one.
    """
    while True:
        path = parent / f"{os.getpid()}-{secrets.token_hex(8)}"
        mark = _mark_of(path)
        with open(os.open(mark, _CREATE, 0o600), "wb") as file:
            file.write(_MARK)
        path.mkdir(mode=0o700)
        try:
            descriptor = os.open(path, OPEN_FOLDER)
        except FileNotFoundError:
            continue
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink and mark.exists():
            return path, descriptor
        _remove(path, descriptor)
        os.close(descriptor)


def _write(root: int, name: str, text: str) -> None:
    """Create the file `name` below the directory descriptor `root`; nothing may exist there yet."""
    *directories, last = name.split("/")
    with contextlib.ExitStack() as stack:
        current = root
        for directory in directories:
            with contextlib.suppress(FileExistsError):
                os.mkdir(directory, 0o755, dir_fd=current)
            current = os.open(directory, OPEN_FOLDER, dir_fd=current)
            stack.callback(os.close, current)
        try:
            data = text.encode()
        except UnicodeEncodeError:
            raise ValueError(f"the text of {name!r} is not valid Unicode") from None
        with open(os.open(last, _CREATE, 0o644, dir_fd=current), "wb") as file:
            file.write(data)


def _remove(path: Path, descriptor: int) -> None:
    """Empty the directory behind `descriptor`; remove `path`, if it is still that directory, and its mark."""
    _empty(descriptor)
    with contextlib.suppress(FileNotFoundError):
        if os.path.samestat(os.lstat(path), os.fstat(descriptor)):
            os.rmdir(path)
    _mark_of(path).unlink(missing_ok=True)


def _empty(root: int) -> None:
    """Remove everything below the directory descriptor `root`.

    A job can nest directories deeper than any recursion or descriptor limit, so nothing descends:
    the subdirectories of a directory move up into `root` until only empty ones remain.
    Permissions are widened on the way, because a job may have removed them.
    """
    os.fchmod(root, stat.S_IRWXU)
    # A job has ended when its workspace is removed, so it cannot guess this name.
    fresh = secrets.token_hex(8)
    serial = 0
    while names := os.listdir(root):
        for name in names:
            directory = _open_widened(root, name)
            if directory is None:
                os.unlink(name, dir_fd=root)
                continue
            try:
                for child in os.listdir(directory):
                    below = _open_widened(directory, child)
                    if below is None:
                        os.unlink(child, dir_fd=directory)
                        continue
                    os.close(below)
                    serial += 1
                    os.rename(child, f"{fresh}-{serial}", src_dir_fd=directory, dst_dir_fd=root)
            finally:
                os.close(directory)
            os.rmdir(name, dir_fd=root)


def _open_widened(parent: int, name: str) -> int | None:
    """Open the directory `name` of `parent` with all rights for its owner; None if it is not one.

    O_PATH needs no permission on the directory itself, and changing it through the descriptor affects
    exactly what was opened, never the target of a link.
    """
    try:
        handle = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    except NotADirectoryError:
        return None
    try:
        os.chmod(f"/proc/self/fd/{handle}", stat.S_IRWXU)
        return os.open(".", OPEN_FOLDER, dir_fd=handle)
    finally:
        os.close(handle)
