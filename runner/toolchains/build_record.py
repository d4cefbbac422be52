"""The record of the self-tests of an image's build: which compilers passed, and what that depended on.

It is made when an image is built (discover.py) and valid only while everything is as it was then. Any
difference, down to a byte of the file, raises `RecordInvalid`, and every compiler is tested again.
"""

import dataclasses
import hashlib
import os
import stat
from collections.abc import Callable
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from chalicelib.catalog import Catalog, CompilerEntry
from chalicelib.models import Environment
from runner.sandbox.base import Limits, Sandbox
from runner.toolchains.model import Toolchains

_ROOT = Path(__file__).resolve().parents[2]
# Beside the code, where the Dockerfile puts it. A checkout does not have one.
RECORD = _ROOT / "self-tests.json"

# All code and data that a self-test depends on: everything that discover.py imports, and the catalogue. The
# Dockerfile copies only this for the tests, so that a change to the rest of the runner does not repeat them.
SOURCES = (
    "chalicelib/__init__.py",
    "chalicelib/catalog",
    "chalicelib/errors.py",
    "chalicelib/file_names.py",
    "chalicelib/models.py",
    "chalicelib/settings.py",
    "chalicelib/source_lines.py",
    "runner/__init__.py",
    "runner/diagnostics",
    "runner/private_folder.py",
    "runner/sandbox",
    "runner/sanitize.py",
    "runner/toolchains/__init__.py",
    "runner/toolchains/build_record.py",
    "runner/toolchains/discover.py",
    "runner/toolchains/model.py",
    "runner/toolchains/probe.py",
    "runner/verdict.py",
    "runner/workspace.py",
)

FindExecutable = Callable[[str], str | None]


class RecordInvalid(Exception):
    """The record is missing or cannot be trusted here; the message says why."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _File(_Model):
    """The file behind a compiler's name. `modified` is in whole seconds: registries keep no fractions."""

    path: str
    size: int
    modified: int


class _PassedCompiler(_Model):
    """A compiler that passed, with its name in the catalogue."""

    executable: str
    environment: Environment


class BuildRecord(_Model):
    """Which compilers passed, and in which circumstances. `executables` are all that were there, by name."""

    sources: str
    sandbox: str
    limits: Limits
    executables: dict[str, _File]
    passed: tuple[_PassedCompiler, ...]

    def toolchains(self, catalog: Catalog) -> Toolchains:
        """The toolchains in the record, with their entries of the catalogue. Raises RecordInvalid."""
        entries = {
            (item.environment.language, item.environment.id): _entry(catalog, item) for item in self.passed
        }
        return Toolchains(tuple(item.environment for item in self.passed), entries=entries)


class _RecordFile(_Model):
    """A record with its checksum, as it is stored: a file that was cut or changed is detected."""

    checksum: str
    record: BuildRecord


def make_record(
    catalog: Catalog,
    toolchains: Toolchains,
    sandbox: Sandbox,
    limits: Limits,
    find_executable: FindExecutable,
) -> BuildRecord:
    """The record of tests that have just been made."""
    return BuildRecord(
        sources=digest(),
        sandbox=sandbox.name,
        limits=limits,
        executables=_executables(catalog, find_executable),
        passed=tuple(
            _PassedCompiler(executable=toolchains.entry(item).executable, environment=item)
            for item in toolchains.environments
        ),
    )


def write_record(path: Path, record: BuildRecord) -> None:
    """Write the record; everybody may read it."""
    content = _RecordFile(checksum=_checksum(record), record=record)
    path.write_text(f"{content.model_dump_json(indent=1)}\n", encoding="utf-8")
    path.chmod(0o644)


def read_record(path: Path) -> BuildRecord:
    """The record in that file. Raises RecordInvalid if it is missing, damaged, or writable by others."""
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            text = file.read()
    except FileNotFoundError:
        raise RecordInvalid("there is no record from a build") from None
    except OSError as error:
        raise RecordInvalid(f"the record cannot be read: {error}") from error
    if status.st_uid not in (0, os.geteuid()) or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise RecordInvalid("the record can be written by others than its owner")
    try:
        content = _RecordFile.model_validate_json(text)
    except ValidationError:
        raise RecordInvalid("the record is damaged") from None
    if content.checksum != _checksum(content.record):
        raise RecordInvalid("the record was changed")
    return content.record


def check_record(
    record: BuildRecord, catalog: Catalog, sandbox: Sandbox, limits: Limits, find_executable: FindExecutable
) -> None:
    """Raise RecordInvalid unless the circumstances are those in which the record was made."""
    if record.sources != digest():
        raise RecordInvalid("the catalogue or the code of the tests has changed since the build")
    if record.sandbox != sandbox.name:
        raise RecordInvalid(f"the build used the sandbox {record.sandbox}, this runner uses {sandbox.name}")
    lower = lower_limits(limits, record.limits)
    if lower:
        raise RecordInvalid(f"these limits are lower than in the build: {', '.join(lower)}")
    executables = _executables(catalog, find_executable)
    changed = [
        name
        for name in sorted({*record.executables, *executables})
        if record.executables.get(name) != executables.get(name)
    ]
    if changed:
        raise RecordInvalid(f"these files are not those that the build tested: {', '.join(changed)}")


def lower_limits(limits: Limits, recorded: Limits) -> list[str]:
    """The names of those that are lower than when a compiler passed: it might fail with them."""
    return [
        item.name
        for item in dataclasses.fields(Limits)
        if getattr(limits, item.name) < getattr(recorded, item.name)
    ]


def _entry(catalog: Catalog, passed: _PassedCompiler) -> CompilerEntry:
    """The catalogue's entry of a compiler that passed, for its version."""
    environment = passed.environment
    language = catalog.language(environment.language)
    for compiler in language.compilers if language else ():
        if compiler.executable == passed.executable:
            entry = compiler.at(environment.version_key)
            if entry.id == environment.id:
                return entry
    raise RecordInvalid(f"the catalogue has no {environment.language}/{environment.id}")


def _executables(catalog: Catalog, find_executable: FindExecutable) -> dict[str, _File]:
    """The file behind each compiler of the catalogue that is installed."""
    names = {compiler.executable for language in catalog.languages for compiler in language.compilers}
    files = {}
    for name in sorted(names):
        path = find_executable(name)
        if path is not None:
            file = Path(path).resolve()
            status = file.stat()
            files[name] = _File(path=str(file), size=status.st_size, modified=int(status.st_mtime))
    return files


def digest(root: Path = _ROOT) -> str:
    """A hash of everything in `SOURCES`."""
    total = hashlib.sha256()
    for file in sources(root):
        total.update(f"{file.relative_to(root)}\0".encode())
        total.update(hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()


def sources(root: Path = _ROOT) -> list[Path]:
    """Every file of `SOURCES` below `root`, without Python's caches."""
    files: list[Path] = []
    for name in SOURCES:
        path = root / name
        files += [path] if path.is_file() else sorted(path.rglob("*.*"))
    return [path for path in files if path.is_file() and "__pycache__" not in path.parts]


def _checksum(record: BuildRecord) -> str:
    return hashlib.sha256(record.model_dump_json().encode()).hexdigest()
