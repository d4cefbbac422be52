"""A runner as a task of ECS: its image as on Fargate, with a real Redis and an agent of ECS.

It is stopped as ECS does it: SIGTERM, then SIGKILL when the time of the task definition is over. Protection
and health are looked at from outside, through the agent and the engine.
"""

import re
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from chalicelib.models import Job, Status, Verdict
from chalicelib.settings import Settings
from chalicelib.storage.redis.store import RedisStore
from infra.stage import TEMPLATES
from runner.health import STALE_SECONDS
from tests.support.ecs_agent import EcsAgent
from tests.support.engine import Engine
from tests.support.factories import make_job, make_request, slow_cpp
from tests.support.servers import RedisServer, wait_until

# All this takes seconds. A busy machine may take minutes, and the job's own limit must not end it then.
_PATIENCE_SECONDS, _LIMIT_SECONDS = 300, 600
# Processor seconds of two compiles: both are still running when the runner is told to stop, and the longer
# one when the grace ends.
_SHORT_SECONDS, _LONG_SECONDS, _SHORT_GRACE_SECONDS = 4, 12, 2.0

_TEMPLATE = (TEMPLATES / "runners.yml").read_text()
_STOP_TIMEOUT_SECONDS = int(re.findall(r"StopTimeout: (\d+)", _TEMPLATE)[0])
_GRACE_SECONDS = float(re.findall(r'Name: STOP_GRACE_SECONDS, Value: "(.+?)"', _TEMPLATE)[0])

_SIGN = "/jail/work/will-it-compile-health/alive"
_CHECK = ["python", "-S", "-m", "runner.health"]
# Run in the container: stops the runner, and not the init, whose command line holds the same words.
_HANG = (
    "import os, pathlib, signal\n"
    "for process in pathlib.Path('/proc').iterdir():\n"
    "    if process.name.isdigit() and (process / 'cmdline').read_bytes() == b'python\\0-m\\0runner\\0':\n"
    "        os.kill(int(process.name), signal.SIGSTOP)\n"
)


@pytest.fixture
def store(clean_redis: RedisServer) -> Iterator[RedisStore]:
    """The jobs, as the API sees them."""
    with closing(RedisStore(Settings.from_env(clean_redis.environment()))) as store:
        yield store


@contextmanager
def runner_in(engine: Engine, server: RedisServer, **settings: str) -> Iterator[Any]:
    """A task whose runner offers one compiler and is ready; the engine looks at its health each second."""
    inside = {
        **server.environment(),
        "COMPILERS": "cpp/gcc-14",
        "MAX_WORKERS": "1",
        "COMPILE_TIMEOUT_SECONDS": str(_LIMIT_SECONDS),
        **settings,
    }
    # The command is the image's own.
    often = {"interval": 1_000_000_000}
    with engine.container(["-m", "runner"], inside, network_mode="host", healthcheck=often) as container:
        _wait(container, lambda: b": ready, " in container.logs(), "ready")
        yield container


def _wait(container: Any, condition: Any, what: str) -> None:
    try:
        wait_until(condition, what, timeout_seconds=_PATIENCE_SECONDS, every_seconds=0.1)
    except TimeoutError as late:
        raise AssertionError(f"{late}\n{container.logs().decode(errors='replace')[-3000:]}") from None


def _compiling(container: Any) -> bool:
    return any("cc1plus" in " ".join(row) for row in container.top()["Processes"])


def _stop(container: Any) -> tuple[int, float]:
    """Stops it as ECS does; its exit status, and how many seconds that took."""
    began = time.monotonic()
    container.stop(timeout=_STOP_TIMEOUT_SECONDS)
    took_seconds = time.monotonic() - began
    return container.wait()["StatusCode"], took_seconds


def _submit(store: RedisStore, seconds: float) -> Job:
    job = make_job(request=make_request(slow_cpp(seconds), compiler="gcc-14"))
    store.submit(job)
    return job


def _job(store: RedisStore, job: Job) -> Job:
    stored = store.get(job.id)
    assert stored is not None
    return stored


def _health(container: Any) -> str:
    container.reload()
    status: str = container.attrs["State"]["Health"]["Status"]
    return status


