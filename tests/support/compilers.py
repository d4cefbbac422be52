"""The compilers of this machine for tests: probed once, in the real sandbox.

A machine without a sandbox or without compilers skips such a test on a laptop and fails it
where CI=true.
"""

import os
import re
import shutil
import time
from dataclasses import dataclass
from functools import cache
from typing import NoReturn

import pytest

from chalicelib.catalog import Catalog, load_catalog
from runner.executor import JobExecutor
from runner.sandbox import choose_sandbox
from runner.sandbox.base import Limits, Sandbox, SandboxUnavailable
from runner.sandbox.host_paths import find_compiler
from runner.sandbox.limits import default_limits
from runner.toolchains.model import Toolchains, native_target
from runner.toolchains.probe import probe_toolchains

# Fewer of them inside of a container, where some tests are about some compilers (tests/support/engine.py).
_WANTED = os.environ.get("TEST_COMPILERS", "*")


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
        catalog, sandbox, limits, find_executable=find_compiler, patterns=_WANTED.split(",")
    )
    seconds = time.monotonic() - started
    architecture, system = native_target()
    executor = JobExecutor(sandbox, catalog, toolchains, limits)
    return RealCompilers(catalog, sandbox, limits, toolchains, executor, seconds, architecture, system)


def real_compilers() -> RealCompilers:
    """The compilers of this machine; without any, the test is skipped, or fails on CI."""
    sandbox = _sandbox()
    if isinstance(sandbox, SandboxUnavailable):
        _missing(f"no sandbox works here: {sandbox}")
    compilers = _probed()
    if not compilers.toolchains.environments:
        _missing(f"no compiler passed its self-test: {compilers.toolchains.unavailable}")
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


def _missing(what: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what)
