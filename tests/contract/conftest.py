"""The stores that the contract suite runs over. To add one: an entry in `KINDS` and a case in `_factory`.

Each test has the kind in its id, as ``store-<kind>``, so that a run can choose: ``-k store-memory``.
"""

from collections.abc import Iterator

import fakeredis
import pytest

from chalicelib.storage.memory import MemoryStore
from chalicelib.storage.protocol import JobStore
from chalicelib.storage.redis.client import connect
from tests.contract import deployed
from tests.contract.support import MakeStore
from tests.support.factories import make_settings
from tests.support.servers import RedisCluster, RedisServer, SentinelGroup, ServerlessCache, StrictScripts
from tests.support.stores import redis_settings, redis_store, store_over, store_with

KINDS = ("memory", "fakeredis", "standalone", "tls", "sentinel", "cluster", "prefix", "serverless")

# A user with the rights that the service needs and no others: its keys, its channels, its commands.
# docs/operations.md publishes this line; infra/templates/store.yml grants the same.
SERVICE_USER = (
    "wic on >s3cret ~job:* ~result:* ~matrix:* ~source:* ~runner:* ~runners ~environments ~stats "
    "&job:events:* -@all +@read +@write +@connection +@pubsub +@scripting +time "
    "-keys -scan -randomkey -flushall -flushdb"
)
SERVICE_LOGIN = {"REDIS_USERNAME": "wic", "REDIS_PASSWORD": "s3cret"}
# The same with REDIS_KEY_PREFIX: no key and no channel without it.
PREFIX = "wic:"
PREFIX_USER = (
    "prefixed on >s3cret ~wic:* &wic:job:events:* "
    "-@all +@read +@write +@connection +@pubsub +@scripting +time "
    "-keys -scan -randomkey -flushall -flushdb"
)
# In a cluster: the hash tag of the coordination keys, and the commands that list its slots.
CLUSTER_USER = f"{SERVICE_USER} ~{{job}}:* +cluster|slots +cluster|shards +cluster|nodes"


@pytest.fixture(scope="session")
def tls_server() -> Iterator[RedisServer]:
    """A server that speaks TLS only, and knows users with no right beyond the service's keys."""
    with RedisServer(tls=True, password="admin", users=[SERVICE_USER, PREFIX_USER]) as server:
        yield server


@pytest.fixture(scope="session")
def sentinel_group() -> Iterator[SentinelGroup]:
    """A master with replicas, behind sentinels."""
    with SentinelGroup() as group:
        yield group


@pytest.fixture(scope="session")
def cluster() -> Iterator[RedisCluster]:
    """Three masters with a replica each, over TLS, for a user with the service's rights."""
    with RedisCluster(secured=True, users=[CLUSTER_USER]) as started:
        yield started


@pytest.fixture(scope="session")
def serverless() -> Iterator[ServerlessCache]:
    """What a serverless cache does otherwise, for a user that may not ask for the time at all."""
    with ServerlessCache(user=f"{CLUSTER_USER} -time") as cache:
        yield cache


@pytest.fixture(scope="session")
def serverless_driver(serverless: ServerlessCache) -> Iterator[StrictScripts]:
    """The one client of it, since redis-py reads the slots for each."""
    settings = redis_settings(serverless.environment() | SERVICE_LOGIN)
    # Each client that waits holds a connection.
    driver = connect(settings, pool_size=100)
    yield StrictScripts(driver)
    driver.close()


@pytest.fixture(params=deployed.kinds(KINDS), ids=lambda kind: f"store-{kind}")
def stores(request: pytest.FixtureRequest) -> Iterator[MakeStore]:
    """Opens stores of one kind, all over the same, emptied data; settings are written in lower case."""
    factory = _factory(request)
    opened: list[JobStore] = []

    def open_store(**variables: object) -> JobStore:
        opened.append(factory(**variables))
        return opened[-1]

    yield open_store
    for store in opened:
        store.close()


def _factory(request: pytest.FixtureRequest) -> MakeStore:
    match request.param:
        case "memory":
            return lambda **variables: MemoryStore(make_settings(**variables))
        case "fakeredis":
            fake = fakeredis.FakeServer()
            return lambda **variables: store_over(
                fakeredis.FakeRedis(server=fake, decode_responses=True), **variables
            )
        case "standalone":
            env = request.getfixturevalue("clean_redis").environment()
        case "tls":
            server: RedisServer = request.getfixturevalue("tls_server")
            server.admin.flushall()
            env = server.environment() | SERVICE_LOGIN
        case "prefix":
            shared: RedisServer = request.getfixturevalue("tls_server")
            shared.admin.flushall()
            env = shared.environment() | SERVICE_LOGIN
            env |= {"REDIS_USERNAME": "prefixed", "REDIS_KEY_PREFIX": PREFIX}
        case "sentinel":
            group: SentinelGroup = request.getfixturevalue("sentinel_group")
            group.client().flushall()
            env = group.environment()
        case "cluster":
            started: RedisCluster = request.getfixturevalue("cluster")
            started.client().flushall(target_nodes="primaries")
            env = started.environment() | SERVICE_LOGIN
        case "serverless":
            cache: ServerlessCache = request.getfixturevalue("serverless")
            cache.admin.flushall()
            driver: StrictScripts = request.getfixturevalue("serverless_driver")
            env = cache.environment() | SERVICE_LOGIN
            return lambda **variables: store_with(driver, redis_settings(env, **variables))
        case deployed.KIND:
            return deployed.factory()
        case other:
            raise LookupError(other)
    return lambda **variables: redis_store(env, **variables)


@pytest.fixture
def store(stores: MakeStore) -> JobStore:
    """A store with the default settings."""
    return stores()
