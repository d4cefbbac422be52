"""The toolchain probe with the compilers of this machine and with deliberately broken ones."""

from collections.abc import Mapping
from dataclasses import replace
from threading import Event

import pytest

from chalicelib.api import compile_request
from chalicelib.catalog import parse_catalog, version_key
from chalicelib.catalog.loader import catalog_texts
from chalicelib.errors import InvalidRequest
from chalicelib.models import Stage
from runner.sandbox.base import Command, Limits, Sandbox, SandboxResult
from runner.toolchains.model import native_target
from runner.toolchains.probe import probe_toolchains
from runner.workspace import Workspace
from tests.support.compilers import compilers_here, real_compilers

# Measured: 30 s for 23 compilers and their targets on two idle cores, 60 s on busy ones. This is for a much
# busier machine, and still detects a probe that waits for something.
_PROBE_SECONDS = 300


class _Rewriting:
    """A sandbox that replaces commands, at most `times` of them, to simulate broken compilers."""

    def __init__(self, real: Sandbox, replacements: Mapping[str, tuple[str, ...]], times: int = 1000) -> None:
        self._real = real
        self._replacements = replacements
        self._left = times

    @property
    def name(self) -> str:
        return self._real.name

    @property
    def weaknesses(self) -> tuple[str, ...]:
        return self._real.weaknesses

    def probe(self) -> None:
        self._real.probe()

    def find_compiler(self, name: str) -> str | None:
        return self._real.find_compiler(name)

    def run(
        self, command: Command, workspace: Workspace, limits: Limits, *, cancel: Event | None = None
    ) -> SandboxResult:
        for argument, argv in self._replacements.items():
            if argument in command.argv and self._left:
                self._left -= 1
                command = replace(command, argv=argv)
        return self._real.run(command, workspace, limits, cancel=cancel)


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

# As the kernel ends a program on a host that is out of memory.
_KILLED = ("sh", "-c", "kill -9 $$")


def test_every_installed_compiler_of_the_catalogue_is_registered() -> None:
    """Compilers that jobs can call pass their self-tests; the others have a reason, and probing is quick."""
    real = real_compilers()
    print(f"probed {len(real.toolchains.environments)} compilers in {real.probe_seconds:.2f} s")
    registered = {(language, entry.executable) for (language, _), entry in real.toolchains.entries.items()}
    installed = {
        (language.id, compiler.executable)
        for language in real.catalog.languages
        for compiler in compilers_here(language)
    }
    failed = {
        (each.language, each.compiler): each.reason for each in real.toolchains.unavailable if each.installed
    }
    # Releases of rustc before 1.70 search for themselves in /proc, which jobs do not have.
    excused = {key for key, reason in failed.items() if key[0] == "rust" and "/proc" in reason}
    assert set(failed) == excused, failed
    assert registered == {each for each in installed if each[0] not in {language for language, _ in excused}}
    assert all(each.reason for each in real.toolchains.unavailable)
    assert real.probe_seconds < _PROBE_SECONDS


def test_an_environment_says_what_the_compiler_itself_says() -> None:
    """Version, comparable version, targets and stages are the real ones."""
    real = real_compilers()
    for environment in real.toolchains.environments:
        named = version_key(environment.id.rpartition("-")[2])
        assert environment.version_key[: len(named)] == named
        assert ".".join(map(str, environment.version_key)) == environment.version
        assert environment.version in environment.version_text
        family = real.catalog.family(environment.family)
        assert environment.targets[0] == str(native_target())
        assert set(environment.targets[1:]) <= set(family.targets)
        assert len(set(environment.targets)) == len(environment.targets)
        assert environment.stages == tuple(stage for stage in Stage if stage in family.stages)
        assert environment.default_standard in environment.standards


def test_a_compiler_that_accepts_everything_is_not_registered() -> None:
    """Without the bad program's rejection a compiler is not trusted."""
    real = real_compilers()
    catalog = parse_catalog({"cpp.toml": _only(_GCC_12)}, catalog_texts().families)
    broken = _Rewriting(real.sandbox, {"-fsyntax-only": ("true",)})
    toolchains = probe_toolchains(catalog, broken, real.limits)
    assert toolchains.environments == ()
    assert [entry.installed for entry in toolchains.unavailable] == [True]
    assert "bad program" in toolchains.unavailable[0].reason


def test_a_compiler_that_accepts_nothing_is_not_registered() -> None:
    """Without the good program's success a compiler is not trusted."""
    real = real_compilers()
    catalog = parse_catalog({"cpp.toml": _only(_GCC_12)}, catalog_texts().families)
    broken = _Rewriting(real.sandbox, {"-x": ("false",)})
    toolchains = probe_toolchains(catalog, broken, real.limits)
    assert toolchains.environments == ()
    assert "good program" in toolchains.unavailable[0].reason


