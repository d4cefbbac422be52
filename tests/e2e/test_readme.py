"""README.md as a reader follows it: its commands are run in a copy of the project, and answer as it shows.

One more command in README.md needs an entry in `KINDS` and a test, or an entry in `NOT_RUN` with the reason.
"""

import http.client
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from chalicelib.models import Status
from chalicelib.storage.redis.store import RedisStore
from tests.support.clone import make_clone
from tests.support.factories import make_job, make_request, make_settings, slow_cpp
from tests.support.process_group import FamilyProcess, command_line
from tests.support.processes import HOST, RunnerProcess
from tests.support.servers import RedisServer, free_port
from tests.support.servers.tools import ROOT
from tests.support.skipping import require
from tests.support.typed_commands import steps

PORT = "8000"  # the one that README.md uses throughout

KINDS: dict[str, Callable[[str], bool]] = {
    "serve": lambda command: command == "make run",
    "ask": lambda command: command.startswith("curl ") and "/compile?" in command,
    "matrix": lambda command: command.startswith("curl ") and "/matrix?" in command,
    "api": lambda command: " .venv/bin/chalice local " in command,
    "runner": lambda command: command.endswith(" .venv/bin/python -m runner"),
}
NOT_RUN = {
    "make test": "these tests are a part of it; a test below runs a small part",
    # With a container engine:
    "docker compose up -d --build": "tests/compose runs it",
    "docker build -f runner/Dockerfile -t will-it-compile-runner .": "tests/sandbox/test_image.py runs it",
}

# What differs between runs or compilers, in the answers that README.md shows.
VOLATILE = {"job_id", "duration", "stderr", "message", "column"}

# Before a runner is ready it has tested all compilers. It takes 15 s on a quiet machine with all of them.
READY_SECONDS = 200.0
# The runner waits 8 s for running jobs, then it ends and releases them.
STOP_SECONDS = 60.0


