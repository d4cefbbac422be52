"""The client of one Redis: connects, owns key names and scripts, and turns redis-py's errors into ours.

Everything else in this package calls Redis through `RedisClient`, so every call raises `StoreError` or one of
its children and nothing of redis-py. One function, `connect`, knows how a standalone server, Sentinel or a
cluster is reached. Every wait is bounded: an answer must leave before API Gateway's 29 s, and within 5 s the
caller must know whether the store is away.
"""

import socket
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import redis
from redis.backoff import ExponentialWithJitterBackoff, NoBackoff
from redis.client import NEVER_DECODE
from redis.cluster import ClusterNode, RedisCluster
from redis.exceptions import (
    AskError,
    AuthenticationError,
    BusyLoadingError,
    ClusterCrossSlotError,
    ClusterDownError,
    ConnectionError,  # noqa: A004 -- redis-py's, which is not the built-in one
    MaxConnectionsError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    ResponseError,
)
from redis.retry import Retry
from redis.sentinel import MasterNotFoundError, Sentinel, SlaveNotFoundError

from chalicelib.errors import (
    StoreAccessError,
    StoreError,
    StoreFull,
    StoreUnavailable,
    StoreUnreadable,
)
from chalicelib.settings import Settings
from chalicelib.storage.protocol import GROUP
from chalicelib.storage.redis.keys import Keys
from chalicelib.storage.redis.scripts import Argument, ReplyT, Script, Scripts
from chalicelib.storage.redis.unreadable import UnreadableKeys, reason_of

# A reachable Redis accepts within a round trip; a second covers a lost SYN.
CONNECT_TIMEOUT_SECONDS = 1.0
# No script of ours takes longer than milliseconds; two seconds cover a fork for a snapshot.
SOCKET_TIMEOUT_SECONDS = 2.0
# One retry is enough for a connection that a restart or failover cut. A time-out is not tried again: a server
# that has not answered for 2 s is away, and the caller must know it within 5 s, over several commands.
RETRIES = 1
BACKOFF_BASE_SECONDS, BACKOFF_CAP_SECONDS = 0.05, 0.5
# A blocking read must end before the socket's time-out does.
LONGEST_BLOCK_SECONDS = 1.0
# What a serverless cache says while it moves slots, or grows: in a moment it is well. Scripts may run twice.
_PASSING = ("non local key", "internal error")
PASSING_PAUSE_SECONDS = 0.1
# More than there can ever be: clients that wait are limited by the server's threads, not by this pool.
MAX_SUBSCRIBERS = 2**16


