"""Each exception of redis-py becomes one of our errors, with a sentence that docs/operations.md explains."""

import ssl
from pathlib import Path

import pytest
import redis.exceptions as theirs

from chalicelib.errors import StoreAccessError, StoreError, StoreFull, StoreUnavailable
from chalicelib.storage.redis.client import explain
from tests.support.documents import quoted, table
from tests.support.factories import make_settings
from tests.support.servers.tools import ROOT

CASES: list[tuple[BaseException, type[StoreError], str]] = [
    (theirs.ConnectionError("Error 111 connecting: Connection refused."), StoreUnavailable, "refused"),
    (theirs.TimeoutError("Timeout reading"), StoreUnavailable, "no answer in time"),
    (
        theirs.AuthenticationError("NOAUTH Authentication required."),
        StoreAccessError,
        "asks for a password",
    ),
    (theirs.ResponseError("NOAUTH Authentication required."), StoreAccessError, "asks for a password"),
    (theirs.NoPermissionError("no permissions to run"), StoreAccessError, "does not let this user do it"),
    (ssl.SSLError("WRONG_VERSION_NUMBER"), StoreAccessError, "does not speak TLS"),
    (
        theirs.ConnectionError("CERTIFICATE_VERIFY_FAILED"),
        StoreAccessError,
        "has a certificate that is not trusted",
    ),
    (theirs.OutOfMemoryError("command not allowed"), StoreFull, "is out of memory"),
    (theirs.BusyLoadingError("LOADING"), StoreUnavailable, "is loading its data"),
    (theirs.ReadOnlyError("READONLY"), StoreUnavailable, "is a read-only replica"),
    (theirs.MovedError("1234 127.0.0.1:7000"), StoreAccessError, "is a node of a cluster"),
    (theirs.AskError("1234 127.0.0.1:7000"), StoreAccessError, "is a node of a cluster"),
    (theirs.ClusterCrossSlotError("CROSSSLOT"), StoreAccessError, "is a node of a cluster"),
    (
        theirs.RedisClusterException("Cluster mode is not enabled on this node"),
        StoreAccessError,
        "is not a cluster",
    ),
    (theirs.RedisClusterException("cannot be connected"), StoreUnavailable, "is not complete"),
    (theirs.ClusterDownError("CLUSTERDOWN"), StoreUnavailable, "is not complete"),
    (theirs.MaxConnectionsError("Too many connections"), StoreUnavailable, "connections to Redis are in use"),
    (theirs.ConnectionError("No connection available."), StoreUnavailable, "connections to Redis are in use"),
    (
        theirs.ResponseError("Script attempted to access a non local key in a cluster node"),
        StoreUnavailable,
        "is changing its size",
    ),
    (theirs.ResponseError("internal error"), StoreUnavailable, "is changing its size"),
    (theirs.NoScriptError("No matching script."), StoreUnavailable, "is changing its size"),
    (theirs.ResponseError("ERR something else"), StoreError, "refused a command"),
]


@pytest.mark.parametrize(("error", "expected", "phrase"), CASES)
def test_each_failure_has_its_class_and_sentence(
    error: BaseException, expected: type[StoreError], phrase: str
) -> None:
    """The class says whether waiting helps or an operator must act; the sentence says what is wrong."""
    explained = explain(error, make_settings(redis_enabled=True))
    assert type(explained) is expected
    assert phrase in explained.message


def test_a_wrong_password_is_not_reported_as_a_missing_one() -> None:
    """When a password is set, the sentence is about that password, and does not show it."""
    settings = make_settings(redis_enabled=True, redis_password="s3cret-word")
    explained = explain(theirs.AuthenticationError("WRONGPASS invalid"), settings)
    assert "refuses the password" in explained.message
    assert "s3cret-word" not in explained.message


def test_the_operations_page_explains_every_sentence() -> None:
    """Each sentence about Redis in the code has a row that says what to do, and each row is in the code."""
    rows = table("docs/operations.md", "message", "what it means")
    phrases = [quoted(row[0])[0] for row in rows]
    source = (ROOT / "chalicelib/storage/redis/client.py").read_text(encoding="utf-8")
    for phrase in phrases:
        assert phrase.removeprefix("cannot be reached: ") in source, phrase
    for error, _, phrase in CASES:
        assert any(phrase in known for known in phrases), (phrase, error)


def test_the_operations_page_quotes_real_log_lines() -> None:
    """Each log line on the page is one that the code writes."""
    sources = [*ROOT.glob("runner/**/*.py"), *ROOT.glob("chalicelib/**/*.py")]
    text = "\n".join(Path(source).read_text(encoding="utf-8") for source in sources)
    for row in table("docs/operations.md", "log line", "what it means"):
        for line in quoted(row[0]):
            assert line.strip() in text, line
