"""A dockerd of our own, for machines where no engine runs: private, and removed completely.

It runs in a PID and a mount namespace of its own. When it ends, or when the tests are killed, the kernel ends
everything in these (containerd, shims, containers) and removes every mount. So a run that was killed leaves
nothing that a later one has to wait for or clean up, and no process is ever killed by its name. No network
device of the host is changed.

`own_network` is for tests whose containers have networks. It starts the daemon again in a network namespace
of its own, with the same images: bridges, addresses and firewall rules are in there and end with it, and the
daemon's notes about them are removed before the next start. From there nothing can be downloaded.

Images are kept in `.setup/engine`, in one folder for each run that is going on at the same time.
"""

import contextlib
import fcntl
import itertools
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import docker
import requests
from docker.errors import DockerException

from runner.sandbox.docker.engine import check_reachable
from tests.support.namespaces import raise_loopback
from tests.support.servers.process import ManagedProcess, ProcessError
from tests.support.servers.tools import ROOT

_DATA = ROOT / ".setup" / "engine"

# Debian has dockerd and the programs that it calls outside of an ordinary user's PATH.
_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"


def program() -> str | None:
    """The path of dockerd; None where it is not installed."""
    return shutil.which("dockerd", path=_PATH)


def answers(url: str | None) -> bool:
    """Whether an engine answers at this URL; None is that of DOCKER_HOST, or the usual one."""
    try:
        check_reachable(url)
        client = docker.APIClient(base_url=url, version="auto", timeout=10)
        with contextlib.closing(client):
            return bool(client.ping())
    except (DockerException, requests.RequestException, OSError):
        return False


class EngineDaemon(ManagedProcess):
    """A dockerd with its data in the folder `data`, which answers at `url`. Needs root."""

    # On two busy cores containerd alone has taken 15 s.
    ready_timeout_seconds = 90.0

    def __init__(self, dockerd: str, folder: Path, data: Path) -> None:
        """`folder` is for what ends with it. Its path must be short: a socket's path may have 107 bytes."""
        self.url = f"unix://{folder}/engine.sock"
        self._data = data
        self._exec_root = folder / "run"
        # Process 1 of a namespace has to reap orphans, which dockerd does not do.
        init = shutil.which("docker-init", path=_PATH)
        self._program = [
            *((init, "--") if init else ()),
            *(dockerd, "--host", self.url, "--data-root", str(data), "--exec-root", str(self._exec_root)),
            *("--pidfile", f"{self._exec_root}/pid", "--bridge", "none"),
        ]
        super().__init__(
            "dockerd",
            [*_private(), "--", *self._program, "--iptables=false", "--ip-masq=false"],
            log_path=folder / "dockerd.log",
            env={**os.environ, "PATH": _PATH},
        )

    @contextlib.contextmanager
    def own_network(self) -> Iterator[int]:
        """Have the daemon run in a network of its own; yields the pid of a process that is in there."""
        usual = self.argv
        self.close()
        self.argv = [*_private("--net"), "--", *self._program]
        try:
            self.start()
            raise_loopback(self.pid)
            yield self.pid
        finally:
            self.close()
            self.argv = usual
            self.start()

    def start(self) -> None:
        """Start it without what an earlier one has left: networks, which it would make again, and ids."""
        for folder in (self._data / "network", self._exec_root):
            shutil.rmtree(folder, ignore_errors=True)
        super().start()

    def is_ready(self) -> bool:
        return answers(self.url)

    def close(self) -> None:
        """End it so that what it was writing is complete; kill it when that takes too long."""
        if self.running:
            # `unshare` waits for its only child and does not pass signals on.
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                for child in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split():
                    os.kill(int(child), signal.SIGTERM)
            with contextlib.suppress(ProcessError):
                self.wait(30)
        else:
            self.show_log()
        super().close()


def _private(*more: str) -> list[str]:
    """The command that starts a program in namespaces of its own, which end when this process ends."""
    namespaces = ["--mount", "--mount-proc", "--pid", *more]
    return ["setpriv", "--pdeathsig", "KILL", "--", "unshare", *namespaces, "--fork", "--kill-child"]


@contextlib.contextmanager
def start_daemon(dockerd: str) -> Iterator[EngineDaemon]:
    """A dockerd that ends with the context. Raises `ProcessError`, with its log."""
    with (
        tempfile.TemporaryDirectory(prefix="engine-") as folder,
        _data_root() as data,
        EngineDaemon(dockerd, Path(folder), data) as daemon,
    ):
        yield daemon


@contextlib.contextmanager
def _data_root() -> Iterator[Path]:
    """The first folder for images that no other run uses. Two daemons cannot share one."""
    for number in itertools.count():
        data = _DATA / str(number)
        data.mkdir(parents=True, exist_ok=True)
        with (_DATA / f"{number}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield data
            return
