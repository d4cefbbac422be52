"""What several tests of the API need: a Redis that offers compilers, and the shape of an error.

The API runs as a process (`tests.processes`); these helpers look at it from outside and into its Redis.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

from chalicelib.models import Environment
from chalicelib.storage.redis.store import RedisStore
from tests.support.factories import make_environment, make_runner
from tests.support.processes import Reply
from tests.support.servers import RedisServer
from tests.support.stores import redis_store

# Longer than any test run: what is registered stays.
_REGISTRATION_SECONDS = 3600.0

OFFERED = (
    make_environment(),
    make_environment(id="clang-16", family="clang", version="16.0.6", version_key=(16, 0, 6)),
    make_environment(language="c", standards=("c17", "gnu17"), default_standard="gnu17"),
)


@contextlib.contextmanager
def open_store(server: RedisServer) -> Iterator[RedisStore]:
    """Our own store on a test's server."""
    store = redis_store(server.environment())
    try:
        yield store
    finally:
        store.close()


def register(server: RedisServer, environments: tuple[Environment, ...] = OFFERED) -> None:
    """Lets the server offer compilers, as a runner would, for the rest of the test run."""
    with open_store(server) as store:
        store.register(make_runner(), environments, _REGISTRATION_SECONDS)


def contents(server: RedisServer) -> dict[bytes, bytes]:
    """Everything that is in Redis: each key with its serialised value."""
    client = server.client(decode_responses=False)
    return {key: bytes(client.dump(key) or b"") for key in client.scan_iter()}


def error_of(reply: Reply) -> dict[str, Any]:
    """The body of an error, which must have our shape; an `AssertionError` that shows it if it has not."""
    body = reply.json()
    assert reply.headers["content-type"] == "application/json", reply
    assert isinstance(body, dict) and list(body) == ["error", "message", "details"], body
    assert isinstance(body["error"], str) and body["error"].replace("_", "").isalpha(), body
    assert isinstance(body["message"], str) and body["message"].endswith((".", "…")), body
    assert all(list(detail) == ["field", "message"] for detail in body["details"]), body
    assert "Traceback" not in str(body) and 'File "' not in str(body), body
    return body
