"""A program that is started with a wrong setting: one line on the terminal, and the exit code."""

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
def test_a_program_with_a_wrong_setting_ends_with_that_line_and_code_2(
    program: str, environ: dict[str, str]
) -> None:
    """No traceback, no half-started server: one line and exit code 2."""
    run = _runner(environ) if program == "runner" else _api(environ, "--no-autoreload")
    said = (run.stdout + run.stderr).strip().splitlines()
    assert (run.returncode, len(said)) == (2, 1), said
    assert said[0].startswith("will-it-compile: ")
    assert " is not allowed: it must be " in said[0]
    assert SECRET not in said[0]


def test_an_api_that_reloads_itself_ends_with_that_line_as_well() -> None:
    """Without --no-autoreload Chalice imports the API on a thread; it ends all the same.

    The exit code is Chalice's own there: the parent process gives 0 whatever its worker said.
    """
    run = _api({"QUEUE_SIZE": "many"})
    assert "will-it-compile: QUEUE_SIZE='many' is not allowed" in run.stderr
    assert "Traceback" not in run.stdout + run.stderr


def test_a_runner_of_its_own_needs_redis() -> None:
    """Without REDIS_ENABLED a runner would have nobody to work for; it says what to do."""
    run = _runner({})
    assert run.returncode == 2
    assert run.stderr.startswith("will-it-compile: REDIS_ENABLED='false' is not allowed")
    assert len(run.stderr.splitlines()) == 1
