"""The engine that tests start where none runs: its networks are its own, and end with it, however it ends."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import docker
import pytest

from tests.support.engine_daemon import EngineDaemon, program, start_daemon
from tests.support.namespaces import network_of
from tests.support.servers import wait_until
from tests.support.skipping import missing

pytestmark = pytest.mark.engine


@pytest.fixture
def daemon() -> Iterator[EngineDaemon]:
    """One of this test's own, beside whatever engine runs."""
    dockerd = program()
    if dockerd is None:
        missing("no dockerd: run bin/setup test")
    if os.geteuid() != 0:
        missing("starting an engine takes root")
    with start_daemon(dockerd) as daemon:
        yield daemon


def _ask(daemon: EngineDaemon, question: Callable[["docker.DockerClient"], Any]) -> Any:
    with closing(docker.DockerClient(base_url=daemon.url)) as client:
        return question(client)


def _make_network(daemon: EngineDaemon) -> str:
    """The name of the device of a network that is made in the engine."""
    made = _ask(daemon, lambda client: client.networks.create("wic-test-private").id)
    return f"br-{made[:12]}"


def _devices() -> set[str]:
    """Every network device of this thread's network."""
    # Not /sys/class/net, which shows the network in which it was mounted.
    return {
        line.partition(":")[0].strip() for line in Path("/proc/thread-self/net/dev").read_text().splitlines()
    }


def test_a_network_is_in_the_engine_and_not_on_the_host(daemon: EngineDaemon) -> None:
    """A network of the engine is a device where the engine is, and none here; afterwards it is forgotten."""
    with daemon.own_network() as pid:
        bridge = _make_network(daemon)
        with network_of(pid):
            assert bridge in _devices()
        assert bridge not in _devices()
    assert bridge not in _devices()
    assert not _ask(daemon, lambda client: client.networks.list(names=["wic-test-private"]))


def test_a_killed_engine_leaves_no_network_behind(daemon: EngineDaemon) -> None:
    """SIGKILL in the middle: the next engine on the same data knows no network and makes no device here."""
    with daemon.own_network() as pid:
        bridge = _make_network(daemon)
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not daemon.running, "an end")
    assert bridge not in _devices()
    assert not _ask(daemon, lambda client: client.networks.list(names=["wic-test-private"]))
