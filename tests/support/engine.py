"""A real container engine for tests, and the images that they run in it.

An engine that runs already is used as it is. Otherwise one is started for this run (engine_daemon.py); its
images are kept for the next run. The base images are pulled or, where no image registry can be reached, made
from Debian's own packages.

`RUNNER` is built from runner/Dockerfile; `TESTS` adds pytest, for running tests inside. `build_service` also
builds `API` from api.Dockerfile, and provides `REDIS`.
"""

import contextlib
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import docker
import pytest
import requests
from docker.errors import APIError, DockerException, ImageNotFound

from runner.sandbox.docker.engine import close_responses
from tests.support.engine_daemon import EngineDaemon, answers, program, start_daemon
from tests.support.namespaces import network_of
from tests.support.servers.tools import ROOT
from tests.support.skipping import missing

BASE = "debian:trixie-slim"
REDIS = "redis:7-alpine"
# The images of this checkout. Another one that is tested with the same engine at the same time has its own.
_TAG = f"test-{hashlib.sha256(str(ROOT).encode()).hexdigest()[:8]}"
RUNNER = f"will-it-compile-runner:{_TAG}"
TESTS = f"will-it-compile-runner-tests:{_TAG}"
API = f"will-it-compile-api:{_TAG}"
_PYTHON = f"will-it-compile-runner-python:{_TAG}"

_TESTS_DOCKERFILE = f"""
FROM {_PYTHON} AS tools
COPY .setup/test-wheels /tmp/wheels
RUN PIP_FIND_LINKS=/tmp/wheels /opt/venv/bin/pip install -q --no-index pytest pytest-timeout cryptography
FROM {RUNNER}
COPY --from=tools /opt/venv /opt/venv
"""

# In place of REDIS, with the same folder for its data.
_REDIS_DOCKERFILE = f"""
FROM {BASE}
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends redis-server >/dev/null
WORKDIR /data
CMD ["redis-server"]
"""

# How often the download of a package is tried. The image keeps the setting for later installations.
_DOWNLOAD_TRIES = 5

# What tests read, as it is in this checkout now. The image holds some of it, too, perhaps in an older state.
_MOUNTED = ("tests", "bench", "pyproject.toml")

# The conditions of a task on Fargate, as far as an engine can make them: its default seccomp profile and
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


