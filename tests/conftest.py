"""Fixtures that several test folders share: real Redis servers. And which tests share a process.

`redis_server` is one server for the whole run and `clean_redis` the same one emptied, for tests that need
just a Redis. A test that stops, kills or configures its server starts its own, with `start_redis` or the
context managers of `tests.servers`.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.servers import RedisCluster, RedisServer, SentinelGroup


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep together, where tests run on several processes, what shares what is dear to make.

    That is a file with its fixtures, and all tests that need the container engine and its images.
    """
    for item in items:
        engine = item.get_closest_marker("engine") is not None
        item.add_marker(pytest.mark.xdist_group("engine" if engine else item.nodeid.partition("::")[0]))


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """One redis-server for the whole run; no test may stop it or change its configuration."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def clean_redis(redis_server: RedisServer) -> RedisServer:
    """The shared server, emptied just now."""
    redis_server.admin.flushall()
    return redis_server


@pytest.fixture
def start_redis() -> Iterator[Callable[..., RedisServer]]:
    """Starts servers of the test's own, with the arguments of `RedisServer`; all end with the test."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(RedisServer(**options))


@pytest.fixture
def start_sentinels() -> Iterator[Callable[..., SentinelGroup]]:
    """Starts a Sentinel group (about 3 s), with the arguments of `SentinelGroup`."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(SentinelGroup(**options))


@pytest.fixture
def start_cluster() -> Iterator[Callable[..., RedisCluster]]:
    """Starts a cluster (about 5 s), with the arguments of `RedisCluster`."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(RedisCluster(**options))
