"""The container engine, through its SDK: a connection that leaves nothing open, and removing containers.

Every container carries a label that names the process of its runner, so that containers of a dead runner can
be recognised. This module knows nothing of jobs.
"""

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import docker
import requests
from docker.errors import APIError, ImageNotFound, NotFound

from runner.sandbox import procfs
from runner.sandbox.base import SandboxError

LABEL = "will-it-compile.runner"

# An engine that takes longer than this, in seconds, to answer a request is stuck.
REQUEST_SECONDS = 30


@contextlib.contextmanager
def connect(url: str | None, version: str | None = None) -> "Iterator[docker.APIClient]":
    """A connection for one thread, closed when the context ends.

    `url` is by default that of DOCKER_HOST, and `version` the newest that both sides know.
    Raises OSError or one of the library's errors when the engine does not answer.
    """
    url = url or os.environ.get("DOCKER_HOST")
    check_reachable(url)
    client = docker.APIClient(base_url=url, version=version or "auto", timeout=REQUEST_SECONDS)
    with contextlib.closing(client), close_responses(client):
        yield client


def check_reachable(url: str | None) -> None:
    """Raises OSError when nobody listens on the engine's Unix socket.

    The library would say so as well, but leaves a socket open each time.
    """
    url = url or docker.constants.DEFAULT_UNIX_SOCKET
    scheme, _, path = url.partition("://")
    if scheme.endswith("unix"):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(path)


@contextlib.contextmanager
def close_responses(client: "docker.APIClient") -> Iterator[None]:
    """Close every response of the engine in the end: the library keeps the connection of some open."""
    responses: list[requests.Response] = []
    client.hooks["response"].append(lambda response, *_, **__: responses.append(response))
    try:
        yield
    finally:
        for response in responses:
            # The library has closed some itself, and fails when these are closed once more.
            with contextlib.suppress(OSError, ValueError):
                response.close()


def has_image(client: "docker.APIClient", image: str) -> bool:
    """Whether the engine has that image already; what it could pull does not count."""
    try:
        client.inspect_image(image)
    except ImageNotFound:
        return False
    return True


def remove(client: "docker.APIClient", name: str) -> None:
    """Kill and remove a container; it may be gone, or be removed at the same time. Raises SandboxError."""
    deadline = time.monotonic() + REQUEST_SECONDS
    while True:
        try:
            client.remove_container(name, force=True, v=True)
        except NotFound:
            return
        except APIError as error:
            # 409: another client, or an earlier request of ours, is removing it right now.
            if time.monotonic() > deadline:
                raise SandboxError(f"a container could not be removed: {one_line(error)}") from error
            time.sleep(0.05)
        else:
            return


def remove_leftovers(client: "docker.APIClient") -> int:
    """Remove the containers of dead runners of this host; returns how many."""
    removed = 0
    for container in client.containers(all=True, filters={"label": LABEL}):
        owner = container["Labels"].get(LABEL, "")
        host, _, process = owner.partition("/")
        if host == _host() and process not in ("", _process(process.partition("-")[0])):
            remove(client, container["Id"])
            removed += 1
    return removed


def _host() -> str:
    """What distinguishes this host's process ids from another's: the boot, and the PID namespace."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot}-{os.stat('/proc/self/ns/pid').st_ino}"


def _process(pid: str) -> str:
    """A process id with its start time, so that a later process of that number is another one; "" if gone."""
    try:
        return f"{pid}-{procfs.start_ticks(int(pid))}"
    except (OSError, ValueError):
        return ""


def this_runner() -> str:
    """The label of this runner's containers."""
    return f"{_host()}/{_process(str(os.getpid()))}"


def one_line(error: Exception) -> str:
    """The first line of an error of the library, for a message."""
    return str(error).partition("\n")[0][:300]
