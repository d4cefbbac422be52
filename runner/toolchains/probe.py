"""Which compilers of the catalogue this machine has, and which of them can be trusted.

Each compiler is asked for its version and then given its self-test, in the sandbox that will run the
jobs: a good program must compile, and a bad one must be rejected with an error at the expected line. The
bad one is compiled with the newest standard that the catalogue claims, so that a wrong claim fails here
and not as a wrong verdict. Another target than the host's own is offered if the good program passes for
it. A compiler that fails is not offered, and the reason is kept for the log.

Nothing here is specific to a language: to add one, see chalicelib/catalog.
"""

import re
import shutil
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from chalicelib.catalog import (
    Catalog,
    CompilerEntry,
    Family,
    Language,
    build_command,
    build_env,
    version_key,
)
from chalicelib.models import CompileRequest, Environment, Severity, Stage, Target, Verdict
from runner.diagnostics import parse
from runner.sandbox.base import Command, Limits, Sandbox, SandboxError, SandboxResult
from runner.sanitize import clean_text
from runner.toolchains.model import Toolchains, Unavailable, excluded, matches, native_target
from runner.verdict import classify
from runner.workspace import INSIDE, Workspace

# Probing is compiling, so with more threads the probes of a small machine only time out; with two, one
# works while the other waits.
PROBE_THREADS = 2

# How much of a compiler's output is kept for the log, in characters; of that, one line is the reason.
_QUOTED_CHARACTERS = 2000
_FIRST_LINE_CHARACTERS = 200

_GOOD_FAILED = "The good program of the self-test does not compile"


class SelfTestError(Exception):
    """A self-test that failed; the message is a sentence for the log, `detail` what the compiler printed."""

    def __init__(self, message: str, printed: str = "") -> None:
        """The message ends with the first line of `printed`."""
        lines = printed.strip().splitlines() or [""]
        super().__init__(f"{message}: {lines[0][:_FIRST_LINE_CHARACTERS]!r}" if printed else message)
        self.detail = printed[:_QUOTED_CHARACTERS] if len(lines) > 1 else ""


class Excluded(Exception):
    """A compiler that is not to be offered."""


def probe_toolchains(
    catalog: Catalog,
    sandbox: Sandbox,
    limits: Limits,
    *,
    find_executable: Callable[[str], str | None] = shutil.which,
    patterns: Sequence[str] = ("*",),
    image: str = "",
    families: Collection[str] | None = None,
) -> Toolchains:
    """Test every compiler of the catalogue. Raises nothing: a failure is a reason in the result.

    `find_executable` gives the path of a program or None, so that no sandbox is started for compilers that
    are not installed. `patterns` are for ids or for ``language/id``: a compiler that no pattern matches is
    not offered. `image` is the container image that contains the compilers, if there is one. With
    `families`, only compilers of these are tested.
    """

    def probe(language: Language, compiler: CompilerEntry) -> "Passed | Unavailable":
        if find_executable(compiler.executable) is None:
            return not_installed(language, compiler)
        try:
            return Probe(catalog, sandbox, limits, language, compiler, image, patterns).run()
        except Excluded:
            return excluded(language.id, compiler.id)
        except (SelfTestError, SandboxError, OSError, ValueError) as error:
            detail = getattr(error, "detail", "")
            return Unavailable(language.id, compiler.id, str(error), installed=True, detail=detail)

    entries = [
        (language, compiler)
        for language in catalog.languages
        for compiler in language.compilers
        if families is None or compiler.family in families
    ]
    with ThreadPoolExecutor(PROBE_THREADS, thread_name_prefix="probe") as pool:
        outcomes = list(pool.map(lambda entry: probe(*entry), entries))
    return join_outcomes(outcomes)


def not_installed(language: Language, compiler: CompilerEntry) -> Unavailable:
    """A compiler that this machine does not have."""
    reason = f"{compiler.executable} is not on the PATH."
    return Unavailable(language.id, compiler.id, reason, installed=False)


