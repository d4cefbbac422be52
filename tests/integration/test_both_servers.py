"""The API's two servers, `chalice local` and `python app.py`: the same request, the same answer.

Both run over one Redis in which a runner has registered compilers, and get the requests of the other tests of
the API. Not compared are a server's own headers and what is new each time: ids and times.
"""

import http.client
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.integration.test_bad_input import HEADS, UNKNOWN_IDS
from tests.support.api import register
from tests.support.bad_input import CASES, GOOD
from tests.support.processes import HOST, ApiProcess, ProductionApiProcess, Reply
from tests.support.servers import RedisServer, wait_until
from tests.support.servers.tools import ROOT
from tests.support.skipping import require

COMPILE = "/api/v1/compile"
# Of the server, and not of the API.
OWN_HEADERS = {"connection", "date", "server"}
# What `chalice local` adds where a path is unknown; nothing reads them.
LOCAL_HEADERS = {"x-amzn-requestid", "x-amzn-errortype"}
NEW_EACH_TIME = re.compile(r'\b[0-9a-f]{32}\b|"uptime(_seconds)?": [^,]+|\d{4}-\d\d-\d\dT[\d:.]+Z')
# A name with a port, as a client would send it, but the same for both.
HOST_HEADER = {"Host": "example.org:8000"}


class Servers(NamedTuple):
    """Both, over the same Redis."""

    local: ApiProcess
    production: ApiProcess


@pytest.fixture(scope="module")
def servers(redis_server: RedisServer) -> Iterator[Servers]:
    """Both servers over an empty Redis in which a runner offers gcc-12 and clang-16."""
    redis_server.admin.flushall()
    register(redis_server)
    environment = redis_server.environment()
    with ApiProcess(environment) as local, ProductionApiProcess(environment) as production:
        yield Servers(local, production)


def _comparable(reply: Reply) -> dict[str, Any]:
    headers = {
        name: NEW_EACH_TIME.sub("…", value)
        for name, value in reply.headers.items()
        if name not in OWN_HEADERS | LOCAL_HEADERS | {"content-length"}
    }
    assert int(reply.headers["content-length"]) == len(reply.body) or not reply.body
    return {
        "status": reply.status,
        "headers": headers,
        "body": NEW_EACH_TIME.sub("…", reply.body.decode()),
    }


def _differences(
    servers: Servers, requests: dict[str, Callable[[ApiProcess], Reply]]
) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """Name of a request → the two answers, where they differ."""
    answers = {
        name: (_comparable(request(servers.local)), _comparable(request(servers.production)))
        for name, request in requests.items()
    }
    return {name: pair for name, pair in answers.items() if pair[0] != pair[1]}


def _request(method: str, path: str, body: object = None, **headers: str) -> Callable[[ApiProcess], Reply]:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda api: api.call(method, path, body, headers=HOST_HEADER | names)


def test_bad_input_is_answered_alike(servers: Servers) -> None:
    """Every row of the table of bad input."""
    requests = {
        name: _request("POST", f"{COMPILE}?{case.query}", case.body, **case.headers)
        for name, case in CASES.items()
    }
    assert len(requests) >= 40
    assert _differences(servers, requests) == {}


def test_ids_paths_and_methods_are_answered_alike(servers: Servers) -> None:
    """Unknown ids, paths that do not exist, methods that a path does not have, and slashes."""
    requests = {
        f"{method} {job_id[:40]}": _request(method, f"{COMPILE}/{job_id}")
        for job_id in UNKNOWN_IDS
        for method in ("GET", "DELETE")
    }
    paths = [
        "/nope",
        "/api/v1/compile/a/b",
        "/api/v1/compile/../x",
        "/api/v1/compile//",
        "/?x",
        "/health?a=b",
    ]
    paths += ["//health", "/health/", "/health//", "//["]
    requests |= {f"GET {path}": _request("GET", path) for path in paths}
    requests |= {
        f"{method} {path}": _request(method, path, b"{}")
        for method in ("PUT", "PATCH", "DELETE", "POST")
        for path in ("/health", "/", COMPILE, f"{COMPILE}/{'0' * 32}")
    }
    requests |= {
        f"HEAD {path}": _request("HEAD", path) for path in ("/", "/health", "/nope", f"{COMPILE}/{'0' * 32}")
    }
    assert _differences(servers, requests) == {}


