"""The commands of a page, typed as its reader types them, for tests that run what the page shows.

A block ```sh holds commands, one a line (a `\\` at its end continues it). A block ```json or ```text right
below it shows what they print; in a text `…` stands for anything. `<job_id>` and `<matrix_id>` are the ids of
the last answer.
"""

import json
import os
import re
import shlex
import subprocess
import sys
import textwrap
import time
from pathlib import Path

from tests.support.documents import text_of
from tests.support.processes import HOST
from tests.support.servers import ManagedProcess, free_port
from tests.support.servers.tools import ROOT
from tests.support.skipping import require

# Compilers are tested before a runner is ready; COMPILERS leaves few of them.
READY_SECONDS = 60.0
# After a restart of Redis the API connects again at the next request.
BACK_SECONDS = 20.0


def steps(page: str) -> list[tuple[list[str], str | None]]:
    """The page's blocks of commands, each with what is shown right below it, if anything is."""
    blocks = re.findall(
        r"^( *)```sh\n(.*?)^\1```$(?:\n\n^\1```(?:text|json)\n(.*?)^\1```$)?",
        text_of(page),
        re.MULTILINE | re.DOTALL,
    )
    return [(_commands(textwrap.dedent(commands)), shown or None) for _, commands, shown in blocks]


def _commands(block: str) -> list[str]:
    """The commands of a block: a line each, or several lines where a quotation or a `\\` continues."""
    commands, command = [], ""
    for line in block.replace("\\\n", " ").splitlines():
        command = f"{command}\n{line}" if command else line.strip()
        if _is_whole(command):
            commands.append(command)
            command = ""
    return [command for command in commands if command]


def _is_whole(command: str) -> bool:
    """Whether every quotation in it is closed."""
    try:
        shlex.split(command)
    except ValueError:
        return False
    return True


def assert_as_shown(shown: str, printed: str) -> None:
    """The text that a page shows is what was printed; `…` stands for anything, blank lines do not count."""
    pattern = "".join(".*" if part == "…" else re.escape(part) for part in re.split("(…)", _compact(shown)))
    assert re.fullmatch(pattern, _compact(printed)), f"shown:\n{shown}\nprinted:\n{printed}"


def _compact(text: str) -> str:
    return "\n".join(line.strip() for line in text.splitlines() if line.strip())


class Command(ManagedProcess):
    """A command of a page that runs until it is stopped."""

    ready_timeout_seconds = READY_SECONDS

    def __init__(self, command: str, folder: Path, env: dict[str, str], probe: list[str]) -> None:
        """`probe` is a command that succeeds once this one does its work."""
        self._probe, self._probe_env = probe, env
        assignments = re.match(r"(?:[A-Z_]+=\S+ )*", command)
        assert assignments is not None
        words = shlex.split(command[assignments.end() :])
        super().__init__(
            command,
            ["env", *shlex.split(assignments[0]), *words],
            log_path=folder / f"{words[0]}.log",
            env=env,
            cwd=ROOT,
        )

    def is_ready(self) -> bool:
        """The probe succeeds."""
        ran = subprocess.run(self._probe, env=self._probe_env, capture_output=True, check=False)
        return ran.returncode == 0


class Reader:
    """Types commands. Redis and the API get ports of their own; `close` stops what was started."""

    def __init__(self, folder: Path) -> None:
        """`folder` is for logs and for the files of Redis."""
        self._folder = folder
        self.redis_port, self.api_port = free_port(), free_port()
        self.processes: dict[str, Command] = {}
        self._ids = {"job_id": "", "matrix_id": ""}
        folders = {str(Path(require(name)).parent) for name in ("curl", "redis-cli", "redis-server")}
        self._env = {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), *sorted(folders), os.environ["PATH"]]),
            "LANG": "C.UTF-8",
            "PYTHONUNBUFFERED": "1",
            # To test them all takes half a minute at every start.
            "COMPILERS": "gcc-*",
            "REDIS_ADDR": f"localhost:{self.redis_port}",
        }

    def here(self, text: str) -> str:
        """The page's text with the ports of this test and the last ids."""
        for port, ours in (("6379", self.redis_port), ("8000", self.api_port)):
            text = re.sub(rf"(:|-p |--port ){port}\b", rf"\g<1>{ours}", text)
        for name, value in self._ids.items():
            text = text.replace(f"<{name}>", value)
        return text.replace(".venv/bin/", "")

    def type(self, command: str) -> str:
        """Runs one command, or starts it when it is one that runs until it is stopped; what it printed."""
        command = self.here(command)
        if command.startswith("redis-server"):
            command += f" --port {self.redis_port} --dir {self._folder} --bind {HOST}"
            self._start("redis", command, ["redis-cli", "-p", str(self.redis_port), "ping"])
        elif "chalice local " in command:
            self._start("api", command, ["curl", "-sf", f"http://{HOST}:{self.api_port}/health"])
        elif command.endswith("python -m runner"):
            self._start("runner", command, ["curl", "-sf", f"http://{HOST}:{self.api_port}/ready"])
        else:
            return self._run(command)
        return ""

    def _start(self, name: str, command: str, probe: list[str]) -> None:
        if former := self.processes.get(name):
            former.close()
        self.processes[name] = Command(command, self._folder, self._env, probe)
        self.processes[name].start()

    def _run(self, command: str) -> str:
        if "redis-cli" in command and " -p " not in command:
            command = command.replace("redis-cli", f"redis-cli -p {self.redis_port}")
        deadline = time.monotonic() + BACK_SECONDS
        while True:
            ran = subprocess.run(
                ["bash", "-c", command],
                env=self._env,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=READY_SECONDS,
                check=False,
            )
            if '"error": "store_' not in ran.stdout or time.monotonic() > deadline:
                break
            time.sleep(0.2)
        assert ran.returncode == 0, f"{command}: {ran.stderr}"
        assert not re.match(r"(ERR|WRONGTYPE|NOAUTH|\(error\))", ran.stdout), f"{command}: {ran.stdout}"
        for name in self._ids:
            if match := re.search(rf'"{name}": "(\w+)"', ran.stdout):
                self._ids[name] = match[1]
        return ran.stdout

    def wait_for_runner(self) -> None:
        """Until the compilers have been tested."""
        url = f"http://{HOST}:{self.api_port}/ready"
        command = ["curl", "-sf", "--retry", "100", "--retry-delay", "1", "--retry-all-errors", url]
        subprocess.run(command, env=self._env, check=True, capture_output=True, timeout=READY_SECONDS)

    def close(self) -> None:
        """Stops what was started; a failed test shows the logs."""
        for process in reversed(self.processes.values()):
            process.close()
            process.show_log()


def assert_json_as_shown(shown: object, answer: object, *, volatile: frozenset[str] = frozenset()) -> None:
    """What a page shows is in the answer: every field, and its value, or only its type if `volatile`."""
    if isinstance(shown, dict):
        assert isinstance(answer, dict), answer
        assert set(shown) <= set(answer), json.dumps(answer)
        for name, value in shown.items():
            if name in volatile:
                assert type(answer[name]) is type(value), name
            else:
                assert_json_as_shown(value, answer[name], volatile=volatile)
    elif isinstance(shown, list):
        assert isinstance(answer, list) and len(shown) == len(answer), json.dumps(answer)
        for one, other in zip(shown, answer, strict=True):
            assert_json_as_shown(one, other, volatile=volatile)
    else:
        assert shown == answer
