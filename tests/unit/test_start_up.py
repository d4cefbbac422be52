"""Programs that are started with a wrong setting: one line on the terminal, and the exit code."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.servers import free_port
from tests.support.servers.tools import ROOT

SECRET = "correct-horse-battery"


def _start(arguments: list[str], environ: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    own = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
    return subprocess.run(
        arguments,
        env=own | dict(environ),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def _runner(environ: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    return _start([sys.executable, "-m", "runner"], environ)


def _api(environ: Mapping[str, str], *options: str) -> "subprocess.CompletedProcess[str]":
    chalice = str(Path(sys.executable).with_name("chalice"))
    return _start([chalice, "local", "--port", str(free_port()), *options], environ)


@pytest.mark.parametrize(
    "environ",
    [
        {"REDIS_ENABLED": "perhaps"},
        {"REDIS_ENABLED": "true", "QUEUE_SIZE": "many"},
        {"REDIS_ENABLED": "true", "REDIS_PASSWORD": SECRET, "LOG_LEVEL": "loud"},
        {"REDIS_ENABLED": "true", "REDIS_ADDR": f"redis://:{SECRET}@127.0.0.1:6379"},
    ],
    ids=",".join,
)
@pytest.mark.parametrize("program", ["runner", "api"])
def test_a_program_with_a_wrong_setting_ends_with_one_line_and_exit_code_2(
    program: str, environ: dict[str, str]
) -> None:
    """There is neither a traceback nor a server that is half started."""
    run = _runner(environ) if program == "runner" else _api(environ, "--no-autoreload")
    lines = (run.stdout + run.stderr).strip().splitlines()
    assert (run.returncode, len(lines)) == (2, 1), lines
    assert lines[0].startswith("will-it-compile: ")
    assert " is not allowed: it must be " in lines[0]
    assert SECRET not in lines[0]


def test_an_api_that_reloads_itself_ends_with_that_line_as_well() -> None:
    """Without --no-autoreload Chalice imports the API on a thread, and the process ends nevertheless.

    The exit code is Chalice's own: its parent process ends with 0 whatever its worker does.
    """
    run = _api({"QUEUE_SIZE": "many"})
    assert "will-it-compile: QUEUE_SIZE='many' is not allowed" in run.stderr
    assert "Traceback" not in run.stdout + run.stderr


def test_a_separate_runner_needs_redis() -> None:
    """Without REDIS_ENABLED no jobs would reach it; the line says what to do."""
    run = _runner({})
    assert run.returncode == 2
    assert run.stderr.startswith("will-it-compile: REDIS_ENABLED='false' is not allowed")
    assert len(run.stderr.splitlines()) == 1