class RedisClient:
    """The commands that the store needs, over keys and scripts of one Redis. Connects when first used.

    `driver` is a client of redis-py, or like one; tests pass it in, and it is then not closed.
    """

    def __init__(self, settings: Settings, *, driver: Any = None) -> None:
        self.settings = settings
        self.keys = Keys.of(settings)
        self.scripts = Scripts()
        self.unreadable = UnreadableKeys()
        self.ttl_ms = round(settings.job_ttl_seconds * 1000)
        self._injected_driver = driver
        self._drivers: dict[int, Any] = {}

    def _driver_with(self, pool_size: int) -> Any:
        if self._injected_driver is not None:
            return self._injected_driver
        driver = self._drivers.get(pool_size)
        if driver is None:
            # Two threads may both get here: then one client is dropped before it ever connected.
            driver = self._drivers.setdefault(pool_size, connect(self.settings, pool_size=pool_size))
        return driver

    @property
    def _driver(self) -> Any:
        """For commands, with at most REDIS_POOL_SIZE connections."""
        return self._driver_with(self.settings.redis_pool_size)

    def close(self) -> None:
        """Closes the connections. Idempotent."""
        for driver in self._drivers.values():
            with suppress(RedisError, OSError):
                driver.close()
        self._drivers.clear()

    # -- commands

    def ping(self) -> None:
        """Returns when the coordination keys can be read. A failure is looked into: see `explain`."""
        with translated(self.settings, probing=True):
            # A cluster's PING would ask any node; what matters is the one with the coordination keys.
            self._driver.exists(self.keys.stream)

    def run(self, script: Script[ReplyT], *arguments: Argument, on: Sequence[str] = ()) -> ReplyT:
        """Runs a script over the coordination keys, or on the given ones."""
        names = on or self.keys.for_scripts()
        with translated(self.settings):
            try:
                answer = script(self._driver, names, arguments)
            except ResponseError as error:
                if not is_passing(error):
                    raise
                time.sleep(PASSING_PAUSE_SECONDS)
                answer = script(self._driver, names, arguments)
        try:
            return script.decode(answer)
        except (ValueError, LookupError, TypeError) as error:
            raise StoreUnreadable(
                f"Redis at {self.settings.redis_address_text} holds what the script {script.name} "
                f"cannot read: {reason_of(error)}"
            ) from error

    @contextmanager
    def pipeline(self) -> Iterator[Any]:
        """A pipeline of redis-py: its commands travel together, but are not one step."""
        with translated(self.settings):
            yield self._driver.pipeline(transaction=False)

    def read_each(self, pipe: Any) -> list[Any]:
        """The answers of a pipeline that reads; `StoreUnreadable` for each key of another type than ours."""
        with translated(self.settings):
            answers = [
                explain(answer, self.settings) if isinstance(answer, Exception) else answer
                for answer in pipe.execute(raise_on_error=False)
            ]
        for answer in answers:
            if isinstance(answer, StoreError) and not isinstance(answer, StoreUnreadable):
                raise answer
        return answers

    def next_entry(self, runner: str, block_seconds: float) -> tuple[str, str] | None:
        """The next entry of the stream for this runner as (entry, job id); None when none came in time.

        Of an entry that is not ours the id is empty, or anything.
        """
        block_ms = max(1, round(min(block_seconds, LONGEST_BLOCK_SECONDS) * 1000))
        answer = self._on_group(lambda: self._read_stream(runner, block_ms))
        if not answer:
            return None
        [[_, [[entry, fields]]]] = answer
        return entry, (fields or {}).get("id", "")

    def expired_leases(self, lease_ms: int, most: int) -> list[str]:
        """Entries that were delivered, and not renewed for that long."""
        pending = self._on_group(
            lambda: self._driver.xpending_range(
                self.keys.stream, GROUP, min="-", max="+", count=most, idle=lease_ms
            )
        )
        return [item["message_id"] for item in pending or ()]

    def start_leases(self, consumer: str, entries: Sequence[str], *, min_idle_ms: int = 0) -> None:
        """Leases of `consumer` on these entries: new ones, and those that were idle for `min_idle_ms`."""
        if entries:
            self._on_group(
                lambda: self._driver.xclaim(
                    self.keys.stream,
                    GROUP,
                    consumer,
                    min_idle_time=min_idle_ms,
                    message_ids=list(entries),
                    # A group that was lost and created again does not know the entry.
                    force=True,
                    justid=True,
                )
            )

    def _on_group(self, command: Callable[[], Any]) -> Any:
        """Runs a command on the consumer group; creates the group again if it (or the stream) was deleted."""
        with translated(self.settings):
            try:
                return command()
            except ResponseError as error:
                if "NOGROUP" not in str(error):
                    raise
                self._create_group()
                return command()

    def drop_entry(self, entry: str) -> None:
        """Takes an entry out of the stream for good."""
        # In this order: an entry that is pending and not in the stream is dropped by the sweep, should this
        # process end in between.
        self._call(self._driver.xdel, self.keys.stream, entry)
        self._call(self._driver.xack, self.keys.stream, GROUP, entry)

    def _read_stream(self, runner: str, block_ms: int) -> Any:
        return self._driver.xreadgroup(GROUP, runner, {self.keys.stream: ">"}, count=1, block=block_ms)

    def _create_group(self) -> None:
        # From the start of the stream: jobs that were queued before the first runner came must be done, too.
        try:
            self._driver.xgroup_create(self.keys.stream, GROUP, id="0", mkstream=True)
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise

    def subscription(self) -> Any:
        """A pub/sub connection of redis-py, which raises its own errors; `Listener` is its one user.

        From a pool of its own: a wait holds a connection for up to 25 s, and must not take it from commands.
        """
        return self._driver_with(MAX_SUBSCRIBERS).pubsub()

    def _call(self, command: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        with translated(self.settings):
            return command(*arguments, **options)

    def read_texts(self, names: Sequence[str], ttl_ms: int) -> dict[str, bytes | None]:
        """The compressed texts of these keys, None for a lost one; each is then kept for `ttl_ms`."""
        with self.pipeline() as pipe:
            for name in names:
                pipe.execute_command("GET", name, **{NEVER_DECODE: True})
                pipe.pexpire(name, ttl_ms)
            answers = self.read_each(pipe)[::2]
        return {
            name: answer if isinstance(answer, bytes) else None
            for name, answer in zip(names, answers, strict=True)
        }

    # These have the names that they have in Redis.

    def get(self, key: str) -> str | None:
        text: str | None = self._call(self._driver.get, key)
        return text

    def set(self, key: str, text: str, *, px: int) -> None:
        self._call(self._driver.set, key, text, px=px)

    def delete(self, key: str) -> None:
        self._call(self._driver.delete, key)

    def pexpire(self, key: str, ttl_ms: int) -> None:
        self._call(self._driver.pexpire, key, ttl_ms)

    def hgetall(self, key: str) -> dict[str, str]:
        return dict(self._call(self._driver.hgetall, key))

    def hmget(self, key: str, fields: Sequence[str]) -> list[str | None]:
        return list(self._call(self._driver.hmget, key, fields))

    def hkeys(self, key: str) -> list[str]:
        return list(self._call(self._driver.hkeys, key))

    def hvals(self, key: str) -> list[str]:
        return list(self._call(self._driver.hvals, key))

    def hdel(self, key: str, *fields: str) -> None:
        self._call(self._driver.hdel, key, *fields)

    def scard(self, key: str) -> int:
        return int(self._call(self._driver.scard, key))

    def srandmember(self, key: str, number: int) -> list[str]:
        return list(self._call(self._driver.srandmember, key, number))

    def srem(self, key: str, *members: str) -> None:
        self._call(self._driver.srem, key, *members)

    def zrange(self, key: str, start: int, end: int) -> list[str]:
        return list(self._call(self._driver.zrange, key, start, end))


def connect(settings: Settings, *, pool_size: int) -> Any:
    """A client for the Redis of `settings`; connects when first used.

    Returns redis-py's `Redis` or `RedisCluster`, which share the commands that we use.
    A cluster's client reads the slots at once, so `StoreError` may be raised here.
    """
    backoff = ExponentialWithJitterBackoff(cap=BACKOFF_CAP_SECONDS, base=BACKOFF_BASE_SECONDS)
    retry = Retry(backoff, RETRIES, supported_errors=(ConnectionError,))
    options: dict[str, Any] = {
        "username": settings.redis_username or None,
        "password": settings.redis_password.get_secret_value() or None,
        "decode_responses": True,
        # Bytes that are no UTF-8 must not end the reading of an answer half-way. As surrogates they fail
        # where a value is checked, and go back as the same bytes where a member is removed.
        "encoding_errors": "surrogateescape",
        "socket_connect_timeout": CONNECT_TIMEOUT_SECONDS,
        "socket_timeout": SOCKET_TIMEOUT_SECONDS,
        "socket_keepalive": True,
        "protocol": 2,
        "client_name": "will-it-compile",
        "retry": retry,
    }
    if settings.redis_tls:
        options |= {"ssl": True, "ssl_cert_reqs": "required", "ssl_check_hostname": True}
        if settings.redis_tls_ca_file:
            options["ssl_ca_certs"] = settings.redis_tls_ca_file
    with translated(settings):
        if settings.redis_mode == "cluster":
            nodes = [ClusterNode(host, port) for host, port in settings.redis_addr]
            return RedisCluster(startup_nodes=nodes, max_connections=pool_size, **options)
        options["db"] = settings.redis_db
        if settings.redis_mode == "sentinel":
            # The sentinels have no password of their own, so none is sent. There are several, asked in turn:
            # each gets one short try.
            sentinel_options = {
                "socket_connect_timeout": CONNECT_TIMEOUT_SECONDS,
                "socket_timeout": CONNECT_TIMEOUT_SECONDS,
                "retry": Retry(NoBackoff(), 0),
            }
            sentinel = Sentinel(list(settings.redis_addr), sentinel_kwargs=sentinel_options)
            return sentinel.master_for(settings.redis_sentinel_master, max_connections=pool_size, **options)
        host, port = settings.redis_addr[0]
        connection_class = redis.SSLConnection if options.pop("ssl", False) else redis.Connection
        pool = redis.BlockingConnectionPool(
            connection_class=connection_class,
            host=host,
            port=port,
            max_connections=pool_size,
            # As long as a time-out: a pool that stays empty is as bad as a Redis that is away.
            timeout=SOCKET_TIMEOUT_SECONDS,
            **options,
        )
        return redis.Redis.from_pool(pool)  # which it closes with itself


@contextmanager
def translated(settings: Settings, *, probing: bool = False) -> Iterator[None]:
    """Turns redis-py's exceptions into `StoreError`s, once, with a sentence that helps.

    With `probing`, a failure is looked into with separate connections, for up to 2 s more. That is worth it
    at a start, but not for every request during an outage.
    """
    try:
        yield
    except (RedisError, RedisClusterException, OSError) as error:  # RedisClusterException is not a RedisError
        raise explain(error, settings, probing=probing) from error


def explain(error: BaseException, settings: Settings, *, probing: bool = False) -> StoreError:
    """The `StoreError` for an exception of redis-py: what it is, where, and what to do."""
    where = f"Redis at {settings.redis_address_text}"
    text = str(error)
    if isinstance(error, OutOfMemoryError) or text.startswith("OOM"):
        return StoreFull(
            f"{where} is out of memory: raise maxmemory, or lower QUEUE_SIZE or REDIS_JOB_TTL_HOURS"
        )
    if isinstance(error, BusyLoadingError):
        return StoreUnavailable(f"{where} is loading its data; it will answer when that is done")
    if isinstance(error, ReadOnlyError):
        return StoreUnavailable(
            f"{where} is a read-only replica: a failover is under way, or REDIS_ADDR names a replica"
        )
    if isinstance(error, NoPermissionError):
        return StoreAccessError(f"{where} does not let this user do it ({text}): extend the user's ACL")
    if isinstance(error, AuthenticationError) or "NOAUTH" in text or "WRONGPASS" in text:
        if settings.redis_password.get_secret_value():
            return StoreAccessError(f"{where} refuses the password: check REDIS_PASSWORD and REDIS_USERNAME")
        return StoreAccessError(f"{where} asks for a password: set REDIS_PASSWORD")
    if isinstance(error, (MasterNotFoundError, SlaveNotFoundError)):
        return StoreUnavailable(
            f"the sentinels at {settings.redis_address_text} know no master "
            f"{settings.redis_sentinel_master!r} now: "
            "a failover is under way, or REDIS_SENTINEL_MASTER is wrong"
        )
    # A key of another slot or node, without cluster mode. To be checked before the cluster's own errors.
    if isinstance(error, (AskError, ClusterCrossSlotError)):  # MovedError is an AskError
        return StoreAccessError(f"{where} is a node of a cluster: set REDIS_MODE=cluster")
    if "Cluster mode is not enabled" in text:
        return StoreAccessError(f"{where} is not a cluster: set REDIS_MODE=standalone")
    if is_passing(error):
        return StoreUnavailable(f"{where} is changing its size, and refused a command: {text}")
    if isinstance(error, (ClusterDownError, RedisClusterException)):
        return StoreUnavailable(f"the Redis cluster at {settings.redis_address_text} is not complete: {text}")
    if isinstance(error, MaxConnectionsError) or text.startswith("No connection available"):
        return StoreUnavailable("all connections to Redis are in use: raise REDIS_POOL_SIZE")
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return StoreAccessError(
            f"{where} has a certificate that is not trusted: set REDIS_TLS_CA_FILE to its authority"
        )
    if isinstance(error, ssl.SSLError) or "WRONG_VERSION_NUMBER" in text:
        return StoreAccessError(f"{where} does not speak TLS: set REDIS_TLS=false")
    if "WRONGTYPE" in text:
        return StoreUnreadable(f"{where} has a key of another type than ours: {text}")
    if isinstance(error, ResponseError):
        return StoreError(f"{where} refused a command: {text}")
    # A server that expects the other protocol hangs up or waits for more; neither error says why.
    if probing and settings.redis_tls and _speaks_plainly(settings):
        return StoreAccessError(f"{where} does not speak TLS: set REDIS_TLS=false")
    if probing and not settings.redis_tls and _speaks_tls(settings):
        return StoreAccessError(f"{where} speaks TLS only: set REDIS_TLS=true")
    return StoreUnavailable(f"{where} cannot be reached: {_cause(error)}")


def is_passing(error: BaseException) -> bool:
    """Whether Redis refused a command for a moment only, as it does while a cluster grows."""
    if isinstance(error, NoScriptError):  # although it was sent just now
        return True
    return isinstance(error, ResponseError) and any(words in str(error) for words in _PASSING)


def _cause(error: BaseException) -> str:
    if isinstance(error, (redis.exceptions.TimeoutError, TimeoutError)):
        return "no answer in time"
    if "refused" in str(error):
        return "connection refused; is it running, and is REDIS_ADDR right?"
    return str(error) or type(error).__name__


def _speaks_plainly(settings: Settings) -> bool:
    """Whether the first address answers a PING without TLS, even with an error."""
    try:
        with socket.create_connection(settings.redis_addr[0], timeout=CONNECT_TIMEOUT_SECONDS) as plain:
            plain.sendall(b"PING\r\n")
            return plain.recv(1) in (b"+", b"-")
    except OSError:
        return False


def _speaks_tls(settings: Settings) -> bool:
    """Whether the first address answers a TLS greeting."""
    # Only to see whether the other side answers in TLS; nothing is sent, so it need not be verified.
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with (
            socket.create_connection(settings.redis_addr[0], timeout=CONNECT_TIMEOUT_SECONDS) as plain,
            context.wrap_socket(plain),
        ):
            return True
    except ssl.SSLError as error:
        # A server that asks for a client certificate speaks TLS, too.
        return "ALERT" in str(error).upper()
    except OSError:
        return False
