"""The record of self-tests: what passed, and everything that it depended on.

It is made when an image is built (discover.py) and counts only while all of that is as it was. Whatever is
not so, down to a byte of the file, is a `RecordUnfit`, and then every compiler is tested again.
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
# Beside the code, where the Dockerfile puts it. A checkout has none.
RECORD = _ROOT / "self-tests.json"

# All code and data that a self-test depends on: what discover.py imports, and the catalogue. The Dockerfile
# copies just this for the tests, so that a change to the rest of the runner does not repeat them.
SOURCES = (
    "chalicelib/__init__.py",
    "chalicelib/catalog",
    "chalicelib/errors.py",
    "chalicelib/file_names.py",
    "chalicelib/models.py",
    "chalicelib/setting_values.py",
    "chalicelib/settings.py",
    "runner/__init__.py",
    "runner/diagnostics",
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


class RecordUnfit(Exception):
    """There is no record that can be trusted here and now; the message says why."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _File(_Model):
    """The file behind a compiler's name. `modified` is in whole seconds: a registry keeps no more of it."""

    path: str
    size: int
    modified: int


class _Passed(_Model):
    """A compiler that passed, and by which name the catalogue has it."""

    executable: str
    environment: Environment


class Record(_Model):
    """What was tested, in which circumstances. `executables` are all that were there, by name."""

    sources: str
    sandbox: str
    limits: Limits
    executables: dict[str, _File]
    passed: tuple[_Passed, ...]

    def toolchains(self, catalog: Catalog) -> Toolchains:
        """What the record offers, with the entries of the catalogue. Raises RecordUnfit."""
        entries = {
            (each.environment.language, each.environment.id): _entry(catalog, each) for each in self.passed
        }
        return Toolchains(tuple(each.environment for each in self.passed), entries=entries)


class _Sealed(_Model):
    """A record as it lies in its file. The checksum tells one that was cut or changed."""

    checksum: str
    record: Record


def make_record(
    catalog: Catalog,
    toolchains: Toolchains,
    sandbox: Sandbox,
    limits: Limits,
    find_executable: FindExecutable,
) -> Record:
    """The record of tests that were just made."""
    return Record(
        sources=digest(),
        sandbox=sandbox.name,
        limits=limits,
        executables=_executables(catalog, find_executable),
        passed=tuple(
            _Passed(executable=toolchains.entry(each).executable, environment=each)
            for each in toolchains.environments
        ),
    )


def write_record(path: Path, record: Record) -> None:
    """Write the record, for everybody to read."""
    sealed = _Sealed(checksum=_checksum(record), record=record)
    path.write_text(f"{sealed.model_dump_json(indent=1)}\n", encoding="utf-8")
    path.chmod(0o644)


def read_record(path: Path) -> Record:
    """The record in that file. Raises RecordUnfit when it is missing, damaged, or for others to write."""
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            text = file.read()
    except FileNotFoundError:
        raise RecordUnfit("there is no record of earlier tests") from None
    except OSError as error:
        raise RecordUnfit(f"the record cannot be read: {error}") from error
    if status.st_uid not in (0, os.geteuid()) or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise RecordUnfit("others than its owner may write the record")
    try:
        sealed = _Sealed.model_validate_json(text)
    except ValidationError:
        raise RecordUnfit("the record is damaged") from None
    if sealed.checksum != _checksum(sealed.record):
        raise RecordUnfit("the record was changed")
    return sealed.record


def check_record(
    record: Record, catalog: Catalog, sandbox: Sandbox, limits: Limits, find_executable: FindExecutable
) -> None:
    """Raise RecordUnfit unless the record was made in the circumstances of now."""
    if record.sources != digest():
        raise RecordUnfit("the catalogue, or the code of the tests, is another now")
    if record.sandbox != sandbox.name:
        raise RecordUnfit(f"it is of the sandbox {record.sandbox}, and this one is {sandbox.name}")
    lower = [
        item.name
        for item in dataclasses.fields(Limits)
        if getattr(limits, item.name) < getattr(record.limits, item.name)
    ]
    if lower:
        raise RecordUnfit(f"these limits are lower now: {', '.join(lower)}")
    found = _executables(catalog, find_executable)
    changed = [
        name
        for name in sorted({*record.executables, *found})
        if record.executables.get(name) != found.get(name)
    ]
    if changed:
        raise RecordUnfit(f"these are not the files that were tested: {', '.join(changed)}")


def _entry(catalog: Catalog, passed: _Passed) -> CompilerEntry:
    """The catalogue's entry that a compiler was found by, made for its version."""
    environment = passed.environment
    language = catalog.language(environment.language)
    for compiler in language.compilers if language else ():
        if compiler.executable == passed.executable:
            entry = compiler.at(environment.version_key)
            if entry.id == environment.id:
                return entry
    raise RecordUnfit(f"the catalogue has no {environment.language}/{environment.id}")


def _executables(catalog: Catalog, find_executable: FindExecutable) -> dict[str, _File]:
    """The file behind each compiler of the catalogue that is there."""
    names = {compiler.executable for language in catalog.languages for compiler in language.compilers}
    found = {}
    for name in sorted(names):
        path = find_executable(name)
        if path is not None:
            file = Path(path).resolve()
            status = file.stat()
            found[name] = _File(path=str(file), size=status.st_size, modified=int(status.st_mtime))
    return found


def digest(root: Path = _ROOT) -> str:
    """A hash of everything in `SOURCES`."""
    made = hashlib.sha256()
    for file in sources(root):
        made.update(f"{file.relative_to(root)}\0".encode())
        made.update(hashlib.sha256(file.read_bytes()).digest())
    return made.hexdigest()


def sources(root: Path = _ROOT) -> list[Path]:
    """Every file of `SOURCES` below `root`, without what Python makes of them."""
    found: list[Path] = []
    for name in SOURCES:
        path = root / name
        found += [path] if path.is_file() else sorted(path.rglob("*.*"))
    return [path for path in found if path.is_file() and "__pycache__" not in path.parts]


def _checksum(record: Record) -> str:
    return hashlib.sha256(record.model_dump_json().encode()).hexdigest()
