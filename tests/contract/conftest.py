"""The stores that the contract suite runs over. One more store: an entry in `KINDS`."""

from collections.abc import Callable, Iterator

import fakeredis
import pytest

from chalicelib.storage.memory import MemoryStore
from chalicelib.storage.protocol import JobStore
from chalicelib.storage.redis.store import RedisStore
from tests.support.factories import make_settings
from tests.support.servers import RedisCluster, RedisServer, SentinelGroup

MakeStore = Callable[..., JobStore]

KINDS = ("memory", "fakeredis", "redis", "tls", "sentinel", "cluster")

# A user for the service and nothing else: its keys, its channels, the commands that it uses.
# The same line stands in docs/operations.md.
SERVICE_USER = (
    "wic on >s3cret ~job:* ~result:* ~matrix:* ~runner:* ~runners ~environments ~stats &job:events:* "
    "-@all +@read +@write +@connection +@pubsub +@scripting +time "
    "-keys -scan -randomkey -flushall -flushdb"
)


@pytest.fixture(scope="session")
def tls_server() -> Iterator[RedisServer]:
    """A server that speaks TLS only, and knows a user with no right beyond the service's keys."""
    with RedisServer(tls=True, password="admin", users=[SERVICE_USER]) as server:
        yield server


@pytest.fixture(scope="session")
def sentinel_group() -> Iterator[SentinelGroup]:
    """A master with replicas, behind sentinels."""
    with SentinelGroup() as group:
        yield group


@pytest.fixture(scope="session")
def cluster() -> Iterator[RedisCluster]:
    """Three masters with a replica each."""
    with RedisCluster() as started:
        yield started


@pytest.fixture(params=KINDS)
def stores(request: pytest.FixtureRequest) -> Iterator[MakeStore]:
    """Makes stores of one kind, all over the same, emptied data; settings are written in lower case."""
    make = _factory(request)
    made: list[JobStore] = []

    def remembered(**variables: object) -> JobStore:
        made.append(make(**variables))
        return made[-1]

    yield remembered
    for store in made:
        store.close()


def _factory(request: pytest.FixtureRequest) -> MakeStore:
    match request.param:
        case "memory":
            return lambda **variables: MemoryStore(make_settings(**variables))
        case "fakeredis":
            fake = fakeredis.FakeServer()
            return lambda **variables: RedisStore(
                make_settings(**variables), client=fakeredis.FakeRedis(server=fake, decode_responses=True)
            )
        case "redis":
            environment = request.getfixturevalue("clean_redis").environment()
        case "tls":
            server: RedisServer = request.getfixturevalue("tls_server")
            server.admin.flushall()
            environment = server.environment() | {"REDIS_USERNAME": "wic", "REDIS_PASSWORD": "s3cret"}
        case "sentinel":
            group: SentinelGroup = request.getfixturevalue("sentinel_group")
            group.client().flushall()
            environment = group.environment()
        case "cluster":
            started: RedisCluster = request.getfixturevalue("cluster")
            started.client().flushall(target_nodes="primaries")
            environment = started.environment()
        case other:
            raise LookupError(other)
    known = {name.lower(): value for name, value in environment.items()}
    return lambda **variables: RedisStore(make_settings(**(known | variables)))


@pytest.fixture
def store(stores: MakeStore) -> JobStore:
    """A store with the default settings."""
    return stores()
