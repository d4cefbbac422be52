"""Models for tests, with defaults, so that a test names only what it is about."""

import itertools
import uuid
from collections.abc import Sequence
from typing import Any

from chalicelib.models import (
    Cell,
    CompileRequest,
    Environment,
    Job,
    Matrix,
    Result,
    RunnerInfo,
    Stage,
    Verdict,
    new_id,
    utc_now,
)
from chalicelib.settings import Settings
from runner.sandbox.base import SandboxResult

_serial = itertools.count(1)


def make_settings(**variables: object) -> Settings:
    """Settings from variables written in lower case: ``make_settings(queue_size=3)``."""
    return Settings.from_env({name.upper(): str(value) for name, value in variables.items()})


def make_request(source: str = "int main() { return 0; }", **changes: Any) -> CompileRequest:
    """A C++ request for gcc-12."""
    values: dict[str, Any] = {
        "files": {"main.cpp": source},
        "main": "main.cpp",
        "language": "cpp",
        "compiler": "gcc-12",
        "standard": "c++17",
        "architecture": "x86_64",
        "os": "linux",
    }
    return CompileRequest(**(values | changes))


def make_job(**changes: Any) -> Job:
    """A queued job with an id of its own."""
    values: dict[str, Any] = {"id": uuid.uuid4().hex, "request": make_request()}
    return Job(**(values | changes))


def make_result(job_id: str, **changes: Any) -> Result:
    """A result that says: compiles."""
    values: dict[str, Any] = {
        "job_id": job_id,
        "verdict": Verdict.COMPILES,
        "success": True,
        "compiled": True,
        "exit_code": 0,
        "duration": 123_456_789,
    }
    return Result(**(values | changes))


def make_matrix(jobs: Sequence[Job]) -> Matrix:
    """A matrix of these jobs."""
    cells = [
        Cell(compiler=f"gcc-{number}", standard="c++17", target="x86_64-linux", job_id=job.id)
        for number, job in enumerate(jobs)
    ]
    return Matrix(id=new_id(), language="cpp", stage=Stage.COMPILE, cells=tuple(cells))


def make_environment(**changes: Any) -> Environment:
    """gcc-12 for C++, as a runner would register it."""
    values: dict[str, Any] = {
        "id": "gcc-12",
        "language": "cpp",
        "family": "gcc",
        "version": "12.2.0",
        "version_key": (12, 2, 0),
        "standards": ("c++17", "c++20"),
        "default_standard": "c++17",
        "targets": ("x86_64-linux",),
        "stages": tuple(Stage),
    }
    return Environment(**(values | changes))


def make_runner(**changes: Any) -> RunnerInfo:
    """A runner with an id of its own."""
    values: dict[str, Any] = {
        "id": f"runner-{next(_serial):06d}",
        "host": "testhost",
        "started_at": utc_now(),
        "max_workers": 5,
    }
    return RunnerInfo(**(values | changes))


def make_run(**changes: Any) -> SandboxResult:
    """A run in a sandbox that ended well and printed nothing."""
    values: dict[str, Any] = {
        "exit_code": 0,
        "signal": None,
        "stdout": b"",
        "stderr": b"",
        "stdout_truncated": False,
        "stderr_truncated": False,
        "duration_seconds": 0.25,
        "cpu_seconds": 0.2,
        "peak_memory_bytes": 1,
        "limit_hit": None,
        "cancelled": False,
    }
    return SandboxResult(**(values | changes))


def slow_cpp(seconds: float) -> str:
    """A valid C++ source that keeps g++ busy for about that many processor seconds, in little memory.

    Each constant takes g++ 12 about 0.85 s and stays below its default limits of operations and loops.
    """
    count = max(1, round(seconds / 0.85))
    constants = "\n".join(f"constexpr unsigned c{number} = f({number});" for number in range(count))
    return (
        "constexpr unsigned f(unsigned s) { for (unsigned i = 0; i < 500; ++i)"
        " for (unsigned j = 0; j < 1000; ++j) s += i ^ j; return s; }\n" + constants + "\n"
    )
