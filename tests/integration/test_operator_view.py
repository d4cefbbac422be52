"""Redis as an operator reads it with redis-cli: the data model by name, type, field and TTL.

These tests use only the published names, and none of our functions that make keys.
"""

import json
import re
import time
from typing import Any

import pytest

from chalicelib.models import Reason, Verdict
from chalicelib.storage.redis.store import RedisStore
from tests.support.factories import make_job, make_request, make_result
from tests.support.servers import RedisServer
from tests.support.stores import DEADLINE_SECONDS, claim_one, redis_store

STATUSES = ("queued", "processing", "completed", "failed", "timeout", "error", "cancelled")
DAY_SECONDS = 24 * 3600
RFC3339_UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


@pytest.fixture
def store(clean_redis: RedisServer) -> RedisStore:
    """A store on the emptied server, with the default settings."""
    return redis_store(clean_redis.environment())


def sets_with(server: RedisServer, job_id: str) -> list[str]:
    """The statuses whose set holds the id."""
    return [status for status in STATUSES if server.admin.sismember(f"job:index:status:{status}", job_id)]


def test_a_jobs_record_has_the_published_fields(clean_redis: RedisServer, store: RedisStore) -> None:
    """`HGETALL job:<id>` shows id, request, status and times; null times are empty; it lives for a day."""
    redis: Any = clean_redis.admin
    job = make_job(request=make_request("int x;"), fingerprint="abc", owner="me")
    store.submit(job)
    key = f"job:{job.id}"
    assert redis.type(key) == "hash"
    record = redis.hgetall(key)
    assert record["id"] == job.id
    assert json.loads(record["request"])["files"] == {"main.cpp": "int x;"}
    assert (record["status"], record["attempts"], record["runner"]) == ("queued", "0", "")
    assert (record["fingerprint"], record["owner"]) == ("abc", "me")
    assert RFC3339_UTC.fullmatch(record["created_at"])
    assert (record["started_at"], record["completed_at"]) == ("", "")
    assert DAY_SECONDS - 60 < redis.ttl(key) <= DAY_SECONDS

    claimed = claim_one(store)
    record = redis.hgetall(key)
    assert (record["status"], record["attempts"], record["runner"]) == ("processing", "1", "runner-a")
    assert RFC3339_UTC.fullmatch(record["started_at"])
    assert record["completed_at"] == ""

    store.complete(claimed, make_result(job.id))
    record = redis.hgetall(key)
    assert record["status"] == "completed"
    assert RFC3339_UTC.fullmatch(record["completed_at"])
    assert record["created_at"] <= record["started_at"] <= record["completed_at"]
    assert DAY_SECONDS - 60 < redis.ttl(key) <= DAY_SECONDS


def test_a_result_has_the_published_fields(clean_redis: RedisServer, store: RedisStore) -> None:
    """`HGETALL result:<id>` shows the verdict, booleans as words, nanoseconds, and JSON lists."""
    redis: Any = clean_redis.admin
    job = make_job()
    store.submit(job)
    result = make_result(
        job.id,
        verdict=Verdict.REJECTED,
        compiled=False,
        exit_code=1,
        duration=41_000_000,
        stdout="",
        stderr="main.cpp:1:1: error: no\n",
        command=("g++-12", "-c", "main.cpp"),
    )
    store.complete(claim_one(store), result)
    key = f"result:{job.id}"
    assert redis.type(key) == "hash"
    fields = redis.hgetall(key)
    assert (fields["success"], fields["compiled"]) == ("true", "false")
    assert (fields["stdout"], fields["stderr"]) == ("", "main.cpp:1:1: error: no\n")
    assert (fields["exit_code"], fields["duration"]) == ("1", "41000000")
    assert (fields["job_id"], fields["error"], fields["verdict"], fields["reason"]) == (
        job.id,
        "",
        "rejected",
        "",
    )
    assert json.loads(fields["diagnostics"]) == []
    assert json.loads(fields["command"]) == ["g++-12", "-c", "main.cpp"]
    assert DAY_SECONDS - 60 < redis.ttl(key) <= DAY_SECONDS


