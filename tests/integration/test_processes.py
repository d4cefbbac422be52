"""The API and the runner as processes, started by the helpers that the end-to-end tests use."""

import signal
from pathlib import Path

from tests.support.processes import ApiProcess, RunnerProcess, run_runner
from tests.support.servers import RedisServer
from tests.support.servers.tools import ROOT


def test_the_api_answers_and_ends_on_sigterm() -> None:
    """`chalice local` responds to GET /health when the helper returns, and SIGTERM ends it with code 0."""
    with ApiProcess() as api:
        assert api.call("GET", "/health").status == 200
        assert api.stop() == 0
        assert not api.running


def test_an_api_that_is_killed_starts_again_on_its_port(clean_redis: RedisServer) -> None:
    """After SIGKILL and a new start the same address responds."""
    with ApiProcess(clean_redis.environment()) as api:
        api.kill()
        api.start()
        assert api.call("GET", "/health").status == 200


def test_a_runner_is_ready_when_the_helper_returns(clean_redis: RedisServer) -> None:
    """The runner has registered, SIGTERM ends it with code 0, and a second start is awaited as well."""
    with RunnerProcess(clean_redis.environment() | {"MAX_WORKERS": "1"}) as runner:
        assert runner.stop() == 0
        runner.start()
        assert runner.log().count(RunnerProcess.READY) == 2
        runner.signal(signal.SIGINT)
        assert runner.wait() == 0


def test_processes_only_get_the_settings_of_the_test(tmp_path: Path) -> None:
    """The `.env` of another root is read, and a setting of the test wins over it."""
    for name in ("runner", "chalicelib"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / ".env").write_text("REDIS_ENABLED=true\nQUEUE_SIZE=none\n")
    assert "QUEUE_SIZE" in run_runner(root=tmp_path).stderr
    assert "MAX_WORKERS" in run_runner({"QUEUE_SIZE": "1", "MAX_WORKERS": "x"}, root=tmp_path).stderr
