"""Costs that must not grow: leftovers of expired jobs, memory per job, and the claim of a long queue."""

import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from chalicelib.models import Status
from chalicelib.storage import keys
from chalicelib.storage.codec import job_to_fields
from chalicelib.storage.redis import RedisStore
from tests.factories import make_job, make_result
from tests.faults.harness import fault_settings, open_store
from tests.servers import RedisServer

JOBS = 20_000
TTL_SECONDS = 2.0


@pytest.mark.timeout(300)
def test_expired_jobs_leave_bounded_leftovers(clean_redis: RedisServer) -> None:
    """After 20,000 jobs that live for 2 s the index holds at most twice the living ids, with nothing but
    the traffic itself to clean up."""
    ttl = {"REDIS_JOB_TTL_HOURS": f"{TTL_SECONDS / 3600:.8f}"}
    store = open_store(fault_settings(clean_redis, **ttl))
    redis: Any = clean_redis.admin
    before = redis.info("memory")["used_memory"]

    def run(worker: int) -> None:
        for _ in range(JOBS // 4):
            store.submit(make_job())
            claim = None
            while claim is None:
                claim = store.claim(f"runner-{worker}", 0.5)
            assert store.complete(claim, make_result(claim.job.id))

    began = time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(run, range(4)))
    seconds = time.monotonic() - began
    ids = {job_id for status in Status for job_id in redis.smembers(f"job:index:status:{status.value}")}
    living = sum(redis.exists(f"job:{job_id}") for job_id in ids)
    used = redis.info("memory")["used_memory"] - before
    print(
        f"\n{JOBS} jobs in {seconds:.0f} s ({JOBS / seconds:.0f}/s over 4 threads): "
        f"{len(ids)} ids in the index, {living} of them alive ({len(ids) / max(1, living):.2f}×)"
    )
    print(f"memory: {used / 1024:.0f} KiB for what is left, {used / max(1, living):.0f} bytes a living job")
    assert living > 0
    assert len(ids) <= 2 * living
    assert redis.hlen("job:live") == 0
    assert redis.xlen("job:stream") == 0


def test_the_cost_of_a_claim_does_not_grow_with_the_queue(clean_redis: RedisServer) -> None:
    """A claim from 100,000 queued jobs costs about what one from 100 does (ratio printed)."""
    store = open_store(fault_settings(clean_redis, QUEUE_SIZE="1000000"))
    medians = {}
    for size in (100, 100_000):
        clean_redis.admin.flushall()
        empty = clean_redis.admin.info("memory")["used_memory"]
        fill(store, clean_redis, size)
        memory = (clean_redis.admin.info("memory")["used_memory"] - empty) / size
        medians[size] = median_claim_seconds(store)
        print(f"\n{size} queued: a claim takes {medians[size] * 1e6:.0f} µs; {memory:.0f} bytes a job")
    ratio = medians[100_000] / medians[100]
    print(f"ratio {ratio:.2f}")
    # Linear growth would be 1,000; the rest is for a noisy machine.
    assert ratio < 3


def fill(store: RedisStore, server: RedisServer, size: int) -> None:
    """Queues jobs as `submit` does, many in one round trip."""
    names = keys.CoordinationKeys().for_scripts()
    enqueue = store._scripts.enqueue
    client: Any = server.client()
    digest = client.script_load(enqueue.text)
    for start in range(0, size, 1000):
        pipe = client.pipeline(transaction=False)
        for _ in range(min(1000, size - start)):
            job = make_job()
            pipe.hset(f"job:{job.id}", mapping=job_to_fields(job))
            pipe.evalsha(digest, len(names), *names, job.id, 0, 86_400_000)
        pipe.execute()


def median_claim_seconds(store: RedisStore) -> float:
    """The median of 80 claims."""
    seconds = []
    for _ in range(80):
        began = time.perf_counter()
        assert store.claim("runner", 0.5) is not None
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)
