"""The previous release beside this one, on the same Redis: jobs of either end, whoever compiles them.

Its Lua scripts are in `previous_release`, as they were; here are the few calls that its runner and its API
made around them. What it did not know: a channel in the slot of its job, the bytes of sources, and sources
apart from records.
"""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from chalicelib.models import CompileRequest, Job, Result, Status
from chalicelib.storage.protocol import GROUP
from chalicelib.storage.redis.jobs import job_to_fields, result_to_fields
from chalicelib.storage.redis.keys import Keys
from chalicelib.storage.redis.store import RedisStore
from tests.support.factories import make_job, make_request, make_result
from tests.support.servers import RedisServer, wait_until
from tests.support.stores import DEADLINE_SECONDS, claim_one, redis_store, sweep_until

SCRIPTS = Path(__file__).parent / "previous_release"
DAY_MS = 86_400_000
LEASE_SECONDS = 0.5
WITH_PRELUDE = ("claim", "submit", "seal", "move_sealed", "release", "renew", "statuses", "sweep")


class PreviousRelease:
    """What its API and its runner did, step by step."""

    def __init__(self, redis: Any) -> None:
        self.redis = redis
        self._claims = 0

    def _run(self, name: str, *arguments: Any, on: tuple[str, ...] = Keys().for_scripts()) -> Any:
        text = (SCRIPTS / f"{name}.lua").read_text(encoding="utf-8")
        if name in WITH_PRELUDE:
            text = (SCRIPTS / "prelude.lua").read_text(encoding="utf-8") + text
        return self.redis.eval(text, len(on), *on, *arguments)

    def submit(self, job: Job) -> None:
        """As its API did."""
        key = f"job:{job.id}"
        self.redis.hset(key, mapping=job_to_fields(job, job.request.model_dump_json()))
        self.redis.pexpire(key, DAY_MS)
        assert self._run("submit", 100, DAY_MS, job.id) == "queued"

    def claim(self) -> tuple[str, int] | None:
        """The id and the fencing token of the next job."""
        if not self.redis.exists("job:stream") or not self.redis.xinfo_groups("job:stream"):
            self.redis.xgroup_create("job:stream", GROUP, id="0", mkstream=True)
        answer = self.redis.xreadgroup(GROUP, "previous", {"job:stream": ">"}, count=1)
        if not answer:
            return None
        [[_, [[entry, fields]]]] = answer
        self._claims += 1
        reply = self._run("claim", fields["id"], entry, f"previous/{self._claims}", DAY_MS)
        if reply[0] != "claimed":
            return None
        self._update(fields["id"], int(reply[1]), status="processing", runner="previous", attempts=reply[2])
        return fields["id"], int(reply[1])

    def request_of(self, job_id: str) -> CompileRequest:
        """As its runner read it; raises what that took for an unreadable record."""
        return CompileRequest.model_validate_json(self.redis.hget(f"job:{job_id}", "request"))

    def complete(self, result: Result, token: int) -> None:
        """The four steps of the end."""
        job_id, status = result.job_id, result.status.value
        assert self._run("seal", job_id, token, status, DAY_MS)[0] == "sealed"
        flat = [part for pair in result_to_fields(result).items() for part in pair]
        assert self._run("write_result", token, DAY_MS, *flat, on=(f"result:{job_id}",)) == 1
        assert self._run("move_sealed", job_id, token, status, DAY_MS, 5, 1)[0] == "moved"
        self._update(job_id, token, status=status, completed_at="2026-01-01T00:00:00Z")

    def _update(self, job_id: str, token: int, **fields: Any) -> None:
        flat = [part for pair in fields.items() for part in pair]
        channel = f"job:events:{job_id}"
        self._run("update_job", token, DAY_MS, channel, *flat, on=(f"job:{job_id}",))

    def sweep(self) -> list[str]:
        """The ids that its sweep released."""
        answer = self._run("sweep", round(LEASE_SECONDS * 1000), 200, 3, DAY_MS, 200, 1)
        return answer[0] if answer else []


@pytest.fixture
def store(clean_redis: RedisServer) -> Iterator[RedisStore]:
    """A store of this release."""
    opened = redis_store(clean_redis.environment(), lease_seconds=LEASE_SECONDS)
    yield opened
    opened.close()


