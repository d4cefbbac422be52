"""What a serverless cache refuses, one at a time: jobs end, and clients that wait get their answer."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import fakeredis
import pytest
from redis.exceptions import NoScriptError, ResponseError

from chalicelib.errors import StoreUnavailable
from chalicelib.models import Status
from chalicelib.storage.redis.client import RedisClient
from chalicelib.storage.redis.listener import SUBSCRIBE_SECONDS, Listener
from chalicelib.storage.redis.store import RedisStore
from tests.contract.conftest import SERVICE_LOGIN, SERVICE_USER
from tests.support.factories import (
    make_environment,
    make_job,
    make_matrix,
    make_result,
    make_runner,
    make_settings,
)
from tests.support.servers import RedisServer, ServerlessCache, StrictScripts
from tests.support.stores import (
    DEADLINE_SECONDS,
    claim_one,
    redis_settings,
    redis_store,
    store_over,
    store_with,
    sweep_until,
)

CELLS = 64

# What is taken from the rights of the service → what must work without it.
TAKEN = {
    "publish": "-publish",
    "subscribe": "-subscribe",
    "channels": "resetchannels",
    "time": "-time",
    "xinfo": "-xinfo",
}


@pytest.fixture
def restricted(
    start_redis: Callable[..., RedisServer], request: pytest.FixtureRequest
) -> Iterator[RedisStore]:
    """A store for a user that lacks one of the rights."""
    server = start_redis(password="admin", users=[f"{SERVICE_USER} {TAKEN[request.param]}"])
    store = redis_store(server.environment() | SERVICE_LOGIN, lease_seconds=0.5)
    yield store
    store.close()


@pytest.mark.parametrize("restricted", TAKEN, indirect=True)
def test_jobs_end_without(restricted: RedisStore) -> None:
    """A waiting client gets its answer, a dead runner's job comes back, and runners and figures are there."""
    store = restricted
    store.register(make_runner(), [make_environment()], 30)
    assert len(store.runners()) == len(store.environments()) == 1
    job = make_job()
    store.submit(job)
    assert claim_one(store, "a dead runner").attempts == 1
    sweep_until(store, lambda: store.counts().by_status[Status.QUEUED] == 1)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(store.wait, job.id, DEADLINE_SECONDS)
        claim = claim_one(store)
        assert claim.attempts == 2
        assert store.renew(claim.runner, [claim]) == frozenset()
        assert store.complete(claim, make_result(job.id))
        ended = waiting.result(timeout=DEADLINE_SECONDS / 2)
    assert ended is not None and ended.status is Status.COMPLETED
    cancelled = make_job()
    store.submit(cancelled)
    assert store.counts().oldest_queued_seconds < DEADLINE_SECONDS
    assert store.cancel(cancelled.id) is Status.CANCELLED


@pytest.fixture
def strict_client(serverless: ServerlessCache, serverless_driver: StrictScripts) -> RedisClient:
    """A client of the emptied serverless cache."""
    serverless.admin.flushall()
    settings = redis_settings(serverless.environment() | SERVICE_LOGIN)
    return RedisClient(settings, driver=serverless_driver)


def test_a_hint_reaches_its_channel(strict_client: RedisClient) -> None:
    """Although pub/sub is sharded there: a client that waits is woken, and does not poll."""
    store = RedisStore(strict_client.settings, client=strict_client)
    jobs = [make_job() for _ in range(CELLS)]
    store.submit_matrix(make_matrix(jobs), jobs)
    channels = [strict_client.keys.events(job.id) for job in jobs]
    with Listener(strict_client, *channels) as listener:
        claim = claim_one(store)
        started = time.monotonic()
        listener.wait(DEADLINE_SECONDS)
        assert time.monotonic() - started < DEADLINE_SECONDS / 2
        assert store.complete(claim, make_result(claim.job.id))


