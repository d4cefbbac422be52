"""docker-compose.yml against the code: which settings reach the containers, and room for what the API needs.

tests/compose runs it with a container engine.
"""

from typing import Any

import pytest
import yaml

from chalicelib.api.production_server import STOP_SECONDS, THREADS
from chalicelib.settings import Settings, variables
from tests.support.servers.tools import ROOT

SERVICES = ("api", "runner")
# What the file decides: how to reach the Redis that is in it, and the sandbox that works in a container.
FIXED = {
    "REDIS_ENABLED": "true",
    "REDIS_ADDR": "redis:6379",
    "REDIS_USERNAME": "",
    "REDIS_TLS": "false",
    "REDIS_TLS_CA_FILE": "",
    "REDIS_MODE": "standalone",
    "REDIS_SENTINEL_MASTER": "",
    "SANDBOX": "setpriv",
}
# Threads and processes of the API's container that do not answer requests: its init, the main thread, the
# listener to Redis, and the health check.
OTHER_THREADS = 20


def _service(name: str) -> dict[str, Any]:
    service: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"][name]
    return service


@pytest.mark.parametrize("name", SERVICES)
def test_every_setting_reaches_the_container(name: str) -> None:
    """A setting of the environment or of `.env` is passed on by its name; blank when it is not set."""
    environment = _service(name)["environment"]
    assert {key for key in environment if environment[key] == FIXED.get(key)} == set(FIXED)
    passed = {key: value for key, value in environment.items() if key not in FIXED}
    image = {"RUNNER_IMAGE": "${RUNNER_IMAGE:-will-it-compile-runner}"}
    names = {variable.name for variable in variables()} - set(FIXED)
    assert passed == {key: f"${{{key}:-}}" for key in names} | image


def test_what_is_fixed_is_allowed() -> None:
    """The values of the file are settings that the program takes."""
    assert Settings.from_env(FIXED).redis_enabled


def test_the_api_has_room_for_its_threads_and_time_to_stop() -> None:
    """With too few threads it would not start; with too short a grace answers would be cut off."""
    api = _service("api")
    assert api["pids_limit"] >= THREADS + OTHER_THREADS
    assert float(api["stop_grace_period"].removesuffix("s")) > STOP_SECONDS
