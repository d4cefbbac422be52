"""One job in, one result out: workspace, command, sandbox, verdict, diagnostics.

It knows neither Redis nor the kernel: what the store says goes in as a request, and how a
program is confined is the sandbox's affair. `compile` always returns a result: what goes
wrong on our side is `inconclusive` with a sentence, and is never called a rejection.
"""

import logging
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from chalicelib.catalog import Catalog
from chalicelib.errors import InvalidRequest
from chalicelib.models import CompileRequest, Diagnostic, Environment, Reason, Result, Severity, Verdict
from runner.diagnostics import collector, parse, shown
from runner.sandbox.base import Command, Limits, Sandbox, SandboxError, SandboxResult
from runner.sanitize import clean_text
from runner.toolchains.model import Toolchains
from runner.verdict import classify, limit_patterns
from runner.workspace import Workspace

_NANOSECONDS_PER_SECOND = 1_000_000_000
_MIB = 1024 * 1024

logger = logging.getLogger("will_it_compile.runner")


@dataclass(frozen=True, slots=True)
class _Done:
    """One run of a compiler, with what was made of it."""

    run: SandboxResult
    command: tuple[str, ...]
    variables: dict[str, str]
    verdict: Verdict
    reason: Reason | None
    stdout: str
    stderr: str
    diagnostics: tuple[Diagnostic, ...]
    seconds: float


def _has_code(diagnostics: Sequence[Diagnostic], code: str) -> bool:
    """Whether one of the errors has that code."""
    return any(each.code == code and each.severity is not Severity.WARNING for each in diagnostics)


