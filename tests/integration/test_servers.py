"""The servers that the other tests rely on do what their names say: a test is only as good as its server."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoPermissionError, OutOfMemoryError, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from tests.support.servers import ProcessError, RedisCluster, RedisServer, SentinelGroup, wait_until
from tests.support.skipping import require

Start = Callable[..., RedisServer]


def test_two_servers_have_ports_and_data_of_their_own(start_redis: Start) -> None:
    """A key of one server is not in the other."""
    one, other = start_redis(), start_redis()
    assert one.port != other.port
    one.admin.set("key", "1")
    assert other.admin.get("key") is None


@pytest.mark.parametrize("appendonly", ["always", None])
def test_only_an_append_only_server_remembers_over_a_crash(
    start_redis: Start, appendonly: str | None
) -> None:
    """After SIGKILL and a start, the port is the same, and the data only with `appendonly`."""
    server = start_redis(appendonly=appendonly)
    server.admin.set("key", "kept")
    port = server.port
    server.kill()
    assert not server.running
    server.start()
    assert server.port == port
    assert server.client().get("key") == ("kept" if appendonly else None)


def test_a_stopped_server_refuses_connections_until_it_is_started(start_redis: Start) -> None:
    """`stop` ends it cleanly, clients are refused, and `start` brings it back for the same client."""
    server = start_redis()
    client = server.client()
    assert server.stop() == 0
    with pytest.raises(RedisConnectionError):
        client.ping()
    server.start()
    assert client.ping()


def test_a_paused_server_is_silent_and_a_resumed_one_answers(start_redis: Start) -> None:
    """`pause` makes a connected client wait in vain, without an error from the network."""
    server = start_redis()
    client = server.client(socket_timeout=0.3)
    assert client.ping()
    server.pause()
    with pytest.raises(RedisTimeoutError):
        client.ping()
    server.resume()
    assert client.ping()


def test_a_server_with_a_password_answers_only_with_it(start_redis: Start) -> None:
    """PING needs the password."""
    server = start_redis(password="s3cret")
    assert server.admin.ping()
    with pytest.raises(RedisError, match=r"(?i)authenticat"):
        server.client(password=None).ping()


def test_a_users_rules_hold(start_redis: Start) -> None:
    """A user of `users` may do what its rules say, and no more."""
    server = start_redis(users=["reader on >pw ~job:* +get"])
    reader = server.client(username="reader", password="pw")
    assert reader.get("job:1") is None
    with pytest.raises(NoPermissionError):
        reader.set("job:1", "x")


def test_a_tls_server_is_trusted_through_its_authority_only(start_redis: Start) -> None:
    """TLS with the authority works; a client that trusts the system's authorities, or speaks plain, fails."""
    server = start_redis(tls=True)
    assert server.admin.ping()
    with pytest.raises(RedisConnectionError, match="CERTIFICATE_VERIFY_FAILED"):
        server.client(ssl_ca_certs=None).ping()
    with pytest.raises(RedisError):
        server.client(ssl=False).ping()


def test_a_full_server_refuses_writes(start_redis: Start) -> None:
    """`maxmemory` with `noeviction` ends in an out-of-memory error for the writer."""
    server = start_redis(maxmemory="2mb", policy="noeviction")
    values = {f"key:{number}": "x" * 100_000 for number in range(30)}  # 3 MB
    with pytest.raises(OutOfMemoryError):
        server.client().mset(values) and server.client().mset({"one": "more"})


def test_a_server_that_cannot_start_says_why() -> None:
    """A wrong directive raises at once, with redis-server's own words, and leaves nothing behind."""
    server = RedisServer(config={"no-such-directive": "1"})
    with pytest.raises(ProcessError, match="no-such-directive"), server:
        pass
    assert not server.folder.exists()


def test_a_failing_test_leaves_no_server_behind() -> None:
    """The server is gone when the `with` block ends by an exception, paused or not."""
    server = RedisServer()

    def failing() -> None:
        with server:
            server.pause()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing()
    with pytest.raises(ProcessLookupError):
        os.kill(server.pid, 0)


def test_a_sentinel_group_elects_another_master(start_sentinels: Callable[..., SentinelGroup]) -> None:
    """When the master dies, a replica takes over with its data, and the same client finds it."""
    group = start_sentinels(password="s3cret")
    client = group.client()
    client.set("key", "1")
    assert client.wait(2, 1_000) == 2
    former = group.master()
    former.kill()
    started = time.monotonic()
    elected = group.wait_for_master_other_than(former)
    print(f"Sentinel failover: {time.monotonic() - started:.1f} s")
    assert elected is not former
    wait_until(lambda: _read(client) == "1", "the client reads from the new master")


def test_a_cluster_survives_the_death_of_a_master(start_cluster: Callable[..., RedisCluster]) -> None:
    """A cluster has 16384 slots on three masters, and a replica takes over those of one that dies."""
    cluster = start_cluster()
    client = cluster.client()
    former = cluster.node_for("key")
    former.admin.set("key", "1")
    assert former.admin.wait(1, 1_000) == 1
    former.kill()
    started = time.monotonic()
    cluster.wait_for_failover_of(former)
    print(f"cluster failover: {time.monotonic() - started:.1f} s")
    assert cluster.node_for("key") is not former
    assert client.get("key") == "1"


def _read(client: redis.Redis) -> object:
    try:
        return client.get("key")
    except (RedisError, OSError):
        return None


@pytest.mark.parametrize(("ci", "outcome"), [("true", "1 failed"), ("", "1 skipped")])
def test_a_missing_tool_fails_in_ci_and_skips_on_a_laptop(tmp_path: Path, ci: str, outcome: str) -> None:
    """`require` of a program that does not exist: CI=true makes it a failure, anything else a skip."""
    (tmp_path / "test_it.py").write_text(
        "from tests.support.skipping import require\n\n\n"
        "def test_it() -> None:\n    require('no-such-program')\n"
    )
    root = Path(__file__).resolve().parents[2]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", tmp_path, tmp_path],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(root), "CI": ci},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert outcome in run.stdout, run.stdout + run.stderr
    assert require("redis-cli")
