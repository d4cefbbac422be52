"""Invalid requests through the real HTTP server: a 4xx with a sentence, and nothing is stored in Redis.

The requests are a table in tests/support/bad_input.py. Here are the rules for each of its rows, and what is
not in a body: job ids, paths, methods, and broken HTTP.
"""

import json
import re
import socket
import time
from collections.abc import Iterator

import pytest

from tests.support.api import contents, error_of, register
from tests.support.bad_input import CASES, GOOD, TABLES
from tests.support.processes import HOST, ApiProcess
from tests.support.servers import RedisServer

COMPILE = "/api/v1/compile"
# An error needs neither compiler nor wait; this leaves time for a busy machine and a body of 6 MiB.
ERROR_WITHIN_SECONDS = 10.0


@pytest.fixture(scope="module")
def api(redis_server: RedisServer) -> Iterator[ApiProcess]:
    """One API over an empty Redis in which a runner offers gcc-12 and clang-16."""
    redis_server.admin.flushall()
    register(redis_server)
    with ApiProcess(redis_server.environment()) as process:
        yield process


@pytest.fixture
def nothing_stored(api: ApiProcess, redis_server: RedisServer) -> Iterator[None]:
    """Redis has exactly the same contents after the test as before, and the API logs no traceback."""
    before, logged = contents(redis_server), len(api.log())
    assert before, "the registration is there"
    yield
    assert contents(redis_server) == before
    assert "Traceback" not in api.log()[logged:]


def test_the_table_is_as_large_as_promised() -> None:
    """It has at least 40 cases, and no two of them have the same name."""
    assert len(CASES) == sum(len(table) for table in TABLES) >= 40


def test_the_request_that_the_cases_change_is_valid(api: ApiProcess, redis_server: RedisServer) -> None:
    """So each case is invalid because of its change."""
    reply = api.call("POST", COMPILE, GOOD)
    assert (reply.status, reply.json()["status"]) == (202, "queued")
    assert api.call("DELETE", f"{COMPILE}/{reply.json()['job_id']}").status == 200
    assert f"result:{reply.json()['job_id']}".encode() in contents(redis_server)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.usefixtures("nothing_stored")
def test_an_invalid_request_gets_a_sentence_and_stores_nothing(name: str, api: ApiProcess) -> None:
    """A 4xx that names the field or what is allowed, soon, and no key in Redis."""
    case = CASES[name]
    started = time.monotonic()
    reply = api.call("POST", f"{COMPILE}?{case.query}", case.body, headers=case.headers)
    assert reply.status == case.status, reply.body[:500]
    error = error_of(reply)
    assert [word for word in case.words if word not in error["message"]] == [], error["message"]
    # A sentence and not a copy of the input; the longest one lists the fields of a request.
    assert len(error["message"]) < 600
    assert error["message"].isprintable()
    assert time.monotonic() - started < ERROR_WITHIN_SECONDS


@pytest.mark.usefixtures("nothing_stored")
def test_all_mistakes_are_reported_at_once(api: ApiProcess) -> None:
    """The details name each wrong field, so that a client can fix them all at once."""
    reply = api.call("POST", COMPILE, {"source_code": 1, "compilr": "gcc", "options": [1, "-Wall", None]})
    fields = [detail["field"] for detail in error_of(reply)["details"]]
    assert sorted(fields) == ["compilr", "language", "options.0", "options.2", "source_code"]


# -- job ids

UNKNOWN_IDS = (
    "0" * 32, "0" * 31, "A" * 32, "x", "%00", "0%00", "%2e%2e%2fx", "..%2f..%2fetc", "*", "job:*",
    "%F0%9F%98%80", "%ff", "stream", "index:status:queued", "0" * 32 + "%0a", "x" * 10_000,
)  # fmt: skip


@pytest.mark.parametrize("job_id", UNKNOWN_IDS, ids=lambda text: text[:24])
@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.usefixtures("nothing_stored")
def test_any_other_job_id_is_404(method: str, job_id: str, api: ApiProcess) -> None:
    """Any text that is not an id is unknown, and never becomes part of a key."""
    reply = api.call(method, f"{COMPILE}/{job_id}")
    assert reply.status == 404, reply.body
    assert error_of(reply)["error"] == "job_not_found"
    assert len(reply.body) < 500


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"compilers": ["rust-*"]}, 400, "matches no compiler for C++ here"),
        ({"compilers": ["msvc"]}, 400, "available are clang-16, gcc-12"),
        ({"compilers": []}, 400, "is empty"),
        ({"compilers": {"gcc": 1}}, 400, "list"),
        ({"standards": ["c17"]}, 400, "available are c++17, c++20"),
        ({"targets": ["windows/x86_64"]}, 400, "available are x86_64-linux"),
        ({"targets": [{"os": "linux"}]}, 400, "string"),
        ({"stage": "run"}, 400, "not a stage"),
        ({"options": ["-o/etc/passwd"]}, 400, "-o"),
        ({"architecture": "x86_64"}, 400, "known fields are source_code"),
        ({"files": {"../x.cpp": ""}, "source_code": None}, 400, "../x.cpp"),
        ({"expect": {"verdict": "no"}}, 400, "compiles, rejected, inconclusive"),
        ({"expect": {"diagnostics": [{}]}}, 400, "is empty"),
        ({"source_code": "x" * (1024 * 1024 + 1)}, 413, "1 MiB"),
    ],
    ids=lambda value: str(value)[:40],
)
@pytest.mark.usefixtures("nothing_stored")
def test_an_invalid_matrix_gets_a_sentence_and_stores_nothing(
    change: dict[str, object], status: int, words: str, api: ApiProcess
) -> None:
    """As a compile request: what is wrong, what is allowed, and no key in Redis."""
    reply = api.call("POST", "/api/v1/matrix", GOOD | change)
    assert reply.status == status, reply.body
    assert words in error_of(reply)["message"]


