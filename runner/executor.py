"""One job in, one result out: workspace, command, sandbox, verdict, diagnostics.

It knows neither Redis nor the kernel: it gets a request as the store holds it, and the sandbox decides
how a program is confined. `compile` always returns a result: if something fails on our side, the result
is `inconclusive` with a sentence that says so, and never a rejection.
"""

import logging
import re
import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from chalicelib.catalog import (
    Catalog,
    Family,
    build_command,
    build_env,
    build_listing,
    circle_of,
    translation_units,
)
from chalicelib.errors import InvalidRequest
from chalicelib.models import (
    CompileRequest,
    Diagnostic,
    Environment,
    Reason,
    Result,
    RunLimits,
    Severity,
    Usage,
    Verdict,
)
from chalicelib.storage.protocol import Claim
from runner import go_packages
from runner.diagnostics import PARSERS, collector
from runner.messages import Messages, notable_lines
from runner.sandbox.base import Command, Limits, Sandbox, SandboxError, SandboxResult
from runner.toolchains.model import Toolchains, native_target
from runner.toolchains.self_tests import SelfTests
from runner.verdict import ERROR_PATTERN, classify, limit_patterns
from runner.workspace import Workspace

_NANOSECONDS_PER_SECOND = 1_000_000_000
_MIB = 1024 * 1024
# A file names one missing module at a time. The order is right at the first attempt but for names that only
# the preprocessor knows, so a few are enough.
_MAX_ORDERS = 8

logger = logging.getLogger("will_it_compile.runner")


@dataclass(frozen=True, slots=True)
class _CompilerRun:
    """One run of a compiler with its verdict and its messages."""

    sandbox_result: SandboxResult
    command: tuple[str, ...]
    env: dict[str, str]
    verdict: Verdict
    reason: Reason | None
    messages: Messages
    diagnostics: tuple[Diagnostic, ...]
    usage: Usage
    # The files that were compiled, as the compiler lists them; None if they are those of its command.
    units: tuple[str, ...] | None = None
    # A sentence that says why there is no verdict on all that was sent, if no limit was hit.
    doubt: str = ""


def _has_error_code(diagnostics: Sequence[Diagnostic], code: str) -> bool:
    """Whether one of the errors has that code."""
    return any(item.code == code and item.severity is not Severity.WARNING for item in diagnostics)


def _missing_modules(family: Family, diagnostics: Sequence[Diagnostic]) -> dict[str, set[str]]:
    """By file, the modules that were not there yet when the compiler came to it."""
    missing: dict[str, set[str]] = {}
    if family.missing_module is None:
        return missing
    for item in diagnostics:
        match = re.search(family.missing_module, item.message)
        if match and item.file:
            missing.setdefault(item.file, set()).add(match[1])
    return missing


def _with_doubt(run: _CompilerRun, doubt: str) -> _CompilerRun:
    """`run` without a verdict if there is a doubt about it."""
    if not doubt:
        return run
    return replace(run, doubt=doubt, verdict=Verdict.INCONCLUSIVE, reason=Reason.INFRASTRUCTURE)


def _usage(result: SandboxResult) -> Usage:
    """What a run used, as a client gets it."""
    return Usage(
        cpu_seconds=result.cpu_seconds,
        wall_seconds=result.duration_seconds,
        memory_bytes=result.peak_memory_bytes,
        output_bytes=result.output_bytes,
    )


def _of_both(first: Usage, second: Usage) -> Usage:
    """What two runs, one after the other, used together."""
    return Usage(
        cpu_seconds=first.cpu_seconds + second.cpu_seconds,
        wall_seconds=first.wall_seconds + second.wall_seconds,
        memory_bytes=max(first.memory_bytes, second.memory_bytes),
        output_bytes=max(first.output_bytes, second.output_bytes),
    )


def _public_limits(limits: Limits) -> RunLimits:
    """The limits of a run as a client gets them."""
    return RunLimits(
        cpu_seconds=limits.cpu_seconds,
        wall_seconds=limits.wall_seconds,
        memory_bytes=limits.memory_bytes,
        output_bytes=limits.flood_bytes,
        kept_output_bytes=limits.output_bytes,
        disk_bytes=limits.disk_bytes,
        processes=limits.processes,
    )


