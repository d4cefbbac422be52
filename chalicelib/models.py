"""The wire format: requests, jobs, results, diagnostics and environments.

Whatever crosses a boundary (HTTP, Redis, runner) is one of these models, encoded as JSON. Nothing here knows
which languages and compilers exist: `api/compile_request.py` checks that against the catalogue. To add a
field, give it a default, so that jobs stored by an older release can still be read.
"""

import re
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, NamedTuple

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field


class Status(StrEnum):
    """How far a job is. A job's id is in exactly one status set at a time."""

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
    """How far the compiler goes: only the front end, up to an object file, or up to a program."""

    SYNTAX = "syntax"
    COMPILE = "compile"
    LINK = "link"


class Verdict(StrEnum):
    """Whether the source compiles. A limit that was hit is `inconclusive`, never `rejected`."""

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
    """How bad a diagnostic is, as the compiler says."""

    FATAL = "fatal"
    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


def utc_now() -> datetime:
    """The current time, timezone-aware, in UTC."""
    return datetime.now(UTC)


# For a time that must be there and cannot be read.
UNKNOWN_TIME = datetime.fromtimestamp(0, UTC)

_ID = re.compile(r"[0-9a-f]{32}")


def new_id() -> str:
    """A new id for a job or a matrix: unique, and impossible to guess (122 random bits)."""
    return uuid.uuid4().hex


def is_id(text: str) -> bool:
    """Whether `text` has the form of an id; only such a text may become part of a key."""
    return _ID.fullmatch(text) is not None


_SHA256 = re.compile(r"[0-9a-f]{64}")


def is_sha256(text: str) -> bool:
    """Whether `text` has the form of a SHA-256; only such a text may become part of a key."""
    return _SHA256.fullmatch(text) is not None


class Model(BaseModel):
    """Base of all stored models: immutable, and tolerant of fields that a newer release wrote.

    What a client sends is checked strictly instead: see `ClientModel` in `api/validation.py`.
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


# What other tools (Go, Docker, Debian, Node) call the same architecture or system.
ARCHITECTURE_ALIASES = {"amd64": "x86_64", "x64": "x86_64", "x86-64": "x86_64", "aarch64": "arm64"}
SYSTEM_ALIASES = {"darwin": "macos", "win32": "windows"}


def canonical_architecture(name: str) -> str:
    """The name of an architecture as targets have it: trimmed, in lower case, without aliases."""
    lower = name.strip().lower()
    return ARCHITECTURE_ALIASES.get(lower, lower)


def canonical_system(name: str) -> str:
    """The name of an operating system as targets have it: trimmed, in lower case, without aliases."""
    lower = name.strip().lower()
    return SYSTEM_ALIASES.get(lower, lower)


class Target(NamedTuple):
    """What a compiler produces code for; written as ``<architecture>-<os>``, such as ``x86_64-linux``."""

    architecture: str
    os: str

    @classmethod
    def parse(cls, text: str) -> "Target":
        """The inverse of `str`: the operating system is what follows the first hyphen."""
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
    targets: tuple[str, ...] = Field(
        min_length=1, description="<architecture>-<os> pairs, such as x86_64-linux."
    )
    stages: tuple[Stage, ...] = Field(min_length=1)
    version_text: str = Field("", description="The line in which the compiler names its version in full.")
    image: str = Field("", description="The container image that the runner runs in; empty outside of one.")

    def parsed_targets(self) -> list[Target]:
        """`targets` as values, in their order: the first is what the compiler builds for by default."""
        return [Target.parse(text) for text in self.targets]


class ExpectedDiagnostic(Model):
    """What a request expects of one diagnostic; a field that is None may have any value.

    `message` is a case-sensitive substring; all other fields must match exactly.
    """

    severity: Severity | None = None
    message: str | None = None
    code: str | None = None
    file: str | None = None
    line: int | None = None
    column: int | None = None


class Expectation(Model):
    """What a request expects of its result: a verdict, diagnostics, or both."""

    verdict: Verdict | None = None
    diagnostics: tuple[ExpectedDiagnostic, ...] = ()


class CompileRequest(Model):
    """A request in canonical form: aliases resolved, source decoded, defaults filled in.

    Made by `compile_request.resolve` from what a client sent; runners only ever see this form.
    `files` maps relative POSIX paths to text, and `main` is one of its keys.
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

    @classmethod
    def empty(cls) -> "CompileRequest":
        """What stands for a request that cannot be read."""
        return cls(files={}, main="", language="", compiler="", standard="", architecture="", os="")

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
    # Why its record, or the source that it names, cannot be read: then `request` is empty, and the job can
    # only be ended. Neither is stored.
    unreadable: str = ""
    source_lost: bool = False

    @classmethod
    def of_unreadable_record(
        cls, job_id: str, why: str, status: Status = Status.QUEUED, *, source_lost: bool = False
    ) -> "Job":
        """What stands for a job whose record cannot be read; the time of its submission is not known."""
        return cls(
            id=job_id,
            request=CompileRequest.empty(),
            status=status,
            created_at=UNKNOWN_TIME,
            unreadable=why,
            source_lost=source_lost,
        )


# Redis counts with 64 bits.
Nanoseconds = Annotated[int, Field(ge=0, lt=2**63)]


