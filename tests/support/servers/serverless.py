"""What a serverless cache of AWS does otherwise than Redis, done by a real redis-server.

A node of a cluster that serves all slots, over TLS, with a user of its own. Its PUBLISH and SUBSCRIBE are
Redis's sharded ones, as AWS documents it: a channel has a slot, and a script publishes into the slot of its
keys only. `StrictScripts` adds what a server decides by the first line of a script, and refuses in scripts
the commands whose answer is not the same each time: such caches were seen to refuse TIME, and of the others
nobody has said that they do not.
"""

import hashlib
from typing import Any

import redis
from redis.cluster import ClusterNode
from redis.exceptions import NoScriptError

from tests.support.servers.redis_server import HOST, RedisServer

# Not allowed in scripts; as plain commands all of them are.
NOT_IN_SCRIPTS = ("TIME", "XINFO", "XPENDING", "XCLAIM", "XGROUP", "SRANDMEMBER")

_STRICT = "#!lua\n" + "".join(
    line + "\n"
    for line in (
        f"local refused = {{{', '.join(f'{name} = true' for name in NOT_IN_SCRIPTS)}}}",
        "local redis = setmetatable({}, {__index = redis})",
        "local real = getmetatable(redis).__index",
        "local words = 'ERR This Redis command is not allowed from script'",
        "function redis.call(name, ...)",
        "  if refused[string.upper(name)] then error(words) end",
        "  return real.call(name, ...)",
        "end",
        "function redis.pcall(name, ...)",
        "  if refused[string.upper(name)] then return {err = words} end",
        "  return real.pcall(name, ...)",
        "end",
    )
)


class ServerlessCache(RedisServer):
    """A cluster of one node, with TLS, whose pub/sub is sharded; `user` is a line of an ACL file."""

    def __init__(self, *, user: str) -> None:
        renamed = {
            "rename-command PUBLISH": '""',
            "rename-command SUBSCRIBE": '""',
            "rename-command SPUBLISH": "PUBLISH",
            "rename-command SSUBSCRIBE": "SUBSCRIBE",
        }
        cluster = {
            "cluster-enabled": "yes",
            "tls-cluster": "yes",
        }
        super().__init__(tls=True, password="admin", users=[user], config=cluster | renamed)

    def start(self) -> None:
        """Starts it, and gives it all slots."""
        super().start()
        self.admin.execute_command("CLUSTER ADDSLOTSRANGE", 0, 16383)
        self.wait_for(lambda: self.admin.cluster("info")["cluster_state"] == "ok", "a cluster that serves")

    def environment(self) -> dict[str, str]:
        """The settings with which the API and a runner use this cache; user and password are the test's."""
        return super().environment() | {"REDIS_MODE": "cluster"}

    def node(self) -> ClusterNode:
        """Where redis-py begins to look for the cluster."""
        return ClusterNode(HOST, self.port)


class StrictScripts:
    """A client of redis-py whose scripts run under the rules of a serverless cache."""

    def __init__(self, driver: redis.RedisCluster) -> None:
        self._driver: Any = driver
        self._known: dict[str, str] = {}

    def eval(self, text: str, *arguments: Any) -> Any:
        """As redis-py's; Redis sees other bytes, so that digests are kept here."""
        self._known[hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()] = _STRICT + text
        return self._driver.eval(_STRICT + text, *arguments)

    def evalsha(self, digest: str, *arguments: Any) -> Any:
        """As redis-py's."""
        if digest not in self._known:
            raise NoScriptError("NOSCRIPT No matching script")
        return self._driver.eval(self._known[digest], *arguments)

    def __getattr__(self, name: str) -> Any:
        """Everything else is redis-py's."""
        return getattr(self._driver, name)
