"""The container engine, through its SDK: a connection that leaves nothing open, and removing containers.

Every container of a runner carries a label that names its process, so that those of a dead runner can
be told from a living one's. It knows nothing of jobs.
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

from runner.sandbox.base import SandboxError

LABEL = "will-it-compile.runner"

# Requests that take longer than this, in seconds, mean that the engine is stuck.
REQUEST_SECONDS = 30


@contextlib.contextmanager
def connect(url: str | None, version: str | None = None) -> "Iterator[docker.APIClient]":
    """A connection of one's own: threads share none, and none is left open.

    `url` is the environment's where it is None, and `version` the newest that both sides know.
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
        with socket.socket(socket.AF_UNIX) as tried:
            tried.connect(path)


@contextlib.contextmanager
def close_responses(client: "docker.APIClient") -> Iterator[None]:
    """Close every answer of the engine in the end: the library keeps the connection of some open."""
    answers: list[requests.Response] = []
    client.hooks["response"].append(lambda answer, *_, **__: answers.append(answer))
    try:
        yield
    finally:
        for answer in answers:
            # The library closes others itself, and in an order that its own closing does not expect.
            with contextlib.suppress(OSError, ValueError):
                answer.close()


def has_image(client: "docker.APIClient", image: str) -> bool:
    """Whether the engine has that image already; what it could pull does not count."""
    try:
        client.inspect_image(image)
    except ImageNotFound:
        return False
    return True


def remove(client: "docker.APIClient", name: str) -> None:
    """Kill and remove a container, which may not exist or be about to go. Raises SandboxError."""
    deadline = time.monotonic() + REQUEST_SECONDS
    while True:
        try:
            client.remove_container(name, force=True, v=True)
        except NotFound:
            return
        except APIError as error:
            # 409: somebody, or an earlier request of ours, is removing it right now.
            if time.monotonic() > deadline:
                raise SandboxError(f"a container could not be removed: {one_line(error)}") from error
            time.sleep(0.05)
        else:
            return


def remove_leftovers(client: "docker.APIClient") -> int:
    """Remove the containers of runners on this host that are dead; returns how many."""
    removed = 0
    for container in client.containers(all=True, filters={"label": LABEL}):
        owner = container["Labels"].get(LABEL, "")
        host, _, process = owner.partition("/")
        if host == _host() and process not in ("", _process(process.partition("-")[0])):
            remove(client, container["Id"])
            removed += 1
    return removed


def _host() -> str:
    """What tells this host's processes from another's: the boot, and the PID namespace."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot}-{os.stat('/proc/self/ns/pid').st_ino}"


def _process(pid: str) -> str:
    """A process id with its start time, so that a later process of that number is another one; "" if gone."""
    try:
        stat = Path(f"/proc/{int(pid)}/stat").read_text()
    except (OSError, ValueError):
        return ""
    return f"{pid}-{stat[stat.rindex(')') + 2 :].split()[19]}"


def this_runner() -> str:
    """What the label of this runner's containers says."""
    return f"{_host()}/{_process(str(os.getpid()))}"


def one_line(error: Exception) -> str:
    """The first line of an error of the library, for a message."""
    return str(error).partition("\n")[0][:300]
