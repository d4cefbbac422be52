"""The API as a user sees it: `chalice local` with embedded workers, and with a Redis that is down."""

import base64
import http.client
import os
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.api import error_of, wait_until_ready
from tests.support.compilers import real_compilers
from tests.support.processes import HOST, ApiProcess, Reply, RunnerProcess
from tests.support.servers import RedisServer, free_port

COMPILE = "/api/v1/compile"
# The README's request.
GOOD = {"source_code": "int main() { return 0; }", "language": "cpp"}
BAD = {"source_code": "int main() { return x; }", "language": "cpp"}
SECRET = "correct-horse-battery"
# While Redis is down a response is promised within this time.
ERROR_WITHIN_SECONDS = 5.0


@pytest.fixture(scope="module")
def api() -> Iterator[ApiProcess]:
    """The API as `make run` starts it, once its compilers are registered: no settings, all in one process."""
    real_compilers()  # skips, or fails where CI=true, on a machine that cannot compile
    with ApiProcess() as process:
        wait_until_ready(process)
        yield process


def _compiled(api: ApiProcess, **fields: Any) -> dict[str, Any]:
    reply = api.call("POST", f"{COMPILE}?wait=20", {"language": "cpp"} | fields)
    assert reply.status == 200, reply
    body: dict[str, Any] = reply.json()
    return body


# -- embedded workers


def test_the_request_of_the_readme_compiles(api: ApiProcess) -> None:
    """A good program, with a wait: 200 and the verdict `compiles`."""
    result = _compiled(api, **GOOD)
    assert (result["verdict"], result["status"], result["reason"]) == ("compiles", "completed", None)
    assert (result["success"], result["compiled"], result["exit_code"]) == (True, True, 0)
    assert result["diagnostics"] == []
    assert result["duration"] > 0
    assert result["environment"]["language"] == "cpp"
    assert result["completed_at"] >= result["started_at"] >= result["created_at"]


def test_a_bad_program_is_rejected_in_the_compilers_own_words(api: ApiProcess) -> None:
    """A diagnostic at line 1, and what the compiler printed."""
    result = _compiled(api, **BAD)
    assert (result["verdict"], result["status"]) == ("rejected", "failed")
    assert (result["success"], result["compiled"]) == (True, False)
    assert result["exit_code"] != 0
    error = next(item for item in result["diagnostics"] if item["severity"] == "error")
    assert (error["line"], error["column"], error["file"]) == (1, 21, "main.cpp")
    assert "x" in error["message"]
    assert error["message"] in result["stderr"]
    assert "main.cpp:1:21: error:" in result["stderr"]


def test_a_request_without_a_language_says_what_is_missing(api: ApiProcess) -> None:
    """400 with a sentence that helps."""
    reply = api.call("POST", f"{COMPILE}?wait=20", {"source_code": "int main() { return 0; }"})
    assert reply.status == 400
    assert "`language` is missing" in error_of(reply)["message"]


def test_a_source_in_base64_and_in_files_is_compiled(api: ApiProcess) -> None:
    """Both other ways to send a source reach the same compiler."""
    code = base64.b64encode(b"int main() { return 0; }").decode()
    assert _compiled(api, code=code)["verdict"] == "compiles"
    files = {"main.cpp": '#include "a.hpp"\nint main() { return a; }', "a.hpp": "inline int a = 0;"}
    assert _compiled(api, files=files, standard="c++17")["verdict"] == "compiles"
    assert _compiled(api, files=files | {"a.hpp": ""})["verdict"] == "rejected"


def test_every_compiler_that_is_offered_compiles(api: ApiProcess) -> None:
    """Each compiler that /environments lists can be requested by that id."""
    offered = api.call("GET", "/api/v1/environments").json()["environments"]
    assert {item["language"] for item in offered} >= {"cpp"}
    for item in offered:
        result = _compiled(api, source_code="int x;", language=item["language"], compiler=item["id"])
        assert (result["verdict"], result["environment"]["id"]) == ("compiles", item["id"])
        assert result["environment"]["version"] == item["version"]


