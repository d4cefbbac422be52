"""The deployed function works: its zip is fetched back, unpacked and run as Lambda would run it.

What `python -m infra deploy` sent to Lambda answers events of API Gateway, with a real Redis and a real
runner, and with the variables that it was deployed with. Only the address of Redis differs.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.context import Reply
from tests.aws.conftest import STAGE, Cli
from tests.aws.deployed import fetch
from tests.integration.test_package import Function
from tests.support.compilers import real_compilers
from tests.support.processes import RunnerProcess
from tests.support.servers import RedisServer

pytestmark = pytest.mark.timeout(900)  # seconds, only for a hang; chalice packs, and the machine may be busy


class Gateway:
    """API Gateway in front of the deployed function: turns HTTP calls into events, and answers back."""

    def __init__(self, cli: Cli, redis: RedisServer, folder: Path) -> None:
        self._desk, self._redis, self._folder = cli, redis, folder
        self._function: Function | None = None
        self.env: dict[str, str] = {}

    def function(self) -> Function:
        """The function; it is fetched at the first call, when it is deployed."""
        if self._function is None:
            deployed = fetch(self._desk, f"will-it-compile-{STAGE}", self._folder)
            self.env = dict(deployed.env)
            self._function = Function(deployed.package, deployed.env_with(self._redis))
        return self._function

    def __call__(self, method: str, url: str, body: Any = None) -> Reply:
        """As `infra.context.call`."""
        path, _, query = url.partition(f"/{STAGE}/")[2].partition("?")
        names = {}
        if method == "GET":
            names["job_id"] = path.rpartition("/")[2]
            path = path.replace(names["job_id"], "{job_id}")
        wait = {"wait": query.removeprefix("wait=")}
        answer = self.function().call(method, f"/{path}", body, query=wait, **names)
        return Reply(answer["statusCode"], json.loads(answer["body"]))

    def close(self) -> None:
        """Ends the function."""
        if self._function is not None:
            self._function.close()


@pytest.fixture
def gateway(cli: Cli, clean_redis: RedisServer, tmp_path: Path) -> Iterator[Gateway]:
    """The gateway in front of the function that the test deploys."""
    gateway = Gateway(cli, clean_redis, tmp_path / "unpacked")
    yield gateway
    gateway.close()


def test_the_deployed_function_compiles(cli: Cli, gateway: Gateway, clean_redis: RedisServer) -> None:
    """The last step of a deployment, a good and a bad program, succeeds with the deployed function."""
    real_compilers()
    cli.http = gateway
    with RunnerProcess(clean_redis.environment()):
        out = cli.succeed("deploy")
    assert "gave a good and a bad program their verdicts" in out
    assert gateway.env["ENVIRONMENT"] == STAGE and gateway.env["REDIS_MODE"] == "standalone"
    assert len(clean_redis.admin.keys("result:*")) == 2
    answer = gateway.function().call("GET", "/health")
    assert (answer["statusCode"], json.loads(answer["body"])) == (200, {"status": "ok"})
