"""A stop is quiet, however often it is asked for, and at whatever moment."""

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.factories import slow_cpp
from tests.support.processes import ApiProcess, ProductionApiProcess, RunnerProcess
from tests.support.servers import RedisServer
from tests.support.servers.process import ManagedProcess
from tests.support.servers.tools import ROOT
from tests.support.signals import default_sigint, ignored_sigint
from tests.support.skipping import require
from tests.support.tiers import in_tier

_SLOW = {"source_code": slow_cpp(60), "language": "cpp", "compiler": "gcc-12", "stage": "syntax"}
_SIGNALS = (signal.SIGTERM, signal.SIGINT)
# The end of a program that a second signal ended at once.
_ENDS = {0, *(-number for number in _SIGNALS)}
_NOISE = ("Traceback", "Exception ignored", "SystemExit", "KeyboardInterrupt", "Aborted", "Logging error")

_ROUNDS = in_tier(fast=2, full=6)


def _check(process: ManagedProcess) -> None:
    assert process.wait(40) in _ENDS
    log = process.log()
    assert not [word for word in _NOISE if word in log], log


def _ask_often(process: ManagedProcess, seed: int) -> None:
    """Up to ten signals at random moments of the stop, the first two often at once."""
    chance = random.Random(seed)
    for _ in range(10):
        if not process.running:
            return
        process.signal(chance.choice(_SIGNALS))
        time.sleep(chance.choice((0, 0, 0.001, 0.01, 0.05, 0.2)))


@pytest.mark.parametrize("seed", range(_ROUNDS))
@pytest.mark.parametrize("server", [ApiProcess, ProductionApiProcess])
def test_a_server_with_workers_is_quiet(server: Callable[..., ApiProcess], seed: int) -> None:
    """While a job is at work, and while compilers are tested."""
    require("g++-12")
    with server({"COMPILERS": "gcc-12,clang-*", "STOP_GRACE_SECONDS": "0.5"}) as api:
        if seed % 2:
            assert api.call("POST", "/api/v1/compile", _SLOW).status == 202
        _ask_often(api, seed)
        _check(api)


@pytest.mark.parametrize("number", _SIGNALS)
@pytest.mark.parametrize("server", [ApiProcess, ProductionApiProcess])
def test_one_signal_is_a_proper_stop(server: Callable[..., ApiProcess], number: signal.Signals) -> None:
    """Either of the two ends it with exit code 0."""
    with server({"COMPILERS": "gcc-*", "STOP_GRACE_SECONDS": "0.5"}) as api:
        api.signal(number)
        assert api.wait(40) == 0
        _check(api)


@pytest.mark.parametrize("seed", range(_ROUNDS))
def test_a_server_with_a_redis_is_quiet(clean_redis: RedisServer, seed: int) -> None:
    """It has no workers, and stops in the same way."""
    with ApiProcess(clean_redis.environment()) as api:
        _ask_often(api, seed)
        _check(api)


@pytest.mark.parametrize("seed", range(_ROUNDS))
def test_a_runner_is_quiet(clean_redis: RedisServer, seed: int) -> None:
    """A runner of its own, also when it has just started."""
    require("g++-12")
    settings = clean_redis.environment() | {"COMPILERS": "gcc-12", "STOP_GRACE_SECONDS": "0.5"}
    with RunnerProcess(settings) as runner:
        _ask_often(runner, seed)
        _check(runner)


_ASK_EARLY = """
import signal, sys, time
from chalicelib.stop_signals import StopSignals
signals = StopSignals()
print("started", flush=True)
asked = []
signals.on_stop(lambda: asked.append(1))
while not asked:
    # In the middle of everything: writing, waiting, starting threads.
    print("x" * 100, file=sys.stderr)
    import threading
    threading.Event().wait(0.0001)
    thread = threading.Thread(target=int)
    thread.start()
    thread.join()
if len(sys.argv) > 1:
    time.sleep(60)
"""


@pytest.mark.parametrize("prepare", [default_sigint, ignored_sigint])
@pytest.mark.parametrize("seed", range(_ROUNDS))
def test_a_busy_program_is_quiet_however_it_was_started(
    tmp_path: Path, prepare: Callable[[], None], seed: int
) -> None:
    """Also in the background of a shell, where SIGINT is ignored; a second signal need not wait."""
    chance = random.Random(seed)
    for more in (0, 1, 9):
        with (tmp_path / "errors").open("wb") as errors:
            program = subprocess.Popen(
                [sys.executable, "-c", _ASK_EARLY, *(["waits"] if more else [])],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=errors,
                preexec_fn=prepare,  # noqa: PLW1509 -- it only calls signal(2)
            )
        with program:
            assert program.stdout is not None and program.stdout.readline() == b"started\n"
            for _ in range(more + 1):
                program.send_signal(chance.choice(_SIGNALS))
                time.sleep(chance.choice((0, 0.01)))
            if more:
                program.send_signal(signal.SIGTERM)
            assert program.wait(30) in (_ENDS if more else {0})
        printed = (tmp_path / "errors").read_text()
        assert set(printed) <= {"x", "\n"}, printed.replace("x", "")