@pytest.mark.parametrize("wait", ["-1", "26", "nan", "", "1&wait=2"])
@pytest.mark.usefixtures("nothing_stored")
def test_an_invalid_wait_is_an_error_of_get_as_well(wait: str, api: ApiProcess) -> None:
    """Both routes that wait have the same rule."""
    reply = api.call("GET", f"{COMPILE}/{'0' * 32}?wait={wait}")
    assert (reply.status, error_of(reply)["details"][0]["field"]) == (400, "wait")


@pytest.mark.parametrize(
    "path", ["/api/v1/compile/../x", "/api/v1/compile/a/b", "/nope", "//[", "/api/v1/compile//"]
)
@pytest.mark.usefixtures("nothing_stored")
def test_an_unknown_path_is_an_error_in_json(path: str, api: ApiProcess) -> None:
    """API Gateway, and the local server like it, responds to an unknown path with 403."""
    reply = api.call("GET", path)
    assert reply.status in (403, 404)
    assert reply.json()["message"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("PUT", COMPILE, "POST"), ("POST", "/health", "GET"), ("PATCH", f"{COMPILE}/{'0' * 32}", "GET, DELETE")],
)
@pytest.mark.usefixtures("nothing_stored")
def test_a_method_that_a_path_does_not_have_is_405(
    method: str, path: str, allowed: str, api: ApiProcess
) -> None:
    """The message and the header Allow have the methods of the path."""
    reply = api.call(method, path, b"{}")
    assert (reply.status, reply.json()["error"]) == (405, "method_not_allowed")
    assert reply.json()["message"].endswith(f"{method}; this path allows {allowed}.")
    assert reply.headers["allow"] == allowed


# -- broken HTTP

_HEAD = b"POST /api/v1/compile HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
# A body that is a request by itself. A server that overlooks the Content-Length answers it as the next one.
_INNER = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
_LENGTH = b"Content-Length: %d\r\n" % len(_INNER)


def _smuggled(lines: bytes) -> bytes:
    """A request with these header lines before its Content-Length, and another request as its body."""
    return _HEAD + lines + _LENGTH + b"\r\n" + _INNER


