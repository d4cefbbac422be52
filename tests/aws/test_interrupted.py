"""The command is interrupted: by a user with Ctrl-C, or by a CI with SIGTERM."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from infra.stage import ROOT
from tests.support.signals import default_sigint, ignored_sigint

# Only ends a test that hangs.
WAIT_SECONDS = 100


@contextmanager
def silent_aws() -> Iterator[socket.socket]:
    """An AWS that accepts connections and never answers."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        server.settimeout(WAIT_SECONDS)
        yield server


@contextmanager
def plan(server: socket.socket, prepare_signals: Callable[[], None]) -> Iterator["subprocess.Popen[str]"]:
    """`python -m infra plan`, connected to `server`."""
    process = subprocess.Popen(
        [sys.executable, "-m", "infra", "plan", "--stage", "test", "--region", "us-east-1"],
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "HOME": "/nonexistent",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.getsockname()[1]}",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=prepare_signals,  # noqa: PLW1509 -- it only calls signal(2), which threads do not disturb
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def assert_interrupted(process: "subprocess.Popen[str]") -> None:
    """Exit code 130, and on standard error the step and what to do."""
    out, err = process.communicate(timeout=WAIT_SECONDS)
    assert process.returncode == 130, err
    message, hint = err.splitlines()
    assert message == "step credentials: interrupted." and "run the same command again" in hint
    assert out == "stage test, region us-east-1\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_signal_interrupts_the_command(number: signal.Signals) -> None:
    """Both signals end it with the step, a hint and exit code 130."""
    with silent_aws() as server, plan(server, default_sigint) as process:
        connection, _ = server.accept()
        with connection:
            process.send_signal(number)
            assert_interrupted(process)


def test_a_background_job_is_interrupted_by_sigterm_only() -> None:
    """Started with SIGINT ignored, as shells start background jobs, it continues at SIGINT only."""
    with silent_aws() as server, plan(server, ignored_sigint) as process:
        first, _ = server.accept()
        process.send_signal(signal.SIGINT)
        first.close()
        second, _ = server.accept()  # it continues: the call that got no answer is repeated
        with second:
            process.send_signal(signal.SIGTERM)
            assert_interrupted(process)
