"""The engine that tests start where none is running: its networks are private, and end with it."""

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
    """An engine only for this test, beside any other that is running."""
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
    """Makes a network in the engine; the name of its device."""
    network_id = _ask(daemon, lambda client: client.networks.create("wic-test-private").id)
    return f"br-{network_id[:12]}"


def _devices() -> set[str]:
    """Every network device of this thread's network."""
    # Not /sys/class/net, which shows the network namespace that it was mounted in.
    return {
        line.partition(":")[0].strip() for line in Path("/proc/thread-self/net/dev").read_text().splitlines()
    }


def test_a_network_is_in_the_engine_and_not_on_the_host(daemon: EngineDaemon) -> None:
    """A network of the engine is a device where the engine is and not here; afterwards it is gone."""
    with daemon.own_network() as pid:
        bridge = _make_network(daemon)
        with network_of(pid):
            assert bridge in _devices()
        assert bridge not in _devices()
    assert bridge not in _devices()
    assert not _ask(daemon, lambda client: client.networks.list(names=["wic-test-private"]))


def test_a_killed_engine_leaves_no_network_behind(daemon: EngineDaemon) -> None:
    """After SIGKILL the next engine on the same data has no such network and makes no device here."""
    with daemon.own_network() as pid:
        bridge = _make_network(daemon)
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not daemon.running, "an end")
    assert bridge not in _devices()
    assert not _ask(daemon, lambda client: client.networks.list(names=["wic-test-private"]))
