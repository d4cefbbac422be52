"""A real container engine for tests, and the images that they run in it.

An engine that answers already is used as it is. Else one is started for this run, on a socket of its own and
with its data in .setup/engine, so that images are built once; it ends with the run and touches no network
device. The base image is pulled, or, where no image registry is in reach, made of Debian's own packages.

`RUNNER` is built from runner/Dockerfile, with one compiler of each family; `TESTS` adds pytest, for running
tests inside.
"""

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import docker
import pytest
import requests
from docker.errors import DockerException, ImageNotFound

from runner.sandbox.docker_engine import check_reachable, close_responses
from tests.servers.process import ManagedProcess
from tests.servers.tools import ROOT

BASE = "debian:trixie-slim"
RUNNER = "will-it-compile-runner:test"
TESTS = "will-it-compile-runner-tests:test"
_PYTHON = "will-it-compile-runner-python:test"

# The newest of each family that Debian trixie has: all of them would take minutes more to install.
_COMPILERS = {"GCC_VERSIONS": "14", "CLANG_VERSIONS": "19"}

_TESTS_DOCKERFILE = f"""
FROM {_PYTHON} AS tools
COPY .setup/test-wheels /tmp/wheels
RUN PIP_FIND_LINKS=/tmp/wheels /opt/venv/bin/pip install -q --no-index pytest pytest-timeout cryptography
FROM {RUNNER}
COPY --from=tools /opt/venv /opt/venv
"""

# What tests read, and what the image holds anyway but should be as it is here and now.
_MOUNTED = ("tests", "pyproject.toml")

# The situation in a task on Fargate, as far as an engine can make it: its default seccomp profile and
# capabilities, no privilege, a read-only root, an init, and one tmpfs for the jobs.
FARGATE: dict[str, Any] = {
    "init": True,
    "read_only": True,
    "tmpfs": {
        "/jail/work": "exec,mode=1777,size=1g,nr_inodes=200k",  # 1777: what a task definition gives
        "/tmp": "exec,size=512m",
    },
    "mem_limit": "4g",
    "pids_limit": 1024,
    "network_mode": "none",
}


def _missing(what: str) -> NoReturn:
    """A missing engine is a failure where CI=true and a skip elsewhere."""
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what)


class _Daemon(ManagedProcess):
    """A dockerd of our own, for one run of the tests."""

    ready_timeout_seconds = 60.0

    def __init__(self, folder: Path) -> None:
        # A socket's path may have 107 bytes, so it lies in a short folder; images lie where they are kept.
        self.url = f"unix://{folder}/engine.sock"
        data = ROOT / ".setup" / "engine"
        data.mkdir(parents=True, exist_ok=True)
        program = shutil.which("dockerd") or "/usr/sbin/dockerd"
        super().__init__(
            "dockerd",
            [
                *(program, "--host", self.url, "--data-root", str(data), "--exec-root", f"{folder}/run"),
                *("--pidfile", f"{folder}/pid", "--bridge", "none", "--iptables=false", "--ip-masq=false"),
            ],
            log_path=folder / "dockerd.log",
        )

    def is_ready(self) -> bool:
        return answers(self.url)

    def close(self) -> None:
        """Ends it in order, so that no container and no mount is left."""
        if self.running:
            self.stop(30)
        super().close()


