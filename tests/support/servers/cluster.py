"""A Redis Cluster of real nodes, with slots spread by redis-cli itself."""

import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import redis
from redis.cluster import ClusterNode
from redis.exceptions import RedisError

from tests.support.servers.group import ServerGroup
from tests.support.servers.process import ProcessError
from tests.support.servers.redis_server import HOST, RedisServer
from tests.support.servers.tls import make_certificates
from tests.support.servers.tools import wait_until
from tests.support.skipping import require

# How long a node may be silent before the others vote it out: short enough to wait for, long enough for two
# busy cores.
_NODE_TIMEOUT_MILLISECONDS = 2_000


class RedisCluster(ServerGroup):
    """`masters` masters (3 at least, as redis-cli demands) with `replicas` replicas each.

    `secured`: with TLS on all ways, and a password for us; `users` are then lines of an ACL file.
    """

    def __init__(
        self, *, masters: int = 3, replicas: int = 1, secured: bool = False, users: Sequence[str] = ()
    ) -> None:
        self.masters = masters
        self.replicas = replicas
        self.secured = secured
        self.users = tuple(users)
        self.nodes: list[RedisServer] = []
        super().__init__()

    def environment(self) -> dict[str, str]:
        """The settings with which the API and a runner use this cluster."""
        return self.nodes[0].environment() | {
            "REDIS_MODE": "cluster",
            "REDIS_ADDR": ",".join(node.address for node in self.nodes),
        }

    def client(self, **options: Any) -> redis.RedisCluster:
        """A cluster client that answers in text; closed with the cluster."""
        defaults: dict[str, Any] = {
            "decode_responses": True,
            "socket_timeout": 5.0,
            "password": self.nodes[0].password,
        }
        if certificates := self.nodes[0].certificates:
            defaults |= {"ssl": True, "ssl_ca_certs": str(certificates.ca_file)}
        start = [ClusterNode(HOST, node.port) for node in self.nodes]
        client = redis.RedisCluster(startup_nodes=start, **(defaults | options))
        self._stack.callback(client.close)
        return client

    def node_for(self, key: str) -> RedisServer:
        """The master that holds `key` now, to be killed or looked into."""
        holder = self.client().get_node_from_key(key)
        if holder is None:
            raise LookupError(f"no node holds the slot of {key!r}")
        return next(node for node in self.nodes if node.port == holder.port)

    def wait_for_failover_of(self, former: RedisServer, *, timeout_seconds: float = 60.0) -> None:
        """Until every living node knows that `former` has failed, and who serves its slots instead."""
        self._wait(
            lambda: all(
                self._serves_all_slots(node) and self._sees_failed(node, former)
                for node in self.nodes
                if node.running
            ),
            f"the failover of port {former.port}",
            timeout_seconds,
        )

    def _wait(self, condition: Callable[[], bool], what: str, timeout_seconds: float) -> None:
        try:
            wait_until(condition, what, timeout_seconds=timeout_seconds)
        except TimeoutError as error:
            logs = "\n".join(f"--- {node.name} ---\n{node.log()[-2_000:]}" for node in self.nodes)
            raise ProcessError(f"{error}\n{logs}") from None

    def _serves_all_slots(self, node: RedisServer) -> bool:
        try:
            known = node.admin.cluster("info")
        except (RedisError, OSError):
            return False
        return (known["cluster_state"], known["cluster_slots_ok"], known["cluster_known_nodes"]) == (
            "ok",
            "16384",
            str(len(self.nodes)),
        )

    @staticmethod
    def _sees_failed(node: RedisServer, former: RedisServer) -> bool:
        try:
            known = node.admin.cluster("nodes")
        except (RedisError, OSError):
            return False
        return "fail" in known[former.address]["flags"].split(",")

    def _start(self) -> None:
        config = {
            "cluster-enabled": "yes",
            "cluster-config-file": "nodes.conf",
            "cluster-node-timeout": str(_NODE_TIMEOUT_MILLISECONDS),
            "repl-diskless-sync-delay": "0",  # seconds; the default waits 5 s for further replicas
        }
        certificates, password, words = None, None, []
        if self.secured:
            folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="redis-cluster-"))
            certificates, password = make_certificates(Path(folder)), "admin"
            config |= {"tls-cluster": "yes", "tls-replication": "yes", "masterauth": password}
            words = ["--tls", "--cacert", str(certificates.ca_file), "-a", password, "--no-auth-warning"]
        for _ in range(self.masters * (1 + self.replicas)):
            node = RedisServer(certificates=certificates, password=password, users=self.users, config=config)
            self.nodes.append(self._stack.enter_context(node))
        subprocess.run(
            [
                require("redis-cli"),
                *words,
                "--cluster",
                "create",
                *(node.address for node in self.nodes),
                "--cluster-replicas",
                str(self.replicas),
                "--cluster-yes",
            ],
            check=True,
            capture_output=True,
            timeout=60,  # seconds; about 3 are usual
        )
        self._wait(
            lambda: (
                all(self._serves_all_slots(node) for node in self.nodes)
                and sum(node.replicas_online() for node in self.nodes) == self.masters * self.replicas
            ),
            "a cluster that serves all slots, with replicas that hold their masters' data",
            100.0,  # seconds; 3 to 5 are usual
        )