def test_good_requests_are_answered_alike(servers: Servers) -> None:
    """Pages, lists and figures; jobs and matrices; every form of an answer."""
    job_id = servers.local.call("POST", COMPILE, GOOD).json()["job_id"]
    ended = servers.local.call("POST", COMPILE, GOOD).json()["job_id"]
    assert servers.local.call("DELETE", f"{COMPILE}/{ended}").status == 200
    matrix = servers.local.call("POST", "/api/v1/matrix", GOOD).json()["matrix_id"]
    sarif = "application/sarif+json"
    requests = {
        "page": _request("GET", "/"),
        "page behind a proxy": _request("GET", "/", X_Forwarded_Proto="https"),
        "health": _request("GET", "/health"),
        "ready": _request("GET", "/ready"),
        "environments": _request("GET", "/api/v1/environments"),
        "statistics": _request("GET", "/api/v1/workers/stats"),
        "submit": _request("POST", COMPILE, GOOD),
        "submit and wait": _request("POST", f"{COMPILE}?wait=0.1", GOOD),
        "submit in UTF-8": _request("POST", COMPILE, GOOD | {"source_code": "// naïve €\nint x;"}),
        "queued": _request("GET", f"{COMPILE}/{job_id}"),
        "queued, with a wait": _request("GET", f"{COMPILE}/{job_id}?wait=0.1"),
        "two waits": _request("GET", f"{COMPILE}/{job_id}?wait=1&wait=2"),
        "an encoded parameter": _request("GET", f"{COMPILE}/{job_id}?w%61it=%30"),
        "an unknown form": _request("GET", f"{COMPILE}/{job_id}?format=x%20y"),
        "ended": _request("GET", f"{COMPILE}/{ended}"),
        "ended, SARIF": _request("GET", f"{COMPILE}/{ended}?format=sarif"),
        "ended, SARIF by its type": _request("GET", f"{COMPILE}/{ended}", Accept=sarif),
        "cancelled again": _request("DELETE", f"{COMPILE}/{ended}"),
        "matrix": _request("GET", f"/api/v1/matrix/{matrix}?after=0"),
        "matrix, SARIF": _request("GET", f"/api/v1/matrix/{matrix}", Accept=sarif),
        "a new matrix": _request("POST", "/api/v1/matrix", GOOD),
    }
    assert _differences(servers, requests) == {}


@pytest.mark.parametrize("name", HEADS)
def test_a_broken_head_is_answered_alike(name: str, servers: Servers) -> None:
    """The same status, in the same shape; the words are each server's own."""
    sent, *_ = HEADS[name]

    def answer(api: ApiProcess) -> tuple[bytes, dict[str, object]]:
        with socket.create_connection((HOST, api.port), timeout=10) as connection:
            connection.sendall(sent)
            received = b""
            while data := connection.recv(65536):
                received += data
        head, _, body = received.partition(b"\r\n\r\n")
        error = Reply(0, {}, body).json()
        assert error.pop("message")
        return head.split()[1], error

    assert answer(servers.production) == answer(servers.local)


def test_neither_server_says_its_version(servers: Servers) -> None:
    """`Server` is the same name in both, in an answer and in an error of the server itself."""
    for api in servers:
        for method, path in (("GET", "/health"), ("HEAD", "/health"), ("GET", "/" + "a" * 70_000)):
            assert api.call(method, path).headers["server"] == "will-it-compile"


def test_only_one_answer_is_not_alike(servers: Servers) -> None:
    """OPTIONS: `chalice local` answers for CORS, which we do not have; in production it is a 405."""
    local, production = (api.call("OPTIONS", "/health") for api in servers)
    assert (local.status, production.status) == (200, 405)
    assert production.headers["allow"] == "GET"


# -- as a program