def join_outcomes(outcomes: "Sequence[Passed | Unavailable]") -> Toolchains:
    """What is offered after these tests; their order is that of the catalogue."""
    passed: dict[tuple[str, str], Passed] = {}
    unavailable = [outcome for outcome in outcomes if isinstance(outcome, Unavailable)]
    for outcome in outcomes:
        if isinstance(outcome, Passed):
            environment = outcome.environment
            # `go` and `go-1.24` may be the same program: the first entry is used for it.
            first = passed.setdefault((environment.language, environment.id), outcome)
            if first is not outcome:
                reason = (
                    f"{outcome.entry.executable} is the same {environment.id} as {first.entry.executable}."
                )
                unavailable.append(Unavailable(environment.language, environment.id, reason, installed=False))
    return Toolchains(
        environments=tuple(item.environment for item in passed.values()),
        unavailable=tuple(unavailable),
        entries={key: item.entry for key, item in passed.items()},
    )


def retest(
    catalog: Catalog, sandbox: Sandbox, limits: Limits, environment: Environment, entry: CompilerEntry
) -> str:
    """Compile the good program with a compiler that has passed before: why that fails, or an empty text."""
    language = catalog.language(environment.language)
    if language is None:
        return f"the catalogue has no language {environment.language}"
    try:
        Probe(catalog, sandbox, limits, language, entry).compile_good_program(environment)
    except (SelfTestError, SandboxError, OSError, ValueError) as error:
        return str(error)
    return ""


@dataclass(frozen=True, slots=True)
class Passed:
    """A compiler that passed: its environment, and its entry of the catalogue for its version."""

    environment: Environment
    entry: CompilerEntry


