"""One redis-server, configured as a test needs it."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, AuthorizationError, RedisError
from redis.retry import Retry

from tests.support.servers.process import ManagedProcess
from tests.support.servers.tls import Certificates, make_certificates
from tests.support.servers.tools import free_port
from tests.support.skipping import require

HOST = "127.0.0.1"


class RedisServer(ManagedProcess):
    """A private redis-server on a loopback port of its own. Restarts keep the port and the data folder.

    Without `appendonly` it keeps nothing over a restart. `users` are lines of an ACL file, without the word
    `user`: `"app on >secret ~* &* +@all"`. `config` has further directives: `{"timeout": "5"}`.
    """

    def __init__(
        self,
        *,
        tls: bool = False,
        certificates: Certificates | None = None,
        password: str | None = None,
        users: Sequence[str] = (),
        appendonly: Literal["everysec", "always"] | None = None,
        maxmemory: str | None = None,
        policy: str | None = None,
        config: Mapping[str, str] | None = None,
        sentinel: bool = False,
    ) -> None:
        """`maxmemory` as in redis.conf (`"8mb"`); `policy` is maxmemory-policy (`"allkeys-lru"`).

        With `tls` it makes certificates of its own; `certificates` are those of a group.
        """
        program = require("redis-server")
        # Held, not entered: the folder lives as long as this object, over stops and starts.
        self._folder = tempfile.TemporaryDirectory(prefix="redis-test-")
        self.folder = Path(self._folder.name)
        self.port = free_port()
        self.password = password
        self.certificates = certificates or (make_certificates(self.folder) if tls else None)
        self._clients: list[redis.Redis] = []
        self._admin: redis.Redis | None = None

        # No snapshots (`save ""`): what survives a restart is what the append-only file holds, nothing else.
        lines = {"bind": HOST, "dir": str(self.folder), "daemonize": "no"}
        if not sentinel:
            lines["save"] = '""'
        if self.certificates is not None:
            lines |= {
                "port": "0",
                "tls-port": str(self.port),
                "tls-ca-cert-file": str(self.certificates.ca_file),
                "tls-cert-file": str(self.certificates.certificate_file),
                "tls-key-file": str(self.certificates.key_file),
                "tls-auth-clients": "no",
            }
        else:
            lines["port"] = str(self.port)
        if password is not None:
            lines["requirepass"] = password
        if appendonly is not None:
            lines |= {"appendonly": "yes", "appendfsync": appendonly}
        if maxmemory is not None:
            lines["maxmemory"] = maxmemory
        if policy is not None:
            lines["maxmemory-policy"] = policy
        lines |= dict(config or {})

        config_path = self.folder / "redis.conf"
        config_path.write_text(
            "".join(f"{name} {value}\n" for name, value in lines.items())
            + "".join(f"user {rules}\n" for rules in users)
        )
        super().__init__(
            f"redis-server on port {self.port}",
            [program, str(config_path), *(["--sentinel"] if sentinel else [])],
            log_path=self.folder / "server.log",
        )

    @property
    def address(self) -> str:
        """`127.0.0.1:<port>`, as REDIS_ADDR wants it."""
        return f"{HOST}:{self.port}"

    def environment(self) -> dict[str, str]:
        """The settings with which the API and a runner use this server."""
        settings = {"REDIS_ENABLED": "true", "REDIS_ADDR": self.address}
        if self.password is not None:
            settings["REDIS_PASSWORD"] = self.password
        if self.certificates is not None:
            settings |= {"REDIS_TLS": "true", "REDIS_TLS_CA_FILE": str(self.certificates.ca_file)}
        return settings

    def client(self, **options: Any) -> redis.Redis:
        """A client that answers in text, never retries, and is closed with the server.

        `options` are those of `redis.Redis` and win over ours: `client(username="app", password="secret")`.
        """
        defaults: dict[str, Any] = {
            "host": HOST,
            "port": self.port,
            "password": self.password,
            "decode_responses": True,
            # A server on loopback that has not answered after 5 s never will; a retry would only hide it.
            "socket_timeout": 5.0,
            "socket_connect_timeout": 1.0,
            "retry": Retry(NoBackoff(), 0),
        }
        if self.certificates is not None:
            defaults |= {"ssl": True, "ssl_ca_certs": str(self.certificates.ca_file)}
        client = redis.Redis(**(defaults | options))
        self._clients.append(client)
        return client

    @property
    def admin(self) -> redis.Redis:
        """One client for looking at this very server, whatever its role; kept over restarts."""
        if self._admin is None:
            self._admin = self.client()
        return self._admin

    def replicas_online(self) -> int:
        """How many replicas get every write at once. (Their own `link up` comes a moment earlier.)"""
        known = self.admin.info("replication")
        replicas = (known.get(f"slave{number}") for number in range(known["connected_slaves"]))
        return sum(replica is not None and replica["state"] == "online" for replica in replicas)

    def is_ready(self) -> bool:
        """It answers PING, or asks for a password, which is an answer too."""
        with self.client() as client:
            try:
                return bool(client.ping())
            except (AuthenticationError, AuthorizationError):
                return True
            except (RedisError, OSError):
                return False
            finally:
                self._clients.remove(client)

    def close(self) -> None:
        """Ends the server, closes its clients and removes its folder."""
        for client in self._clients:
            client.close()
        self._clients.clear()
        super().close()
        self._folder.cleanup()
