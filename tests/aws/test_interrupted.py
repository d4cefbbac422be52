"""The command is ended from outside: by somebody at the keyboard, or by a CI that has lost its patience."""

import os
import signal
import socket
import subprocess
import sys

import pytest

from infra.stage import ROOT


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_command_with_its_step(number: signal.Signals) -> None:
    """Either signal ends it tidily: the step and what to do on standard error, and exit code 130."""
    with socket.socket() as silent:  # an AWS that takes the call and says nothing
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": "/nonexistent",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{silent.getsockname()[1]}",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "infra", "plan", "--stage", "test", "--region", "us-east-1"],
            cwd=ROOT,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            silent.settimeout(60)
            connection, _ = silent.accept()
            with connection:
                process.send_signal(number)
                out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130, err
    why, remedy = err.splitlines()
    assert why == "step credentials: interrupted." and "run the same command again" in remedy
    assert out == "stage test, region us-east-1\n"
