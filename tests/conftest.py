"""What several test folders share: real Redis servers, a container engine, and which tests run.

`redis_server` is one server for the whole run and `clean_redis` the same one emptied, for tests that need
just a Redis. A test that stops, kills or configures its server starts its own, with `start_redis` or the
context managers of `tests.support.servers`.
"""

import faulthandler
import gc
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.support import tiers
from tests.support.engine import Engine, start_engine
from tests.support.servers import RedisCluster, RedisServer, SentinelGroup


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


# A suite inside a container takes minutes. Building the images is not counted: it takes as long as it takes.
_ENGINE_TIMEOUT_SECONDS = 900


def pytest_configure(config: pytest.Config) -> None:
    """Settles the tier of this run, and lets Ctrl-C reach what the tests start.

    Naming files, -k and -m ask for these very tests, so all of them run; otherwise `TIER` decides. It is put
    into the environment, where tests read it, in the processes of pytest-xdist as well.
    """
    asked = config.option.file_or_dir or config.option.keyword or config.option.markexpr
    tier = os.environ.setdefault(tiers.VARIABLE, tiers.ALL if asked else tiers.FAST)
    if tier not in (tiers.FAST, tiers.ALL):
        raise pytest.UsageError(f"TIER is {tiers.FAST} or {tiers.ALL}, and not {tier!r}")
    # A shell starts its background jobs with SIGINT ignored, and children inherit that. With Python's own
    # handler in its place they start with the default.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Iterator[None]:
    """Marks the tests that need a container engine and gives them time; leaves out what is not in the tier.

    Tests with an engine come last, so that the quick ones have said what is wrong before the slow ones begin.
    """
    for item in items:
        if isinstance(item, pytest.Function) and _needs_engine(item):
            item.add_marker(pytest.mark.engine)
            # First, so that it counts and not the test's own, which is meant for faster sandboxes.
            item.add_marker(pytest.mark.timeout(_ENGINE_TIMEOUT_SECONDS, func_only=True), append=False)
    if tiers.tier() == tiers.FAST:
        kept = tiers.fast_tier(items)
        left_out = set(items) - set(kept)
        config.hook.pytest_deselected(items=[item for item in items if item in left_out])
        items[:] = kept
    yield
    items.sort(key=lambda item: item.get_closest_marker("engine") is not None)


@pytest.fixture(scope="module", autouse=True)
def _leave_no_garbage(request: pytest.FixtureRequest) -> Iterator[None]:
    """What a file leaves open is noticed with its last test, and not in whichever test is next.

    Only where tests open sockets or start processes: a collection takes a tenth of a second.
    """
    yield
    if request.path.parent.name != "unit":
        gc.collect()


def _needs_engine(item: pytest.Function) -> bool:
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    return "engine" in item.fixturenames or parameters.get("sandbox_name") == "docker"


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """A container engine with the images of `tests.support.engine`."""
    # Building them takes longer than any test may hang before its stacks are printed.
    faulthandler.cancel_dump_traceback_later()
    with start_engine() as engine:
        engine.build()
        yield engine
