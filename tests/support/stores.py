"""Stores on a test's Redis, and waiting for what a store does.

What is waited for is seen as soon as it happens; a deadline only bounds a failure. So a busy machine makes a
test slower, but does not make it fail.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from chalicelib.settings import Settings
from chalicelib.storage.protocol import Claim, JobStore
from chalicelib.storage.redis.client import RedisClient
from chalicelib.storage.redis.store import RedisStore
from tests.support.factories import make_settings

DEADLINE_SECONDS = 60.0


def redis_settings(env: Mapping[str, str], **variables: object) -> Settings:
    """Settings from a server's `environment()`, and from variables written in lower case."""
    return make_settings(**({name.lower(): value for name, value in env.items()} | variables))


def redis_store(env: Mapping[str, str], **variables: object) -> RedisStore:
    """A store with the settings of `redis_settings`."""
    return RedisStore(redis_settings(env, **variables))


def store_over(driver: Any, **variables: object) -> RedisStore:
    """A store over a client of redis-py or fakeredis."""
    return store_with(driver, make_settings(**variables))


def store_with(driver: Any, settings: Settings) -> RedisStore:
    """A store over a client of redis-py, with the settings of its server."""
    return RedisStore(settings, client=RedisClient(settings, driver=driver))


def claim_one(store: JobStore, runner: str = "runner-a", *, sweep: bool = False) -> Claim:
    """The next claim, after sweeps if need be; fails when none comes in time."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        claim = store.claim(runner, 0.05)
        if claim is not None:
            return claim
        if sweep:
            store.sweep()
    pytest.fail("no job could be claimed in time")


def sweep_until(store: JobStore, condition: Callable[[], bool]) -> None:
    """Sweeps until the condition holds; fails when it does not in time."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail("no sweep made it true in time")
        store.sweep()
        time.sleep(0.02)


def keep_lease(store: JobStore, start: Callable[[], Claim], lease_seconds: float) -> Claim:
    """Claims with `start`, and renews for three leases while sweeping; returns the claim, which must be kept.

    A machine that stands still for a whole lease lets it run out, rightly: then it is all done again.
    """
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        claim = start()
        if _kept(store, claim, lease_seconds):
            return claim
    pytest.fail("this machine is too busy to renew a lease in time")


def _kept(store: JobStore, claim: Claim, lease_seconds: float) -> bool:
    end = time.monotonic() + 3 * lease_seconds
    while time.monotonic() < end:
        renewed_at = time.monotonic()
        lost = store.renew(claim.runner, [claim])
        if lost:
            pytest.fail("the lease was lost although it was renewed in time")
        store.sweep()
        if time.monotonic() - renewed_at > lease_seconds:
            return False
        time.sleep(lease_seconds / 10)
    return True