class Usage(Model):
    """What the compiler used; beside it, `RunLimits` says what it might have used."""

    cpu_seconds: float = Field(0.0, ge=0, description="Processor time, summed over all processes.")
    wall_seconds: float = Field(0.0, ge=0, description="Time from start to end.")
    memory_bytes: int = Field(
        0,
        ge=0,
        lt=2**63,
        description="The most memory at one time, sampled every 0.02 s (with docker 0.05 to 0.25 s).",
    )
    output_bytes: int = Field(0, ge=0, lt=2**63, description="Output, on the stream with more of it.")


class RunLimits(Model):
    """What one run of a compiler may use. More ends it, but for `kept_output_bytes`."""

    cpu_seconds: float = Field(ge=0, description="Processor time, summed over all processes.")
    wall_seconds: float = Field(ge=0, description="Time from start to end.")
    memory_bytes: int = Field(ge=0, lt=2**63, description="Memory of all processes together.")
    output_bytes: int = Field(ge=0, lt=2**63, description="Output, on each stream.")
    kept_output_bytes: int = Field(
        ge=0, lt=2**63, description="Output of each stream that the result has; see `truncated`."
    )
    disk_bytes: int = Field(ge=0, lt=2**63, description="Files in its folder, and as much in /tmp.")
    processes: int = Field(ge=0, lt=2**63, description="Processes and threads at one time.")


class Result(Model):
    """How a job ended, as stored under ``result:<id>``. `duration` is in nanoseconds."""

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
    # None where no compiler ran, and in what an older release stored.
    usage: Usage | None = None
    limits: RunLimits | None = None
    # The files that were translation units, as the request names them, in the order of the command.
    compiled_files: tuple[str, ...] = ()
    environment: Environment | None = None
    command: tuple[str, ...] = ()
    # Additional environment variables of the compiler, such as GOOS: needed to repeat the run.
    command_environment: dict[str, str] = Field(default_factory=dict)
    attempts: int = 0
    cached: bool = False

    @property
    def status(self) -> Status:
        """The terminal status of a job with this result."""
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
        """A result without a verdict about the source; `error` is a sentence that says what happened."""
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
            job_id, Reason.CANCELLED, "The job was cancelled by a request.", attempts=attempts
        )

    @classmethod
    def of_used_up_attempts(cls, job_id: str, attempts: int) -> "Result":
        """The result of a job whose runners died or fell silent, `attempts` times."""
        times = "once" if attempts == 1 else f"{attempts} times"
        error = (
            f"The runner of this job died or fell silent {times} while compiling it; "
            "no further attempt is made."
        )
        return cls.inconclusive(job_id, Reason.INFRASTRUCTURE, error, attempts=attempts)

    @classmethod
    def of_unreadable_record(cls, job_id: str, attempts: int) -> "Result":
        """The result of a job whose record cannot be read, so that nothing can be compiled."""
        error = "its record in the store cannot be read: another release wrote it, or it is damaged"
        return cls.inconclusive(job_id, Reason.INFRASTRUCTURE, error, attempts=attempts)

    @classmethod
    def of_lost_source(cls, job_id: str, attempts: int) -> "Result":
        """The result of a job whose source is not in the store any more, so that nothing can be compiled."""
        error = "its source in the store is lost or damaged: submit it again"
        return cls.inconclusive(job_id, Reason.INFRASTRUCTURE, error, attempts=attempts)

    @classmethod
    def of_unreadable_result(cls, job_id: str) -> "Result":
        """What stands for a result that cannot be read."""
        error = "its result in the store cannot be read: another release wrote it, or it is damaged"
        return cls.inconclusive(job_id, Reason.INFRASTRUCTURE, error)


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


class UntestedCompiler(Model):
    """A compiler that a runner has, and will offer when it has passed its self-test.

    `id` may hold ``{version}``. `version_key` is what is known of the version before the test: the numbers
    in the id, or all of it, or nothing.
    """

    id: str
    language: str
    family: str
    version_key: tuple[int, ...] = ()


class RunnerInfo(Model):
    """How a runner describes itself, with every renewal of its registration."""

    id: str
    host: str
    started_at: AwareDatetime
    # More than any host runs: with the bound, sums over runners can be written.
    max_workers: int = Field(ge=0, lt=2**31)
    active_workers: int = Field(0, ge=0, lt=2**31)
    sandbox: str = ""
    sandbox_weaknesses: tuple[str, ...] = ()
    untested: tuple[UntestedCompiler, ...] = ()


class Totals(Model):
    """Ended jobs by status, over all runners since the store was created."""

    completed: int = 0
    failed: int = 0
    timeout: int = 0
    error: int = 0
    cancelled: int = 0
    duration_ms: int = 0

    @classmethod
    def of(cls, counters: Mapping[str, int]) -> "Totals":
        """Totals from counters by name; a missing counter is 0."""
        return cls.model_validate(dict(counters))

    @property
    def processed(self) -> int:
        """Jobs that a runner completed."""
        return self.completed + self.failed + self.timeout + self.error

    @property
    def mean_seconds(self) -> float | None:
        """Mean duration of a compile; None before the first."""
        return self.duration_ms / 1000 / self.processed if self.processed else None