def _age(container: Any) -> None:
    """Make the sign as old as one that counts as stale."""
    status, output = container.exec_run(["touch", "-d", f"{STALE_SECONDS + 1} seconds ago", _SIGN])
    assert status == 0, output


def test_a_stop_releases_a_job_that_takes_too_long(
    engine: Engine, clean_redis: RedisServer, store: RedisStore
) -> None:
    """The runner ends with 0 in time, even with a slow agent; another completes the job, in one attempt."""
    with EcsAgent() as agent:
        settings = {"ECS_AGENT_URI": agent.uri, "STOP_GRACE_SECONDS": str(_SHORT_GRACE_SECONDS)}
        with runner_in(engine, clean_redis, **settings) as container:
            job = _submit(store, _LONG_SECONDS)
            _wait(container, lambda: _compiling(container), "a compile")
            _wait(container, lambda: agent.protections() == [True], "the request for protection")
            agent.delay_seconds = 5
            status, took_seconds = _stop(container)
            log = container.logs().decode(errors="replace")
        print(f"stopped within {took_seconds:.1f} s, {_SHORT_GRACE_SECONDS:g} of them grace")
        assert status == 0, log[-3000:]
        # What the task definition allows for it on top of the grace.
        assert took_seconds < _SHORT_GRACE_SECONDS + _STOP_TIMEOUT_SECONDS - _GRACE_SECONDS, log[-3000:]
        assert f"job {job.id}: released" in log
        assert agent.protections() == [True, False]
    assert _job(store, job).status is Status.QUEUED
    with runner_in(engine, clean_redis) as container:
        _wait(container, lambda: _job(store, job).status.terminal, "its end")
        assert _stop(container)[0] == 0
    result = store.get_result(job.id)
    assert result is not None
    assert (result.verdict, result.attempts) == (Verdict.COMPILES, 1)


def test_a_stop_waits_for_a_job_that_ends_in_time(
    engine: Engine, clean_redis: RedisServer, store: RedisStore
) -> None:
    """Within the grace of the task definition the job gets its verdict; then the protection ends."""
    with EcsAgent() as agent:
        settings = {"ECS_AGENT_URI": agent.uri, "STOP_GRACE_SECONDS": str(_GRACE_SECONDS)}
        with runner_in(engine, clean_redis, **settings) as container:
            job = _submit(store, _SHORT_SECONDS)
            _wait(container, lambda: _compiling(container), "a compile")
            status, took_seconds = _stop(container)
            log = container.logs().decode(errors="replace")
        print(f"stopped within {took_seconds:.1f} s")
        assert status == 0, log[-3000:]
        assert agent.protections() == [True, False]
    result = store.get_result(job.id)
    assert result is not None, log[-3000:]
    assert (result.verdict, result.attempts) == (Verdict.COMPILES, 1)
    assert _job(store, job).status is Status.COMPLETED
    assert ": released" not in log


def test_the_engine_sees_whether_a_runner_is_alive(engine: Engine) -> None:
    """Healthy when it claims and while Redis is away, unhealthy when it hangs; no job reaches the sign."""
    with RedisServer() as server, runner_in(engine, server) as container:
        _wait(container, lambda: _health(container) == "healthy", "healthy")
        for command in (["touch", _SIGN], ["cat", _SIGN], ["ls", _SIGN.rpartition("/")[0]]):
            status, output = container.exec_run(command, user="30000:30000")
            assert status != 0 and b"Permission denied" in output, command
        server.kill()
        _wait(container, lambda: b"trying again until Redis answers" in container.logs(), "Redis is away")
        _age(container)
        _wait(container, lambda: container.exec_run(_CHECK)[0] == 0, "a new sign")
        assert _health(container) == "healthy"
        assert container.exec_run(["python", "-c", _HANG])[0] == 0
        _age(container)
        assert container.exec_run(_CHECK)[0] == 1
        _wait(container, lambda: _health(container) == "unhealthy", "unhealthy")
        assert "the runner has not reported for" in container.attrs["State"]["Health"]["Log"][-1]["Output"]