def test_a_job_can_be_fetched_from_its_location(api: ApiProcess) -> None:
    """Without a wait the response is 202 with an id and a Location, which later has the result."""
    submitted = api.call("POST", COMPILE, GOOD)
    assert (submitted.status, submitted.json()["status"]) == (202, "queued")
    assert submitted.headers["location"] == f"{COMPILE}/{submitted.json()['job_id']}"
    reply = api.call("GET", f"{submitted.headers['location']}?wait=20")
    assert (reply.status, reply.json()["verdict"]) == (200, "compiles")
    assert reply.json()["job_id"] == submitted.json()["job_id"]


def test_a_job_that_has_ended_cannot_be_cancelled(api: ApiProcess) -> None:
    """409, and the result stays."""
    job_id = _compiled(api, **GOOD)["job_id"]
    reply = api.call("DELETE", f"{COMPILE}/{job_id}")
    assert (reply.status, error_of(reply)["error"]) == (409, "job_ended")
    assert api.call("GET", f"{COMPILE}/{job_id}").json()["verdict"] == "compiles"


def test_the_statistics_count_completed_jobs(api: ApiProcess) -> None:
    """Each job is counted once in /workers/stats."""
    before = api.call("GET", "/api/v1/workers/stats").json()
    _compiled(api, **GOOD)
    _compiled(api, **BAD)
    after = api.call("GET", "/api/v1/workers/stats").json()
    for name in ("total_successful", "total_failed"):
        assert after[name] == before[name] + 1
    assert after["total_processed"] == before["total_processed"] + 2
    workers = min(5, len(os.sched_getaffinity(0)))
    assert (after["max_workers"], after["queued_jobs"], after["runners"]) == (workers, 0, 1)


def test_it_is_alive_and_ready(api: ApiProcess) -> None:
    """/health and /ready respond in JSON that no cache keeps."""
    health, ready = api.call("GET", "/health"), api.call("GET", "/ready")
    assert (health.status, health.json()) == (200, {"status": "ok"})
    assert (ready.status, ready.json()) == (200, {"status": "ready", "runners": 1})
    assert health.headers["cache-control"] == "no-store"


# -- the page


def test_the_page_shows_a_curl_for_this_server(api: ApiProcess) -> None:
    """HTML with the address that the client used, and a policy that allows no scripts."""
    reply = api.call("GET", "/")
    assert reply.status == 200
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    assert f"curl -s '{api.url}{COMPILE}?wait=20'" in reply.body.decode()
    assert "default-src 'none'" in reply.headers["content-security-policy"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "x'\"><script>alert(1)</script>"},
        {"Host": "x", "X-Forwarded-Proto": "'\"><script>alert(1)</script>"},
    ],
    ids=["Host", "X-Forwarded-Proto"],
)
def test_the_page_escapes_the_headers_of_a_client(headers: dict[str, str], api: ApiProcess) -> None:
    """A header can neither become markup nor end the quotes of the curl."""
    page = api.call("GET", "/", headers=headers).body.decode()
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "x'" not in page.replace("wait=20'", "")


# -- speed


def _seconds_each(call: Callable[[], None], count: int = 40) -> float:
    durations_seconds = []
    for _ in range(count):
        started = time.perf_counter()
        call()
        durations_seconds.append(time.perf_counter() - started)
    return statistics.median(durations_seconds)


def _health(connection: http.client.HTTPConnection) -> None:
    connection.request("GET", "/health")
    assert connection.getresponse().read()


@pytest.mark.alone
def test_a_kept_connection_is_not_slower_than_a_new_one(api: ApiProcess) -> None:
    """Keep-alive must not cost the 40 ms of a delayed acknowledgement, many times as much as the request."""
    kept = http.client.HTTPConnection(HOST, api.port, timeout=10)
    _health(kept)
    kept_seconds = _seconds_each(lambda: _health(kept))
    kept.close()

    def request_on_a_new_connection() -> None:
        connection = http.client.HTTPConnection(HOST, api.port, timeout=10)
        _health(connection)
        connection.close()

    new_seconds = _seconds_each(request_on_a_new_connection)
    ratio = kept_seconds / new_seconds
    print(f"kept {kept_seconds * 1000:.1f} ms, new {new_seconds * 1000:.1f} ms a request: ratio {ratio:.2f}")
    # With the delay the ratio is above 10.
    assert ratio < 3


