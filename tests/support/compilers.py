"""The compilers of this machine for tests: probed once, in the real sandbox.

A machine without a sandbox or without compilers skips such a test on a laptop and fails it
where CI=true.
"""

import os
import re
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from chalicelib.catalog import Catalog, CompilerEntry, Language, load_catalog
from chalicelib.models import CompileRequest, Environment
from runner.executor import JobExecutor
from runner.sandbox import choose_sandbox
from runner.sandbox.base import Limits, Sandbox, SandboxUnavailable
from runner.sandbox.host_paths import COMPILERS, find_compiler
from runner.sandbox.limits import default_limits
from runner.toolchains.model import Toolchains, native_target
from runner.toolchains.probe import probe_toolchains
from tests.support import tiers
from tests.support.skipping import missing

# Fewer of them inside of a container, where some tests are about some compilers (tests/support/engine.py).
_CHOSEN = os.environ.get("TEST_COMPILERS", "*")


@dataclass(frozen=True, slots=True)
class RealCompilers:
    """Everything that is needed to compile on this machine."""

    catalog: Catalog
    sandbox: Sandbox
    limits: Limits
    toolchains: Toolchains
    executor: JobExecutor
    probe_seconds: float
    architecture: str
    os: str

    def request(
        self, environment: Environment, files: Mapping[str, str], main: str, **changes: Any
    ) -> CompileRequest:
        """A request for one of the compilers, for this machine, by its default standard."""
        values: dict[str, Any] = {
            "files": dict(files),
            "main": main,
            "language": environment.language,
            "compiler": environment.id,
            "standard": environment.default_standard,
            "architecture": self.architecture,
            "os": self.os,
        }
        return CompileRequest(**(values | changes))


@cache
def _sandbox() -> Sandbox | SandboxUnavailable:
    try:
        return choose_sandbox("auto")
    except SandboxUnavailable as unavailable:
        return unavailable


@cache
def _probed() -> RealCompilers:
    sandbox = _sandbox()
    if isinstance(sandbox, SandboxUnavailable):
        raise sandbox
    catalog = load_catalog()
    limits = default_limits()
    started = time.monotonic()
    toolchains = probe_toolchains(
        catalog, sandbox, limits, find_executable=find_compiler, patterns=_patterns(catalog)
    )
    seconds = time.monotonic() - started
    architecture, system = native_target()
    executor = JobExecutor(sandbox, catalog, toolchains, limits)
    return RealCompilers(catalog, sandbox, limits, toolchains, executor, seconds, architecture, system)


def may_be_missing() -> frozenset[str]:
    """The languages whose compiler may not work on a fully equipped machine; in our image each one does.

    Releases of rustc before 1.70 search for themselves in /proc, which jobs do not have; Debian 12 has one.
    """
    return frozenset() if Path(COMPILERS).is_dir() else frozenset({"rust"})


def compilers_here(language: Language) -> list[CompilerEntry]:
    """The installed compilers of a language; in the fast tier the ends of each family."""
    entries = [entry for entry in language.compilers if find_compiler(entry.executable)]
    return tiers.ends(entries, key=lambda entry: entry.family)


def _patterns(catalog: Catalog) -> list[str]:
    """What to probe, as patterns of the setting COMPILERS."""
    if _CHOSEN != "*":
        return _CHOSEN.split(",")
    return [
        # Where the program says which version it is, the id is known only afterwards.
        f"{language.id}/{entry.id.replace('{version}', '*')}"
        for language in catalog.languages
        for entry in compilers_here(language)
    ]


def real_compilers() -> RealCompilers:
    """The compilers of this machine; without any, the test is skipped, or fails on CI."""
    sandbox = _sandbox()
    if isinstance(sandbox, SandboxUnavailable):
        missing(f"no sandbox works here: {sandbox}")
    compilers = _probed()
    if not compilers.toolchains.environments:
        missing(f"no compiler passed its self-test: {compilers.toolchains.unavailable}")
    return compilers


def installed(family: str, language: str = "cpp") -> list[str]:
    """The executables of a family on this machine, oldest first, as the catalogue names them.

    Nothing is run, so that a test can be parametrized with it.
    """
    [entries] = [item.compilers for item in load_catalog().languages if item.id == language]
    return sorted(
        (each.executable for each in entries if each.family == family and shutil.which(each.executable)),
        key=lambda name: [int(number) for number in re.findall(r"\d+", name)],
    )
