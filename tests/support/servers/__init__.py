"""Real Redis servers for tests, as context managers: one, a Sentinel group, a cluster, a serverless
cache, with TLS or without.

Each runs on loopback, on free ports, in a temporary folder of its own, and is ended by its process id
when the `with` block ends, also by an exception. Nothing here touches a server that it did not start.
One more kind of server: a module here with a subclass of `process.ManagedProcess`.
"""

from tests.support.servers.cluster import RedisCluster
from tests.support.servers.process import ManagedProcess, ProcessError
from tests.support.servers.redis_server import RedisServer
from tests.support.servers.sentinel import SentinelGroup
from tests.support.servers.serverless import ServerlessCache, StrictScripts
from tests.support.servers.tls import Certificates, make_certificates
from tests.support.servers.tools import free_port, wait_until

__all__ = [
    "Certificates",
    "ManagedProcess",
    "ProcessError",
    "RedisCluster",
    "RedisServer",
    "SentinelGroup",
    "ServerlessCache",
    "StrictScripts",
    "free_port",
    "make_certificates",
    "wait_until",
]
