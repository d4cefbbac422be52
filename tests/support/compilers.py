"""The compilers of this machine for tests: probed once, behind the real sandbox.

A machine without a sandbox or without compilers skips such a test on a laptop and fails it
where CI=true.
"""

import os
import re
import shutil
import time
from dataclasses import dataclass
from functools import cache

from chalicelib.catalog import Catalog, CompilerEntry, Language, load_catalog
from runner.executor import JobExecutor
from runner.sandbox import choose_sandbox
from runner.sandbox.base import Limits, Sandbox, SandboxUnavailable
from runner.sandbox.host_paths import find_compiler
from runner.sandbox.limits import default_limits
from runner.toolchains.model import Toolchains, native_target
from runner.toolchains.probe import probe_toolchains
from tests.support import tiers
from tests.support.skipping import missing

# Fewer of them inside of a container, where some tests are about some compilers (tests/support/engine.py).
_CHOSEN = os.environ.get("TEST_COMPILERS", "*")


@dataclass(frozen=True, slots=True)
class RealCompilers:
    """Everything that compiling takes on this machine."""

    catalog: Catalog
    sandbox: Sandbox
    limits: Limits
    toolchains: Toolchains
    compiler: JobExecutor
    probe_seconds: float
    architecture: str
    os: str


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
        catalog, sandbox, limits, find_executable=find_compiler, wanted=_wanted(catalog)
    )
    seconds = time.monotonic() - started
    architecture, system = native_target().split("-")
    compiler = JobExecutor(sandbox, catalog, toolchains, limits)
    return RealCompilers(catalog, sandbox, limits, toolchains, compiler, seconds, architecture, system)


def compilers_here(language: Language) -> list[CompilerEntry]:
    """The installed compilers of a language; in the fast tier the ends of each family."""
    entries = [entry for entry in language.compilers if find_compiler(entry.executable)]
    return tiers.ends(entries, key=lambda entry: entry.family)


def _wanted(catalog: Catalog) -> list[str]:
    """What to probe, as the setting COMPILERS names it."""
    if _CHOSEN != "*":
        return _CHOSEN.split(",")
    return [
        f"{language.id}/{entry.id}" for language in catalog.languages for entry in compilers_here(language)
    ]


def real_compilers() -> RealCompilers:
    """The compilers of this machine; skips or fails the test that asks where there are none."""
    sandbox = _sandbox()
    if isinstance(sandbox, SandboxUnavailable):
        missing(f"no sandbox works here: {sandbox}")
    real = _probed()
    if not real.toolchains.environments:
        missing(f"no compiler passed its self-test: {real.toolchains.unavailable}")
    return real


def installed(family: str, language: str = "cpp") -> list[str]:
    """The executables of a family on this machine, oldest first, as the catalogue names them.

    Nothing is run, so that a test can be parametrized with it.
    """
    [entries] = [each.compilers for each in load_catalog().languages if each.id == language]
    return sorted(
        (entry.executable for entry in entries if entry.family == family and shutil.which(entry.executable)),
        key=lambda name: [int(number) for number in re.findall(r"\d+", name)],
    )
