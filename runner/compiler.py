"""One job in, one result out: workspace, command, sandbox, verdict, diagnostics.

It knows neither Redis nor the kernel: what the store says goes in as a request, and how a
program is confined is the sandbox's affair. `compile` always returns a result: what goes
wrong on our side is `inconclusive` with a sentence, and is never called a rejection.
"""

import logging
import re
import threading

from chalicelib.catalog import Catalog
from chalicelib.errors import InvalidRequest
from chalicelib.models import CompileRequest, Diagnostic, Environment, Reason, Result, Verdict
from runner.diagnostics import bounds, parse
from runner.output import clean_text
from runner.sandbox.base import Limits, Sandbox, SandboxError, SandboxResult
from runner.toolchains import Toolchains
from runner.verdict import LimitPattern, classify
from runner.workspace import Workspace

_NANOSECONDS_PER_SECOND = 1_000_000_000
_MIB = 1024 * 1024

logger = logging.getLogger("will_it_compile.runner")


class Compiler:
    """Compiles requests with the toolchains of this runner. Any number of threads may call it at once."""

    def __init__(self, sandbox: Sandbox, catalog: Catalog, toolchains: Toolchains, limits: Limits) -> None:
        self._sandbox = sandbox
        self._catalog = catalog
        self._toolchains = toolchains
        self._limits = limits
        self._patterns = {
            family: tuple(
                LimitPattern(reason=message.reason, pattern=re.compile(message.pattern))
                for message in catalog.limit_messages(family)
            )
            for family in catalog.families
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
        except Exception:
            # The last resort: a job must end. What happened is for the log, not for the client.
            logger.exception("job %s: unexpected failure", job_id)
            sentence = "The runner failed while compiling this job; nothing is known about the source."
        return Result.inconclusive(job_id, Reason.INFRASTRUCTURE, sentence, attempts=attempts)

    def _compile(
        self, job_id: str, request: CompileRequest, attempts: int, cancel: threading.Event | None
    ) -> Result:
        environment = self._environment(request)
        command = self._catalog.build_command(
            request.language,
            request.compiler,
            request.standard,
            request.stage,
            request.options,
            request.files,
            request.main,
        )
        with Workspace.create(request.files) as workspace:
            run = self._sandbox.run(command, workspace, self._limits, cancel=cancel)
        verdict, reason = classify(run, patterns=self._patterns[environment.family])
        stderr = clean_text(run.stderr, truncated=run.stderr_truncated)
        diagnostics = self._diagnostics(environment, stderr, request, workspace.inside)
        return Result(
            job_id=job_id,
            verdict=verdict,
            reason=reason,
            success=verdict is not Verdict.INCONCLUSIVE,
            compiled=verdict is Verdict.COMPILES,
            stdout=clean_text(run.stdout, truncated=run.stdout_truncated),
            stderr=stderr,
            exit_code=run.exit_code,
            duration=round(run.duration_seconds * _NANOSECONDS_PER_SECOND),
            error=self._explain(reason, run, environment) if reason else "",
            diagnostics=diagnostics,
            truncated=(
                run.stdout_truncated
                or run.stderr_truncated
                or bounds.count(diagnostics) >= bounds.MAX_DIAGNOSTICS
            ),
            environment=environment,
            command=command,
            attempts=attempts,
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

    def _diagnostics(
        self, environment: Environment, stderr: str, request: CompileRequest, folder: str
    ) -> tuple[Diagnostic, ...]:
        return parse(self._catalog.family(environment.family), stderr, request.files, folder)

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