@dataclass(frozen=True, slots=True)
class Task:
    """A running container of RUNNER, and the file of the network namespace that it shares with its Redis."""

    container: Any
    network: str


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine that runs. `url` is None for that of DOCKER_HOST; `daemon` is set when we have started it."""

    url: str | None
    daemon: EngineDaemon | None = None

    @contextlib.contextmanager
    def client(self) -> "Iterator[docker.DockerClient]":
        """A client, closed when the context ends. Its timeout allows for a build of ten minutes."""
        client = docker.DockerClient(base_url=self.url or os.environ.get("DOCKER_HOST"), timeout=600)
        with contextlib.closing(client), close_responses(client.api):
            yield client

    def build(self) -> None:
        """Build RUNNER and TESTS, which takes seconds when the engine has them. Needs `bin/setup test`."""
        wheels = ROOT / ".setup" / "test-wheels"
        if not wheels.is_dir():
            missing(f"{wheels} is missing: run bin/setup test")
        with self.client() as client:
            _provide_base(client)
            _build(client, RUNNER, "runner/Dockerfile")
            _build(client, _PYTHON, "runner/Dockerfile", target="python")
            _build(client, TESTS, _TESTS_DOCKERFILE)

    def build_or_pull(self, image: str, stand_in: str) -> str:
        """`image`, or when it cannot be pulled the name of one built from the text of a Dockerfile."""
        with self.client() as client:
            if _has_or_pulls(client, image):
                return image
            own = f"will-it-compile-{image.replace(':', '-')}:{_TAG}"
            _build(client, own, stand_in)
            return own

    def build_service(self) -> None:
        """Provide API and REDIS, which docker-compose.yml needs as well as RUNNER."""
        with self.client() as client:
            _build(client, API, "api.Dockerfile")
            _provide_redis(client)

    @contextlib.contextmanager
    def networks(self) -> Iterator[Callable[[], "contextlib.AbstractContextManager[None]"]]:
        """Let containers have networks, which lead nowhere else.

        Yields a function whose context reaches the ports that containers publish on 127.0.0.1.
        """
        if self.daemon is None:
            yield contextlib.nullcontext
            return
        with self.daemon.own_network() as pid:
            yield partial(network_of, pid)

    def pytest(
        self, *arguments: str, sandbox: str, network: str = "none", compilers: str = "*"
    ) -> tuple[int, str]:
        """Run pytest in TESTS under `FARGATE` conditions with that sandbox; exit status and output.

        `network` may be another container's, as the containers of a task share one: `container:ID`.
        `compilers` are those that tests/support/compilers.py tries, as the setting COMPILERS names them.
        Tests that need an engine are left out, as they cannot have one inside.
        """
        options = ["-p", "no:cacheprovider", "--basetemp=/tmp/pytest", "-m", "not engine"]
        command = ["-m", "pytest", *options, *arguments]
        variables = {"CI": "true", "HOME": "/tmp", "TEST_SANDBOXES": sandbox, "TEST_COMPILERS": compilers}
        return self._run(command, variables, network)

    def python(self, code: str) -> tuple[int, str]:
        """Run Python code in TESTS under `FARGATE` conditions; exit status and output."""
        return self._run(["-c", code], {})

    def module(self, *words: str) -> tuple[int, str]:
        """Run a Python module with arguments in TESTS under `FARGATE` conditions; exit status and output."""
        return self._run(["-m", *words], {})

    @contextlib.contextmanager
    def container(self, arguments: list[str], env: dict[str, str], **changes: Any) -> Iterator[Any]:
        """Python with those arguments, started in a container of TESTS; removed when the context ends.

        `changes` replace conditions of `FARGATE`; `volumes` are added to those of the tests.
        """
        volumes = {str(ROOT / name): {"bind": f"/app/{name}", "mode": "ro"} for name in _MOUNTED}
        volumes |= changes.pop("volumes", {})
        with self.client() as client:
            container = client.containers.create(
                TESTS,
                entrypoint=["python"],
                command=arguments,
                environment=env,
                volumes=volumes,
                **{**FARGATE, **changes},
            )
            try:
                container.start()
                yield container
            finally:
                container.remove(force=True)

    @contextlib.contextmanager
    def task(self, env: dict[str, str]) -> Iterator["Task"]:
        """RUNNER as users start it, under `FARGATE` conditions, with a Redis and no other network."""
        self.build_service()
        with self.client() as client, contextlib.ExitStack() as stack:

            def start(image: str, **conditions: Any) -> Any:
                container = client.containers.create(image, **conditions)
                stack.callback(container.remove, force=True)
                container.start()
                container.reload()
                return container

            redis = start(REDIS, network_mode="none")
            runner = start(
                RUNNER,
                environment={"REDIS_ADDR": "127.0.0.1:6379", **env},
                **{**FARGATE, "network_mode": f"container:{redis.id}"},
            )
            # A daemon of our own has other mounts than this process: the file is reached through its root.
            root = f"/proc/{self.daemon.pid}/root" if self.daemon else ""
            yield Task(runner, root + redis.attrs["NetworkSettings"]["SandboxKey"])

    def _run(self, arguments: list[str], env: dict[str, str], network: str = "none") -> tuple[int, str]:
        with self.container(arguments, env, network_mode=network) as container:
            status = container.wait(timeout=850)["StatusCode"]  # less than the test may take
            output: bytes = container.logs()
            return status, output.decode(errors="replace")


@contextlib.contextmanager
def start_engine() -> Iterator[Engine]:
    """The engine that runs already, or one of our own, which ends with the context."""
    if answers(os.environ.get("DOCKER_HOST")):
        yield Engine(None)
        return
    dockerd = program()
    if dockerd is None:
        missing("no container engine: run bin/setup test")
    if os.geteuid() != 0:
        missing("no container engine answers, and starting one takes root")
    with start_daemon(dockerd) as daemon:
        engine = Engine(daemon.url, daemon)
        with engine.client() as client:
            # Nobody else uses it, so whatever is there was left by a run that was killed.
            for container in client.containers.list(all=True):
                container.remove(force=True)
            for volume in client.volumes.list():
                volume.remove(force=True)
        yield engine


def _has_or_pulls(client: "docker.DockerClient", image: str) -> bool:
    try:
        client.images.get(image)
        return True
    except ImageNotFound:
        pass
    with contextlib.suppress(DockerException, requests.RequestException):
        client.images.pull(image)
        return True
    return False


def _provide_redis(client: "docker.DockerClient") -> None:
    if not _has_or_pulls(client, REDIS):
        _build(client, REDIS, _REDIS_DOCKERFILE)


def _provide_base(client: "docker.DockerClient") -> None:
    if _has_or_pulls(client, BASE):
        return
    if not shutil.which("mmdebstrap"):
        missing(f"{BASE} cannot be pulled, and mmdebstrap is not installed: run bin/setup test")
    with tempfile.TemporaryDirectory(prefix="engine-base-") as folder:
        archive = f"{folder}/base.tar"
        command = [
            "mmdebstrap",
            "--variant=minbase",
            "--include=ca-certificates",
            f"--aptopt=Acquire::Retries {_DOWNLOAD_TRIES}",
            "trixie",
            archive,
        ]
        ended = subprocess.run(command, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if ended.returncode:
            # The status is that of the last error (25 for a file that cannot be fetched), so show the text.
            pytest.fail(f"mmdebstrap ended with {ended.returncode}: {ended.stderr[-4000:]}")
        repository, tag = BASE.split(":")
        client.api.import_image(archive, repository=repository, tag=tag, changes=['CMD ["bash"]'])


def _build(client: "docker.DockerClient", tag: str, dockerfile: str, target: str | None = None) -> None:
    """Build one image; `dockerfile` is a path in the repository, or the text of a file."""
    with contextlib.ExitStack() as stack:
        if "\n" in dockerfile:
            # A Dockerfile may be outside of the folder that is sent to the engine.
            file = stack.enter_context(tempfile.NamedTemporaryFile("w", prefix="engine-dockerfile-"))
            file.write(dockerfile)
            file.flush()
            dockerfile = file.name
        before = {image.id for image in client.images.list(tag)}
        client.images.build(
            path=str(ROOT),
            dockerfile=dockerfile,
            tag=tag,
            target=target,
            network_mode="host",
            rm=True,
            forcerm=True,
        )
    # The image that had the tag before. A container may still run in it.
    for image in before - {client.images.get(tag).id}:
        with contextlib.suppress(APIError):
            client.images.remove(image)
