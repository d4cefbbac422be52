"""Keys that vanish under the service: by eviction, by an operator's mistake, by a failover that lost a write.

For each loss: the jobs that were submitted still end, or are unknown (404) when their record itself is lost;
no job hangs. The sweep and the readers fix it, at bounded cost.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from chalice.test import Client

import app
from chalicelib.bootstrap import build_application
from chalicelib.models import Status
from chalicelib.storage.protocol import Claim
from chalicelib.storage.redis.jobs import result_to_fields
from chalicelib.storage.redis.store import RedisStore
from tests.support.factories import make_job, make_result
from tests.support.servers import RedisServer, wait_until
from tests.support.stores import DEADLINE_SECONDS, claim_one, keep_lease, redis_settings, redis_store

LEASE_SECONDS = 0.4


@pytest.fixture
def store(clean_redis: RedisServer) -> Iterator[RedisStore]:
    """A store with short leases."""
    opened = redis_store(clean_redis.environment(), lease_seconds=LEASE_SECONDS)
    yield opened
    opened.close()


def work_until(store: RedisStore, done: Callable[[], bool]) -> None:
    """Claims, completes and sweeps, as a runner does, until the condition holds."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not done():
        assert time.monotonic() < deadline, "no sweep fixed it in time"
        store.sweep()
        claim = store.claim("second runner", 0.05)
        if claim is not None:
            store.complete(claim, make_result(claim.job.id))


def claimed(store: RedisStore) -> Claim:
    """The next job, for a runner that then dies or goes on as the test says."""
    return claim_one(store, "first runner")


LOSSES: dict[str, Callable[[Any], object]] = {
    "the stream": lambda redis: redis.delete("job:stream"),
    "the group": lambda redis: redis.xgroup_destroy("job:stream", "runners"),
    "the facts": lambda redis: redis.delete("job:live"),
    "the queued set": lambda redis: redis.delete("job:index:status:queued"),
    "the processing set": lambda redis: redis.delete("job:index:status:processing"),
    "both live sets": lambda redis: redis.delete("job:index:status:queued", "job:index:status:processing"),
    "the stream and the facts": lambda redis: redis.delete("job:stream", "job:live"),
    "everything but the records": lambda redis: redis.delete(
        "job:stream", "job:live", "job:index:status:queued", "job:index:status:processing", "stats"
    ),
    "the scripts": lambda redis: redis.script_flush(),
}


@pytest.mark.parametrize("loss", LOSSES)
def test_every_job_ends_after_the_loss_of(clean_redis: RedisServer, store: RedisStore, loss: str) -> None:
    """Queued and claimed jobs end, although the runner of one of them is dead, and clients see it."""
    redis: Any = clean_redis.admin
    jobs = [make_job() for _ in range(8)]
    for job in jobs:
        store.submit(job)
    dead, alive = claimed(store), claimed(store)
    LOSSES[loss](redis)
    store.renew("first runner", [alive])

    def all_ended() -> bool:
        # Clients ask for their jobs; that is one of the ways in which a loss is noticed.
        present = [store.get(job.id) for job in jobs]
        return all(job is not None and job.status.terminal for job in present)

    work_until(store, all_ended)
    for job in jobs:
        result = store.get_result(job.id)
        assert result is not None
        assert result.compiled
    assert store.renew("first runner", [dead]) == {dead.job.id}


def test_a_living_runner_keeps_its_job_when_the_stream_is_lost(
    clean_redis: RedisServer, store: RedisStore
) -> None:
    """The runner's next renewals add the entry again; no other runner gets the job."""
    redis: Any = clean_redis.admin

    def claim_and_lose_the_stream() -> Claim:
        redis.flushdb()
        store.submit(make_job())
        claim = claimed(store)
        redis.delete("job:stream")
        return claim

    claim = keep_lease(store, claim_and_lose_the_stream, LEASE_SECONDS)
    assert store.claim("another", 0.02) is None
    assert store.complete(claim, make_result(claim.job.id))
    assert redis.xlen("job:stream") == 0


@pytest.mark.parametrize("state", [Status.QUEUED, Status.PROCESSING])
def test_a_job_whose_record_is_lost_is_unknown_and_leaves_nothing(
    clean_redis: RedisServer, store: RedisStore, state: Status
) -> None:
    """The record of a live job is evicted: 404 for the client, and the sweep removes the rest of the job."""
    redis: Any = clean_redis.admin
    job, other = make_job(), make_job()
    store.submit(job)
    if state is Status.PROCESSING:
        claimed(store)
    store.submit(other)
    redis.delete(f"job:{job.id}")
    assert store.get(job.id) is None
    work_until(store, lambda: (stored := store.get(other.id)) is not None and stored.status.terminal)
    work_until(store, lambda: redis.hlen("job:live") == 0)
    members = [redis.smembers(f"job:index:status:{status.value}") for status in Status if not status.terminal]
    assert members == [set(), set()]
    assert redis.xlen("job:stream") == 0


