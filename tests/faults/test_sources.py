"""Sources that are apart from their records: what they take, how long they live, and what a lost one does."""

import random
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from chalice.test import Client

import app
from chalicelib.bootstrap import build_application
from chalicelib.errors import QueueFull
from chalicelib.models import CompileRequest, Job, Reason, Status, Verdict
from chalicelib.storage.redis.store import RedisStore
from chalicelib.storage.sources import names_in, pack
from tests.support.factories import make_job, make_matrix, make_request, make_result
from tests.support.servers import RedisServer
from tests.support.stores import claim_one, redis_settings, redis_store, sweep_until

DAY_SECONDS = 24 * 3600
CELLS = 64
_random = random.Random(2)
_PRINTABLE = bytes(32 + number % 95 for number in range(256))


@pytest.fixture
def store(clean_redis: RedisServer) -> Iterator[RedisStore]:
    """A store with short leases, and room in its queue."""
    opened = redis_store(clean_redis.environment(), lease_seconds=0.4, queue_size=5000)
    yield opened
    opened.close()


def request_of(size_bytes: int) -> CompileRequest:
    """A request whose source shrinks by a sixth only."""
    return make_request(_random.randbytes(size_bytes).translate(_PRINTABLE).decode("ascii"))


def submit_matrix(store: RedisStore, request: CompileRequest, cells: int = CELLS) -> list[Job]:
    """A matrix of that many cells over one source."""
    jobs = [make_job(request=request.model_copy(update={"compiler": f"gcc-{n}"})) for n in range(cells)]
    store.submit_matrix(make_matrix(jobs), jobs)
    return jobs


def sources(server: RedisServer) -> set[str]:
    """The keys of sources, without our functions that make keys."""
    return {key for key in server.admin.keys("source:*") if isinstance(key, str)}


def used_bytes(server: RedisServer) -> int:
    """The memory of Redis."""
    return int(server.admin.info("memory")["used_memory"])


def test_a_matrix_stores_its_source_once(clean_redis: RedisServer, store: RedisStore) -> None:
    """64 cells over 256 KiB take less than twice what was sent; each had a copy of its own before."""
    submit_matrix(store, request_of(256 * 1024))
    # By key, since the buffers of Redis's clients come and go.
    redis: Any = clean_redis.admin
    taken = sum(redis.memory_usage(key) for key in redis.keys("*"))
    print(f"\na matrix of {CELLS} cells over 256 KiB takes {taken / 1024:.0f} KiB in Redis")
    # The file, and what the cells share otherwise.
    assert len(sources(clean_redis)) == 2
    assert taken < 2 * 256 * 1024