def test_a_runner_whose_clock_is_ahead_hides_no_other(
    serverless: ServerlessCache, serverless_driver: StrictScripts
) -> None:
    """Where the callers' clocks serve, a minute between them changes nothing: keys say which runners live."""
    serverless.admin.flushall()
    settings = redis_settings(serverless.environment() | SERVICE_LOGIN, lease_seconds=0.5)
    store = store_with(serverless_driver, settings)
    right, ahead = make_runner(), make_runner()
    for runner in (right, ahead):
        store.register(runner, [make_environment()], 30)
    names = RedisClient(settings, driver=serverless_driver).keys
    redis: Any = serverless_driver
    redis.zadd(names.runners, {right.id: time.time() * 1000 - 60_000})
    store.register(ahead, [make_environment()], 30)
    assert {runner.id for runner in store.runners()} == {right.id, ahead.id}
    # A sweep that was noted by a clock ahead does not keep the next one.
    store.submit(make_job())
    claim_one(store, "a dead runner")
    redis.hset(names.stats, "swept_at_ms", round(time.time() * 1000) + 3_600_000)
    sweep_until(store, lambda: store.counts().by_status[Status.QUEUED] == 1)


class SilentSubscription:
    """A server that takes each SUBSCRIBE, and never says so."""

    def __init__(self) -> None:
        self.channels: list[str] = []

    def subscribe(self, channel: str) -> None:
        """Taken."""
        self.channels.append(channel)

    def get_message(self, timeout: float) -> None:
        """Nothing comes."""
        threading.Event().wait(timeout)

    def close(self) -> None:
        """Nothing to close."""


class SilentDriver(fakeredis.FakeRedis):
    """A Redis in this process without a word on any channel."""

    def pubsub(self, **_options: Any) -> Any:
        """See `SilentSubscription`."""
        return SilentSubscription()


def test_a_listener_for_many_channels_waits_no_longer_than_for_one() -> None:
    """With 64 cells and no confirmation it polls after two seconds in sum, not after 64."""
    client = RedisClient(make_settings(), driver=SilentDriver(decode_responses=True))
    started = time.monotonic()
    with Listener(client, *(f"channel {number}" for number in range(CELLS))):
        waited_seconds = time.monotonic() - started
    assert waited_seconds < SUBSCRIBE_SECONDS + CELLS / 4


class GrowingRedis(fakeredis.FakeRedis):
    """A Redis that refuses scripts for a moment, as serverless caches do while they grow."""

    failures: list[Exception]

    def evalsha(self, *arguments: Any, **options: Any) -> Any:
        """Fails as long as there are failures."""
        if self.failures:
            raise self.failures.pop()
        return super().evalsha(*arguments, **options)

    def eval(self, *arguments: Any, **options: Any) -> Any:
        """As `evalsha`."""
        if self.failures:
            raise self.failures.pop()
        return super().eval(*arguments, **options)


PASSING: dict[str, Callable[[], Exception]] = {
    "a slot that moves": lambda: ResponseError(
        "Script attempted to access a non local key in a cluster node script: f_1, on @user_script:3."
    ),
    "an internal error": lambda: ResponseError("internal error"),
    "a script that is not there although it was sent": lambda: NoScriptError("No matching script."),
}


@pytest.mark.parametrize("kind", PASSING)
def test_what_a_growing_cache_refuses_is_tried_again(kind: str) -> None:
    """Once, after a moment; then the caller gets 503, and may try again."""
    redis = GrowingRedis(decode_responses=True)
    redis.failures = []
    store = store_over(redis)
    job = make_job()
    store.submit(job)
    attempts = 2 if "script" in kind else 1  # each is EVALSHA and EVAL
    redis.failures = [PASSING[kind]() for _ in range(attempts)]
    assert store.counts().by_status[Status.QUEUED] == 1
    redis.failures = [PASSING[kind]() for _ in range(2 * attempts)]
    with pytest.raises(StoreUnavailable, match="is changing its size"):
        store.counts()
    assert store.counts().by_status[Status.QUEUED] == 1
