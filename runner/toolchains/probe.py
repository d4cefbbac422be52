"""Which compilers of the catalogue this machine has, and which of them can be trusted.

Each is asked for its version and then put to its self-test, in the sandbox that will run
the jobs: a good program must compile and a bad one be rejected with an error at the
expected line. The bad one is compiled in the newest standard that the catalogue claims, so a
wrong claim shows here, not as a wrong verdict. A target besides the host's own is offered when the
good program passes every offered stage for it. What fails is not registered; the reason is
kept for the log. Nothing here is specific to a language.
"""

import re
import shutil
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from chalicelib.catalog import Catalog, CompilerEntry, Family, Language, version_key
from chalicelib.models import Environment, Severity, Stage, Verdict
from runner.diagnostics import parse
from runner.sandbox.base import Command, Limits, Sandbox, SandboxError, SandboxResult
from runner.sanitize import clean_text
from runner.toolchains.model import Toolchains, Unavailable, is_wanted, left_out, native_target
from runner.verdict import classify
from runner.workspace import INSIDE, Workspace

# Probing is compiling, so more threads than this only make the probes of a small machine
# time out; two hide the waiting of one behind the work of the other.
PROBE_THREADS = 2

_GOOD_FAILED = "The good program of the self-test does not compile: {!r}"


class _SelfTestError(Exception):
    """A self-test that did not go as it must; the message is a sentence for the log."""


class _Unwanted(Exception):
    """A compiler that is not to be offered."""


def probe_toolchains(
    catalog: Catalog,
    sandbox: Sandbox,
    limits: Limits,
    *,
    find_executable: Callable[[str], str | None] = shutil.which,
    wanted: Sequence[str] = ("*",),
    image: str = "",
    families: Collection[str] | None = None,
) -> Toolchains:
    """Try every compiler of the catalogue. Raises nothing: what goes wrong is a reason in the result.

    `find_executable` says whether a program is there at all (a path, or None), which spares
    starting a sandbox for each compiler that is not installed. `wanted` are patterns over ids, or over
    ``language/id``: what none matches is not offered. `image` is the container image that the compilers
    are in, if they are in one. `families`, where given, are the only ones that are tried.
    """

    def probe(language: Language, compiler: CompilerEntry) -> "_Found | Unavailable":
        if find_executable(compiler.executable) is None:
            reason = f"{compiler.executable} is not on the PATH."
            return Unavailable(language.id, compiler.id, reason, installed=False)
        try:
            return _Probe(catalog, sandbox, limits, language, compiler, image, wanted).run()
        except _Unwanted:
            return left_out(language.id, compiler.id)
        except (_SelfTestError, SandboxError, OSError, ValueError) as error:
            return Unavailable(language.id, compiler.id, str(error), installed=True)

    entries = [
        (language, compiler)
        for language in catalog.languages
        for compiler in language.compilers
        if families is None or compiler.family in families
    ]
    with ThreadPoolExecutor(PROBE_THREADS, thread_name_prefix="probe") as pool:
        answers = list(pool.map(lambda entry: probe(*entry), entries))
    found: dict[tuple[str, str], _Found] = {}
    unavailable = [answer for answer in answers if isinstance(answer, Unavailable)]
    for answer in answers:
        if isinstance(answer, _Found):
            environment = answer.environment
            # `go` and `go-1.24` may be the same program: the first entry stands for it.
            first = found.setdefault((environment.language, environment.id), answer)
            if first is not answer:
                reason = f"{answer.entry.executable} is {environment.id} once more."
                unavailable.append(Unavailable(environment.language, environment.id, reason, installed=False))
    return Toolchains(
        environments=tuple(answer.environment for answer in found.values()),
        unavailable=tuple(unavailable),
        entries={key: answer.entry for key, answer in found.items()},
    )


def prove(
    catalog: Catalog, sandbox: Sandbox, limits: Limits, environment: Environment, entry: CompilerEntry
) -> str:
    """Why the good program does not compile with a compiler that has passed before; empty when it does."""
    language = catalog.language(environment.language)
    if language is None:
        return f"there is no language {environment.language}"
    try:
        _Probe(catalog, sandbox, limits, language, entry).compiles_the_good_program(environment)
    except (_SelfTestError, SandboxError, OSError, ValueError) as error:
        return str(error)
    return ""


@dataclass(frozen=True, slots=True)
class _Found:
    """A compiler that passed: what is registered, and its entry of the catalogue, made for its version."""

    environment: Environment
    entry: CompilerEntry


