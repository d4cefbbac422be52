"""From settings to a Redis client, and from redis-py's errors to ours.

One function makes the client for a standalone server, Sentinel or a cluster; one context
manager translates errors; nothing else knows how Redis is reached. Every wait is bounded:
an answer must leave before API Gateway's 29 s, and a store that is away must be told apart
from a slow one within 5 s.
"""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis
from redis.backoff import ExponentialWithJitterBackoff, NoBackoff
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
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    ResponseError,
)
from redis.retry import Retry
from redis.sentinel import MasterNotFoundError, Sentinel, SlaveNotFoundError

from chalicelib.errors import StoreAccessError, StoreError, StoreFull, StoreUnavailable
from chalicelib.settings import Settings

# A reachable Redis accepts within a round trip; a second covers a lost SYN.
CONNECT_TIMEOUT_SECONDS = 1.0
# No script of ours takes longer than milliseconds; two seconds cover a fork for a snapshot.
SOCKET_TIMEOUT_SECONDS = 2.0
# One retry mends a connection that a restart or failover cut. A time-out is not tried again: who has
# not answered for 2 s is away, and the caller must hear it within 5 s, over several commands.
RETRIES = 1
BACKOFF_BASE_SECONDS, BACKOFF_CAP_SECONDS = 0.05, 0.5
# A blocking read must end before the socket's time-out does.
LONGEST_BLOCK_SECONDS = 1.0


def connect(settings: Settings, *, pool_size: int) -> Any:
    """A client for the Redis of `settings`; connects when first used.

    Returns redis-py's `Redis` or `RedisCluster`, which share the commands that we use.
    A cluster's client asks for the slots at once, so `StoreError` may be raised here.
    """
    backoff = ExponentialWithJitterBackoff(cap=BACKOFF_CAP_SECONDS, base=BACKOFF_BASE_SECONDS)
    retry = Retry(backoff, RETRIES, supported_errors=(ConnectionError,))
    options: dict[str, Any] = {
        "username": settings.redis_username or None,
        "password": settings.redis_password.get_secret_value() or None,
        "decode_responses": True,
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
            # Sentinels answer without the credentials of the data nodes, as ours have none of their own.
            # There are several, asked in turn, so each gets one short try.
            shared = {
                "socket_connect_timeout": CONNECT_TIMEOUT_SECONDS,
                "socket_timeout": CONNECT_TIMEOUT_SECONDS,
                "retry": Retry(NoBackoff(), 0),
            }
            sentinel = Sentinel(list(settings.redis_addr), sentinel_kwargs=shared)
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
        return redis.Redis(connection_pool=pool)


@contextmanager
def translated(settings: Settings, *, probing: bool = False) -> Iterator[None]:
    """Turns redis-py's exceptions into `StoreError`s, once, with a sentence that helps.

    With `probing` a failure is looked into with connections of its own, for up to 2 s more: at
    a start that pays, on every request of an outage it does not.
    """
    try:
        yield
    except (RedisError, RedisClusterException, OSError) as error:  # the second is not one of the first
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
    # Before the cluster's own: a key of another slot or node, asked for without cluster mode.
    if isinstance(error, (AskError, ClusterCrossSlotError)):  # MovedError is an AskError
        return StoreAccessError(f"{where} is a node of a cluster: set REDIS_MODE=cluster")
    if "Cluster mode is not enabled" in text:
        return StoreAccessError(f"{where} is not a cluster: set REDIS_MODE=standalone")
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
    if isinstance(error, ResponseError):
        return StoreError(f"{where} refused a command: {text}")
    # A server that expects the other protocol hangs up or waits for more, and neither error says why.
    if probing and settings.redis_tls and _speaks_plainly(settings):
        return StoreAccessError(f"{where} does not speak TLS: set REDIS_TLS=false")
    if probing and not settings.redis_tls and _speaks_tls(settings):
        return StoreAccessError(f"{where} speaks TLS only: set REDIS_TLS=true")
    return StoreUnavailable(f"{where} cannot be reached: {_cause(error)}")


def _cause(error: BaseException) -> str:
    if isinstance(error, (redis.exceptions.TimeoutError, TimeoutError)):
        return "no answer in time"
    if "refused" in str(error):
        return "connection refused; is it running, and is REDIS_ADDR right?"
    return str(error) or type(error).__name__


def _speaks_plainly(settings: Settings) -> bool:
    """Whether the first address answers a PING without TLS, be it with a refusal."""
    try:
        with socket.create_connection(settings.redis_addr[0], timeout=CONNECT_TIMEOUT_SECONDS) as plain:
            plain.sendall(b"PING\r\n")
            return plain.recv(1) in (b"+", b"-")
    except OSError:
        return False


def _speaks_tls(settings: Settings) -> bool:
    """Whether the first address answers a TLS greeting."""
    # Only whether the other side answers in TLS is asked, and nothing is sent: no need to verify it.
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
        # A server that wants a client certificate is TLS, too.
        return "ALERT" in str(error).upper()
    except OSError:
        return False