def test_sixty_five_matrices_do_not_fill_the_store(start_redis: Callable[..., RedisServer]) -> None:
    """A store of 1.4 GB, scaled down by twenty with their sources, takes all of them, and another's job."""
    server = start_redis(maxmemory=f"{1400 // 20}mb", policy="noeviction")
    store = redis_store(server.environment(), queue_size=5000)
    for _ in range(65):
        submit_matrix(store, request_of(256 * 1024 // 20))
    print(f"\n65 matrices of {CELLS} cells: {used_bytes(server) / 2**20:.0f} MiB of 70")
    assert used_bytes(server) < 70 * 2**20 // 2
    store.submit(make_job())
    store.close()


def test_a_flood_is_turned_away_while_anothers_job_is_taken(clean_redis: RedisServer) -> None:
    """Large matrices meet STORE_LIMIT_MB; one too many leaves nothing, and a small job gets in and ends."""
    store = redis_store(clean_redis.environment(), store_limit_mb=8, queue_size=5000)
    taken = 0
    with suppress(QueueFull):
        while taken < 100:
            submit_matrix(store, request_of(1000 * 1024), cells=2)
            taken += 1
    assert 2 <= taken < 10
    kept = sources(clean_redis)
    with pytest.raises(QueueFull) as caught:
        submit_matrix(store, request_of(1000 * 1024), cells=2)
    assert caught.value.retry_after_seconds is not None
    assert sources(clean_redis) == kept
    other = make_job()
    store.submit(other)
    claims = [claim_one(store) for _ in range(2 * taken + 1)]
    assert store.complete(claims[-1], make_result(other.id))
    ended = store.get(other.id)
    assert ended is not None and ended.status is Status.COMPLETED
    store.close()


def test_a_source_lives_as_long_as_the_last_job_that_names_it(
    clean_redis: RedisServer, store: RedisStore
) -> None:
    """Whenever a record gets its time to live anew, so does the source: submit, claim, release, end."""
    redis: Any = clean_redis.admin
    request = request_of(100 * 1024)
    first, second = (make_job(request=request) for _ in range(2))

    def age() -> None:
        for key in sources(clean_redis):
            redis.expire(key, 60)

    def lives_long() -> bool:
        return all(redis.ttl(key) > DAY_SECONDS - 60 for key in sources(clean_redis))

    store.submit(first)
    assert lives_long()
    age()
    store.submit(second)
    assert lives_long()
    age()
    claim = claim_one(store)
    assert lives_long()
    age()
    assert store.release(claim)
    assert lives_long()
    claim = claim_one(store)
    age()
    assert store.complete(claim, make_result(claim.job.id))
    assert lives_long()
    age()
    assert store.cancel(first.id) is Status.CANCELLED
    assert lives_long()


LOSSES: dict[str, Callable[[Any, str], object]] = {
    "evicted": lambda redis, key: redis.delete(key),
    "of another text": lambda redis, key: redis.set(key, b"x\x9c\x03\x00\x00\x00\x00\x01"),
    "a bomb": lambda redis, key: redis.set(key, zlib.compress(bytes(64 * 2**20))),
    "damaged": lambda redis, key: redis.set(key, b"no zlib"),
    "of another type": lambda redis, key: (redis.delete(key), redis.rpush(key, "x")),
}


@pytest.mark.parametrize("which", ["the file", "what is shared"])
@pytest.mark.parametrize("loss", LOSSES)
def test_a_lost_source_ends_the_job_honestly(
    clean_redis: RedisServer, store: RedisStore, loss: str, which: str
) -> None:
    """Inconclusive, `infrastructure`, with a sentence; a job that has ended keeps its result; never a 500."""
    redis: Any = clean_redis.client(decode_responses=False)
    request = request_of(100 * 1024)
    ended, waiting = (make_job(request=request) for _ in range(2))
    store.submit(ended)
    assert store.complete(claim_one(store), make_result(ended.id))
    store.submit(waiting)
    shared, file = names_in(pack([request]).records[0])
    LOSSES[loss](redis, f"source:{file if which == 'the file' else shared}")
    settings = redis_settings(clean_redis.environment())
    with app.use(build_application(settings, store)), Client(app.app) as client:
        paths = [f"/api/v1/compile/{job.id}" for job in (ended, waiting)]
        for path in (*paths, *(f"{path}?format=sarif" for path in paths)):
            assert client.http.get(path).status_code in (200, 202)
        assert client.http.get(f"/api/v1/compile/{ended.id}").json_body["verdict"] == "compiles"
        assert store.claim("runner", 0.05) is None
        body = client.http.get(f"/api/v1/compile/{waiting.id}").json_body
    assert (body["verdict"], body["reason"]) == (Verdict.INCONCLUSIVE, Reason.INFRASTRUCTURE)
    assert "its source in the store is lost or damaged: submit it again" in body["error"]
    again = make_job(request=request)
    store.submit(again)
    assert claim_one(store).job.request == request


DRIFTS: dict[str, Callable[[Any], object]] = {
    "too many": lambda redis: redis.hset("job:live", "waiting_bytes", 10**15),
    "none": lambda redis: redis.hdel("job:live", "waiting_bytes"),
    "less than none": lambda redis: redis.hset("job:live", "waiting_bytes", -(10**15)),
    "no number": lambda redis: redis.hset("job:live", "waiting_bytes", "abc"),
}


@pytest.mark.parametrize("drift", DRIFTS)
def test_the_bytes_that_wait_are_counted_again_by_a_sweep(
    clean_redis: RedisServer, store: RedisStore, drift: str
) -> None:
    """Whatever became of the sum: after a sweep it is right, and when nothing waits it is gone."""
    redis: Any = clean_redis.admin
    jobs = [make_job(request=request_of(30 * 1024)) for _ in range(3)]
    for job in jobs:
        store.submit(job)
    right = redis.hget("job:live", "waiting_bytes")
    assert int(right) == sum(sum(pack([job.request]).weights) for job in jobs)
    DRIFTS[drift](redis)
    sweep_until(store, lambda: redis.hget("job:live", "waiting_bytes") == right)
    DRIFTS[drift](redis)
    for _ in jobs:
        claim = claim_one(store)
        assert store.complete(claim, make_result(claim.job.id))
    sweep_until(store, lambda: not redis.exists("job:live"))


def test_a_queue_that_lost_its_facts_still_ends_its_jobs(clean_redis: RedisServer, store: RedisStore) -> None:
    """With `job:live` the bytes are lost as well: nothing is counted twice, and new jobs are taken."""
    redis: Any = clean_redis.admin
    jobs = [make_job(request=request_of(30 * 1024)) for _ in range(3)]
    for job in jobs:
        store.submit(job)
    redis.delete("job:live")
    store.submit(make_job(request=request_of(30 * 1024)))
    for _ in range(4):
        claim = claim_one(store, sweep=True)
        assert store.complete(claim, make_result(claim.job.id))
    sweep_until(store, lambda: not redis.exists("job:live"))
