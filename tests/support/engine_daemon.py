"""A dockerd of our own, for machines where no engine runs: private, and gone without a trace.

It lives in a PID and a mount namespace of its own. When it ends, in order or killed, or when the tests are
killed, the kernel ends everything in them (containerd, shims, containers) and lets go of every mount. So a
dead run leaves nothing that a later one would have to wait for or look for, and no process is ever ended by
its name. It touches no network device.

`own_network` is for tests whose containers have networks. It starts the daemon again in a network of its own,
with the same images: bridges, addresses and rules of a firewall are in there and end with it, and what it
notes about them is removed before the next start. From there nothing can be downloaded.

Images are kept in `.setup/engine`, one folder for each of the runs that are going on at once.
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

# Debian keeps dockerd and what it calls where an ordinary user's PATH does not look.
_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"


def program() -> str | None:
    """The path of dockerd; None where it is not installed."""
    return shutil.which("dockerd", path=_PATH)


def answers(url: str | None) -> bool:
    """Whether an engine answers there; None is the environment's own."""
    try:
        check_reachable(url)
        client = docker.APIClient(base_url=url, version="auto", timeout=10)
        with contextlib.closing(client):
            return bool(client.ping())
    except (DockerException, requests.RequestException, OSError):
        return False


class EngineDaemon(ManagedProcess):
    """A running dockerd with its data in `data`; `url` is where it answers. Takes root."""

    # On two busy cores containerd alone has taken 15 s.
    ready_timeout_seconds = 90.0

    def __init__(self, dockerd: str, folder: Path, data: Path) -> None:
        """`folder` is for what lives as long as it does, and short: a socket's path may have 107 bytes."""
        self.url = f"unix://{folder}/engine.sock"
        self._data = data
        self._exec_root = folder / "run"
        # Process 1 of a namespace has to wait for orphans, which dockerd does not do.
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
        """The daemon, started again in a network of its own; a process that is in there. Then as it was."""
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
        """Starts it without what a former one has left: networks, which it would make here, and ids."""
        for folder in (self._data / "network", self._exec_root):
            shutil.rmtree(folder, ignore_errors=True)
        super().start()

    def is_ready(self) -> bool:
        return answers(self.url)

    def close(self) -> None:
        """Ends it in order, so that what it was writing is whole, and at once where that takes too long."""
        if self.running:
            # `unshare` waits for its only child and passes no signal on.
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                for child in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split():
                    os.kill(int(child), signal.SIGTERM)
            with contextlib.suppress(ProcessError):
                self.wait(30)
        else:
            self.show_log()
        super().close()


def _private(*more: str) -> list[str]:
    """What starts a program in namespaces that end with us, whatever ends us."""
    namespaces = ["--mount", "--mount-proc", "--pid", *more]
    return ["setpriv", "--pdeathsig", "KILL", "--", "unshare", *namespaces, "--fork", "--kill-child"]


@contextlib.contextmanager
def start_daemon(dockerd: str) -> Iterator[EngineDaemon]:
    """A dockerd for as long as the context lasts. Raises `ProcessError`, with its log."""
    with (
        # Not with the prefix of workspaces: runners remove those that nobody has locked.
        tempfile.TemporaryDirectory(prefix="engine-") as folder,
        _data_root() as data,
        EngineDaemon(dockerd, Path(folder), data) as daemon,
    ):
        yield daemon


@contextlib.contextmanager
def _data_root() -> Iterator[Path]:
    """The first folder for images that no other run uses. Two daemons on one would wait for each other."""
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