class JobExecutor:
    """Compiles requests with the toolchains of this runner. Any number of threads may call it at once."""

    def __init__(
        self,
        sandbox: Sandbox,
        catalog: Catalog,
        toolchains: Toolchains,
        limits: Limits,
        *,
        sandboxes: Mapping[str, Sandbox] | None = None,
    ) -> None:
        """`sandboxes`, by container image, are for environments that are not in the sandbox's own."""
        self._sandbox = sandbox
        self._sandboxes = sandboxes or {}
        self._catalog = catalog
        self._toolchains = toolchains
        self._limits = limits
        self._patterns = {
            name: limit_patterns(family.limit_messages) for name, family in catalog.families.items()
        }
        self._refusals = {
            family.id: re.compile(family.refusal) for family in catalog.families.values() if family.refusal
        }

    def compile(
        self,
        job_id: str,
        request: CompileRequest,
        *,
        attempts: int = 1,
        cancel: threading.Event | None = None,
    ) -> Result:
        """Compile `request` and say what became of it. Raises nothing that can be told in a result.

        Setting `cancel` ends the compiler; the result then says `cancelled`. `duration` is the
        time that the compiler ran, without the time to prepare it.
        """
        try:
            return self._compile(job_id, request, attempts, cancel)
        except InvalidRequest as error:
            sentence = f"The job cannot be compiled as it was stored: {error.message}"
        except SandboxError as error:
            logger.error("job %s: the sandbox failed: %s", job_id, error)
            sentence = f"The sandbox could not run the compiler: {error}"
        except OSError as error:
            # Full, most likely: what one job fills is bounded, room for all of them is the operator's affair.
            logger.error("job %s: no place for its files: %s", job_id, error)
            sentence = f"The runner could not lay out the files of the job: {error.strerror or error}."
        except Exception:
            # The last resort: a job must end. What happened is for the log, not for the client.
            logger.exception("job %s: unexpected failure", job_id)
            sentence = "The runner failed while compiling this job; nothing is known about the source."
        return Result.inconclusive(job_id, Reason.INFRASTRUCTURE, sentence, attempts=attempts)

    def _compile(
        self, job_id: str, request: CompileRequest, attempts: int, cancel: threading.Event | None
    ) -> Result:
        environment = self._environment(request)
        done = self._run(request, environment, cancel)
        retry = self._catalog.family(environment.family).retry
        if retry is not None and request.stage in retry.stages and _has_code(done.diagnostics, retry.code):
            again = self._run(request, environment, cancel, retry=True)
            done = replace(again, seconds=done.seconds + again.seconds)
        run = done.run
        return Result(
            job_id=job_id,
            verdict=done.verdict,
            reason=done.reason,
            success=done.verdict is not Verdict.INCONCLUSIVE,
            compiled=done.verdict is Verdict.COMPILES,
            stdout=done.stdout,
            stderr=done.stderr,
            exit_code=run.exit_code,
            duration=round(done.seconds * _NANOSECONDS_PER_SECOND),
            error=self._explain(done.reason, run, environment) if done.reason else "",
            diagnostics=done.diagnostics,
            truncated=(
                run.stdout_truncated
                or run.stderr_truncated
                or collector.count(done.diagnostics) >= collector.MAX_DIAGNOSTICS
            ),
            environment=environment,
            command=done.command,
            command_environment=done.variables,
            attempts=attempts,
        )

    def _run(
        self,
        request: CompileRequest,
        environment: Environment,
        cancel: threading.Event | None,
        *,
        retry: bool = False,
    ) -> "_Done":
        family = self._catalog.family(environment.family)
        target = f"{request.architecture}-{request.os}"
        entry = self._toolchains.entry(environment)
        command = self._catalog.build_command(
            request.language,
            entry,
            request.standard,
            request.stage,
            request.options,
            request.files,
            request.main,
            target=target,
            retry=retry,
        )
        variables = self._catalog.build_environment(entry, target)
        with Workspace.create(request.files) as workspace:
            sandbox = self._sandboxes.get(environment.image, self._sandbox)
            run = sandbox.run(Command(command, variables), workspace, self._limits, cancel=cancel)
        stdout = clean_text(run.stdout, truncated=run.stdout_truncated)
        stderr = clean_text(run.stderr, truncated=run.stderr_truncated)
        messages = {"stdout": stdout, "stderr": stderr, "both": stdout + stderr}[family.prints_to]
        diagnostics = parse(family.diagnostics, messages, request.files, workspace.inside)
        # What is there for the parser alone goes: a person sees what the bare compiler prints.
        stdout, stderr = shown(family.diagnostics, stdout), shown(family.diagnostics, stderr)
        verdict, reason = classify(
            run,
            patterns=self._patterns[family.id],
            refusal=self._refusals.get(family.id),
            # Both streams: where a compiler's own runtime complains is not where the compiler does.
            said=f"{stdout}\n{stderr}",
        )
        return _Done(
            run=run,
            command=command,
            variables=variables,
            verdict=verdict,
            reason=reason,
            stdout=stdout,
            stderr=stderr,
            diagnostics=diagnostics,
            seconds=run.duration_seconds,
        )

    def _environment(self, request: CompileRequest) -> Environment:
        environment = self._toolchains.environment(request.language, request.compiler)
        target = f"{request.architecture}-{request.os}"
        if environment is None:
            raise InvalidRequest(f"this runner has no {request.compiler} for {request.language}.")
        if target not in environment.targets:
            raise InvalidRequest(f"{request.compiler} of this runner does not compile for {target}.")
        if request.stage not in environment.stages:
            raise InvalidRequest(f"{request.compiler} of this runner has no stage {request.stage.value}.")
        return environment

    def _explain(self, reason: Reason, run: SandboxResult, environment: Environment) -> str:
        """One sentence about a run without a verdict, with the limit's value and unit."""
        limits = self._limits
        compiler = f"{environment.id} ({environment.version})"
        if reason is Reason.TIMEOUT:
            return (
                f"{compiler} was stopped at the time limit of {limits.cpu_seconds:g} s of CPU time "
                f"and {limits.wall_seconds:g} s in all: it had used {run.cpu_seconds:.1f} s of CPU time "
                f"in {run.duration_seconds:.1f} s."
            )
        if reason is Reason.MEMORY:
            return f"{compiler} needed more than the memory limit of {limits.memory_bytes // _MIB} MiB."
        if reason is Reason.OUTPUT:
            return f"{compiler} printed more than the output limit of {limits.output_bytes // 1024} KiB."
        if reason is Reason.DISK:
            return f"{compiler} wrote more than the disk limit of {limits.disk_bytes // _MIB} MiB."
        if reason is Reason.PROCESSES:
            return f"{compiler} started more than the limit of {limits.processes} processes and threads."
        if reason is Reason.CANCELLED:
            return "The job was cancelled while it was being compiled."
        if reason is Reason.COMPILER_CRASH:
            how = f"was ended by signal {run.signal}" if run.signal else "reported an internal error"
            return f"{compiler} {how}; that is a fault of the compiler, and no verdict about the source."
        return f"{compiler} could not be run to an end on this runner."