def test_it_serves_with_the_workers_inside_and_ends_on_sigterm() -> None:
    """Without Redis it compiles by itself; SIGTERM ends it with code 0."""
    require("g++-12")
    with ProductionApiProcess({"COMPILERS": "gcc-12"}) as api:
        reply = api.call("POST", f"{COMPILE}?wait=20", GOOD)
        assert (reply.status, reply.json()["verdict"]) == (200, "compiles")
        assert api.stop(timeout_seconds=20) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_client_that_waits_gets_its_answer_from_a_server_that_stops(
    number: signal.Signals, clean_redis: RedisServer
) -> None:
    """A long poll is finished after the signal; nobody new is let in; the exit code is 0."""
    register(clean_redis)
    with ProductionApiProcess(clean_redis.environment()) as api, ThreadPoolExecutor(1) as pool:
        job_id = api.call("POST", COMPILE, GOOD).json()["job_id"]
        waiting = pool.submit(api.call, "GET", f"{COMPILE}/{job_id}?wait=3")
        time.sleep(1)  # until it is inside
        api.signal(number)
        wait_until(lambda: not api.answers(), "an end of service", timeout_seconds=10)
        assert not waiting.done()
        assert (waiting.result().status, waiting.result().json()["status"]) == (200, "queued")
        assert api.wait() == 0
        assert "Traceback" not in api.log()


def test_a_second_signal_ends_it_at_once(clean_redis: RedisServer) -> None:
    """Also while a client waits."""
    register(clean_redis)
    with ProductionApiProcess(clean_redis.environment()) as api, ThreadPoolExecutor(1) as pool:
        job_id = api.call("POST", COMPILE, GOOD).json()["job_id"]
        waiting = pool.submit(api.call, "GET", f"{COMPILE}/{job_id}?wait=20")
        time.sleep(1)  # until it is inside
        api.signal(signal.SIGTERM)
        wait_until(lambda: not api.answers(), "an end of service", timeout_seconds=10)
        api.signal(signal.SIGTERM)
        assert api.wait(5) == -signal.SIGTERM
        assert isinstance(waiting.exception(), OSError | http.client.HTTPException)


def test_a_hundred_clients_at_once_are_all_answered(servers: Servers) -> None:
    """More than the backlog of a small server; each gets the page for the name that it used."""

    def page(number: int) -> bool:
        reply = servers.production.call("GET", "/", headers={"Host": f"client-{number}"})
        return reply.status == 200 and f"//client-{number}/" in reply.body.decode()

    with ThreadPoolExecutor(100) as pool:
        assert all(pool.map(page, range(100)))


def _run(root: Path, *arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "app.py", *arguments],
        env={"PATH": "/usr/bin:/bin", **settings},
        cwd=root,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_wrong_setting_is_one_line_and_exit_code_2() -> None:
    """As for every program of this project."""
    run = _run(ROOT, QUEUE_SIZE="none")
    assert run.returncode == 2
    assert run.stderr.startswith("will-it-compile: QUEUE_SIZE='none' is not allowed: it must be ")
    assert run.stderr.count("\n") == 1


def test_a_port_that_is_taken_is_one_sentence_and_exit_code_1() -> None:
    """No stack trace."""
    with socket.create_server((HOST, 0)) as other:
        port = str(other.getsockname()[1])
        run = _run(ROOT, "--port", port, REDIS_ENABLED="true")
    assert run.returncode == 1
    assert f"will-it-compile: cannot serve on {HOST}:{port}: Address already in use.\n" in run.stderr
    assert "Traceback" not in run.stderr


def test_without_workers_it_says_that_it_needs_redis(tmp_path: Path) -> None:
    """The image of the API has no runner: in memory its jobs would wait for ever."""
    shutil.copy(ROOT / "app.py", tmp_path)
    (tmp_path / "chalicelib").symlink_to(ROOT / "chalicelib")
    run = _run(tmp_path, REDIS_ENABLED="false")
    assert run.returncode == 2
    *_, last = run.stderr.splitlines()
    assert last.startswith("will-it-compile: REDIS_ENABLED='false' is not allowed here: it must be true")
