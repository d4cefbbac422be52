"""What several tests of the API need: a Redis with registered compilers, and the fields of an error.

The API runs as a process (`tests/support/processes.py`); these helpers check it from outside, and its Redis.
"""

import contextlib
import os
import time
from collections.abc import Iterator
from typing import Any

import pytest

from chalicelib.models import Environment
from chalicelib.storage.redis.store import RedisStore
from tests.support.factories import make_environment, make_runner
from tests.support.processes import ApiProcess, Reply
from tests.support.servers import RedisServer
from tests.support.stores import redis_store

# Embedded workers test every compiler before the first job; on a busy machine that takes a while.
_READY_SECONDS = 100.0
# Longer than any test run, so that registrations stay.
_REGISTRATION_SECONDS = 3600.0

OFFERED = (
    make_environment(),
    make_environment(id="clang-16", family="clang", version="16.0.6", version_key=(16, 0, 6)),
    make_environment(language="c", standards=("c17", "gnu17"), default_standard="gnu17"),
)


@contextlib.contextmanager
def open_store(server: RedisServer) -> Iterator[RedisStore]:
    """A `RedisStore` on the server of a test."""
    store = redis_store(server.environment())
    try:
        yield store
    finally:
        store.close()


def register(server: RedisServer, environments: tuple[Environment, ...] = OFFERED) -> None:
    """Registers compilers, as a runner would, for the rest of the test run."""
    with open_store(server) as store:
        store.register(make_runner(), environments, _REGISTRATION_SECONDS)


# The line that a runner logs when the last of its compilers has been tested.
_ALL_TESTED = " INFO compilers: "


def wait_until_ready(api: ApiProcess) -> None:
    """Returns when the embedded workers of an API have tested and registered all their compilers.

    A machine without a sandbox or without a compiler never gets there: the test is skipped, or fails with
    CI=true, and shows the log.
    """
    deadline = time.monotonic() + _READY_SECONDS
    while api.call("GET", "/ready").status != 200 or _ALL_TESTED not in api.log():
        if time.monotonic() > deadline:
            (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(api.log()[-2000:])
        time.sleep(0.2)


def contents(server: RedisServer) -> dict[bytes, bytes]:
    """Everything in Redis: each key with its serialised value."""
    client = server.client(decode_responses=False)
    return {key: bytes(client.dump(key) or b"") for key in client.scan_iter()}


def error_of(reply: Reply) -> dict[str, Any]:
    """The body of an error; an `AssertionError` that shows it when it lacks the fields of our errors."""
    body = reply.json()
    assert reply.headers["content-type"] == "application/json", reply
    assert isinstance(body, dict) and list(body) == ["error", "message", "details"], body
    assert isinstance(body["error"], str) and body["error"].replace("_", "").isalpha(), body
    assert isinstance(body["message"], str) and body["message"].endswith((".", "…")), body
    assert all(list(detail) == ["field", "message"] for detail in body["details"]), body
    assert "Traceback" not in str(body) and 'File "' not in str(body), body
    return body