def test_a_sealed_job_whose_sealer_died_is_completed(clean_redis: RedisServer, store: RedisStore) -> None:
    """A runner died after the seal, with or without the result; an API died after sealing a cancel: each job
    ends once."""
    redis: Any = clean_redis.admin
    jobs = [make_job() for _ in range(3)]
    for job in jobs:
        store.submit(job)
    written, unwritten = claimed(store), claimed(store)
    for claim in (written, unwritten):
        redis.hset("job:live", f"{claim.job.id}:seal", f"{claim.token}:completed")
    result = make_result(written.job.id, stdout="the dead runner's")
    redis.hset(f"result:{result.job_id}", mapping=result_to_fields(result) | {"token": written.token})
    redis.hset("job:live", f"{jobs[2].id}:seal", "0:cancelled")
    work_until(store, lambda: redis.hlen("job:live") == 0)
    statuses = [stored.status for job in jobs if (stored := store.get(job.id))]
    assert statuses == [Status.COMPLETED, Status.COMPLETED, Status.CANCELLED]
    first, second = store.get_result(jobs[0].id), store.get_result(jobs[1].id)
    assert first is not None
    assert second is not None
    assert (first.stdout, first.attempts) == ("the dead runner's", 0)
    assert (second.stdout, second.attempts) == ("", 2)


def test_a_dead_runners_job_whose_set_was_lost_is_queued_again_without_a_reader(
    clean_redis: RedisServer, store: RedisStore
) -> None:
    """The processing set is evicted while the runner is dead: the sweep queues the job again."""
    redis: Any = clean_redis.admin
    job = make_job()
    store.submit(job)
    claimed(store)
    redis.delete("job:index:status:processing")
    work_until(store, lambda: bool(redis.exists(f"result:{job.id}")))
    assert redis.smembers("job:index:status:completed") == {job.id}


def test_the_scheduled_function_sweeps_when_no_runner_is_up(
    clean_redis: RedisServer, store: RedisStore
) -> None:
    """Lambda's schedule alone releases a dead runner's job to the queue."""
    job = make_job()
    store.submit(job)
    claimed(store)
    settings = redis_settings(clean_redis.environment())
    time.sleep(LEASE_SECONDS * 1.2)
    with app.use(build_application(settings, store)), Client(app.app) as client:
        event = client.events.generate_cw_event("aws.events", "Scheduled Event", {}, [])
        report = client.lambda_.invoke("sweep", event).payload
    assert report == {"released": 1, "completed": 0, "given_up": 0, "discarded": 0}
    stored = store.get(job.id)
    assert stored is not None
    assert stored.status is Status.QUEUED


def test_consumers_of_dead_runners_are_removed(clean_redis: RedisServer) -> None:
    """A group keeps each consumer's name for ever; the sweep removes those that were silent for 20 leases."""
    redis: Any = clean_redis.admin
    store = redis_store(clean_redis.environment(), lease_seconds=0.2)
    for number in range(30):
        store.submit(make_job())
        claim = claim_one(store, f"runner {number}")
        assert store.complete(claim, make_result(claim.job.id))
    assert len(redis.xinfo_consumers("job:stream", "runners")) == 30

    def all_removed() -> bool:
        store.sweep()
        return not redis.xinfo_consumers("job:stream", "runners")

    wait_until(all_removed, "the removal of every consumer", timeout_seconds=DEADLINE_SECONDS)
    store.submit(make_job())
    assert claim_one(store, "runner 0").attempts == 1
    store.close()


def test_the_sweep_costs_the_same_for_any_queue(clean_redis: RedisServer, store: RedisStore) -> None:
    """One sweep looks at a bounded number of ids, however many there are."""
    redis: Any = clean_redis.admin
    redis.sadd("job:index:status:queued", *(f"{number:032x}" for number in range(5000)))
    redis.sadd("job:index:status:processing", *(f"{number:032x}" for number in range(5000, 10000)))
    before = redis.info("commandstats")
    store.sweep()
    after = redis.info("commandstats")
    calls = sum(
        value["calls"] - before.get(name, {"calls": 0})["calls"]
        for name, value in after.items()
        if name.startswith("cmdstat_")
    )
    print(f"\none sweep over 10,000 lost ids: {calls} commands")
    assert calls < 20_000
    assert redis.scard("job:index:status:queued") == 5000 - 200