# -- the log


def test_the_logs_say_which_redis_is_used_and_never_the_password(
    start_redis: Callable[..., RedisServer],
) -> None:
    """API and runner say which Redis they use, and no line at any level has the password."""
    server = start_redis(password=SECRET)
    env = server.environment() | {"LOG_LEVEL": "debug", "REDIS_JOB_TTL_HOURS": "2"}
    real_compilers()
    with ApiProcess(env) as api, RunnerProcess(env) as runner:
        assert api.call("POST", f"{COMPILE}?wait=20", GOOD).json()["verdict"] == "compiles"
        logs = (api.log(), runner.log())
    for log in logs:
        assert f"store: Redis enabled, address {server.address}" in log
        assert "TTL 2 h" in log
        assert "password set" in log
        assert SECRET not in log


# -- a Redis that is down


def _assert_unavailable(reply: Reply) -> None:
    error = error_of(reply)
    assert (reply.status, error["error"]) == (503, "store_unavailable")
    assert int(reply.headers["retry-after"]) >= 1
    assert HOST not in reply.body.decode()


def test_without_redis_only_the_routes_that_need_it_fail() -> None:
    """/health and the page do not need it; all others are 503 with Retry-After, soon, without an address."""
    with ApiProcess({"REDIS_ENABLED": "true", "REDIS_ADDR": f"{HOST}:{free_port()}"}) as api:
        assert api.call("GET", "/health").status == 200
        assert api.call("GET", "/").status == 200
        for method, path in (
            ("POST", f"{COMPILE}?wait=20"),
            ("GET", f"{COMPILE}/{'0' * 32}?wait=20"),
            ("DELETE", f"{COMPILE}/{'0' * 32}"),
            ("GET", "/api/v1/environments"),
            ("GET", "/api/v1/workers/stats"),
            ("GET", "/ready"),
        ):
            started = time.monotonic()
            reply = api.call(method, path, GOOD if method == "POST" else None)
            assert time.monotonic() - started < ERROR_WITHIN_SECONDS
            _assert_unavailable(reply)
        assert "Traceback" not in api.log()


@pytest.mark.parametrize(
    ("change", "tls", "hint"),
    [
        ({"REDIS_PASSWORD": "wrong"}, False, "refuses the password: check REDIS_PASSWORD"),
        ({"REDIS_PASSWORD": ""}, False, "asks for a password: set REDIS_PASSWORD"),
        ({"REDIS_TLS": ""}, True, "speaks TLS only: set REDIS_TLS=true"),
        ({"REDIS_TLS": "true"}, False, "does not speak TLS: set REDIS_TLS=false"),
        ({"REDIS_TLS_CA_FILE": ""}, True, "a certificate that is not trusted: set REDIS_TLS_CA_FILE"),
    ],
    ids=["wrong password", "no password", "plain against TLS", "TLS against plain", "unknown authority"],
)
def test_a_redis_that_does_not_let_us_in_is_503_and_the_log_says_why(
    change: dict[str, str], tls: bool, hint: str, start_redis: Callable[..., RedisServer]
) -> None:
    """/ready says `store_refused` to everybody; only the operator's log says what to do."""
    server = start_redis(password=SECRET, tls=tls)
    with ApiProcess(server.environment() | change) as api:
        reply = api.call("GET", "/ready", timeout_seconds=ERROR_WITHIN_SECONDS)
        assert (reply.status, error_of(reply)["error"]) == (503, "store_refused")
        assert "REDIS_" not in reply.body.decode()
        assert hint in api.log()
        assert SECRET not in api.log()
