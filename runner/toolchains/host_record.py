"""Which compilers have passed their self-tests on this host, so that the next start need not repeat them.

The record is a file in the user's cache folder (`$XDG_CACHE_HOME`, or `~/.cache`). What it says of a compiler
counts while everything that its test depended on is as it was: our code and catalogue, the sandbox, the
kernel, the packages of the system, the limits, and the compiler's own files down to their inodes. Whatever
differs is tested again. Only this user may be able to write the file and its folder; anything else is
ignored, with one line in the log. A record that cannot be written costs time at the next start, no more.

`build_record.py` is the record of an image's build, which moves between hosts and therefore knows less.
"""

import fcntl
import hashlib
import json
import logging
import os
import stat
import threading
from collections.abc import Callable, Mapping
from glob import glob
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from chalicelib.catalog import Catalog, CompilerEntry, Language
from chalicelib.models import Environment
from runner.private_folder import open_private
from runner.sandbox.base import Limits, Sandbox
from runner.sandbox.host_paths import compilers_folder
from runner.toolchains.build_record import FindExecutable, digest, lower_limits
from runner.toolchains.probe import Passed

# What changes when a package is installed, updated or removed, or a shared library: compilers load libraries
# of other packages, and call their programs.
_SYSTEM = (
    "/var/lib/dpkg/status",
    "/lib/apk/db/installed",
    "/usr/lib/apk/db/installed",
    "/var/lib/rpm/rpmdb.sqlite",
    "/usr/lib/sysimage/rpm/rpmdb.sqlite",
    "/var/lib/pacman/local",
    "/etc/ld.so.cache",
    "/usr/local/bin",
    "/usr/local/lib",
)

# A record of fifty compilers has 100 kB; what is longer is not ours.
_MAX_BYTES = 4 * 1024 * 1024
# Links from a name to a file; the kernel follows no more.
_MAX_LINKS = 40

logger = logging.getLogger("will_it_compile.runner")

# Device, inode, size, and the times of content and of the inode in nanoseconds.
Identity = tuple[int, int, int, int, int]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Item(_Model):
    """A compiler that passed, by its name in the catalogue, and what its test depended on."""

    executable: str
    files: dict[str, Identity]
    limits: Limits
    environment: Environment


class _Record(_Model):
    circumstances: dict[str, str]
    passed: tuple[_Item, ...]


class _RecordFile(_Model):
    """A record with its checksum: a file that was cut or changed is detected."""

    checksum: str
    record: _Record


class _Ignored(Exception):
    """The record cannot be trusted; the message says why."""


def cache_folder(environ: Mapping[str, str]) -> Path | None:
    """Our folder in the user's cache, as the XDG specification has it; None when the user has no home."""
    cache = environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(cache):
        try:
            cache = str(Path(environ.get("HOME") or Path.home()) / ".cache")
        except RuntimeError:
            return None
    return Path(cache) / "will-it-compile" if os.path.isabs(cache) else None