@pytest.fixture
def previous(clean_redis: RedisServer) -> PreviousRelease:
    """The previous release on the same Redis."""
    return PreviousRelease(clean_redis.client())


def assert_nothing_is_left(server: RedisServer) -> None:
    """No entry, no fact, no bytes that are counted."""
    redis: Any = server.admin
    assert redis.xlen("job:stream") == 0
    assert redis.xpending("job:stream", GROUP)["pending"] == 0
    assert redis.hget("job:live", "waiting_bytes") is None


def test_a_job_of_the_previous_api_is_compiled_by_this_runner(
    clean_redis: RedisServer, store: RedisStore, previous: PreviousRelease
) -> None:
    """It is read, claimed and ended as any other."""
    job = make_job()
    previous.submit(job)
    claim = claim_one(store)
    assert (claim.job.id, claim.job.request) == (job.id, job.request)
    assert store.complete(claim, make_result(job.id))
    ended = store.get(job.id)
    assert ended is not None and ended.status is Status.COMPLETED
    assert_nothing_is_left(clean_redis)


def test_a_client_of_this_api_gets_what_the_previous_runner_compiled(
    clean_redis: RedisServer, store: RedisStore, previous: PreviousRelease
) -> None:
    """The hint goes to a channel that this API does not know: it polls, and the client has its answer."""
    job = make_job()
    store.submit(job)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(store.wait, job.id, DEADLINE_SECONDS)
        claimed = previous.claim()
        assert claimed is not None
        assert previous.request_of(job.id) == job.request
        previous.complete(make_result(job.id), claimed[1])
        ended = waiting.result(timeout=DEADLINE_SECONDS / 2)
    assert ended is not None and ended.status is Status.COMPLETED
    # The previous release takes a job from the queue without its bytes; the next sweep counts again.
    sweep_until(store, lambda: clean_redis.admin.hget("job:live", "waiting_bytes") is None)
    assert_nothing_is_left(clean_redis)


def test_the_previous_runner_cannot_read_a_source_that_is_apart(
    store: RedisStore, previous: PreviousRelease
) -> None:
    """For it the record is unreadable, so it ends the job in `error`, and never with a verdict."""
    job = make_job(request=make_request("int x;\n" * 4000))
    store.submit(job)
    claimed = previous.claim()
    assert claimed is not None
    with pytest.raises(ValueError, match="files"):
        previous.request_of(job.id)
    previous.complete(Result.of_unreadable_record(job.id, 1), claimed[1])
    ended, result = store.get(job.id), store.get_result(job.id)
    assert ended is not None and ended.status is Status.ERROR
    assert ended.request == job.request
    assert result is not None and not result.success


@pytest.mark.parametrize("sweeper", ["this release", "the previous one"])
@pytest.mark.parametrize("runner", ["this release", "the previous one"])
def test_a_dead_runners_job_comes_back_whoever_sweeps(
    clean_redis: RedisServer, store: RedisStore, previous: PreviousRelease, runner: str, sweeper: str
) -> None:
    """A lease is the idle time of the job's entry, for both."""
    job = make_job()
    store.submit(job)
    assert claim_one(store) if runner == "this release" else previous.claim()
    released: list[str] = []

    def sweep() -> bool:
        if sweeper == "this release":
            return store.sweep().released == 1
        clean_redis.admin.hdel("stats", "swept_at_ms")
        released.extend(previous.sweep())
        return released == [job.id]

    wait_until(sweep, "the release of the job", timeout_seconds=DEADLINE_SECONDS)
    claim = claim_one(store)
    assert (claim.job.id, claim.attempts) == (job.id, 2)
    assert store.complete(claim, make_result(job.id))
    store.sweep()
    assert_nothing_is_left(clean_redis)


def test_a_record_is_as_the_previous_release_wrote_it(
    clean_redis: RedisServer, store: RedisStore, previous: PreviousRelease
) -> None:
    """A small request is whole in the record, field by field."""
    jobs = [make_job(), make_job()]
    store.submit(jobs[0])
    previous.submit(jobs[1])
    redis: Any = clean_redis.admin
    first, second = (redis.hgetall(f"job:{job.id}") for job in jobs)
    assert first.keys() == second.keys()
    assert json.loads(first["request"]) == json.loads(second["request"])
