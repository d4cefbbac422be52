"""Which compilers of the catalogue this machine has, and which of them can be trusted.

Each is asked for its version and then put to its self-test, in the sandbox that will run
the jobs: a good program must compile and a bad one be rejected with an error at the
expected line. The bad one is compiled in the newest standard that the catalogue claims, so a
wrong claim shows here, not as a wrong verdict. What fails is not announced; the reason is
kept for the log. Nothing here is specific to a language.
"""

import platform
import re
import shutil
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from chalicelib.catalog import Catalog, Compiler, Family, Language
from chalicelib.models import Environment, Severity, Stage, Verdict
from runner.diagnostics import parse
from runner.output import clean_text
from runner.sandbox.base import Limits, Sandbox, SandboxError, SandboxResult
from runner.verdict import classify
from runner.workspace import INSIDE, Workspace

# Probing is compiling, so more threads than this only make the probes of a small machine
# time out; two hide the waiting of one behind the work of the other.
_PROBE_THREADS = 2

_ARCHITECTURES = {"amd64": "x86_64", "aarch64": "arm64", "armv7l": "arm"}
_SYSTEMS = {"darwin": "macos", "win32": "windows"}


@dataclass(frozen=True, slots=True)
class Unavailable:
    """A compiler of the catalogue that is not announced. `installed` says that it is there but failed."""

    language: str
    compiler: str
    reason: str
    installed: bool


@dataclass(frozen=True, slots=True)
class Toolchains:
    """What a runner offers, and what it does not with the reason for each."""

    environments: tuple[Environment, ...]
    unavailable: tuple[Unavailable, ...] = ()

    def environment(self, language: str, compiler: str) -> Environment | None:
        """The announced environment of that compiler of that language."""
        for environment in self.environments:
            if (environment.language, environment.id) == (language, compiler):
                return environment
        return None


class _SelfTestError(Exception):
    """A self-test that did not go as it must; the message is a sentence for the log."""


def native_target() -> str:
    """The target of this machine's own programs, such as ``x86_64-linux``."""
    machine = platform.machine().lower()
    return f"{_ARCHITECTURES.get(machine, machine)}-{_SYSTEMS.get(sys.platform, sys.platform)}"


def probe_toolchains(
    catalog: Catalog,
    sandbox: Sandbox,
    limits: Limits,
    *,
    find_executable: Callable[[str], str | None] = shutil.which,
) -> Toolchains:
    """Try every compiler of the catalogue. Raises nothing: what goes wrong is a reason in the result.

    `find_executable` says whether a program is there at all (a path, or None), which spares
    starting a sandbox for each compiler that is not installed.
    """

    def probe(language: Language, compiler: Compiler) -> Environment | Unavailable:
        if find_executable(compiler.executable) is None:
            reason = f"{compiler.executable} is not on the PATH."
            return Unavailable(language.id, compiler.id, reason, installed=False)
        try:
            return _Probe(catalog, sandbox, limits, language, compiler).run()
        except (_SelfTestError, SandboxError, OSError, ValueError) as error:
            return Unavailable(language.id, compiler.id, str(error), installed=True)

    entries = [(language, compiler) for language in catalog.languages for compiler in language.compilers]
    with ThreadPoolExecutor(_PROBE_THREADS, thread_name_prefix="probe") as pool:
        answers = list(pool.map(lambda entry: probe(*entry), entries))
    return Toolchains(
        environments=tuple(answer for answer in answers if isinstance(answer, Environment)),
        unavailable=tuple(answer for answer in answers if isinstance(answer, Unavailable)),
    )


class _Probe:
    """The questions to one compiler."""

    def __init__(
        self, catalog: Catalog, sandbox: Sandbox, limits: Limits, language: Language, compiler: Compiler
    ) -> None:
        self._catalog = catalog
        self._sandbox = sandbox
        self._limits = limits
        self._language = language
        self._compiler = compiler
        self._family: Family = catalog.family(compiler.family)

    def run(self) -> Environment:
        version = self._version()
        stages = self._stages()
        self._rejects_the_bad_program()
        return Environment(
            id=self._compiler.id,
            language=self._language.id,
            family=self._family.id,
            version=version,
            version_key=tuple(int(part) for part in version.split(".")),
            standards=self._language.standards_of(self._compiler),
            default_standard=self._compiler.default_standard,
            targets=(native_target(),),
            stages=stages,
        )

    def _version(self) -> str:
        probe = self._family.version
        with Workspace.create({}) as workspace:
            argv = (*self._compiler.command, *probe.arguments)
            result = self._sandbox.run(argv, workspace, self._limits)
        printed = clean_text(result.stdout)
        match = re.search(probe.pattern, printed)
        if result.exit_code != 0 or match is None:
            raise _SelfTestError(f"{argv!r} told no version (exit {result.exit_code}): {printed[:200]!r}")
        return match[1]

    def _stages(self) -> tuple[Stage, ...]:
        """The stages that work: all, or without `link` where there is a compiler but no linker or library."""
        stages = [stage for stage in Stage if stage in self._family.stages]
        printed = ""
        while stages:
            result = self._compile(self._language.self_test.good, self._compiler.default_standard, stages[-1])
            if self._verdict(result) is Verdict.COMPILES:
                return tuple(stages)
            stages.pop()
            printed = clean_text(result.stderr)[:500]
        raise _SelfTestError(f"The good program of the self-test does not compile: {printed!r}")

    def _rejects_the_bad_program(self) -> None:
        test = self._language.self_test
        stage = next(stage for stage in Stage if stage in self._family.stages)
        result = self._compile(test.bad, self._compiler.newest_standard, stage)
        printed = clean_text(result.stderr)
        files = {self._language.default_main: test.bad}
        errors = [
            diagnostic.line
            for diagnostic in parse(self._family, printed, files, INSIDE)
            if diagnostic.severity in (Severity.ERROR, Severity.FATAL)
        ]
        if self._verdict(result) is not Verdict.REJECTED or test.bad_line not in errors:
            raise _SelfTestError(f"The bad program of the self-test is not rejected: {printed[:500]!r}")

    def _compile(self, source: str, standard: str, stage: Stage) -> SandboxResult:
        main = self._language.default_main
        argv = self._catalog.build_command(
            self._language.id, self._compiler.id, standard, stage, (), (main,), main
        )
        with Workspace.create({main: source}) as workspace:
            return self._sandbox.run(argv, workspace, self._limits)

    @staticmethod
    def _verdict(result: SandboxResult) -> Verdict:
        return classify(result, patterns=())[0]