class HostRecord:
    """The record in `folder`. Safe with threads, and with other runners that use the same folder."""

    def __init__(
        self,
        folder: Path | None,
        catalog: Catalog,
        sandbox: Sandbox,
        limits: Limits,
        find_executable: FindExecutable,
    ) -> None:
        """Read the record; without a `folder` nothing is known, and nothing is kept."""
        self._folder = folder
        self._catalog = catalog
        self._limits = limits
        self._find_executable = find_executable
        self._lock = threading.Lock()
        self._circumstances = _circumstances(sandbox)
        # Checkouts and sandboxes do not share a file: each would test again what the other one has written.
        place = hashlib.sha256(f"{Path(__file__).resolve()}\0{sandbox.name}".encode()).hexdigest()
        self.name = f"self-tests-{place[:16]}.json"
        self._items: dict[tuple[str, str], _Item] = {}
        self._use_folder(self._read_items)

    def recall(self, language: Language, compiler: CompilerEntry, image: str) -> Passed | None:
        """The compiler as it passed before, if nothing has changed since."""
        item = self._items.get((language.id, compiler.executable))
        if item is None or lower_limits(self._limits, item.limits):
            return None
        try:
            entry = compiler.at(item.environment.version_key)
        except ValueError:
            return None
        if entry.id != item.environment.id or item.files != self.files_of(compiler):
            return None
        return Passed(item.environment.model_copy(update={"image": image}), entry)

    def remember(self, passed: Passed, files: dict[str, Identity]) -> None:
        """Keep that a compiler has passed. `files` is what `files_of` said before the test."""
        executable = passed.entry.executable
        item = _Item(executable=executable, files=files, limits=self._limits, environment=passed.environment)
        with self._lock:
            self._items[passed.environment.language, executable] = item
            self._use_folder(self._write)

    def files_of(self, compiler: CompilerEntry) -> dict[str, Identity]:
        """The files that decide what the compiler does; empty when its own cannot be found."""
        executable = self._find_executable(compiler.executable)
        if executable is None:
            return {}
        files: dict[str, Identity] = {}
        path = Path(executable)
        try:
            for _ in range(_MAX_LINKS):
                files[str(path)] = _identity(os.lstat(path))
                if not path.is_symlink():
                    break
                path = path.parent / path.readlink()
            program = path.resolve(strict=True)
            files[str(program)] = _identity(program.stat())
            number = compiler.id.rpartition("-")[2].partition(".")[0]
            major = number if number.isdigit() else "*"
            for pattern in self._catalog.family(compiler.family).loads:
                for name in sorted(glob(os.path.join(program.parent, pattern.replace("{major}", major)))):
                    files[name] = _identity(os.stat(name))
        except OSError:
            return {}
        return files

    def _use_folder(self, use: Callable[[int], None]) -> None:
        """Call `use` with the opened folder. Without a folder that can be trusted it is not called."""
        if self._folder is None:
            return
        try:
            self._folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = open_private(self._folder)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                use(descriptor)
            finally:
                os.close(descriptor)
        except (OSError, _Ignored) as error:
            logger.info("self-tests: what passed before is not used, and not kept: %s", error)
            self._folder = None

    def _read_items(self, folder: int) -> None:
        try:
            self._items = {
                (item.environment.language, item.executable): item for item in self._read(folder).passed
            }
        except FileNotFoundError:
            logger.debug("self-tests: nothing is known from an earlier start")
        except _Ignored as reason:
            logger.info("self-tests: what passed before is not used: %s", reason)

    def _read(self, folder: int) -> _Record:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            descriptor = os.open(self.name, flags, dir_fd=folder)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise _Ignored(f"{self.name} cannot be read: {error.strerror}") from None
        with open(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            others = status.st_uid != os.geteuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
            if not stat.S_ISREG(status.st_mode) or others or status.st_nlink != 1:
                raise _Ignored(f"{self.name} is not a file that only this user can write")
            text = file.read(_MAX_BYTES + 1)
        if len(text) > _MAX_BYTES:
            raise _Ignored(f"{self.name} is longer than any record")
        try:
            content = _RecordFile.model_validate_json(text)
        except (ValidationError, RecursionError):
            raise _Ignored(f"{self.name} is damaged") from None
        if content.checksum != _checksum(content.record):
            raise _Ignored(f"{self.name} was changed")
        for name, value in self._circumstances.items():
            if content.record.circumstances.get(name) != value:
                raise _Ignored(f"{name} changed since then")
        return content.record

    def _write(self, folder: int) -> None:
        items = dict(self._items)
        try:
            # Another runner may have written what it tested since.
            for item in self._read(folder).passed:
                items.setdefault((item.environment.language, item.executable), item)
        except (FileNotFoundError, _Ignored):
            pass
        record = _Record(circumstances=self._circumstances, passed=tuple(items.values()))
        content = _RecordFile(checksum=_checksum(record), record=record)
        # One writer at a time, by the lock on the folder. Renaming makes the change whole, or not at all.
        new = f"{self.name}.new"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(new, flags, 0o600, dir_fd=folder), "wb") as file:
            file.write(content.model_dump_json().encode())
        os.rename(new, self.name, src_dir_fd=folder, dst_dir_fd=folder)


def _circumstances(sandbox: Sandbox) -> dict[str, str]:
    """What all tests depend on, by the words for the log."""
    kernel = os.uname()
    own = compilers_folder()
    system = {path: _identity_or_none(path) for path in (*_SYSTEM, *(map(str, own.iterdir()) if own else ()))}
    packages = json.dumps(dict(sorted(system.items())))
    return {
        "the catalogue or the code of the tests": digest(),
        "the sandbox": json.dumps([sandbox.name, *sandbox.weaknesses]),
        "the kernel": f"{kernel.release} {kernel.version} {kernel.machine}",
        "the packages of the system": hashlib.sha256(packages.encode()).hexdigest(),
    }


def are_unchanged(files: Mapping[str, Identity]) -> bool:
    """Whether these are still the files that `HostRecord.files_of` found; cheap enough for each job.

    A file that was added since is not noticed. Compilers are replaced as a whole.
    """
    return all(_is_still(path, identity) for path, identity in files.items())


def _is_still(path: str, identity: Identity) -> bool:
    # A link of a compiler's name counts as itself, one among its parts as the file that it leads to.
    try:
        return identity in (_identity(os.lstat(path)), _identity(os.stat(path)))
    except OSError:
        return False


def _identity(status: os.stat_result) -> Identity:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _identity_or_none(path: str) -> Identity | None:
    try:
        return _identity(os.stat(path))
    except OSError:
        return None


def _checksum(record: _Record) -> str:
    return hashlib.sha256(record.model_dump_json().encode()).hexdigest()
