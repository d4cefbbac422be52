"""The wire format: requests, jobs, results, diagnostics and environments.

What crosses a boundary (HTTP, Redis, runner) is one of these models, and JSON is their
only encoding. Whether a language or compiler exists is not known here: `api/compile_request.py`
checks that against the catalogue. To add a field, give it a default, so that jobs stored by an
older release can still be read.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, NamedTuple

from pydantic import BaseModel, ConfigDict, Field


class Status(StrEnum):
    """Where a job is. A job's id is in exactly one status set at a time."""

    QUEUED = "queued"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    TIMEOUT = "timeout"
    ERROR = "error"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        """True when the job has ended and its result can be read."""
        return self not in (Status.QUEUED, Status.PROCESSING)


class Stage(StrEnum):
    """How far the compiler goes: front end only, to an object, or to a program."""

    SYNTAX = "syntax"
    COMPILE = "compile"
    LINK = "link"


class Verdict(StrEnum):
    """The answer to the question. A limit that was hit is `inconclusive`, never `rejected`."""

    COMPILES = "compiles"
    REJECTED = "rejected"
    INCONCLUSIVE = "inconclusive"


class Reason(StrEnum):
    """Why a verdict is inconclusive."""

    TIMEOUT = "timeout"
    MEMORY = "memory"
    OUTPUT = "output"
    DISK = "disk"
    PROCESSES = "processes"
    COMPILER_CRASH = "compiler_crash"
    INFRASTRUCTURE = "infrastructure"
    CANCELLED = "cancelled"


class Severity(StrEnum):
    """How bad a diagnostic is, in the compiler's own words."""

    FATAL = "fatal"
    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


def utc_now() -> datetime:
    """The current time, timezone-aware, in UTC."""
    return datetime.now(UTC)


