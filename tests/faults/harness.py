"""What the fault tests share: runners that die, and checks that no job was lost or done twice."""

import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from chalicelib.models import Job, Status
from chalicelib.storage.redis.store import RedisStore
from tests.support.factories import make_job, make_request
from tests.support.processes import RunnerProcess
from tests.support.servers import RedisServer

# Long enough for a busy machine to renew in time, short enough to wait for in a test.
LEASE_SECONDS = 3.0
# Only a failure takes this long: 300 jobs of 0.15 s, of which many are done again, on a machine that is busy.
DEADLINE_SECONDS = 240.0


class SmallRunner(RunnerProcess):
    """`tests.faults.small_runner` as a process; see there for the variables that make it fail."""

    def __init__(self, env: Mapping[str, str], *, name: str = "small runner") -> None:
        super().__init__({"MAX_WORKERS": "2"} | dict(env), name=name)
        self.argv = [sys.executable, "-m", "tests.faults.small_runner"]


def fault_settings(server: RedisServer, **more: str) -> dict[str, str]:
    """The settings of the processes of one test, as environment variables."""
    return server.environment() | {"LEASE_SECONDS": str(LEASE_SECONDS), "QUEUE_SIZE": "5000"} | more


def c_job(number: int = 0, source: str | None = None) -> Job:
    """A job for the small runner: C, front end only."""
    text = source or f"int f{number}(void) {{ return {number}; }}"
    request = make_request(
        files={"main.c": text}, main="main.c", language="c", standard="gnu17", stage="syntax"
    )
    return make_job(request=request)


def slow_c(doublings: int) -> str:
    """A valid C source whose time doubles with each step: 16 take gcc-12 about 0.15 s, 20 some 2.5 s."""
    lines = "\n".join(f"#define A{n} A{n - 1} + A{n - 1}" for n in range(1, doublings + 1))
    return f"#define A0 1\n{lines}\nint x = A{doublings};\n"


def wait_for_end(store: RedisStore, job_ids: Sequence[str], *, seconds: float = DEADLINE_SECONDS) -> None:
    """Returns when every job has ended; fails when one does not in time, or is unknown."""
    deadline = time.monotonic() + seconds
    for job_id in job_ids:
        job = store.wait(job_id, max(0.0, deadline - time.monotonic()))
        assert job is not None, f"job {job_id} is lost"
        assert job.status.terminal, f"job {job_id} hangs in {job.status}"


def assert_settled(server: RedisServer, job_ids: Sequence[str]) -> dict[str, str]:
    """Every id is in exactly one terminal set and has one result; no job is pending or half done.

    Returns the status of each id.
    """
    redis: Any = server.admin
    statuses: dict[str, str] = {}
    for status in Status:
        for job_id in redis.smembers(f"job:index:status:{status.value}"):
            assert job_id not in statuses, f"{job_id} is in {statuses[job_id]} and in {status}"
            statuses[job_id] = status.value
    missing = set(job_ids) - set(statuses)
    assert not missing, f"in no set: {missing}"
    for job_id in job_ids:
        assert Status(statuses[job_id]).terminal
        record, result = redis.hgetall(f"job:{job_id}"), redis.hgetall(f"result:{job_id}")
        assert record["status"] == statuses[job_id] == result["status"], (job_id, record, result)
    assert redis.xlen("job:stream") == 0
    assert redis.xpending("job:stream", "runners")["pending"] == 0
    assert redis.hlen("job:live") == 0
    totals = redis.hgetall("stats")
    ended = sum(int(totals.get(f"total_{status.value}", 0)) for status in Status)
    assert ended == len(statuses), "a job was counted twice, or not at all"
    return statuses
