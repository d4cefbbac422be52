"""A master, its replicas and the sentinels that watch them, made to fail over within about two seconds."""

from typing import Any

import redis
from redis.exceptions import RedisError
from redis.sentinel import Sentinel

from tests.support.servers.group import ServerGroup
from tests.support.servers.redis_server import HOST, RedisServer
from tests.support.servers.tools import wait_until

# Half a second of silence is long on loopback, and short enough to wait for in a test.
_DOWN_AFTER_MILLISECONDS = 500
# Bounds one attempt; the next sentinel tries after twice this.
_FAILOVER_TIMEOUT_MILLISECONDS = 3_000


class SentinelGroup(ServerGroup):
    """1 master, 2 replicas, 3 sentinels. `kill()` the `master()`, and `wait_for_master_other_than` it."""

    def __init__(self, *, password: str | None = None, master_name: str = "mymaster") -> None:
        self.master_name = master_name
        self.password = password
        self.servers: list[RedisServer] = []
        self.sentinels: list[RedisServer] = []
        super().__init__()

    def environment(self) -> dict[str, str]:
        """The settings with which the API and a runner use this group."""
        settings = {
            "REDIS_ENABLED": "true",
            "REDIS_MODE": "sentinel",
            "REDIS_ADDR": ",".join(sentinel.address for sentinel in self.sentinels),
            "REDIS_SENTINEL_MASTER": self.master_name,
        }
        if self.password is not None:
            settings["REDIS_PASSWORD"] = self.password
        return settings

    def client(self, **options: Any) -> redis.Redis:
        """A client that finds the master through the sentinels, again after each failover."""
        finder = Sentinel([(HOST, sentinel.port) for sentinel in self.sentinels], socket_timeout=1.0)
        for sentinel in finder.sentinels:
            self._stack.callback(sentinel.close)
        defaults = {"password": self.password, "decode_responses": True, "socket_timeout": 5.0}
        client: redis.Redis = finder.master_for(self.master_name, **(defaults | options))
        self._stack.callback(client.close)
        return client

    def master(self) -> RedisServer:
        """The server that most sentinels call the master now."""
        votes = [port for sentinel in self.sentinels if (port := self._master_port(sentinel)) is not None]
        if not votes:
            raise LookupError("no sentinel answers")
        elected = max(votes, key=votes.count)
        return next(server for server in self.servers if server.port == elected)

    def wait_for_master_other_than(
        self, former: RedisServer, *, timeout_seconds: float = 60.0
    ) -> RedisServer:
        """Until all living sentinels agree on another master, and it accepts writes."""

        def agreed() -> bool:
            votes = {self._master_port(sentinel) for sentinel in self.sentinels if sentinel.running}
            return len(votes) == 1 and former.port not in votes and self._takes_writes(self.master())

        wait_until(agreed, f"a master other than port {former.port}", timeout_seconds=timeout_seconds)
        return self.master()

    def _master_port(self, sentinel: RedisServer) -> int | None:
        try:
            address = sentinel.admin.sentinel_get_master_addr_by_name(self.master_name)
        except (RedisError, OSError):
            return None
        return int(address[1]) if isinstance(address, tuple) else None

    @staticmethod
    def _takes_writes(server: RedisServer) -> bool:
        try:
            return bool(server.admin.role()[0] == "master")
        except (RedisError, OSError):
            return False

    def _start(self) -> None:
        secret = {"masterauth": self.password} if self.password is not None else {}
        first = self._stack.enter_context(RedisServer(password=self.password, config=secret))
        follow = {
            "replicaof": f"{HOST} {first.port}",
            "repl-diskless-sync-delay": "0",  # seconds; the default waits 5 s for further replicas
        }
        self.servers = [first]
        for _ in range(2):
            replica = RedisServer(password=self.password, config=secret | follow)
            self.servers.append(self._stack.enter_context(replica))
        for _ in range(3):
            watched = {
                "sentinel monitor": f"{self.master_name} {HOST} {first.port} 2",
                f"sentinel down-after-milliseconds {self.master_name}": str(_DOWN_AFTER_MILLISECONDS),
                f"sentinel failover-timeout {self.master_name}": str(_FAILOVER_TIMEOUT_MILLISECONDS),
            }
            if self.password is not None:
                watched[f"sentinel auth-pass {self.master_name}"] = self.password
            self.sentinels.append(self._stack.enter_context(RedisServer(sentinel=True, config=watched)))
        wait_until(self._is_complete, "a Sentinel group whose members all know each other")

    def _is_complete(self) -> bool:
        for sentinel in self.sentinels:
            known = sentinel.admin.sentinel_master(self.master_name)
            if not isinstance(known, dict) or known["is_sdown"]:
                return False
            if (known["num-slaves"], known["num-other-sentinels"]) != (2, 2):
                return False
        return self.servers[0].replicas_online() == len(self.servers) - 1
