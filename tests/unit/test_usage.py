"""A result says what the compiler used and what it might have used, in numbers with units in their names."""

import pytest

from chalicelib.api.responses import ended_job
from chalicelib.catalog import load_catalog
from chalicelib.models import Reason, Result, RunLimits, Status, Usage, Verdict
from chalicelib.storage.redis.jobs import result_from_fields, result_to_fields
from runner.executor import JobExecutor
from runner.sandbox.base import LimitHit, SandboxError
from runner.sandbox.limits import default_limits
from runner.toolchains.model import Toolchains
from tests.support.factories import make_environment, make_job, make_request, make_result, make_run
from tests.support.fake_sandbox import FakeSandbox, Outcome

USAGE = Usage(cpu_seconds=1.25, wall_seconds=1.5, memory_bytes=3 * 2**40, output_bytes=70)
LIMITS = RunLimits(
    cpu_seconds=30,
    wall_seconds=120,
    memory_bytes=2**30,
    output_bytes=2**26,
    kept_output_bytes=2**18,
    disk_bytes=2**27,
    processes=128,
)


def _compile(outcome: Outcome) -> Result:
    language = load_catalog().language("cpp")
    entry = language.compiler("gcc-12") if language else None
    assert entry is not None
    toolchains = Toolchains((make_environment(),), entries={("cpp", "gcc-12"): entry})
    return JobExecutor(FakeSandbox(outcome), load_catalog(), toolchains, default_limits()).compile(
        "0" * 32, make_request()
    )


def test_a_timeout_says_thirty_seconds_of_thirty() -> None:
    """The usage of the run is beside its limits, in JSON as numbers."""
    run = make_run(
        exit_code=None, signal=9, limit_hit=LimitHit.TIMEOUT, cpu_seconds=30.02, duration_seconds=31.5,
        peak_memory_bytes=5_000_000, output_bytes=12,
    )  # fmt: skip
    result = _compile(run)
    assert (result.verdict, result.reason) == (Verdict.INCONCLUSIVE, Reason.TIMEOUT)
    body = ended_job(make_job(id=result.job_id, status=Status.TIMEOUT), result)
    assert body["usage"] == {
        "cpu_seconds": 30.02,
        "wall_seconds": 31.5,
        "memory_bytes": 5_000_000,
        "output_bytes": 12,
    }
    assert body["limits"] == LIMITS.model_dump()
    assert body["duration"] == 31_500_000_000


@pytest.mark.parametrize("exit_code", [0, 1])
def test_a_verdict_has_usage_and_limits_as_well(exit_code: int) -> None:
    """Not only what hit a limit."""
    result = _compile(make_run(exit_code=exit_code, stderr=b"main.cpp:1:1: error: no\n"))
    assert result.usage is not None and result.usage.cpu_seconds == 0.2
    assert result.limits == LIMITS


def test_where_no_compiler_ran_nothing_was_used() -> None:
    """A failure on our side, and a job that was cancelled while it waited."""
    failed = _compile(SandboxError("bwrap: no"))
    assert (failed.usage, failed.limits) == (None, None)
    cancelled = Result.of_cancelled_job("0" * 32)
    body = ended_job(make_job(id="0" * 32, status=Status.CANCELLED), cancelled)
    assert (body["usage"], body["limits"]) == (None, None)


def test_usage_and_limits_are_stored_exactly() -> None:
    """The fields of the hash are JSON, and empty for None."""
    result = make_result("0" * 32, usage=USAGE, limits=LIMITS)
    fields = result_to_fields(result)
    assert fields["usage"].startswith('{"cpu_seconds":1.25,')
    assert result_from_fields(fields) == result
    without = result_to_fields(make_result("0" * 32))
    assert (without["usage"], without["limits"]) == ("", "")
    assert result_from_fields(without).usage is None


def test_another_releases_numbers_are_read() -> None:
    """A later one may write more of them, and an earlier one none."""
    fields = result_to_fields(make_result("0" * 32, usage=USAGE, limits=LIMITS))
    later = fields | {"usage": '{"cpu_seconds":2,"disk_bytes":5}'}
    assert result_from_fields(later).usage == Usage(cpu_seconds=2)
    earlier = {name: text for name, text in fields.items() if name not in ("usage", "limits")}
    assert result_from_fields(earlier) == make_result("0" * 32)
