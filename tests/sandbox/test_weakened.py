"""A sandbox that a host weakens says so: in the runner's log at its start, and to whoever asks the API.

A real runner in a container of its image, from which one thing after the other is taken, works for an API of
this host through a real Redis.
"""

import errno
import json
import os
import platform
from typing import Any

import pytest

from tests.support.engine import Engine
from tests.support.processes import ApiProcess
from tests.support.servers.redis_server import RedisServer
from tests.support.servers.tools import wait_until

_LIBSECCOMP = f"/usr/lib/{platform.machine()}-linux-gnu/libseccomp.so.2"

# As a kernel without Landlock answers.
_NO_LANDLOCK = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "syscalls": [
        {
            "names": ["landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"],
            "action": "SCMP_ACT_ERRNO",
            "errnoRet": errno.ENOSYS,
        }
    ],
}

_HOSTS: dict[str, dict[str, Any]] = {
    "Landlock does not confine jobs": {"security_opt": [f"seccomp={json.dumps(_NO_LANDLOCK)}"]},
    "libseccomp2": {"volumes": {os.devnull: {"bind": _LIBSECCOMP, "mode": "ro"}}},
}


@pytest.mark.parametrize("says", _HOSTS)
def test_a_weakened_sandbox_is_told_at_the_start_and_by_the_api(engine: Engine, says: str) -> None:
    """Without Landlock or without libseccomp the runner works, and says what its jobs are not kept from."""
    with RedisServer() as redis_server:
        settings = redis_server.environment()
        inside = {**settings, "SANDBOX": "setpriv", "MAX_WORKERS": "1", "COMPILERS": "c/gcc-14"}
        with (
            engine.container(["-m", "runner"], inside, network_mode="host", **_HOSTS[says]) as container,
            ApiProcess(settings) as api,
        ):

            def answer() -> Any:
                return api.call("GET", "/api/v1/environments").json()

            # Seconds: one compiler is tried, and busy machines take several times as long.
            wait_until(
                lambda: bool(answer()["environments"]),
                "the registration",
                timeout_seconds=120,
                every_seconds=0.5,
            )
            [runner] = answer()["runners"]
            log = container.logs().decode(errors="replace")
    print(runner)
    assert runner["sandbox"] == "setpriv"
    [weakness] = runner["sandbox_weaknesses"]
    assert says in weakness and "\n" not in weakness
    assert f"sandbox: weakness: {weakness}" in log
