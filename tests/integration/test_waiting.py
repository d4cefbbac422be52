"""Waiting in Redis for the end of a job: woken at once, at little cost, and also when no message comes."""

import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from chalicelib.models import Job
from chalicelib.storage.redis.store import POLL_SECONDS, RedisStore
from tests.support.factories import make_job, make_result
from tests.support.servers import RedisServer
from tests.support.stores import claim_one, redis_store

# As long as nothing is wrong no wait takes this long, not even on a busy machine.
WAIT_SECONDS = 60.0
# One or two polls on a quiet machine.
A_FEW_POLLS_SECONDS = 10 * POLL_SECONDS


def end_while_waiting(
    waiter: RedisStore, worker: RedisStore, *, meanwhile: Callable[[], object] | None = None
) -> float:
    """Seconds from the end of a job to the moment when the waiting client knows."""
    job = make_job()
    worker.submit(job)
    claim = claim_one(worker)
    with ThreadPoolExecutor(1) as pool:

        def wait() -> tuple[Job | None, float]:
            return waiter.wait(job.id, WAIT_SECONDS), time.monotonic()

        waiting = pool.submit(wait)
        time.sleep(0.15)
        if meanwhile is not None:
            meanwhile()
        assert worker.complete(claim, make_result(job.id))
        ended = time.monotonic()
        waited_job, woken = waiting.result()
    assert waited_job is not None
    assert waited_job.status.terminal
    return woken - ended


@pytest.mark.alone
def test_a_waiting_client_is_woken_by_the_end_of_its_job(clean_redis: RedisServer) -> None:
    """Pub/sub wakes it long before it would poll (the median of 15 is printed)."""
    store = redis_store(clean_redis.environment())
    seconds = [end_while_waiting(store, store) for _ in range(15)]
    median = statistics.median(seconds)
    print(f"\nwoken {median * 1000:.1f} ms after the end (median of {len(seconds)})")
    assert median < POLL_SECONDS / 4


def test_a_wait_costs_next_to_nothing(clean_redis: RedisServer) -> None:
    """Three seconds of waiting are a handful of commands, not a busy loop."""
    store = redis_store(clean_redis.environment())
    redis: Any = clean_redis.admin
    job = make_job()
    store.submit(job)
    redis.config_resetstat()
    started = time.process_time()
    store.wait(job.id, 3.0)
    processor_seconds = time.process_time() - started
    # Redis also counts the commands inside scripts; only those over the wire are meant here.
    calls = {name: stats["calls"] for name, stats in redis.info("commandstats").items()}
    sent = sum(calls.get(f"cmdstat_{name}", 0) for name in ("hgetall", "evalsha", "eval", "subscribe"))
    print(f"\n3 s of waiting: {sent} commands, {processor_seconds * 1000:.0f} ms of processor time")
    assert sent <= 2 * (3 / POLL_SECONDS + 3) + 2


def test_a_dropped_subscriber_still_learns_of_the_end(clean_redis: RedisServer) -> None:
    """The server drops its subscribers, as managed ones do when they are slow: polling replaces messages."""
    store = redis_store(clean_redis.environment())
    redis: Any = clean_redis.admin
    seconds = end_while_waiting(
        store, store, meanwhile=lambda: redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
    )
    assert seconds < A_FEW_POLLS_SECONDS


def test_without_the_right_to_subscribe_the_client_polls(start_redis: Callable[..., RedisServer]) -> None:
    """A user without channels gets no message, and learns of the end at most one poll interval later."""
    server = start_redis(
        password="admin",
        users=["deaf on >pw ~* resetchannels -@all +@read +@write +@connection +@scripting +time"],
    )
    deaf = redis_store(server.environment(), redis_username="deaf", redis_password="pw")
    worker = redis_store(server.environment(), redis_password="admin")
    seconds = end_while_waiting(deaf, worker)
    print(f"\nknown by polling {seconds * 1000:.0f} ms after the end")
    assert seconds < A_FEW_POLLS_SECONDS