def blocks() -> list[tuple[str, str]]:
    """Every fenced block of README.md as (language, text)."""
    matches = re.findall(r"^```(\w*)\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    return [(str(language), str(text)) for language, text in matches]


def commands(kind: str | None = None) -> list[str]:
    """The shell commands of README.md, all or those of a kind; continued lines are one command."""
    typed = [command for block, _ in steps("README.md") for command in block]
    return typed if kind is None else [command for command in typed if KINDS[kind](command)]


def answers() -> list[dict[str, Any]]:
    """The JSON objects that README.md shows, in order."""
    return [json.loads(text) for language, text in blocks() if language == "json"]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project as a fresh clone would have it, set up already."""
    require("curl")
    return make_clone(tmp_path_factory.mktemp("clone") / "will-it-compile", tmp_path_factory.mktemp("git"))


class ReadmeProcess(FamilyProcess):
    """A command of README.md that runs until it is ended."""

    ready_timeout_seconds = READY_SECONDS

    def __init__(self, command: str, copy: Path, log_folder: Path, **settings: str) -> None:
        """`command` is typed into a shell whose folder is the copy, with `settings` in the environment."""
        environment = {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "PYTHONUNBUFFERED": "1",
            # If anything were missing, set-up must fail here and not install into what is shared.
            "PIP_NO_INDEX": "1",
        }
        super().__init__(
            command,
            ["bash", "-c", command],
            log_path=log_folder / f"{time.monotonic_ns()}.log",
            env=environment | settings,
            cwd=copy,
        )


class ReadmeServer(ReadmeProcess):
    """One that serves HTTP on a port of its own in place of the README's; ready when GET /health answers."""

    def __init__(self, command: str, copy: Path, log_folder: Path, **settings: str) -> None:
        """As ReadmeProcess."""
        self.port = free_port()
        with_port = f"{command} PORT={PORT}" if KINDS["serve"](command) else command
        super().__init__(with_port.replace(PORT, str(self.port)), copy, log_folder, **settings)

    def status(self, path: str) -> int:
        """The status code of a GET; 0 without an answer."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=10)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return 0
        finally:
            connection.close()

    def is_ready(self) -> bool:
        """GET /health answers 200."""
        return self.status("/health") == 200

    def wait_for_runner(self) -> None:
        """Until GET /ready answers 200: the compilers have been tested."""
        self.wait_for(lambda: self.status("/ready") == 200, "a runner", timeout_seconds=READY_SECONDS)

    def run_curl(self, command: str) -> Any:
        """What a curl command of README.md prints, as JSON, with our port in it."""
        assert f"127.0.0.1:{PORT}/" in command
        ran = subprocess.run(
            ["bash", "-c", command.replace(f":{PORT}/", f":{self.port}/")],
            env={"PATH": os.environ["PATH"]},
            capture_output=True,
            timeout=READY_SECONDS,
            check=True,
        )
        return json.loads(ran.stdout)


class ReadmeRunner(ReadmeProcess):
    """The runner; ready when its log says so."""

    def is_ready(self) -> bool:
        """The log holds the ready line."""
        return RunnerProcess.READY in self.log()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Ends what a test started."""
    with ExitStack() as stack:
        yield stack


def _compiles(process: FamilyProcess) -> bool:
    """A compiler of C++ runs below this process."""
    return any("/cc1plus " in command_line(pid) for pid, _ in process.remember_family())


def assert_as_shown(shown: Any, answer: Any) -> None:
    """`answer` has what README.md shows of it; volatile values have the same type."""
    if isinstance(shown, dict):
        assert isinstance(answer, dict)
        assert set(shown) <= set(answer)
        for name, value in shown.items():
            if name in VOLATILE:
                assert type(answer[name]) is type(value), name
                assert bool(answer[name]) is bool(value), name
            else:
                assert_as_shown(value, answer[name])
    elif isinstance(shown, list):
        assert len(shown) == len(answer)
        for one, other in zip(shown, answer, strict=True):
            assert_as_shown(one, other)
    else:
        assert shown == answer


def assert_matrix_as_shown(shown: dict[str, Any], answer: dict[str, Any]) -> None:
    """What README.md shows of a matrix holds for those of its compilers that are here."""
    assert answer["ended"] is True
    summary = answer["summary"]
    assert set(shown["summary"]) <= set(summary)
    assert summary["inconclusive"] == 0
    assert summary["compiles"] + summary["rejected"] == summary["cells"] > 0
    here = {cell["compiler"] for cell in answer["cells"]}
    for cell in shown["compiles_on"]:
        assert cell in answer["compiles_on"] or cell["compiler"] not in here
    minimum = {entry["compiler"]: entry for entry in answer["minimum_standard"]}
    for entry in shown["minimum_standard"]:
        if entry["compiler"] in here:
            assert_as_shown(entry, minimum[entry["compiler"]])
    for group in shown["groups"]:
        assert set(group) <= set(answer["groups"][0])
        assert set(group["diagnostic"]) <= set(answer["groups"][0]["diagnostic"])


# The tests


def test_every_command_is_run_or_has_a_reason_not_to_be() -> None:
    """Each shell command of README.md is of one kind that is run below, or is in NOT_RUN."""
    assert {language for language, _ in blocks()} <= {"sh", "json", "mermaid"}
    kinds = {
        command: [kind for kind, is_one in KINDS.items() if is_one(command)]
        for command in commands()
        if command not in NOT_RUN
    }
    assert {command for command, its_kinds in kinds.items() if len(its_kinds) != 1} == set()
    assert {kind for its_kinds in kinds.values() for kind in its_kinds} == set(KINDS)
    assert set(NOT_RUN) <= set(commands())


def test_the_answers_come_in_the_form_that_is_shown() -> None:
    """There is one JSON answer after each curl, so that the tests below compare all of them."""
    assert len(commands("ask")) == 2
    assert len(answers()) == len(commands("ask")) + len(commands("matrix"))


def test_make_run_answers_the_curls_and_ends_on_sigterm(copy: Path, tmp_path: Path, stack: ExitStack) -> None:
    """`make run` in a clone answers each curl as shown; SIGTERM ends it and a running compiler."""
    [command] = commands("serve")
    server = stack.enter_context(ReadmeServer(command, copy, tmp_path))
    assert "Serving on" in server.log()
    assert "installing" not in server.log()
    server.wait_for_runner()
    for curl, shown in zip(commands("ask"), answers(), strict=False):
        assert_as_shown(shown, server.run_curl(curl))
    [matrix] = commands("matrix")
    assert_matrix_as_shown(answers()[-1], server.run_curl(matrix))
    [first, *_] = commands("ask")
    slow = json.dumps({"source_code": slow_cpp(60), "language": "cpp", "compiler": "gcc", "stage": "syntax"})
    submitted = re.sub(r"-d '.*'", lambda _: f"-d '{slow}'", first).replace("?wait=20", "")
    assert server.run_curl(submitted)["status"] in ("queued", "processing")
    server.wait_for(lambda: _compiles(server), "a compiler")
    server.stop(STOP_SECONDS)
    server.assert_nothing_is_left()
    assert server.status("/health") == 0
    assert "Traceback" not in server.log()


def test_make_run_ends_on_ctrl_c(copy: Path, tmp_path: Path, stack: ExitStack) -> None:
    """Ctrl-C reaches the whole foreground group: nothing is left, even while compilers are being tested."""
    [command] = commands("serve")
    server = stack.enter_context(ReadmeServer(command, copy, tmp_path))
    server.remember_family()
    os.killpg(server.pid, signal.SIGINT)
    server.wait(STOP_SECONDS)
    server.assert_nothing_is_left()
    assert server.status("/health") == 0


def test_the_commands_with_a_redis_work_together(
    copy: Path, tmp_path: Path, stack: ExitStack, clean_redis: RedisServer
) -> None:
    """API and runner as README.md starts them share a Redis: each curl is answered as shown, over it."""
    [api_command], [runner_command] = commands("api"), commands("runner")
    settings = {"REDIS_ADDR": clean_redis.address}
    runner = stack.enter_context(ReadmeRunner(runner_command, copy, tmp_path, **settings))
    api = stack.enter_context(ReadmeServer(api_command, copy, tmp_path, **settings))
    api.wait_for_runner()
    for curl, shown in zip(commands("ask"), answers(), strict=False):
        answer = api.run_curl(curl)
        assert_as_shown(shown, answer)
        index = f"job:index:status:{answer['status']}"
        assert clean_redis.admin.smembers(index) == {answer["job_id"]}
    for process in (api, runner):
        process.remember_family()
        process.stop(STOP_SECONDS)
        process.assert_nothing_is_left()
    assert clean_redis.admin.zcard("runners") == 0
    assert "Traceback" not in runner.log() + api.log()


def test_ctrl_c_lets_a_runner_complete_or_release_its_job(
    copy: Path, tmp_path: Path, stack: ExitStack, clean_redis: RedisServer
) -> None:
    """Ctrl-C reaches all that the runner started; its job still ends with a verdict, or is queued again."""
    [command] = commands("runner")
    runner = stack.enter_context(ReadmeRunner(command, copy, tmp_path, REDIS_ADDR=clean_redis.address))
    store = RedisStore(make_settings(redis_enabled=True, redis_addr=clean_redis.address))
    stack.callback(store.close)
    runner.wait_for(lambda: bool(store.environments()), "a registration")
    compiler = next(
        entry for entry in store.environments() if (entry.language, entry.family) == ("cpp", "gcc")
    )
    job = make_job(
        request=make_request(slow_cpp(3), compiler=compiler.id, standard=compiler.default_standard)
    )
    store.submit(job)
    runner.wait_for(lambda: _compiles(runner), "a compiler")
    os.killpg(runner.pid, signal.SIGINT)
    assert runner.wait(STOP_SECONDS) == 0
    runner.assert_nothing_is_left()
    ended = store.get(job.id)
    # A busy machine may need longer for it than the runner waits.
    assert ended is not None
    assert (ended.status, ended.attempts) in ((Status.COMPLETED, 1), (Status.QUEUED, 0)), store.get_result(
        job.id
    )


def test_make_test_sets_up_and_runs_what_it_is_asked(copy: Path) -> None:
    """`make test` in a clone checks style and types, and runs the tests that ARGS names."""
    ran = subprocess.run(
        ["make", "test", "ARGS=-q -p no:cacheprovider tests/unit/test_sanitize.py"],
        cwd=copy,
        # The Lambda function's wheels come from this checkout: nothing is downloaded.
        env={
            "PATH": os.environ["PATH"],
            "HOME": os.environ.get("HOME", "/"),
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(ROOT / ".wheels"),
        },
        capture_output=True,
        text=True,
        timeout=READY_SECONDS,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "no issues found" in ran.stdout
    assert re.search(r"^\d+ passed", ran.stdout, re.MULTILINE), ran.stdout


def test_the_check_of_a_runner_ends_by_itself(copy: Path, clean_redis: RedisServer) -> None:
    """`--check` after the runner's command, as the text says, exits 0 and leaves no runner behind."""
    [command] = commands("runner")
    assert "`--check`" in (ROOT / "README.md").read_text()
    environment = {"PATH": os.environ["PATH"], "REDIS_ADDR": clean_redis.address}
    ran = subprocess.run(
        ["bash", "-c", f"{command} --check"],
        cwd=copy,
        env=environment,
        capture_output=True,
        text=True,
        timeout=READY_SECONDS,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "compilers: " in ran.stderr
    assert clean_redis.admin.zcard("runners") == 0
