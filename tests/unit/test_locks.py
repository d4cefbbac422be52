"""The generated requirements files are what pyproject.toml asks for, complete, and with hashes.

Offline: a locked version must fit the bounds, and nothing may be locked that nobody asked for.
tests/e2e/test_locks.py resolves them anew.
"""

import importlib.metadata
import re
import tomllib
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.servers.tools import ROOT

# Group of pyproject.toml → the file that it is locked in.
LOCKS = {
    "lambda": "requirements.txt",
    "runner": "requirements-runner.txt",
    "local": "requirements-local.txt",
    "image-tests": "requirements-image-tests.txt",
    "dev": "requirements-dev.txt",
    "checkov": "requirements-checkov.txt",
    "audit": "requirements-audit.txt",
}
# These have environments of their own, because they need other versions.
TOGETHER = [file for group, file in LOCKS.items() if group not in ("checkov", "audit")]

_HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}$")


@dataclass(frozen=True, slots=True)
class Locked:
    """One entry of a requirements file."""

    requirement: Requirement
    hashes: tuple[str, ...]
    required_by: tuple[str, ...]

    @property
    def name(self) -> str:
        """The canonical name."""
        return canonicalize_name(self.requirement.name)

    @property
    def is_direct(self) -> bool:
        """pyproject.toml asks for it."""
        return any(by.startswith("(pyproject.toml:") for by in self.required_by)


def read_lock(text: str) -> list[Locked]:
    """The entries of a file that uv wrote: each is a line, its hashes, and in comments what needs it."""
    entries: list[Locked] = []
    for line in text.splitlines():
        word = line.strip().removesuffix("\\").strip()
        if not word or (word.startswith("#") and not line.startswith(" ")):
            continue
        if not line.startswith(" "):
            entries.append(Locked(Requirement(word), (), ()))
        elif word.startswith("--hash"):
            last = entries[-1]
            entries[-1] = Locked(last.requirement, (*last.hashes, word), last.required_by)
        else:
            last = entries[-1]
            by = word.lstrip("# ").removeprefix("via").strip()
            # `-c` names the file whose versions this one follows.
            if by and not by.startswith("-c "):
                entries[-1] = Locked(last.requirement, last.hashes, (*last.required_by, by))
    return entries


def lock(file: str) -> list[Locked]:
    """The entries of a requirements file of this project."""
    return read_lock((ROOT / file).read_text())


def group(name: str) -> list[Requirement]:
    """The direct dependencies of a group, those of the groups that it includes among them."""
    groups: dict[str, list[Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    requirements: list[Requirement] = []
    for entry in groups[name]:
        requirements += [Requirement(entry)] if isinstance(entry, str) else group(entry["include-group"])
    return requirements


def problems_of(entries: list[Locked], asked: list[Requirement]) -> list[str]:
    """Why these entries are no current lock of what was asked for."""
    versions = defaultdict(list)
    for entry in entries:
        versions[entry.name].append(next(iter(entry.requirement.specifier)).version)
    problems = [
        f"{requirement} is not in the lock"
        for requirement in asked
        if not any(map(requirement.specifier.contains, versions[canonicalize_name(requirement.name)]))
    ]
    names = {canonicalize_name(requirement.name) for requirement in asked}
    problems += [
        f"{entry.name} is locked, but not asked for"
        for entry in entries
        if entry.is_direct and entry.name not in names
    ]
    problems += [
        f"{entry.name}: which package needs it?"
        for entry in entries
        if not entry.required_by
        or not all(by in versions for by in entry.required_by if not by.startswith("("))
    ]
    return problems


@pytest.mark.parametrize(("name", "file"), LOCKS.items())
def test_a_lock_is_current(name: str, file: str) -> None:
    """Every direct dependency is locked within its bounds, and nothing else but what those need."""
    assert problems_of(lock(file), group(name)) == [], "run `make lock`"


@pytest.mark.parametrize("file", LOCKS.values())
def test_every_locked_package_has_one_version_and_the_hashes_of_its_files(file: str) -> None:
    """Installing from the file gives the same packages each time, or fails."""
    for entry in lock(file):
        assert [specifier.operator for specifier in entry.requirement.specifier] == ["=="], entry.name
        assert entry.hashes, entry.name
        assert all(map(_HASH.match, entry.hashes)), entry.name


def test_a_package_has_the_same_version_in_all_files() -> None:
    """What is tested is what ships: only tools with an environment of their own have other versions."""
    versions = defaultdict(set)
    for file in TOGETHER:
        for entry in lock(file):
            versions[entry.name, str(entry.requirement.marker)].add(str(entry.requirement.specifier))
    assert {name: found for name, found in versions.items() if len(found) > 1} == {}


def test_the_lambda_gets_what_it_needs_and_no_more() -> None:
    """requirements.txt is redis, pydantic and what those two need; chalice adds its own runtime itself."""
    assert {entry.name for entry in lock("requirements.txt") if entry.is_direct} == {"redis", "pydantic"}


def test_what_is_installed_is_what_is_locked() -> None:
    """The packages that these tests run with are the ones in requirements-dev.txt."""
    differing = {
        entry.name: importlib.metadata.version(entry.name)
        for entry in lock("requirements-dev.txt")
        if entry.requirement.marker is None or entry.requirement.marker.evaluate()
        if not entry.requirement.specifier.contains(importlib.metadata.version(entry.name))
    }
    assert differing == {}, "run `bin/setup lint`"


_LOCK = f"""\
# This file was autogenerated
colour==2.1 \\
    --hash=sha256:{"0" * 64}
    # via (pyproject.toml:lambda)
paint==1.0 ; python_version < '3.12' \\
    --hash=sha256:{"1" * 64} \\
    --hash=sha256:{"2" * 64}
    # via
    #   colour
"""


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        (["colour>=2,<3"], None),
        (["colour>=2.2"], "colour>=2.2 is not in the lock"),
        (["colour", "brush"], "brush is not in the lock"),
        ([], "colour is locked, but not asked for"),
    ],
)
def test_a_lock_that_is_not_current_is_noticed(asked: list[str], problem: str | None) -> None:
    """A bound that was raised, a dependency that was added or one that was removed: each is a problem."""
    entries = read_lock(_LOCK)
    assert [len(entry.hashes) for entry in entries] == [1, 2]
    assert problems_of(entries, list(map(Requirement, asked))) == ([problem] if problem else [])
