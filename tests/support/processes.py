"""Our own programs as a user starts them: `chalice local` and `python app.py` (the API), `python -m runner`.

They see the environment that the test passes and nothing else: no setting of this machine, and none of
the developer's own `.env` (a `.env` in another `root` is read, as for users). Their output is in a log
file, which every failure shows. One more kind of program: a subclass of `ManagedProcess` with its own
`is_ready`.
"""

import atexit
import contextlib
import http.client
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chalicelib.settings import variables
from tests.support.servers.process import ManagedProcess
from tests.support.servers.tools import ROOT, free_port

HOST = "127.0.0.1"

# Where all of them remember which compilers have passed, so that each start after the first is quick.
_cache = tempfile.TemporaryDirectory(prefix="cache-test-")
atexit.register(_cache.cleanup)


@dataclass(frozen=True, slots=True)
class Reply:
    """What the API answered: status, header names in lower case, and the body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON; an `AssertionError` that shows it when it is something else."""
        try:
            return json.loads(self.body)
        except ValueError:
            raise AssertionError(f"not JSON, status {self.status}: {self.body[:500]!r}") from None


class Caller:
    """Sends requests to an API on this host; a subclass has the `port`."""

    port: int

    def reach(self) -> "contextlib.AbstractContextManager[object]":
        """Held while a connection is made: for an API that listens in another network."""
        return contextlib.nullcontext()

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        headers: Mapping[str, str] | None = None,
        timeout_seconds: float = 35.0,
    ) -> Reply:
        """One request on a connection of its own. `body` is sent as it is when bytes, else as JSON.

        The default timeout is longer than the longest `?wait=` (25 s), so that it is the API that ends it.
        """
        payload = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        defaults = {"Content-Type": "application/json"} if payload is not None else {}
        connection = http.client.HTTPConnection(HOST, self.port, timeout=timeout_seconds)
        try:
            with self.reach():
                connection.connect()
            connection.request(method, path, payload, defaults | dict(headers or {}))
            response = connection.getresponse()
            names = {name.lower(): value for name, value in response.getheaders()}
            return Reply(response.status, names, response.read())
        finally:
            connection.close()

    def answers(self) -> bool:
        """GET /health answers 200."""
        try:
            return self.call("GET", "/health", timeout_seconds=5.0).status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False


class ApiProcess(Caller, ManagedProcess):
    """`chalice local` on a port of its own, ready when GET /health answers."""

    def __init__(
        self, env: Mapping[str, str] | None = None, *, root: Path = ROOT, port: int | None = None
    ) -> None:
        """`env` holds settings (`{"QUEUE_SIZE": "2"}`); `root` is the folder with app.py."""
        self.port = free_port() if port is None else port
        self.url = f"http://{HOST}:{self.port}"
        self._folder = tempfile.TemporaryDirectory(prefix="api-test-")
        super().__init__(
            f"API on port {self.port}",
            [*self.command(), "--host", HOST, "--port", str(self.port)],
            log_path=Path(self._folder.name) / "api.log",
            env=_environment(env, root),
            cwd=root,
        )

    @staticmethod
    def command() -> list[str]:
        """The program, without its address."""
        return [_beside_python("chalice"), "local", "--no-autoreload"]

    def is_ready(self) -> bool:
        """GET /health answers 200."""
        return self.answers()

    def close(self) -> None:
        """Ends it and removes its log."""
        super().close()
        self.show_log()
        self._folder.cleanup()


class ProductionApiProcess(ApiProcess):
    """`python app.py`, the API as its container runs it."""

    @staticmethod
    def command() -> list[str]:
        """The program, without its address."""
        return [sys.executable, "app.py"]


class RunnerProcess(ManagedProcess):
    """`python -m runner`, ready when its log says so; `run_runner` is for one that must not start."""

    # A part of the line that the runner logs once its workers claim jobs.
    READY = ": ready, "

    def __init__(
        self, env: Mapping[str, str] | None = None, *, root: Path = ROOT, name: str | None = None
    ) -> None:
        """`env` holds settings, as `RedisServer.environment()` gives them."""
        self._folder = tempfile.TemporaryDirectory(prefix="runner-test-")
        self._seen = 0
        super().__init__(
            name or "runner",
            [sys.executable, "-m", "runner"],
            log_path=Path(self._folder.name) / "runner.log",
            env=_environment(env, root),
            cwd=root,
        )

    def start(self) -> None:
        """Starts it, also again; ready lines of earlier starts do not count."""
        self._seen = len(self.log())
        super().start()

    def is_ready(self) -> bool:
        """The log since this start contains the ready line."""
        return self.READY in self.log()[self._seen :]

    def close(self) -> None:
        """Ends it and removes its log."""
        super().close()
        self.show_log()
        self._folder.cleanup()


def run_runner(
    env: Mapping[str, str] | None = None, *, root: Path = ROOT, timeout_seconds: float = 60.0
) -> "subprocess.CompletedProcess[str]":
    """Runs `python -m runner` until it ends by itself, as it must: its exit code, stdout and stderr."""
    return subprocess.run(
        [sys.executable, "-m", "runner"],
        env=_environment(env, root),
        cwd=root,
        capture_output=True,
        text=True,
        timeout=timeout_seconds,
        check=False,
    )


def _beside_python(program: str) -> str:
    """The program of the virtual environment that runs the tests, not the one on the PATH."""
    return str(Path(sys.executable).with_name(program))


def _environment(settings: Mapping[str, str] | None, root: Path) -> dict[str, str]:
    # PATH for the compilers and bubblewrap; PYTHONUNBUFFERED so that the log has a line when it is written.
    own = {
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "XDG_CACHE_HOME": _cache.name,
    }
    if cache := os.environ.get("PYTHONPYCACHEPREFIX"):
        own["PYTHONPYCACHEPREFIX"] = cache  # bin/run-tests sets it: a start takes half the time
    if root == ROOT:
        # A blank variable counts as not set, and still hides the same one of a `.env` file.
        own |= {variable.name: "" for variable in variables()}
    # Testing the compilers of all languages takes half a minute at every start; a test that needs them
    # says so.
    own["COMPILERS"] = "gcc-*,clang-*"
    return own | dict(settings or {})
