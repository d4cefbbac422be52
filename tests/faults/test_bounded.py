"""Costs that must not grow: leftovers of expired jobs, memory per job, and the claim of a long queue."""

import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pytest

from chalicelib.models import Status
from chalicelib.storage.redis import keys
from chalicelib.storage.redis.codec import job_to_fields
from chalicelib.storage.redis.store import RedisStore
from tests.faults.harness import fault_settings, open_store
from tests.support.factories import make_job, make_result
from tests.support.servers import RedisServer

JOBS = 20_000
TTL_SECONDS = 2.0
PROCESSES = 3


def serve_jobs(settings: dict[str, str], worker: int) -> None:
    """Submits, claims and completes its share of the jobs."""
    store = open_store(settings)
    for _ in range(JOBS // PROCESSES):
        store.submit(make_job())
        for _ in range(3):  # on a machine that stands still for 2 s a job may expire before its claim
            claim = store.claim(f"runner-{worker}", 0.5)
            if claim is not None:
                store.complete(claim, make_result(claim.job.id))
                break
    store.close()


@pytest.mark.timeout(300)
def test_expired_jobs_leave_bounded_leftovers(clean_redis: RedisServer) -> None:
    """After 20,000 jobs that live for 2 s the index holds at most twice the living ids, with nothing but
    the traffic itself to clean up."""
    settings = fault_settings(clean_redis, REDIS_JOB_TTL_HOURS=f"{TTL_SECONDS / 3600:.8f}")
    redis: Any = clean_redis.admin
    before = redis.info("memory")["used_memory"]

    began = time.monotonic()
    # Processes, because one Python process would be the bottleneck of this test; started afresh, because
    # pytest has threads.
    with ProcessPoolExecutor(PROCESSES, mp_context=multiprocessing.get_context("spawn")) as pool:
        list(pool.map(serve_jobs, [settings] * PROCESSES, range(PROCESSES)))
    seconds = time.monotonic() - began
    ids = {job_id for status in Status for job_id in redis.smembers(f"job:index:status:{status.value}")}
    living = sum(redis.exists(f"job:{job_id}") for job_id in ids)
    used = redis.info("memory")["used_memory"] - before
    print(
        f"\n{JOBS} jobs in {seconds:.0f} s ({JOBS / seconds:.0f}/s over {PROCESSES} processes): "
        f"{len(ids)} ids in the index, {living} of them alive ({len(ids) / max(1, living):.2f}×)"
    )
    print(f"memory: {used / 1024:.0f} KiB for what is left, {used / max(1, living):.0f} bytes a living job")
    assert living > 0
    assert len(ids) <= 2 * living
    assert redis.hlen("job:live") == 0
    assert redis.xlen("job:stream") == 0


@pytest.mark.alone
def test_the_cost_of_a_claim_does_not_grow_with_the_queue(clean_redis: RedisServer) -> None:
    """A claim from 100,000 queued jobs costs about what one from 100 does (ratio printed)."""
    store = open_store(fault_settings(clean_redis, QUEUE_SIZE="1000000"))
    fastest = {}
    for size in (100, 100_000):
        clean_redis.admin.flushall()
        empty = clean_redis.admin.info("memory")["used_memory"]
        fill(store, clean_redis, size)
        memory = (clean_redis.admin.info("memory")["used_memory"] - empty) / size
        fastest[size] = fastest_claim_seconds(store)
        print(f"\n{size} queued: a claim takes {fastest[size] * 1e6:.0f} µs; {memory:.0f} bytes a job")
    ratio = fastest[100_000] / fastest[100]
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


def fastest_claim_seconds(store: RedisStore) -> float:
    """The fastest of 90 claims: what else the machine does makes others slower, and none faster."""
    seconds = []
    for _ in range(90):
        began = time.perf_counter()
        assert store.claim("runner", 0.5) is not None
        seconds.append(time.perf_counter() - began)
    return min(seconds)
