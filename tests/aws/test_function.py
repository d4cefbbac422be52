"""The function that was deployed: its zip is fetched back, unpacked and run as Lambda would run it.

What `python -m infra deploy` sent to Lambda answers events of API Gateway over a real Redis, with a real
runner, in the environment that it was given; only the address of Redis is another one, for ElastiCache's is
none here.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.context import Reply
from tests.aws.conftest import STAGE, Desk
from tests.aws.deployed import fetch
from tests.integration.test_package import Function
from tests.support.compilers import real_compilers
from tests.support.processes import RunnerProcess
from tests.support.servers import RedisServer

pytestmark = pytest.mark.timeout(300)  # chalice packs, on a machine that does other things as well


class Gateway:
    """API Gateway in front of the function that moto keeps: an HTTP call becomes an event, and back."""

    def __init__(self, desk: Desk, redis: RedisServer, folder: Path) -> None:
        self._desk, self._redis, self._folder = desk, redis, folder
        self._function: Function | None = None
        self.given: dict[str, str] = {}

    def function(self) -> Function:
        """The function, fetched at the first call: by then it was deployed."""
        if self._function is None:
            deployed = fetch(self._desk, f"will-it-compile-{STAGE}", self._folder)
            self.given = dict(deployed.given)
            self._function = Function(deployed.package, deployed.over(self._redis))
        return self._function

    def __call__(self, method: str, url: str, body: Any = None) -> Reply:
        """As `infra.outside.call`."""
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
def gateway(desk: Desk, clean_redis: RedisServer, tmp_path: Path) -> Iterator[Gateway]:
    """The way to the deployed function."""
    made = Gateway(desk, clean_redis, tmp_path / "unpacked")
    yield made
    made.close()


def test_the_deployed_function_compiles(desk: Desk, gateway: Gateway, clean_redis: RedisServer) -> None:
    """A deployment's own check, one good and one bad program, passes through what it deployed."""
    real_compilers()
    desk.http = gateway
    with RunnerProcess(clean_redis.environment()):
        code, out, err = desk.run("deploy")
    assert (code, err) == (0, ""), out + err
    assert "a good and a bad program got their verdicts" in out
    assert gateway.given["ENVIRONMENT"] == STAGE and gateway.given["REDIS_MODE"] == "cluster"
    assert len(clean_redis.admin.keys("result:*")) == 2
    answer = gateway.function().call("GET", "/health")
    assert (answer["statusCode"], json.loads(answer["body"])) == (200, {"status": "ok"})