class Probe:
    """The tests of one compiler."""

    def __init__(
        self,
        catalog: Catalog,
        sandbox: Sandbox,
        limits: Limits,
        language: Language,
        compiler: CompilerEntry,
        image: str = "",
        patterns: Sequence[str] = (),
        cancel: threading.Event | None = None,
    ) -> None:
        """`cancel` ends what runs; whatever the test says then means nothing."""
        self._catalog = catalog
        self._sandbox = sandbox
        self._limits = limits
        self._language = language
        self._compiler = compiler
        self._image = image
        self._patterns = patterns
        self._cancel = cancel
        self._family: Family = catalog.family(compiler.family)

    def run(self) -> Passed:
        """Ask for the version, and test. Raises SelfTestError, or Excluded when COMPILERS does not match."""
        return self.test(*self.identify())

    def identify(self) -> tuple[str, str]:
        """The version, and the line that names it. Raises as `run`."""
        if "{version}" not in self._compiler.id:
            self._check_patterns()
        version, text = self._version()
        self._compiler = self._compiler.at(version_key(version))
        self._check_patterns()
        return version, text

    @property
    def id(self) -> str:
        """The id of the compiler, which `identify` makes definite."""
        return self._compiler.id

    def test(self, version: str, text: str) -> Passed:
        """Test a compiler that was identified. Raises SelfTestError."""
        standards = self._language.standards_of(self._compiler)
        default = str(self._compiler.default_standard)
        stages = self._stages(default)
        self._reject_bad_program(str(self._compiler.newest_standard))
        environment = Environment(
            id=self._compiler.id,
            language=self._language.id,
            family=self._family.id,
            version=version,
            version_key=version_key(version),
            standards=standards,
            default_standard=default,
            targets=(str(native_target()), *self._other_targets(default, stages)),
            stages=stages,
            version_text=text,
            image=self._image,
        )
        return Passed(environment, self._compiler)

    def compile_good_program(self, environment: Environment) -> None:
        """Compile it like a request without options. Raises SelfTestError if that fails."""
        stage = Stage.COMPILE if Stage.COMPILE in environment.stages else environment.stages[0]
        good = self._language.self_test.good
        result = self._verdict_run(good, environment.default_standard, stage, native_target())
        if _verdict(result) is not Verdict.COMPILES:
            raise SelfTestError(_GOOD_FAILED, _excerpt(result))

    def _check_patterns(self) -> None:
        if not matches(self._language.id, self._compiler.id, self._patterns):
            raise Excluded

    def _version(self) -> tuple[str, str]:
        """The version, and the line that names it."""
        probe = self._family.version
        argv = (*(probe.command or self._compiler.command), *probe.arguments)
        result = self._run(argv, env=build_env(self._catalog, self._compiler, native_target()))
        printed = clean_text(result.stdout + result.stderr)
        match = re.search(probe.pattern, printed)
        if result.exit_code != 0 or match is None:
            command = " ".join(argv)
            raise SelfTestError(f"`{command}` printed no version (exit {result.exit_code})", printed)
        line = next(line for line in printed.splitlines() if match[1] in line)
        return match[1], line.strip()

    def _stages(self, standard: str) -> tuple[Stage, ...]:
        """The stages that work: all, or all but `link` if there is no linker or library."""
        stages = [stage for stage in Stage if stage in self._family.stages]
        printed = ""
        while stages:
            good = self._language.self_test.good
            result = self._verdict_run(good, standard, stages[-1], native_target())
            if _verdict(result) is Verdict.COMPILES:
                return tuple(stages)
            stages.pop()
            printed = _excerpt(result)
        raise SelfTestError(_GOOD_FAILED, printed)

    def _other_targets(self, standard: str, stages: Sequence[Stage]) -> list[str]:
        """The family's other targets for which the good program passes."""
        stage = self._family.targets_tried_at or stages[-1]
        return [
            target
            for target, rules in self._family.targets.items()
            if target != str(native_target())
            and self._exists(rules.requires)
            and self._works_for(Target.parse(target), standard, stage)
        ]

    def _works_for(self, target: Target, standard: str, stage: Stage) -> bool:
        try:
            result = self._verdict_run(self._language.self_test.good, standard, stage, target)
        except SelfTestError:
            return False
        return _verdict(result) is Verdict.COMPILES

    def _exists(self, path: str) -> bool:
        """Whether the sandbox has that path; an empty one always exists."""
        return not path or self._run(["test", "-e", path]).exit_code == 0

    def _reject_bad_program(self, standard: str) -> None:
        test = self._language.self_test
        stage = next(stage for stage in Stage if stage in self._family.stages)
        result = self._verdict_run(test.bad, standard, stage, native_target())
        printed = clean_text(_messages(self._family, result))
        files = {self._language.default_main: test.bad}
        error_lines = [
            diagnostic.line
            for diagnostic in parse(self._family.message_format, printed, files, INSIDE)
            if diagnostic.severity in (Severity.ERROR, Severity.FATAL)
        ]
        if _verdict(result) is not Verdict.REJECTED or test.bad_line not in error_lines:
            raise SelfTestError("The bad program of the self-test is not rejected", printed)

    def _verdict_run(self, source: str, standard: str, stage: Stage, target: Target) -> SandboxResult:
        """A compile that ends with a verdict. Raises SelfTestError if limits or crashes prevent one.

        A runner keeps the results for as long as it lives, so a bad moment of its host must not look like a
        compiler without a stage or a target.
        """
        result = self._compile(source, standard, stage, target)
        if _verdict(result) is Verdict.INCONCLUSIVE:
            # A shortage of memory on the host passes; a compiler that crashes does so again.
            result = self._compile(source, standard, stage, target)
        verdict, reason = classify(result, limit_patterns=())
        if verdict is Verdict.INCONCLUSIVE:
            raise SelfTestError(
                f"The self-test got no verdict ({reason}) at stage {stage} for {target}", _excerpt(result)
            )
        return result

    def _compile(self, source: str, standard: str, stage: Stage, target: Target) -> SandboxResult:
        main = self._language.default_main
        request = CompileRequest(
            files={main: source},
            main=main,
            language=self._language.id,
            compiler=self._compiler.id,
            standard=standard,
            architecture=target.architecture,
            os=target.os,
            stage=stage,
        )
        argv = build_command(self._catalog, request, self._compiler)
        return self._run(argv, request.files, build_env(self._catalog, self._compiler, target))

    def _run(
        self,
        argv: Sequence[str],
        files: Mapping[str, str] | None = None,
        env: Mapping[str, str] | None = None,
    ) -> SandboxResult:
        with Workspace.create(files or {}) as workspace:
            return self._sandbox.run(Command(argv, env or {}), workspace, self._limits, cancel=self._cancel)


def _verdict(result: SandboxResult) -> Verdict:
    return classify(result, limit_patterns=())[0]


def _messages(family: Family, result: SandboxResult) -> bytes:
    """What the compiler says about the source: one of its two streams, or both."""
    if family.prints_to == "both":
        return result.stdout + result.stderr
    return result.stdout if family.prints_to == "stdout" else result.stderr


def _excerpt(result: SandboxResult) -> str:
    return clean_text(result.stderr + result.stdout)[:_QUOTED_CHARACTERS]
