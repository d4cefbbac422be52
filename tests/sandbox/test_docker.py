"""The docker sandbox's own duties: what it asks an engine for, how it fails, what a dead runner leaves."""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Any

import docker
import pytest

from runner.sandbox.base import Command, Sandbox, SandboxError, SandboxUnavailable
from runner.sandbox.docker.engine import LABEL, remove_leftovers, this_runner
from runner.sandbox.docker.run import DockerRun
from runner.sandbox.docker.sandbox import Docker, runtime_of
from runner.workspace import Workspace
from tests.sandbox.support import TIGHT
from tests.support.api import wait_until_ready
from tests.support.engine import RUNNER, Engine
from tests.support.factories import slow_cpp
from tests.support.processes import ApiProcess
from tests.support.servers import wait_until


@pytest.fixture
def client(engine: Engine) -> "Iterator[docker.DockerClient]":
    """A connection to the engine under test."""
    with engine.client() as client:
        yield client


@pytest.fixture
def ours(client: "docker.DockerClient") -> Callable[[], set[str]]:
    """The ids of all containers that this runner made, running or not."""

    def ours() -> set[str]:
        return {
            container.id
            for container in client.containers.list(all=True, filters={"label": f"{LABEL}={this_runner()}"})
        }

    return ours


def test_without_an_engine_one_line_says_so() -> None:
    """The error for an engine that does not answer differs from that for a missing image."""
    with pytest.raises(SandboxUnavailable, match=r"install docker\.io") as failure:
        Docker(base_url="unix:///nonexistent/engine.sock").probe()
    assert "\n" not in str(failure.value)


def test_a_missing_image_is_named_with_the_command_that_builds_it(engine: Engine) -> None:
    """The probe says which image is missing and which command makes it."""
    with pytest.raises(SandboxUnavailable, match="docker build -f runner/Dockerfile -t no-such-image"):
        Docker("no-such-image", base_url=engine.url).probe()


def test_gvisor_is_used_where_the_engine_has_it() -> None:
    """Of the runtimes that an engine names, gVisor's is chosen; without it the engine's default stays."""
    assert runtime_of({"Runtimes": {"runc": {"path": "runc"}, "runsc": {"path": "runsc"}}}) == "runsc"
    assert runtime_of({"Runtimes": {"runc": {"path": "runc"}}}) is None
    assert runtime_of({"Runtimes": None}) is None and runtime_of({}) is None


class _SlowEngine:
    """An engine that is so busy that it runs a program a second late, with its answers before and after."""

    def __init__(self, word: bytes) -> None:
        here, self._there = socket.socketpair()
        self._connections = [here]
        self._word = word
        self.killed = False
        self._ended = threading.Event()
        self._timer = threading.Timer(1, self._run_late)
        self._timer.start()

    def _run_late(self) -> None:
        self._ended.set()
        for stream, text in ((1, self._word + b"output\n"), (2, b"warned\n")):
            self._there.sendall(struct.pack(">BxxxL", stream, len(text)) + text)
        self._there.close()

    def close(self) -> None:
        """Wait for the thread."""
        self._timer.join()

    def exec_create(self, *arguments: Any, **named: Any) -> dict[str, str]:
        """Prepare a program."""
        return {"Id": "1"}

    def exec_start(self, *arguments: Any, **named: Any) -> socket.socket:
        """The connection that carries its output; a second program prints nothing."""
        if self._connections:
            return self._connections.pop()
        here, there = socket.socketpair()
        there.close()
        return here

    def exec_inspect(self, program: str) -> dict[str, Any]:
        """The process id is 0 until there is one."""
        ended = self._ended.is_set()
        return {"Pid": 7 if ended else 0, "Running": not ended, "ExitCode": 0 if ended else None}

    def top(self, *arguments: Any) -> dict[str, Any]:
        """Only the container's own program."""
        return {"Processes": [["1", "Ss"]]}

    def stats(self, *arguments: Any, **named: Any) -> dict[str, Any]:
        """Nothing is used."""
        return {}

    def kill(self, name: str) -> None:
        """The container is ended."""
        self.killed = True


