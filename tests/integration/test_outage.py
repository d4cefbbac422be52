"""Redis that is down, lets nobody in, or speaks TLS: one clear line, 503 in time, and work goes on later."""

import time

import pytest

from chalicelib.errors import StoreAccessError, StoreUnavailable
from chalicelib.storage.redis.store import RedisStore
from tests.support.factories import make_environment, make_job, make_runner, make_settings
from tests.support.processes import ApiProcess, RunnerProcess, run_runner
from tests.support.servers import RedisServer, free_port

REQUEST = {"source_code": "int main(void) { return 0; }", "language": "c", "stage": "syntax"}
# A response within 5 s is promised.
ANSWER_SECONDS = 5.0


def start_up_error(settings: dict[str, str]) -> str:
    """The one line with which a runner ends because it cannot start."""
    ended = run_runner(settings)
    assert ended.returncode == 3, ended.stderr
    lines = [line for line in ended.stderr.splitlines() if line.startswith("will-it-compile: ")]
    assert len(lines) == 1, ended.stderr
    assert "Traceback" not in ended.stderr
    return lines[0]


def test_a_runner_says_that_redis_cannot_be_reached() -> None:
    """Nothing listens: the line has the address and says that the connection was refused; exit code 3."""
    port = free_port()
    line = start_up_error({"REDIS_ENABLED": "true", "REDIS_ADDR": f"127.0.0.1:{port}"})
    assert f"127.0.0.1:{port}" in line
    assert "refused" in line


def test_a_runner_says_that_the_password_is_missing_or_wrong(start_redis: type[RedisServer]) -> None:
    """The line says to set or to check the password, and shows none."""
    server = start_redis(password="correct-horse")
    settings = server.environment()
    del settings["REDIS_PASSWORD"]
    assert "set REDIS_PASSWORD" in start_up_error(settings)
    line = start_up_error(settings | {"REDIS_PASSWORD": "battery-staple"})
    assert "check REDIS_PASSWORD" in line
    assert "staple" not in line


def test_a_runner_says_that_redis_speaks_tls(start_redis: type[RedisServer]) -> None:
    """A client without TLS is told to set REDIS_TLS=true, and the other way round."""
    secure = start_redis(tls=True)
    assert "REDIS_TLS=true" in start_up_error({"REDIS_ENABLED": "true", "REDIS_ADDR": secure.address})
    untrusted = start_up_error({"REDIS_ENABLED": "true", "REDIS_ADDR": secure.address, "REDIS_TLS": "true"})
    assert "REDIS_TLS_CA_FILE" in untrusted
    plain = start_redis()
    assert "REDIS_TLS=false" in start_up_error(plain.environment() | {"REDIS_TLS": "true"})


def test_api_and_runner_survive_a_restart_of_redis(start_redis: type[RedisServer]) -> None:
    """While Redis is down: 503 with Retry-After within 5 s and never a 500. Afterwards: jobs are compiled
    again, without a restart of API or runner."""
    server = start_redis(appendonly="always")
    with RunnerProcess(server.environment()) as runner, ApiProcess(server.environment()) as api:
        assert api.call("POST", "/api/v1/compile?wait=20", REQUEST).json()["verdict"] == "compiles"
        server.kill()
        for method, path in (
            ("POST", "/api/v1/compile"),
            ("GET", f"/api/v1/compile/{'0' * 32}"),
            ("DELETE", f"/api/v1/compile/{'0' * 32}"),
            ("GET", "/api/v1/environments"),
            ("GET", "/api/v1/workers/stats"),
            ("GET", "/ready"),
        ):
            started = time.monotonic()
            reply = api.call(method, path, REQUEST if method == "POST" else None)
            assert reply.status == 503, (method, path, reply.body)
            assert int(reply.headers["retry-after"]) >= 1
            assert reply.json()["error"] == "store_unavailable"
            assert server.address not in reply.body.decode()
            assert time.monotonic() - started < ANSWER_SECONDS, (method, path)
        assert api.call("GET", "/health").status == 200
        runner.wait_for_log("trying again until Redis answers")
        server.start()
        runner.wait_for_log("the store is back")
        assert api.call("POST", "/api/v1/compile?wait=20", REQUEST).json()["verdict"] == "compiles"
        assert "Traceback" not in runner.log()
        assert "Traceback" not in api.log()


def test_a_redis_that_hangs_is_503_within_five_seconds(start_redis: type[RedisServer]) -> None:
    """Redis accepts connections and sends nothing (SIGSTOP): 503 in time, also on a pooled connection."""
    server = start_redis()
    store = RedisStore(make_settings(redis_enabled=True, redis_addr=server.address))
    store.register(make_runner(), [make_environment()], 60)
    with ApiProcess(server.environment()) as api:
        assert api.call("GET", "/ready").status == 200
        server.pause()
        try:
            for path in ("/ready", f"/api/v1/compile/{'0' * 32}?wait=20", "/api/v1/environments"):
                started = time.monotonic()
                reply = api.call("GET", path)
                seconds = time.monotonic() - started
                assert reply.status == 503, reply.body
                assert seconds < ANSWER_SECONDS, (path, seconds)
            started = time.monotonic()
            assert api.call("POST", "/api/v1/compile", REQUEST | {"language": "cpp"}).status == 503
            assert time.monotonic() - started < ANSWER_SECONDS
        finally:
            server.resume()
        assert api.call("GET", "/ready").status == 200


def test_a_missing_password_and_a_missing_server_are_different_errors(start_redis: type[RedisServer]) -> None:
    """The first needs an operator, the second only time."""
    server = start_redis(password="secret")
    with pytest.raises(StoreAccessError):
        RedisStore(make_settings(redis_enabled=True, redis_addr=server.address)).ping()
    with pytest.raises(StoreUnavailable):
        RedisStore(make_settings(redis_enabled=True, redis_addr=f"127.0.0.1:{free_port()}")).submit(
            make_job()
        )


@pytest.mark.parametrize("mode", ["sentinel", "cluster"])
def test_unreachable_sentinels_or_clusters_are_503_in_time(mode: str) -> None:
    """None of three addresses listens: 503 within 5 s, and the runner ends with a line that says so."""
    addresses = ",".join(f"127.0.0.1:{free_port()}" for _ in range(3))
    settings = {"REDIS_ENABLED": "true", "REDIS_MODE": mode, "REDIS_ADDR": addresses}
    with ApiProcess(settings) as api:
        for path in ("/ready", "/api/v1/workers/stats"):
            started = time.monotonic()
            reply = api.call("GET", path)
            assert (reply.status, reply.json()["error"]) == (503, "store_unavailable"), reply.body
            assert time.monotonic() - started < ANSWER_SECONDS
        assert "Traceback" not in api.log()
    assert mode in start_up_error(settings)
