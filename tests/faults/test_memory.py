"""A Redis without memory: with noeviction it rejects writes, with any other policy it evicts our keys."""

import random
import string
import time
from collections.abc import Callable
from typing import Any

import pytest
from redis.exceptions import OutOfMemoryError

from chalicelib.errors import StoreFull
from chalicelib.models import Status
from tests.support.factories import make_environment, make_job, make_request, make_result, make_runner
from tests.support.processes import ApiProcess
from tests.support.servers import RedisServer
from tests.support.stores import DEADLINE_SECONDS, claim_one, redis_store

BALLAST_BYTES = 100_000


def fill(redis: Any) -> None:
    """Uses up the memory, until the smallest write is rejected."""
    number = 0
    size = BALLAST_BYTES
    while size > 10:
        try:
            redis.set(f"ballast:{number}", "x" * size)
            number += 1
        except OutOfMemoryError:
            size //= 4


def test_without_memory_no_job_is_accepted_and_accepted_jobs_still_end(
    start_redis: Callable[..., RedisServer],
) -> None:
    """noeviction: a new job gets 503 with a clear message, and leaves nothing. A running job can be completed
    or cancelled, and a waiting one claimed. With memory again the service goes on."""
    server = start_redis(maxmemory="12mb", policy="noeviction")
    redis: Any = server.admin
    store = redis_store(server.environment())
    store.register(make_runner(), [make_environment()], 600)
    running, waiting, cancelled = make_job(), make_job(), make_job()
    with ApiProcess(server.environment()) as api:
        for job in (running, waiting, cancelled):
            store.submit(job)
        claim = claim_one(store)
        fill(redis)
        # Random letters, because long sources are stored compressed.
        source = "".join(random.Random(1).choices(string.ascii_letters, k=50_000))
        rejected = make_job(request=make_request(source))
        with pytest.raises(StoreFull, match="out of memory"):
            store.submit(rejected)
        reply = api.call("POST", "/api/v1/compile", {"source_code": "int x;", "language": "cpp"})
        assert (reply.status, reply.json()["error"]) == (503, "store_full")
        assert int(reply.headers["retry-after"]) >= 1
        assert not redis.exists(f"job:{rejected.id}")
        assert store.complete(claim, make_result(running.id))
        assert store.cancel(cancelled.id) is Status.CANCELLED
        second = claim_one(store)
        assert second.job.id == waiting.id
        assert store.complete(second, make_result(waiting.id))
        for job in (running, waiting):
            answer = api.call("GET", f"/api/v1/compile/{job.id}").json()
            assert (answer["status"], answer["verdict"]) == ("completed", "compiles")
        for key in redis.scan_iter("ballast:*"):
            redis.delete(key)
        assert api.call("POST", "/api/v1/compile", {"source_code": "int x;", "language": "cpp"}).status == 202
    store.close()


@pytest.mark.parametrize(
    "policy",
    [
        *("allkeys-lru", "allkeys-lfu", "allkeys-random"),
        *("volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"),
    ],
)
def test_under_eviction_no_job_hangs(policy: str, start_redis: Callable[..., RedisServer]) -> None:
    """Under pressure each job ends, or is unknown because its record was evicted; the losses are counted, and
    no job is left waiting."""
    server = start_redis(maxmemory="6mb", policy=policy)
    redis: Any = server.admin
    store = redis_store(server.environment(), lease_seconds=0.5, queue_size=100_000)
    jobs = []
    for number in range(600):
        job = make_job(request=make_request(f"// {number}\n" + "x" * 8000))
        jobs.append(job)
        store.submit(job)
        if number % 3 == 0:
            claim = store.claim("runner", 0.01)
            if claim is not None and number % 2 == 0:
                store.complete(claim, make_result(claim.job.id))
    deadline = time.monotonic() + DEADLINE_SECONDS
    waiting = list(jobs)
    ended = lost = 0
    while waiting and time.monotonic() < deadline:
        store.sweep()
        for _ in range(50):
            claim = store.claim("runner", 0.01)
            if claim is not None:
                store.complete(claim, make_result(claim.job.id))
        left = []
        for job in waiting:
            stored = store.get(job.id)
            if stored is None or (stored.status.terminal and store.get_result(job.id) is None):
                lost += 1  # the API answers 404
            elif stored.status.terminal:
                ended += 1
            else:
                left.append(job)
        waiting = left
    evicted = redis.info("stats")["evicted_keys"]
    print(f"\n{policy}, {evicted} keys evicted: 600 jobs, {ended} ended, {lost} unknown, {len(waiting)} hang")
    assert evicted > 0
    assert not waiting
    store.close()
