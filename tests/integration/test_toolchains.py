"""The toolchain probe against the compilers of this machine and against deliberately broken ones."""

import shutil
import time
from collections.abc import Mapping, Sequence
from threading import Event

from chalicelib.catalog import parse_catalog
from chalicelib.catalog.loader import catalog_texts
from chalicelib.models import Stage
from runner.sandbox.base import Limits, Sandbox, SandboxResult
from runner.toolchains import native_target, probe_toolchains
from runner.workspace import Workspace
from tests.compilers import real_compilers

# Measured: 2 s for fourteen compilers on two idle cores, 5 s on busy ones. This is for a much busier machine
# and still finds a probe that waits for something.
_PROBE_SECONDS = 60


class _Rewriting:
    """A sandbox that runs other commands than asked: stands for compilers that are broken."""

    def __init__(self, real: Sandbox, replace: Mapping[str, tuple[str, ...]]) -> None:
        self._real = real
        self._replace = replace

    @property
    def name(self) -> str:
        return self._real.name

    @property
    def weaknesses(self) -> tuple[str, ...]:
        return self._real.weaknesses

    def probe(self) -> None:
        self._real.probe()

    def run(
        self,
        argv: Sequence[str],
        workspace: Workspace,
        limits: Limits,
        *,
        environment: Mapping[str, str] | None = None,
        cancel: Event | None = None,
    ) -> SandboxResult:
        for sign, command in self._replace.items():
            if sign in argv:
                argv = command
        return self._real.run(argv, workspace, limits, environment=environment, cancel=cancel)


def _only(compilers: str, language: str = "cpp") -> str:
    """The language's file with `compilers` instead of its own."""
    text = catalog_texts().languages[f"{language}.toml"]
    return text[: text.index("[[compilers]]")] + compilers


_GCC_12 = """
[[compilers]]
id = "gcc-12"
family = "gcc"
command = ["g++-12"]
default_standard = "gnu++17"
newest_standard = "c++23"
"""


def test_every_installed_compiler_of_the_catalogue_is_announced() -> None:
    """What is on the PATH passes its self-test; what is not is kept with a reason, and probing is quick."""
    real = real_compilers()
    started = time.monotonic()
    toolchains = probe_toolchains(real.catalog, real.sandbox, real.limits)
    seconds = time.monotonic() - started
    print(f"probed {len(toolchains.environments)} compilers in {seconds:.2f} s")
    announced = {(environment.language, environment.id) for environment in toolchains.environments}
    installed = {
        (language.id, compiler.id)
        for language in real.catalog.languages
        for compiler in language.compilers
        if shutil.which(compiler.executable)
    }
    assert announced == installed, toolchains.unavailable
    assert all(not entry.installed and entry.reason for entry in toolchains.unavailable)
    assert seconds < _PROBE_SECONDS


def test_an_environment_says_what_the_compiler_itself_says() -> None:
    """Version, comparable version, target and stages are the real ones."""
    for environment in real_compilers().toolchains.environments:
        major = int(environment.id.rpartition("-")[2])
        assert environment.version_key[0] == major
        assert ".".join(map(str, environment.version_key)) == environment.version
        assert environment.targets == (native_target(),)
        assert environment.stages == tuple(Stage)
        assert environment.default_standard in environment.standards


def test_a_compiler_that_accepts_everything_is_not_announced() -> None:
    """Without the bad program's rejection a compiler is not trusted."""
    real = real_compilers()
    catalog = parse_catalog({"cpp.toml": _only(_GCC_12)}, catalog_texts().families)
    broken = _Rewriting(real.sandbox, {"-fsyntax-only": ("true",)})
    toolchains = probe_toolchains(catalog, broken, real.limits)
    assert toolchains.environments == ()
    assert [entry.installed for entry in toolchains.unavailable] == [True]
    assert "bad program" in toolchains.unavailable[0].reason


def test_a_compiler_that_accepts_nothing_is_not_announced() -> None:
    """Without the good program's success a compiler is not trusted."""
    real = real_compilers()
    catalog = parse_catalog({"cpp.toml": _only(_GCC_12)}, catalog_texts().families)
    broken = _Rewriting(real.sandbox, {"-x": ("false",)})
    toolchains = probe_toolchains(catalog, broken, real.limits)
    assert toolchains.environments == ()
    assert "good program" in toolchains.unavailable[0].reason


def test_a_standard_that_the_compiler_does_not_know_is_found_out() -> None:
    """A catalogue that claims a standard too many costs an announcement, not a user's verdict."""
    real = real_compilers()
    claimed = _GCC_12.replace('newest_standard = "c++23"', 'newest_standard = "c++26"')
    catalog = parse_catalog({"cpp.toml": _only(claimed)}, catalog_texts().families)
    toolchains = probe_toolchains(catalog, real.sandbox, real.limits)
    assert toolchains.environments == ()
    assert "bad program" in toolchains.unavailable[0].reason


def test_a_new_version_is_one_entry() -> None:
    """An entry under a new id for an installed executable is announced with no change of code."""
    real = real_compilers()
    catalog = parse_catalog(
        {"cpp.toml": _only(_GCC_12.replace('"gcc-12"', '"gcc-99"', 1))}, catalog_texts().families
    )
    toolchains = probe_toolchains(catalog, real.sandbox, real.limits)
    assert [environment.id for environment in toolchains.environments] == ["gcc-99"]


def test_a_compiler_that_is_on_the_path_but_cannot_start_is_a_reason_and_no_exception() -> None:
    """A program that the sandbox cannot start is reported, and the other compilers are still probed."""
    real = real_compilers()
    gone = _GCC_12.replace("g++-12", "no-such-compiler").replace("gcc-12", "gcc-98")
    catalog = parse_catalog({"cpp.toml": _only(gone + _GCC_12)}, catalog_texts().families)
    toolchains = probe_toolchains(
        catalog, real.sandbox, real.limits, find_executable=lambda name: f"/usr/bin/{name}"
    )
    assert [environment.id for environment in toolchains.environments] == ["gcc-12"]
    assert [(entry.compiler, entry.installed) for entry in toolchains.unavailable] == [("gcc-98", True)]