@pytest.mark.parametrize(
    ("verdict", "reason", "status"),
    [
        (Verdict.COMPILES, None, "completed"),
        (Verdict.REJECTED, None, "failed"),
        (Verdict.INCONCLUSIVE, Reason.TIMEOUT, "timeout"),
        (Verdict.INCONCLUSIVE, Reason.MEMORY, "error"),
    ],
)
def test_an_id_is_in_exactly_one_status_set_after_each_transition(
    clean_redis: RedisServer, store: RedisStore, verdict: Verdict, reason: Reason | None, status: str
) -> None:
    """queued → processing → the terminal set; `SMEMBERS` shows it there and nowhere else."""
    redis: Any = clean_redis.admin
    job = make_job()
    store.submit(job)
    assert sets_with(clean_redis, job.id) == ["queued"]
    claimed = claim_one(store)
    assert sets_with(clean_redis, job.id) == ["processing"]
    assert store.release(claimed)
    assert sets_with(clean_redis, job.id) == ["queued"]
    claimed = claim_one(store)
    compiled = verdict is Verdict.COMPILES
    store.complete(claimed, make_result(job.id, verdict=verdict, reason=reason, compiled=compiled))
    assert sets_with(clean_redis, job.id) == [status]
    key = f"job:index:status:{status}"
    assert redis.type(key) == "set"
    assert redis.smembers(key) == {job.id}
    assert DAY_SECONDS - 60 < redis.ttl(key) <= DAY_SECONDS


def test_a_cancelled_id_is_in_the_cancelled_set_alone(clean_redis: RedisServer, store: RedisStore) -> None:
    """Cancelling moves the id from queued or processing to cancelled."""
    waiting, running = make_job(), make_job()
    store.submit(running)
    claim_one(store)
    store.submit(waiting)
    for job in (waiting, running):
        store.cancel(job.id)
        assert sets_with(clean_redis, job.id) == ["cancelled"]


def test_the_stream_has_live_jobs_and_no_ended_ones(clean_redis: RedisServer, store: RedisStore) -> None:
    """`job:stream` has one entry for each live job, the group `runners`, and no entry of an ended job."""
    redis: Any = clean_redis.admin
    first, second = make_job(), make_job()
    store.submit(first)
    store.submit(second)
    assert redis.type("job:stream") == "stream"
    assert [fields for _, fields in redis.xrange("job:stream")] == [{"id": first.id}, {"id": second.id}]
    claimed = claim_one(store)
    assert [group["name"] for group in redis.xinfo_groups("job:stream")] == ["runners"]
    assert redis.xpending("job:stream", "runners")["pending"] == 1
    store.complete(claimed, make_result(first.id))
    assert [fields for _, fields in redis.xrange("job:stream")] == [{"id": second.id}]
    assert redis.xpending("job:stream", "runners")["pending"] == 0
    store.cancel(second.id)
    assert redis.xlen("job:stream") == 0
    assert redis.hlen("job:live") == 0


def test_a_job_for_a_full_queue_stores_nothing(clean_redis: RedisServer) -> None:
    """Redis has the same keys and values afterwards."""
    redis: Any = clean_redis.admin
    store = redis_store(clean_redis.environment(), queue_size=2)
    for _ in range(2):
        store.submit(make_job())
    before = {key: redis.dump(key) for key in redis.keys("*")}
    with pytest.raises(Exception, match="jobs are waiting"):
        store.submit(make_job())
    assert {key: redis.dump(key) for key in redis.keys("*")} == before


def test_a_status_change_is_published(clean_redis: RedisServer, store: RedisStore) -> None:
    """`job:events:{job:<id>}` has the new status, as a hint."""
    job = make_job()
    listener = clean_redis.client().pubsub(ignore_subscribe_messages=True)
    listener.subscribe(f"job:events:{{job:{job.id}}}")
    listener.get_message(timeout=1.0)
    store.submit(job)
    store.complete(claim_one(store), make_result(job.id))
    statuses: list[str] = []
    deadline = time.monotonic() + DEADLINE_SECONDS
    while len(statuses) < 2 and time.monotonic() < deadline:
        message = listener.get_message(timeout=0.5)
        if message:
            statuses.append(message["data"])
    assert statuses == ["processing", "completed"]
    assert listener.get_message(timeout=0.5) is None
