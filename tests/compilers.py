"""The compilers of this machine for tests: probed once, behind the real sandbox.

A machine without a sandbox or without compilers skips such a test on a laptop and fails it
where CI=true.
"""

import os
from dataclasses import dataclass
from functools import cache
from typing import NoReturn

import pytest

from chalicelib.catalog import Catalog, load_catalog
from runner.compiler import Compiler
from runner.sandbox import choose_sandbox
from runner.sandbox.base import Limits, Sandbox, SandboxUnavailable
from runner.sandbox.limits import default_limits
from runner.toolchains import Toolchains, native_target, probe_toolchains


@dataclass(frozen=True, slots=True)
class RealCompilers:
    """Everything that compiling takes on this machine."""

    catalog: Catalog
    sandbox: Sandbox
    limits: Limits
    toolchains: Toolchains
    compiler: Compiler
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
    toolchains = probe_toolchains(catalog, sandbox, limits)
    architecture, system = native_target().split("-")
    compiler = Compiler(sandbox, catalog, toolchains, limits)
    return RealCompilers(catalog, sandbox, limits, toolchains, compiler, architecture, system)


def real_compilers() -> RealCompilers:
    """The compilers of this machine; skips or fails the test that asks where there are none."""
    sandbox = _sandbox()
    if isinstance(sandbox, SandboxUnavailable):
        _missing(f"no sandbox works here: {sandbox}")
    found = _probed()
    if not found.toolchains.environments:
        _missing(f"no compiler passed its self-test: {found.toolchains.unavailable}")
    return found


def _missing(what: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what)