HEADS = {
    "a negative length": (_HEAD + b"Content-Length: -5\r\n\r\n{}", 400, "Content-Length"),
    "a length that is not a number": (_HEAD + b"Content-Length: abc\r\n\r\n{}", 400, "Content-Length"),
    "an empty length": (_HEAD + b"Content-Length:\r\n\r\n{}", 400, "Content-Length"),
    "a length with a sign": (_HEAD + b"Content-Length: +2\r\n\r\n{}", 400, "Content-Length"),
    "a length of other digits": (_HEAD + b"Content-Length: \xb2\r\n\r\n{}", 400, "Content-Length"),
    "a length beyond memory": (_HEAD + b"Content-Length: 99999999999\r\n\r\n{}", 413, "too large"),
    "a length beyond 64 bits": (_HEAD + b"Content-Length: " + b"9" * 30 + b"\r\n\r\n{}", 413, "too large"),
    "a length of 5,000 digits": (_HEAD + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n{}", 413, "too large"),
    "two lengths": (_HEAD + b"Content-Length: 2\r\nContent-Length: 50\r\n\r\n{}", 400, "Content-Length"),
    "chunks": (_HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 411, "Content-Length"),
    "a header beyond ASCII": (
        b"GET /nope HTTP/1.1\r\nHost: x\r\nAuthorization: \xff\r\n\r\n", 400, "Authorization"
    ),
    "a line of 70,000 letters": (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414, "too long"),
    "200 headers": (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 200 + b"\r\n", 431, "header"),
    "a header of 70,000 letters": (b"GET / HTTP/1.1\r\nX: " + b"y" * 70_000 + b"\r\n\r\n", 431, "header"),
    "four words": (b"GET / x HTTP/1.1\r\n\r\n", 400, "syntax"),
    **{
        f"a first line {name}": (line + b"Host: x\r\n" + _LENGTH + b"\r\n" + _INNER, 400, "syntax")
        for name, line in {
            "without a version": b"GET /health\r\n",
            "of HTTP/0.9": b"GET /health HTTP/0.9\r\n",
            "of HTTP/1.2": b"GET /health HTTP/1.2\r\n",
            "of HTTP/1.10": b"GET /health HTTP/1.10\r\n",
            "of HTTP/2.0": b"GET /health HTTP/2.0\r\n",
            "with a colon after its version": b"GET /health HTTP/1.1:\r\n",
            "with tabs": b"GET\t/health\tHTTP/1.1\r\n",
            "with two blanks": b"GET  /health HTTP/1.1\r\n",
            "with a carriage return": b"GET /health\r HTTP/1.1\r\n",
            "that ends in a line feed alone": b"GET /health HTTP/1.1\n",
        }.items()
    },
    "a client that waits to go on": (
        _HEAD + b"Expect: 100-continue\r\nContent-Length: 99999999999\r\n\r\n", 413, "too large"
    ),
    "a length with a sign, and a body": (
        _HEAD + b"Content-Length: +%d\r\n\r\n" % len(_INNER) + _INNER, 400, "Content-Length"
    ),
    "the same length twice": (_smuggled(_LENGTH), 400, "Content-Length"),
    "another length first": (_smuggled(b"Content-Length: 0\r\n"), 400, "Content-Length"),
    "two lengths in one header": (_smuggled(b"Content-Length: 0, 5\r\n"), 400, "Content-Length"),
    "chunks beside a length": (_smuggled(b"Transfer-Encoding: chunked\r\n"), 411, "Content-Length"),
    "chunks in capitals": (_smuggled(b"TRANSFER-ENCODING: CHUNKED\r\n"), 411, "Content-Length"),
    "an unknown encoding": (_smuggled(b"Transfer-Encoding: xchunked\r\n"), 411, "Content-Length"),
    **{
        f"a header {name}": (_smuggled(line), 400, "header")
        for name, line in {
            "with a blank in its name": b"X y: z\r\n",
            "without a colon": b"X\r\n",
            "without a name": b": z\r\n",
            "with a blank before its colon": b"X : z\r\n",
            "that ends its name with a tab": b"Transfer-Encoding\t: chunked\r\n",
            "that is folded": b"X: y\r\n z\r\n",
            "that is folded with a tab": b"X: y\r\n\tz\r\n",
            "that folds a Content-Length": b"X: y\r\n Content-Length: 0\r\n",
            "of one blank": b" \r\n",
            "with a NUL": b"X: y\x00z\r\n",
            "with a NUL in its name": b"X\x00: z\r\n",
            "with an escape": b"X: y\x1b[2Jz\r\n",
            "with a name beyond ASCII": b"\xc3\xa9: z\r\n",
            "with a carriage return": b"X: y\rContent-Length: 0\r\n",
            "that ends in a carriage return": b"X: y\r\r\n",
            "that ends in a line feed alone": b"X: y\n",
            "like one of a mailbox": b"From someone\r\n",
        }.items()
    },
    "a folded line before all headers": (
        b"POST /api/v1/compile HTTP/1.1\r\n X: y\r\nHost: x\r\n" + _LENGTH + b"\r\n" + _INNER, 400, "header"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.usefixtures("nothing_stored")
def test_a_broken_head_gets_a_response_and_the_connection_is_closed(name: str, api: ApiProcess) -> None:
    """A 4xx in JSON, where the framework's server alone would drop the connection."""
    sent, status, word = HEADS[name]
    with socket.create_connection((HOST, api.port), timeout=5) as connection:
        connection.sendall(sent)
        response = b""
        while received := connection.recv(65536):
            response += received
    head, _, body = response.partition(b"\r\n\r\n")
    assert re.match(rb"HTTP/1\.[01] %d " % status, head), response
    error = json.loads(body)
    assert (error["error"], error["details"]) == ("bad_request", [])
    assert word in error["message"]


def test_no_header_says_which_version_serves(api: ApiProcess) -> None:
    """`Server` is the name of this service: a version would tell an attacker which holes to try."""
    for path in ("/health", "/nope"):
        assert api.call("GET", path).headers["server"] == "will-it-compile"


def test_a_client_that_disconnects_is_not_an_error(api: ApiProcess) -> None:
    """A connection that is closed before the response leaves no traceback in the log."""
    logged = len(api.log())
    job_id = api.call("POST", COMPILE, GOOD).json()["job_id"]
    for _ in range(2):  # the second write of a response meets the reset that the first one caused
        with socket.create_connection((HOST, api.port)) as connection:
            connection.sendall(f"GET {COMPILE}/{job_id}?wait=0.3 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    time.sleep(0.6)
    api.call("DELETE", f"{COMPILE}/{job_id}")
    assert "Traceback" not in api.log()[logged:]