class JobExecutor:
    """Compiles requests with the toolchains of this runner. Any number of threads may call it at once."""

    def __init__(
        self,
        sandbox: Sandbox,
        catalog: Catalog,
        toolchains: Toolchains | SelfTests,
        limits: Limits,
        *,
        sandboxes: Mapping[str, Sandbox] | None = None,
    ) -> None:
        """`sandboxes`, by container image, are for environments outside of the sandbox's own image.

        With `SelfTests` a job for a compiler that is not tested yet waits for its test.
        """
        self._sandbox = sandbox
        self._sandboxes = sandboxes or {}
        self._catalog = catalog
        self._toolchains = toolchains
        self._limits = limits
        self._limit_patterns = {
            name: limit_patterns(family.limit_messages) for name, family in catalog.families.items()
        }
        self._error_patterns = {
            name: re.compile(family.error_pattern) if family.error_pattern else ERROR_PATTERN
            for name, family in catalog.families.items()
        }
        self._notable = {
            name: notable_lines(self._error_patterns[name], family.message_format)
            for name, family in catalog.families.items()
        }

    def compile_claim(self, claim: Claim, cancel: threading.Event) -> Result:
        """Compile the job of a claim, for `runner.worker.Runner`; see `compile`."""
        return self.compile(claim.job.id, claim.job.request, attempts=claim.attempts, cancel=cancel)

    def compile(
        self,
        job_id: str,
        request: CompileRequest,
        *,
        attempts: int = 1,
        cancel: threading.Event | None = None,
    ) -> Result:
        """Compile `request`. Raises nothing that a result can say.

        Setting `cancel` ends the compiler; the reason in the result is `cancelled` then. `duration` is the
        time that the compiler ran, without the time to prepare it.
        """
        try:
            return self._compile(job_id, request, attempts, cancel)
        except InvalidRequest as error:
            sentence = f"The stored job cannot be compiled: {error.message}"
        except SandboxError as error:
            logger.error("job %s: the sandbox failed: %s", job_id, error)
            sentence = f"The sandbox could not run the compiler: {error}"
        except OSError as error:
            # Most likely the disk is full: each job has a limit, but all of them together do not.
            logger.error("job %s: cannot write the job's files, check the disk: %s", job_id, error)
            sentence = f"The runner could not write the files of the job: {error.strerror or error}."
        except Exception:
            # The last resort: a job must end. The details are for the log, not for the client.
            logger.exception("job %s: unexpected failure", job_id)
            sentence = "The runner failed while compiling this job; nothing is known about the source."
        return Result.inconclusive(job_id, Reason.INFRASTRUCTURE, sentence, attempts=attempts)

    def _compile(
        self, job_id: str, request: CompileRequest, attempts: int, cancel: threading.Event | None
    ) -> Result:
        if isinstance(self._toolchains, SelfTests):
            self._toolchains.test_if_replaced(request.language, request.compiler)
            self._toolchains.wait_for_test(request.language, request.compiler, cancel)
        environment = self._environment(request)
        run = self._run(request, environment, cancel)
        family = self._catalog.family(environment.family)
        if run.reason is Reason.OUTPUT and family.quiet_arguments and self._has_time_left(run):
            second = self._run(request, environment, cancel, quiet=True)
            run = replace(second, usage=_of_both(run.usage, second.usage))
        retry = family.retry
        if retry and retry.unless and any(option.startswith(retry.unless) for option in request.options):
            retry = None  # the request says what the attempt would guess
        if retry and request.stage in retry.stages and _has_error_code(run.diagnostics, retry.code):
            second = self._run(request, environment, cancel, retry=True)
            run = replace(second, usage=_of_both(run.usage, second.usage))
        run = self._in_another_order(run, request, environment, cancel)
        run = self._with_proof(request, environment, run, cancel)
        sandbox_result = run.sandbox_result
        if run.doubt:
            error = run.doubt
        elif run.reason:
            error = self._explain(run.reason, sandbox_result, environment)
        else:
            error = self._explain_circle(run, request, environment)
        return Result(
            job_id=job_id,
            verdict=run.verdict,
            reason=run.reason,
            success=run.verdict is not Verdict.INCONCLUSIVE,
            compiled=run.verdict is Verdict.COMPILES,
            stdout=run.messages.stdout.shown,
            stderr=run.messages.stderr.shown,
            exit_code=sandbox_result.exit_code,
            duration=round(run.usage.wall_seconds * _NANOSECONDS_PER_SECOND),
            error=error,
            diagnostics=run.diagnostics,
            truncated=(
                run.messages.stdout.truncated
                or run.messages.stderr.truncated
                or collector.count(run.diagnostics) >= collector.MAX_DIAGNOSTICS
            ),
            usage=run.usage,
            limits=_public_limits(self._limits),
            compiled_files=self._compiled_files(request, run),
            environment=environment,
            command=run.command,
            command_environment=run.env,
            attempts=attempts,
        )

    def _in_another_order(
        self,
        run: _CompilerRun,
        request: CompileRequest,
        environment: Environment,
        cancel: threading.Event | None,
    ) -> _CompilerRun:
        """The run, or the last of those that were made because a module was not there yet."""
        family = self._catalog.family(environment.family)
        entry = self._toolchains.entry(environment)
        missing: dict[str, set[str]] = {}
        tried = {run.command}
        while run.verdict is Verdict.REJECTED and len(tried) < _MAX_ORDERS:
            for file, modules in _missing_modules(family, run.diagnostics).items():
                missing.setdefault(file, set()).update(modules)
            command = (
                build_command(self._catalog, request, entry, missing=missing) if missing else run.command
            )
            if command in tried or not self._has_time_left(run):
                break
            tried.add(command)
            another = self._run(request, environment, cancel, missing=missing)
            run = replace(another, usage=_of_both(run.usage, another.usage))
        return run

    def _has_time_left(self, run: _CompilerRun) -> bool:
        """Whether another attempt may begin: it must not take a job far beyond the time of one run."""
        return run.usage.wall_seconds < self._limits.cpu_seconds

    def _explain_circle(self, run: _CompilerRun, request: CompileRequest, environment: Environment) -> str:
        """A sentence about files that no order could compile; empty if that is not what happened."""
        language = self._catalog.language(request.language)
        missing = _missing_modules(self._catalog.family(environment.family), run.diagnostics)
        if run.verdict is not Verdict.REJECTED or language is None or not missing:
            return ""
        circle = circle_of(language, request)
        if not circle:
            return ""
        return f"The modules of {', '.join(circle)} use each other, so these files compile in no order."

    def _run(
        self,
        request: CompileRequest,
        environment: Environment,
        cancel: threading.Event | None,
        *,
        retry: bool = False,
        quiet: bool = False,
        missing: Mapping[str, Collection[str]] | None = None,
    ) -> _CompilerRun:
        family = self._catalog.family(environment.family)
        entry = self._toolchains.entry(environment)
        argv = build_command(self._catalog, request, entry, retry=retry, quiet=quiet, missing=missing)
        env = build_env(self._catalog, entry, request.target)
        sandbox = self._sandboxes.get(environment.image, self._sandbox)
        limits = self._limits
        keep_bytes = max(limits.output_bytes, PARSERS[family.message_format].keep_bytes)
        with Workspace.create(request.files) as workspace:
            result = sandbox.run(
                Command(argv, env, self._notable[family.id]),
                workspace,
                replace(limits, output_bytes=keep_bytes),
                cancel=cancel,
            )
        messages = Messages.of(result, family.message_format, family.prints_to, limits.output_bytes)
        verdict, reason = classify(
            result,
            limit_patterns=self._limit_patterns[family.id],
            error_pattern=self._error_patterns[family.id],
            output=messages.judged,
        )
        return _CompilerRun(
            sandbox_result=result,
            command=argv,
            env=env,
            verdict=verdict,
            reason=reason,
            messages=messages,
            diagnostics=messages.diagnostics(request.files, workspace.inside, self._notable[family.id]),
            usage=_usage(result),
        )

    def _with_proof(
        self,
        request: CompileRequest,
        environment: Environment,
        run: _CompilerRun,
        cancel: threading.Event | None,
    ) -> _CompilerRun:
        """`run`, without a verdict if the compiler left out what the verdict would be about.

        Most compilers are given every file by name. One that looks for its files itself is asked for them.
        """
        listing = build_listing(self._catalog, request, self._toolchains.entry(environment))
        if listing is None:
            return run
        if request.language == "go":
            return self._with_packages(request, environment, run, listing, cancel)
        if run.verdict is not Verdict.COMPILES:
            return run
        run, units = self._listed(request, environment, run, listing, cancel)
        if units is None:
            return run
        units = tuple(unit for unit in units if unit in request.files)
        language = self._catalog.language(request.language)
        sources = [name for name in request.files if language and language.is_source(name)]
        # The first source stands for a main file that the request left out (api/configuration.py).
        doubt = ""
        if not units or request.main not in (*units, min(sources)):
            doubt = (
                f"The main file {request.main} was not compiled: the project's configuration leaves it out."
            )
        return _with_doubt(replace(run, units=units), doubt)

    def _with_packages(
        self,
        request: CompileRequest,
        environment: Environment,
        run: _CompilerRun,
        listing: Sequence[str],
        cancel: threading.Event | None,
    ) -> _CompilerRun:
        """`run` of the go command, which leaves out what is not for its target."""
        if run.verdict is Verdict.INCONCLUSIVE:
            missing = go_packages.lacks_modules(run.messages.stderr.shown)
            missing = missing and run.reason is Reason.INFRASTRUCTURE
            return replace(run, doubt=go_packages.missing_modules(request.files) if missing else "")
        compiled = run.verdict is Verdict.COMPILES
        units = go_packages.units_of_one_file(request, environment.version_key, compiled=compiled)
        if units is None:
            run, units = self._listed(request, environment, run, listing, cancel)
        if units is None:
            return run
        doubt = go_packages.doubt(
            request,
            environment.version_key,
            units,
            compiled=compiled,
            native=request.target == native_target(),
        )
        return _with_doubt(replace(run, units=units), doubt)

    def _listed(
        self,
        request: CompileRequest,
        environment: Environment,
        run: _CompilerRun,
        listing: Sequence[str],
        cancel: threading.Event | None,
    ) -> tuple[_CompilerRun, tuple[str, ...] | None]:
        """The files that the compiler says it compiles; None if `run` is inconclusive now."""
        sandbox = self._sandboxes.get(environment.image, self._sandbox)
        with Workspace.create(request.files) as workspace:
            listed = sandbox.run(Command(tuple(listing), run.env), workspace, self._limits, cancel=cancel)
        usage = _of_both(run.usage, _usage(listed))
        verdict, reason = classify(listed, limit_patterns=self._limit_patterns[environment.family])
        if verdict is Verdict.INCONCLUSIVE:
            return replace(run, usage=usage, sandbox_result=listed, verdict=verdict, reason=reason), None
        if run.verdict is Verdict.COMPILES and listed.exit_code != 0:
            raise SandboxError(f"the compiler does not list its files (exit status {listed.exit_code}).")
        inside = f"{workspace.inside}/"
        paths = listed.stdout.decode(errors="replace").splitlines()
        units = tuple(path.removeprefix(inside) for path in paths if path.startswith(inside))
        return replace(run, usage=usage), units

    def _compiled_files(self, request: CompileRequest, run: _CompilerRun) -> tuple[str, ...]:
        """The translation units: as the compiler lists them, or in the order of its command."""
        if run.units is not None:
            return run.units
        language = self._catalog.language(request.language)
        units = translation_units(language, request.files, request.main) if language else ()
        places = {word.removeprefix("./"): place for place, word in enumerate(run.command)}
        return tuple(sorted(units, key=lambda unit: places.get(unit, 0)))

    def _environment(self, request: CompileRequest) -> Environment:
        environment = self._toolchains.environment(request.language, request.compiler)
        if environment is None:
            raise InvalidRequest(f"this runner has no {request.compiler} for {request.language}.")
        if str(request.target) not in environment.targets:
            raise InvalidRequest(f"{request.compiler} of this runner does not compile for {request.target}.")
        if request.stage not in environment.stages:
            raise InvalidRequest(f"{request.compiler} of this runner has no stage {request.stage.value}.")
        return environment

    def _explain(self, reason: Reason, result: SandboxResult, environment: Environment) -> str:
        """One sentence about a run without a verdict, with the limit's value and unit."""
        limits = self._limits
        compiler = f"{environment.id} ({environment.version})"
        if reason is Reason.TIMEOUT:
            return (
                f"{compiler} was stopped at the time limit of {limits.cpu_seconds:g} s of CPU time "
                f"and {limits.wall_seconds:g} s in all: it had used {result.cpu_seconds:.1f} s of CPU time "
                f"in {result.duration_seconds:.1f} s."
            )
        if reason is Reason.MEMORY:
            return (
                f"{compiler} ran out of memory: its limit is {limits.memory_bytes // _MIB} MiB, "
                "and the host may have had less."
            )
        if reason is Reason.OUTPUT:
            if result.limit_hit is None:
                return (
                    f"{compiler} failed, and there was no error in what was kept of its output. The limit is "
                    f"{limits.output_bytes // 1024} KiB."
                )
            return f"{compiler} printed more than the output limit of {limits.flood_bytes // _MIB} MiB."
        if reason is Reason.DISK:
            return f"{compiler} wrote more than the disk limit of {limits.disk_bytes // _MIB} MiB."
        if reason is Reason.PROCESSES:
            return f"{compiler} started more than the limit of {limits.processes} processes and threads."
        if reason is Reason.CANCELLED:
            return "The job was cancelled while it was being compiled."
        if reason is Reason.COMPILER_CRASH:
            cause = (
                f"was ended by signal {result.signal}"
                if result.signal
                else "failed without an error about the source"
            )
            return f"{compiler} {cause}: the compiler itself failed, so there is no verdict on the source."
        return (
            f"{compiler} could not complete its run on this runner, for a reason that is not in the source."
        )