def test_a_program_that_starts_late_is_not_taken_for_one_that_has_ended() -> None:
    """However long a start takes within the limits, the run waits for it and returns its output."""
    word = b"word"
    engine = _SlowEngine(word)
    with contextlib.closing(engine), DockerRun(engine, "c", 59_000, TIGHT, ["true"], b"", word) as run:
        result = run.supervise("true", None)
    assert (result.exit_code, result.signal, result.limit_hit) == (0, None, None)
    assert (result.stdout, result.stderr) == (b"output\n", b"warned\n")
    assert not engine.killed


@pytest.mark.parametrize("program", ["no-such-compiler", "./missing", "true"])
def test_no_container_outlives_its_run(engine: Engine, ours: Callable[[], set[str]], program: str) -> None:
    """The container is gone after an ordinary end and after a failure of the sandbox."""
    before = ours()
    sandbox = Docker(RUNNER, base_url=engine.url)
    with Workspace.create({"a.c": ""}) as workspace, contextlib.suppress(SandboxError):
        sandbox.run(Command([program]), workspace, TIGHT)
    assert ours() <= before


def test_containers_of_dead_runners_are_removed_and_no_others(
    engine: Engine, client: "docker.DockerClient"
) -> None:
    """A runner that starts leaves the containers of living runners and of other hosts alone."""
    sandbox: Sandbox = Docker(RUNNER, base_url=engine.url)
    assert isinstance(sandbox, Docker)
    mine = sandbox.config(59_000, TIGHT)["Labels"][LABEL]
    host = mine.partition("/")[0]
    # 2**22 is the largest number that Linux gives to processes, so this one is dead.
    owners = {"dead": f"{host}/4194305-1", "reused": f"{host}/1-1", "alive": mine, "elsewhere": "other-1/1-1"}
    containers = {
        name: client.containers.create(RUNNER, labels={LABEL: owner}, network_mode="none")
        for name, owner in owners.items()
    }
    try:
        remove_leftovers(client.api)
        left = {container.id for container in client.containers.list(all=True, filters={"label": LABEL})}
        kept = {name for name, container in containers.items() if container.id in left}
        assert kept == {"alive", "elsewhere"}
    finally:
        for container in containers.values():
            with contextlib.suppress(docker.errors.NotFound):
                container.remove(force=True)


def test_a_persons_container_survives_a_start_a_crash_and_the_next_start(
    engine: Engine, client: "docker.DockerClient"
) -> None:
    """A runner is killed while it compiles: the next one removes that job's container and nothing else."""
    notes = client.containers.create(RUNNER, name="wic-notes", network_mode="none")
    env = {"SANDBOX": "docker", "RUNNER_IMAGE": RUNNER, "COMPILERS": "cpp/gcc-12"}
    slow = {"source_code": slow_cpp(60), "language": "cpp", "stage": "syntax"}

    def containers_of(pid: int) -> set[str]:
        labelled = client.containers.list(all=True, filters={"label": LABEL})
        return {each.id for each in labelled if f"/{pid}-" in each.labels[LABEL]}

    try:
        with ApiProcess(env | ({"DOCKER_HOST": engine.url} if engine.url else {})) as api:
            wait_until_ready(api)
            killed = api.pid
            assert api.call("POST", "/api/v1/compile", slow).status == 202
            wait_until(lambda: bool(containers_of(killed)), "a job in a container", timeout_seconds=60)
            api.kill()
            assert containers_of(killed)
            api.start()
            wait_until_ready(api)
            wait_until(lambda: not containers_of(killed), "no container of the dead runner")
            assert api.stop() == 0
        notes.reload()  # raises when it is gone
    finally:
        notes.remove(force=True)


def test_a_container_has_none_of_the_engines_privileges(engine: Engine) -> None:
    """The engine is asked for no network, nothing writable or shared, and no way to gain a privilege."""
    config = Docker(RUNNER, base_url=engine.url).config(59_000, TIGHT)
    # The health check of the image is about a runner: the engine must not run it beside a job.
    assert config["Healthcheck"] == {"Test": ["NONE"]}
    host = config["HostConfig"]
    assert (host["NetworkMode"], host["IpcMode"], host["ReadonlyRootfs"]) == ("none", "none", True)
    assert host["CapDrop"] == ["ALL"] and "no-new-privileges" in host["SecurityOpt"]
    assert host["Memory"] == host["MemorySwap"] and host["PidsLimit"] > TIGHT.processes
    assert not {"Binds", "Mounts", "Privileged", "Devices", "CapAdd"} & host.keys()