def answers(url: str | None) -> bool:
    """Whether an engine answers there; None is the environment's own."""
    try:
        check_reachable(url)
        client = docker.APIClient(base_url=url, version="auto", timeout=10)
        with contextlib.closing(client):
            return bool(client.ping())
    except (DockerException, requests.RequestException, OSError):
        return False


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine that answers; `url` is None for the one of the environment."""

    url: str | None

    @contextlib.contextmanager
    def client(self) -> "Iterator[docker.DockerClient]":
        """A client for as long as the context lasts; a build may take ten minutes."""
        client = docker.DockerClient(base_url=self.url or os.environ.get("DOCKER_HOST"), timeout=600)
        with contextlib.closing(client), close_responses(client.api):
            yield client

    def build(self) -> None:
        """Make RUNNER and TESTS; seconds when the engine has them already. Needs `bin/setup test`."""
        wheels = ROOT / ".setup" / "test-wheels"
        if not wheels.is_dir():
            _missing(f"{wheels} is missing: run bin/setup test")
        with self.client() as client:
            _provide_base(client)
            _build(client, RUNNER, "runner/Dockerfile")
            _build(client, _PYTHON, "runner/Dockerfile", target="python")
            _build(client, TESTS, _TESTS_DOCKERFILE)

    def pytest(self, *arguments: str, sandbox: str) -> tuple[int, str]:
        """Run pytest in TESTS under `FARGATE` conditions with that sandbox; exit status and output."""
        command = ["-m", "pytest", "-p", "no:cacheprovider", "--basetemp=/tmp/pytest", *arguments]
        return self._run(command, {"CI": "true", "HOME": "/tmp", "TEST_SANDBOXES": sandbox})

    def python(self, code: str) -> tuple[int, str]:
        """Run Python code in TESTS under `FARGATE` conditions; exit status and output."""
        return self._run(["-c", code], {})

    def _run(self, arguments: list[str], environment: dict[str, str]) -> tuple[int, str]:
        with self.client() as client:
            container = client.containers.create(
                TESTS,
                entrypoint=["python"],
                command=arguments,
                environment=environment,
                volumes={str(ROOT / name): {"bind": f"/app/{name}", "mode": "ro"} for name in _MOUNTED},
                **FARGATE,
            )
            try:
                container.start()
                status = container.wait(timeout=600)["StatusCode"]
                output: bytes = container.logs()
                return status, output.decode(errors="replace")
            finally:
                container.remove(force=True)


@contextlib.contextmanager
def start_engine() -> Iterator[Engine]:
    """An engine to use: the one that runs, or one of our own, which ends with the context."""
    if answers(os.environ.get("DOCKER_HOST")):
        yield Engine(None)
        return
    if not shutil.which("dockerd") and not Path("/usr/sbin/dockerd").exists():
        _missing("no container engine: run bin/setup test")
    if os.geteuid() != 0:
        _missing("no container engine answers, and starting one takes root")
    with tempfile.TemporaryDirectory(prefix="wic-engine-") as folder, _Daemon(Path(folder)) as daemon:
        yield Engine(daemon.url)


def _provide_base(client: "docker.DockerClient") -> None:
    try:
        client.images.get(BASE)
        return
    except ImageNotFound:
        pass
    with contextlib.suppress(DockerException, requests.RequestException):
        client.images.pull(BASE)
        return
    if not shutil.which("mmdebstrap"):
        _missing(f"{BASE} cannot be pulled, and mmdebstrap is not installed: run bin/setup test")
    with tempfile.TemporaryDirectory(prefix="wic-base-") as folder:
        archive = f"{folder}/base.tar"
        command = [
            "mmdebstrap",
            "--quiet",
            "--variant=minbase",
            "--include=ca-certificates",
            "trixie",
            archive,
        ]
        made = subprocess.run(command, check=False, capture_output=True, text=True)
        if made.returncode:
            pytest.fail(f"mmdebstrap ended with {made.returncode}: {made.stderr[-2000:]}")
        repository, tag = BASE.split(":")
        client.api.import_image(archive, repository=repository, tag=tag, changes=['CMD ["bash"]'])


def _build(client: "docker.DockerClient", tag: str, dockerfile: str, target: str | None = None) -> None:
    """Build one image; `dockerfile` is a path in the repository, or the text of a file."""
    with contextlib.ExitStack() as stack:
        if "\n" in dockerfile:
            # A Dockerfile may lie outside of the folder that is sent.
            file = stack.enter_context(tempfile.NamedTemporaryFile("w", prefix="wic-dockerfile-"))
            file.write(dockerfile)
            file.flush()
            dockerfile = file.name
        client.images.build(
            path=str(ROOT),
            dockerfile=dockerfile,
            tag=tag,
            target=target,
            buildargs={**_COMPILERS, "PIP_NO_INDEX": "1"} if tag != TESTS else None,
            network_mode="host",
            rm=True,
            forcerm=True,
        )