class _Probe:
    """The questions to one compiler."""

    def __init__(
        self,
        catalog: Catalog,
        sandbox: Sandbox,
        limits: Limits,
        language: Language,
        compiler: CompilerEntry,
        image: str = "",
        wanted: Sequence[str] = (),
    ) -> None:
        self._catalog = catalog
        self._sandbox = sandbox
        self._limits = limits
        self._language = language
        self._compiler = compiler
        self._image = image
        self._wanted = wanted
        self._family: Family = catalog.family(compiler.family)

    def run(self) -> _Found:
        if "{version}" not in self._compiler.id and not self._is_wanted():
            raise _Unwanted
        version, text = self._version()
        key = version_key(version)
        self._compiler = self._compiler.at(key)
        if not self._is_wanted():
            raise _Unwanted
        standards = self._language.standards_of(self._compiler)
        default = str(self._compiler.default_standard)
        stages = self._stages(default)
        self._rejects_the_bad_program(str(self._compiler.newest_standard))
        environment = Environment(
            id=self._compiler.id,
            language=self._language.id,
            family=self._family.id,
            version=version,
            version_key=key,
            standards=standards,
            default_standard=default,
            targets=(native_target(), *self._other_targets(default, stages)),
            stages=stages,
            version_text=text,
            image=self._image,
        )
        return _Found(environment, self._compiler)

    def _is_wanted(self) -> bool:
        return is_wanted(self._language.id, self._compiler.id, self._wanted)

    def _version(self) -> tuple[str, str]:
        """The version, and the line that tells it."""
        probe = self._family.version
        with Workspace.create({}) as workspace:
            argv = (*(probe.command or self._compiler.command), *probe.arguments)
            variables = self._catalog.build_environment(self._compiler, native_target())
            result = self._sandbox.run(Command(argv, variables), workspace, self._limits)
        printed = clean_text(result.stdout + result.stderr)
        match = re.search(probe.pattern, printed)
        if result.exit_code != 0 or match is None:
            raise _SelfTestError(f"{argv!r} told no version (exit {result.exit_code}): {printed[:200]!r}")
        line = next(line for line in printed.splitlines() if match[1] in line)
        return match[1], line.strip()

    def _stages(self, standard: str) -> tuple[Stage, ...]:
        """The stages that work: all, or without `link` where there is a compiler but no linker or library."""
        stages = [stage for stage in Stage if stage in self._family.stages]
        printed = ""
        while stages:
            result = self._settled(self._language.self_test.good, standard, stages[-1], native_target())
            if self._verdict(result) is Verdict.COMPILES:
                return tuple(stages)
            stages.pop()
            printed = clean_text(result.stderr + result.stdout)[:500]
        raise _SelfTestError(_GOOD_FAILED.format(printed))

    def compiles_the_good_program(self, environment: Environment) -> None:
        """Compile it as a request without a wish is compiled, and raise when that fails."""
        stage = Stage.COMPILE if Stage.COMPILE in environment.stages else environment.stages[0]
        good = self._language.self_test.good
        result = self._settled(good, environment.default_standard, stage, native_target())
        if self._verdict(result) is not Verdict.COMPILES:
            raise _SelfTestError(_GOOD_FAILED.format(clean_text(result.stderr + result.stdout)[:500]))

    def _other_targets(self, standard: str, stages: Sequence[Stage]) -> list[str]:
        """The family's other targets for which the good program passes."""
        good = self._language.self_test.good
        stage = self._family.targets_tried_at or stages[-1]
        return [
            target
            for target, how in self._family.targets.items()
            if target != native_target()
            and self._has(how.requires)
            and self._works_for(target, good, standard, stage)
        ]

    def _works_for(self, target: str, good: str, standard: str, stage: Stage) -> bool:
        try:
            return self._verdict(self._settled(good, standard, stage, target)) is Verdict.COMPILES
        except _SelfTestError:
            return False

    def _has(self, path: str) -> bool:
        """Whether the sandbox has that path; an empty one is always there."""
        if not path:
            return True
        with Workspace.create({}) as workspace:
            command = Command(["test", "-e", path])
            return self._sandbox.run(command, workspace, self._limits).exit_code == 0

    def _rejects_the_bad_program(self, standard: str) -> None:
        test = self._language.self_test
        stage = next(stage for stage in Stage if stage in self._family.stages)
        result = self._settled(test.bad, standard, stage, native_target())
        printed = clean_text(messages_of(self._family, result))
        files = {self._language.default_main: test.bad}
        errors = [
            diagnostic.line
            for diagnostic in parse(self._family.diagnostics, printed, files, INSIDE)
            if diagnostic.severity in (Severity.ERROR, Severity.FATAL)
        ]
        if self._verdict(result) is not Verdict.REJECTED or test.bad_line not in errors:
            raise _SelfTestError(f"The bad program of the self-test is not rejected: {printed[:500]!r}")

    def _settled(self, source: str, standard: str, stage: Stage, target: str) -> SandboxResult:
        """A run that came to a verdict. Raises _SelfTestError where limits or crashes kept it from one.

        A runner keeps what it finds here for as long as it lives, so a bad moment of its host must not look
        like a compiler without a stage or a target.
        """
        result = self._compile(source, standard, stage, target)
        if self._verdict(result) is Verdict.INCONCLUSIVE:
            # A moment in which a host is short of memory passes; a compiler that crashes does so again.
            result = self._compile(source, standard, stage, target)
        verdict, reason = classify(result, patterns=())
        if verdict is Verdict.INCONCLUSIVE:
            printed = clean_text(result.stderr + result.stdout)[:500]
            raise _SelfTestError(
                f"The self-test came to no verdict, {reason}, at stage {stage} for {target}: {printed!r}"
            )
        return result

    def _compile(self, source: str, standard: str, stage: Stage, target: str) -> SandboxResult:
        main = self._language.default_main
        files = {main: source}
        argv = self._catalog.build_command(
            self._language.id, self._compiler, standard, stage, (), files, main, target=target
        )
        variables = self._catalog.build_environment(self._compiler, target)
        with Workspace.create(files) as workspace:
            return self._sandbox.run(Command(argv, variables), workspace, self._limits)

    @staticmethod
    def _verdict(result: SandboxResult) -> Verdict:
        return classify(result, patterns=())[0]


def messages_of(family: Family, result: SandboxResult) -> bytes:
    """What the compiler says about the source: one of its two streams, or both."""
    if family.prints_to == "both":
        return result.stdout + result.stderr
    return result.stdout if family.prints_to == "stdout" else result.stderr
