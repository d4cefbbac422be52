"""docker-compose.yml as a project of its own on a real engine, started as its users start it.

It sees the settings that the test passes and nothing of this checkout's `.env`. Its name has the id of the
test process, so that the remains of a killed run can be told from what another run uses.
"""

import contextlib
import os
import re
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from tests.support.engine import API, RUNNER, Engine
from tests.support.processes import Caller
from tests.support.servers.tools import ROOT, free_port
from tests.support.skipping import missing

# As the documents write it; an older program has another name.
PROGRAM = "docker compose "

PROJECT_LABEL = "com.docker.compose.project"

Reach = Callable[[], "contextlib.AbstractContextManager[object]"]

# In order of preference. The last is Debian's plugin, which also works without the `docker` program.
_PROGRAMS = (["docker", "compose"], ["docker-compose"], ["/usr/libexec/docker/cli-plugins/docker-compose"])

# What docker-compose.yml takes as well: the images that tests/support/engine.py has built. With the
# same builder as there, a build finds every layer.
_IMAGES = {"API_IMAGE": API, "RUNNER_IMAGE": RUNNER, "DOCKER_BUILDKIT": "0"}

# For one command: it waits until Redis is well, and sends the sources of two images to the engine.
_COMMAND_SECONDS = 300
# Of a runner that starts: its sandbox and one family of compilers are tried, on a machine that may be busy.
_READY_SECONDS = 120


def compose_program() -> list[str]:
    """The program that runs compose files here."""
    program = next((program for program in _PROGRAMS if _runs([*program, "version"])), None)
    return program or missing("neither docker compose nor docker-compose is installed: run bin/setup test")


def _runs(command: Sequence[str]) -> bool:
    try:
        return subprocess.run(command, check=False, capture_output=True).returncode == 0
    except OSError:
        return False


def project_name(pid: int) -> str:
    """A new name, for a project of that process."""
    return f"wic-test-{pid}-{uuid.uuid4().hex[:8]}"


def remove_dead(engine: Engine, no_settings: Path) -> None:
    """Removes every project whose test process has ended, left in an engine that outlived a killed run."""
    with engine.client() as client:
        containers = client.containers.list(all=True, filters={"label": PROJECT_LABEL})
        names = {container.labels[PROJECT_LABEL] for container in containers}
    for name in names:
        pid = re.fullmatch(r"wic-test-(\d+)-[0-9a-f]{8}", name)
        if pid and not Path(f"/proc/{pid[1]}").exists():
            Project(engine, contextlib.nullcontext, no_settings, name=name).run(f"{PROGRAM}down -v")


class Project(Caller):
    """One project; `settings` are variables of README.md, and may be changed between commands."""

    def __init__(
        self, engine: Engine, reach: Reach, no_settings: Path, *, name: str | None = None, **settings: str
    ) -> None:
        """`no_settings` is an empty file; `reach` comes from Engine.networks()."""
        self.name = name = name or project_name(os.getpid())
        self.port = free_port()
        self.settings = settings
        self._engine = engine
        self._reach = reach
        self._program = [*compose_program(), "--project-name", name, "--env-file", str(no_settings)]
        self._program += ["--project-directory", str(ROOT), "--file", str(ROOT / "docker-compose.yml")]

    def reach(self) -> "contextlib.AbstractContextManager[object]":
        """The network that the port is published in."""
        return self._reach()

    @contextlib.contextmanager
    def listener(self) -> Iterator[int]:
        """A port of the host on which something listens, on all of its addresses."""
        with self.reach():
            server = socket.create_server(("0.0.0.0", 0))  # noqa: S104 -- that is the test
        with server:
            yield int(server.getsockname()[1])

    def addresses(self, service: str) -> dict[str, tuple[str, str]]:
        """Network → the address of a service's only container, and the address that the host would have."""
        [facts] = self.facts(service)
        networks = facts["NetworkSettings"]["Networks"].items()
        return {
            name.removeprefix(f"{self.name}_"): (
                network["IPAddress"],
                str(
                    next(ip_network(f"{network['IPAddress']}/{network['IPPrefixLen']}", strict=False).hosts())
                ),
            )
            for name, network in networks
        }

    def run(self, command: str) -> str:
        """Runs a command as the documents show it, in this project; its output. It must succeed."""
        assert command.startswith(PROGRAM), command
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": os.environ.get("HOME", "/"),
            "PORT": str(self.port),
        }
        if engine := self._engine.url or os.environ.get("DOCKER_HOST"):
            environment["DOCKER_HOST"] = engine
        ran = subprocess.run(
            [*self._program, *command.removeprefix(PROGRAM).split()],
            env=environment | _IMAGES | self.settings,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_COMMAND_SECONDS,
            check=False,
        )
        assert ran.returncode == 0, f"{command}: {ran.returncode}\n{ran.stdout[-4000:]}"
        return ran.stdout

    def wait_for_runners(self, number: int = 1) -> None:
        """Returns when this many runners are registered."""
        deadline = time.monotonic() + _READY_SECONDS
        while not (self.answers() and self.statistics().get("runners") == number):
            assert time.monotonic() < deadline, self.run(f"{PROGRAM}logs --tail 30")
            time.sleep(0.3)

    def statistics(self) -> dict[str, Any]:
        """The API's statistics over all runners; empty while it has no Redis."""
        reply = self.call("GET", "/api/v1/workers/stats")
        statistics: dict[str, Any] = reply.json() if reply.status == 200 else {}
        return statistics

    def submit(self, body: object) -> str:
        """The id of a job that was accepted."""
        reply = self.call("POST", "/api/v1/compile", body)
        assert reply.status == 202, (reply.status, reply.body)
        return str(reply.json()["job_id"])

    def answer(self, job_id: str) -> dict[str, Any]:
        """The API's answer about a job."""
        reply = self.call("GET", f"/api/v1/compile/{job_id}")
        assert reply.status == 200, (reply.status, reply.body)
        answer: dict[str, Any] = reply.json()
        return answer

    def execute(self, service: str, command: Sequence[str]) -> tuple[int, str]:
        """Runs a command in the one container of a service; exit status and output."""
        with self._engine.client() as client:
            [container] = client.containers.list(filters={"label": self._labels(service)})
            ran = container.exec_run(list(command))
            return int(ran.exit_code), ran.output.decode(errors="replace")

    def facts(self, service: str) -> list[dict[str, Any]]:
        """The engine's description of each container of a service, stopped ones included."""
        with self._engine.client() as client:
            containers = client.containers.list(all=True, filters={"label": self._labels(service)})
            return [container.attrs for container in containers]

    def left(self) -> list[str]:
        """Every container, network and volume of the project, by its name."""
        mine = {"label": [f"{PROJECT_LABEL}={self.name}"]}
        with self._engine.client() as client:
            kinds = (client.containers.list(all=True, filters=mine), client.networks.list(filters=mine))
            return [item.name for item in (*kinds[0], *kinds[1], *client.volumes.list(filters=mine))]

    def _labels(self, service: str) -> list[str]:
        return [f"{PROJECT_LABEL}={self.name}", f"com.docker.compose.service={service}"]