def test_a_standard_that_the_compiler_does_not_know_is_detected() -> None:
    """A standard that is wrongly claimed costs the registration, and does not give a wrong verdict."""
    real = real_compilers()
    claimed = _GCC_12.replace('newest_standard = "c++23"', 'newest_standard = "c++26"')
    catalog = parse_catalog({"cpp.toml": _only(claimed)}, catalog_texts().families)
    toolchains = probe_toolchains(catalog, real.sandbox, real.limits)
    assert toolchains.environments == ()
    assert "bad program" in toolchains.unavailable[0].reason


def test_a_new_version_is_one_entry() -> None:
    """An entry under a new id for an installed executable is registered with no change of code."""
    real = real_compilers()
    catalog = parse_catalog(
        {"cpp.toml": _only(_GCC_12.replace('"gcc-12"', '"gcc-99"', 1))}, catalog_texts().families
    )
    toolchains = probe_toolchains(catalog, real.sandbox, real.limits)
    assert [environment.id for environment in toolchains.environments] == ["gcc-99"]


def test_a_compiler_that_cannot_start_is_a_reason_and_not_an_exception() -> None:
    """A program that the sandbox cannot start is reported, and the other compilers are still probed."""
    real = real_compilers()
    gone = _GCC_12.replace("g++-12", "no-such-compiler").replace("gcc-12", "gcc-98")
    catalog = parse_catalog({"cpp.toml": _only(gone + _GCC_12)}, catalog_texts().families)
    toolchains = probe_toolchains(
        catalog, real.sandbox, real.limits, find_executable=lambda name: f"/usr/bin/{name}"
    )
    assert [environment.id for environment in toolchains.environments] == ["gcc-12"]
    assert [(entry.compiler, entry.installed) for entry in toolchains.unavailable] == [("gcc-98", True)]


def test_a_target_that_does_not_work_is_not_offered_and_is_invalid() -> None:
    """A target is tested with the good program: one that fails is not offered, and invalid in requests."""
    real = real_compilers()
    texts = catalog_texts()
    gcc = texts.families["gcc.toml"].replace('"{stage}",\n', '"{target}", "{stage}",\n')
    targets = """
[targets.arm64-linux]
arguments = ["-march=armv8-a"]

[targets.arm-linux]
arguments = ["-m64"]

[targets.riscv64-linux]
arguments = ["-m64"]
requires = "/usr/no/such/headers"

[version]"""
    families = {**texts.families, "gcc.toml": gcc.replace("\n[version]", targets, 1)}
    catalog = parse_catalog({"cpp.toml": _only(_GCC_12)}, families)
    toolchains = probe_toolchains(catalog, real.sandbox, real.limits)
    (environment,) = toolchains.environments
    # -m64 is used as a target that works; only the compiler decides that.
    assert environment.targets == (str(native_target()), "arm-linux")
    body = compile_request.ClientRequest(source_code="int value;", language="cpp", architecture="arm64")
    with pytest.raises(InvalidRequest, match="arm-linux"):
        compile_request.resolve(body, catalog, toolchains.environments)


def test_a_compiler_that_only_says_its_version_is_not_registered() -> None:
    """A program that answers --version and always succeeds is detected by the bad program."""
    real = real_compilers()
    catalog = parse_catalog({"cpp.toml": _only(_GCC_12)}, catalog_texts().families)
    broken = _Rewriting(real.sandbox, {"-x": ("true",)})
    toolchains = probe_toolchains(catalog, broken, real.limits)
    assert toolchains.environments == ()
    assert "bad program" in toolchains.unavailable[0].reason


def test_a_compiler_that_was_killed_once_in_its_self_test_is_tried_again() -> None:
    """A bad moment of the host must not cost a stage: stages are registered for the runner's whole life."""
    real = real_compilers()
    catalog = parse_catalog({"cpp.toml": _only(_GCC_12)}, catalog_texts().families)
    toolchains = probe_toolchains(catalog, _Rewriting(real.sandbox, {"-x": _KILLED}, times=1), real.limits)
    (environment,) = toolchains.environments
    assert environment.stages == (Stage.SYNTAX, Stage.COMPILE, Stage.LINK)


def test_a_compiler_whose_self_test_is_always_killed_is_not_registered_without_a_stage() -> None:
    """A failure that is not the compiler's does not look like a missing linker: its reason is reported."""
    real = real_compilers()
    catalog = parse_catalog({"cpp.toml": _only(_GCC_12)}, catalog_texts().families)
    toolchains = probe_toolchains(catalog, _Rewriting(real.sandbox, {"-x": _KILLED}), real.limits)
    assert toolchains.environments == ()
    assert "no verdict (memory) at stage link" in toolchains.unavailable[0].reason