class Model(BaseModel):
    """Base of all stored models: immutable, and tolerant of fields that a newer release wrote.

    What a client sends is checked strictly instead, in `api/json_body.py`.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")


class Fix(Model):
    """An edit that the compiler proposes: replace the range with `text`.

    Lines and columns count from 1; columns are bytes; the end is exclusive.
    """

    file: str
    line: int
    column: int
    end_line: int
    end_column: int
    text: str


class Diagnostic(Model):
    """One message of a compiler. Lines and columns count from 1, columns in bytes; the end is exclusive."""

    severity: Severity
    message: str
    code: str | None = None
    file: str | None = None
    line: int | None = None
    column: int | None = None
    end_line: int | None = None
    end_column: int | None = None
    fixes: tuple[Fix, ...] = ()
    children: tuple["Diagnostic", ...] = ()


class Target(NamedTuple):
    """What a compiler produces code for; written as ``<architecture>-<os>``, such as ``x86_64-linux``."""

    architecture: str
    os: str

    @classmethod
    def parse(cls, text: str) -> "Target":
        """The target that `str` wrote. The operating system is what follows the first hyphen."""
        architecture, _, system = text.partition("-")
        return cls(architecture, system)

    def __str__(self) -> str:
        return f"{self.architecture}-{self.os}"


class Environment(Model):
    """One compiler that a runner offers right now, as it registered it."""

    id: str = Field(description="The compiler's id, such as gcc-12; unique within a language.")
    language: str
    family: str
    version: str = Field(description="The full version as the compiler reports it.")
    # Comparable form of the version, so that "newest" needs no guessing at text.
    version_key: tuple[int, ...]
    standards: tuple[str, ...]
    default_standard: str
    targets: tuple[str, ...] = Field(description="<architecture>-<os> pairs, such as x86_64-linux.")
    stages: tuple[Stage, ...]
    version_text: str = Field("", description="The line in which the compiler names its version in full.")
    image: str = Field("", description="The container image that the runner runs in; empty outside of one.")


class ExpectedDiagnostic(Model):
    """What a request expects of one diagnostic: each field that is given must hold.

    `message` is a part of the message, upper and lower case told apart; the rest is equal.
    """

    severity: Severity | None = None
    message: str | None = None
    code: str | None = None
    file: str | None = None
    line: int | None = None
    column: int | None = None


class Expectation(Model):
    """What a request says that its answer will be; at least one of the two is given."""

    verdict: Verdict | None = None
    diagnostics: tuple[ExpectedDiagnostic, ...] = ()


class CompileRequest(Model):
    """A request in canonical form: aliases resolved, source decoded, defaults filled in.

    Made by `compile_request.resolve` from what a client sent; the runner reads this
    form only. `files` maps relative POSIX paths to text; `main` is one of its keys.
    """

    files: dict[str, str]
    main: str
    language: str
    compiler: str
    standard: str
    architecture: str
    os: str
    stage: Stage = Stage.COMPILE
    options: tuple[str, ...] = ()
    cache: bool = True
    expect: Expectation | None = None

    @property
    def target(self) -> Target:
        """The requested architecture and operating system as one value."""
        return Target(self.architecture, self.os)


class Job(Model):
    """A job as stored under ``job:<id>``; times are UTC, None until they happen."""

    id: str
    request: CompileRequest
    status: Status = Status.QUEUED
    created_at: datetime = Field(default_factory=utc_now)
    started_at: datetime | None = None
    completed_at: datetime | None = None
    attempts: int = 0
    runner: str = ""
    fingerprint: str = ""
    owner: str = ""


Nanoseconds = Annotated[int, Field(ge=0)]


class Result(Model):
    """What became of a job, as stored under ``result:<id>``. `duration` is in nanoseconds."""

    job_id: str
    verdict: Verdict
    reason: Reason | None = None
    success: bool
    compiled: bool
    stdout: str = ""
    stderr: str = ""
    exit_code: int | None = None
    duration: Nanoseconds = 0
    error: str = ""
    diagnostics: tuple[Diagnostic, ...] = ()
    truncated: bool = False
    environment: Environment | None = None
    command: tuple[str, ...] = ()
    # What the compiler's environment had besides, such as GOOS: part of what makes a run repeatable.
    command_environment: dict[str, str] = Field(default_factory=dict)
    attempts: int = 0
    cached: bool = False

    @property
    def status(self) -> Status:
        """The terminal status that this result puts its job into (design: statuses)."""
        if self.verdict is Verdict.COMPILES:
            return Status.COMPLETED
        if self.verdict is Verdict.REJECTED:
            return Status.FAILED
        if self.reason is Reason.TIMEOUT:
            return Status.TIMEOUT
        if self.reason is Reason.CANCELLED:
            return Status.CANCELLED
        return Status.ERROR

    @classmethod
    def inconclusive(cls, job_id: str, reason: Reason, error: str, *, attempts: int = 0) -> "Result":
        """A result without a verdict; `error` says in a sentence what happened."""
        return cls(
            job_id=job_id,
            verdict=Verdict.INCONCLUSIVE,
            reason=reason,
            success=False,
            compiled=False,
            error=error,
            attempts=attempts,
        )

    @classmethod
    def of_cancelled_job(cls, job_id: str, *, attempts: int = 0) -> "Result":
        """The result of a job that was cancelled."""
        return cls.inconclusive(
            job_id, Reason.CANCELLED, "the job was cancelled by a request", attempts=attempts
        )

    @classmethod
    def of_used_up_attempts(cls, job_id: str, attempts: int) -> "Result":
        """The result of a job whose runners died or fell silent, `attempts` times."""
        times = "once" if attempts == 1 else f"{attempts} times"
        error = f"its runner died or fell silent {times} while compiling it; no further attempt is made"
        return cls.inconclusive(job_id, Reason.INFRASTRUCTURE, error, attempts=attempts)


class Cell(Model):
    """One environment of a matrix, and the job that compiles there.

    `standard` may be empty, where a language has none.
    """

    compiler: str
    standard: str
    target: str
    job_id: str


class Omission(Model):
    """A combination that cannot be compiled, and why. None means every one that the request asks for."""

    compiler: str
    standard: str | None = None
    target: str | None = None
    reason: str


class Matrix(Model):
    """A matrix as stored under ``matrix:<id>``: which jobs it has, and which combinations were left out.

    It holds no status: that is read from its jobs, so nothing here can be out of date. `environments` are
    those of its compilers, as they were registered when it was submitted.
    """

    id: str
    language: str
    stage: Stage
    cells: tuple[Cell, ...]
    omitted: tuple[Omission, ...] = ()
    environments: tuple[Environment, ...] = ()
    expect: Expectation | None = None
    created_at: datetime = Field(default_factory=utc_now)


class RunnerInfo(Model):
    """What a runner says of itself with every renewal."""

    id: str
    host: str
    started_at: datetime
    max_workers: int
    active_workers: int = 0
    sandbox: str = ""
    sandbox_weaknesses: tuple[str, ...] = ()


class Totals(Model):
    """Counters over all runners since the store was created: jobs that ended, by status."""

    completed: int = 0
    failed: int = 0
    timeout: int = 0
    error: int = 0
    cancelled: int = 0
    duration_ms: int = 0

    @classmethod
    def of(cls, counters: Mapping[str, int]) -> "Totals":
        """From counters by name; those that are missing are 0."""
        return cls.model_validate(dict(counters))

    @property
    def processed(self) -> int:
        """Jobs that a runner brought to an end."""
        return self.completed + self.failed + self.timeout + self.error

    @property
    def mean_seconds(self) -> float | None:
        """Mean duration of a compile; None before the first."""
        return self.duration_ms / 1000 / self.processed if self.processed else None
