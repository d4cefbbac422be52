"""Costs that must not grow: leftovers of expired jobs, memory per job, and the claim from a long queue."""

import multiprocessing
import time
from collections import deque
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pytest
import redis

from chalicelib.models import Status
from chalicelib.storage.redis import keys
from chalicelib.storage.redis.jobs import job_to_fields
from chalicelib.storage.redis.scripts import Scripts
from chalicelib.storage.redis.store import RedisStore
from tests.faults.harness import fault_settings
from tests.support.factories import make_job, make_result
from tests.support.servers import RedisServer
from tests.support.stores import claim_one, redis_store

JOBS = 9_000
PROCESSES = 3
# Each process lets its oldest job expire when it has more: 600 living jobs in all, 15 generations of them.
LIVING_JOBS = 200


def serve_jobs(settings: dict[str, str], worker: int) -> None:
    """Submits, claims and completes its share of the jobs, and lets all but the newest expire."""
    store = redis_store(settings)
    driver = redis.Redis.from_url(f"redis://{settings['REDIS_ADDR']}")
    living: deque[str] = deque()
    for _ in range(JOBS // PROCESSES):
        store.submit(make_job())
        claim = claim_one(store, f"runner-{worker}")
        store.complete(claim, make_result(claim.job.id))
        living.append(claim.job.id)
        if len(living) > LIVING_JOBS:
            # As Redis does at the end of their time to live, but whenever this test wants it.
            oldest = living.popleft()
            driver.delete(f"job:{oldest}", f"result:{oldest}")
    driver.close()
    store.close()


@pytest.mark.timeout(600)
def test_expired_jobs_leave_bounded_leftovers(clean_redis: RedisServer) -> None:
    """After 9,000 jobs, of which all but the newest 600 expired, the index holds at most twice the living
    ids, with nothing but the traffic itself to clean up."""
    settings = fault_settings(clean_redis)
    admin: Any = clean_redis.admin
    before = admin.info("memory")["used_memory"]

    began = time.monotonic()
    # Processes, because one Python process would be the bottleneck of this test; spawned, because pytest has
    # threads.
    with ProcessPoolExecutor(PROCESSES, mp_context=multiprocessing.get_context("spawn")) as pool:
        list(pool.map(serve_jobs, [settings] * PROCESSES, range(PROCESSES)))
    seconds = time.monotonic() - began
    ids = {job_id for status in Status for job_id in admin.smembers(f"job:index:status:{status.value}")}
    living = sum(admin.exists(f"job:{job_id}") for job_id in ids)
    used = admin.info("memory")["used_memory"] - before
    print(
        f"\n{JOBS} jobs in {seconds:.0f} s ({JOBS / seconds:.0f}/s over {PROCESSES} processes): "
        f"{len(ids)} ids in the index, {living} of them alive ({len(ids) / living:.2f}×)"
    )
    print(f"memory: {used / 1024:.0f} KiB for what is left, {used / living:.0f} bytes a living job")
    assert living == PROCESSES * LIVING_JOBS
    assert len(ids) <= 2 * living
    assert admin.hlen("job:live") == 0
    assert admin.xlen("job:stream") == 0


@pytest.mark.alone
def test_the_cost_of_a_claim_does_not_grow_with_the_queue(clean_redis: RedisServer) -> None:
    """A claim from 100,000 queued jobs costs about what one from 100 does (ratio printed)."""
    store = redis_store(fault_settings(clean_redis, QUEUE_SIZE="1000000"))
    fastest = {}
    for size in (100, 100_000):
        clean_redis.admin.flushall()
        empty = clean_redis.admin.info("memory")["used_memory"]
        fill(clean_redis, size)
        memory = (clean_redis.admin.info("memory")["used_memory"] - empty) / size
        fastest[size] = fastest_claim_seconds(store)
        print(f"\n{size} queued: a claim takes {fastest[size] * 1e6:.0f} µs; {memory:.0f} bytes a job")
    ratio = fastest[100_000] / fastest[100]
    print(f"ratio {ratio:.2f}")
    # Linear growth would be 1,000; the margin is for a noisy machine.
    assert ratio < 3


def fill(server: RedisServer, size: int) -> None:
    """Queues jobs as `submit` does, many in one round trip."""
    names = keys.Keys().for_scripts()
    client: Any = server.client()
    digest = client.script_load(Scripts().submit.text)
    for start in range(0, size, 1000):
        pipe = client.pipeline(transaction=False)
        for _ in range(min(1000, size - start)):
            job = make_job()
            pipe.hset(f"job:{job.id}", mapping=job_to_fields(job, job.request.model_dump_json()))
            pipe.evalsha(digest, len(names), *names, 0, 0, 86_400_000, job.id, 0)
        pipe.execute()


def fastest_claim_seconds(store: RedisStore) -> float:
    """The fastest of 90 claims: other work on the machine only makes claims slower."""
    seconds = []
    for _ in range(90):
        began = time.perf_counter()
        assert store.claim("runner", 0.5) is not None
        seconds.append(time.perf_counter() - began)
    return min(seconds)
