"""The barrier before a job's program: when the program may start, and what happens when it never may."""

import signal
import subprocess
from pathlib import Path

import pytest

from runner.sandbox.start_barrier import GAVE_UP, SCRIPT, StartBarrier

# Far more than a shell needs to start: only a mistake waits this long.
_SECONDS = 60.0


def _start(barrier: StartBarrier, *program: str, script: str = SCRIPT) -> "subprocess.Popen[bytes]":
    chain = ["/bin/sh", "-c", script, "sh", *program]
    process = subprocess.Popen(chain, stdin=barrier.inside, stdout=subprocess.PIPE)
    barrier.chain_started()
    return process


def test_a_program_starts_when_it_is_let_through() -> None:
    """It has its arguments and its own exit status, and its standard input is empty and not the barrier."""
    with StartBarrier() as barrier:
        program = ("sh", "-c", 'cat; echo "$1"; exit 7', "-", "a b")
        with _start(barrier, *program) as process:
            assert barrier.open(process.pid, _SECONDS) and barrier.opened
            assert process.communicate()[0] == b"a b\n"
            assert process.returncode == 7


def test_nothing_starts_when_the_runner_dies(tmp_path: Path) -> None:
    """A chain whose runner dies before it opens the barrier ends without having run the program."""
    mark = tmp_path / "ran"
    with StartBarrier() as barrier:
        process = _start(barrier, "touch", str(mark))
    with process:
        # It was waiting at the barrier, or was about to and its output had no reader any more.
        assert process.wait(_SECONDS) in (GAVE_UP, -signal.SIGPIPE)
    assert not mark.exists()


def test_a_chain_that_ends_before_the_barrier_is_not_let_through() -> None:
    """A tool that fails on the way is distinguished from a program that ran."""
    with StartBarrier() as barrier, _start(barrier, "true", script="exit 3") as process:
        assert not barrier.open(process.pid, _SECONDS) and not barrier.opened
        assert process.wait(_SECONDS) == 3


def test_a_child_of_a_dead_chain_is_not_let_through() -> None:
    """A process that a dead chain has left cannot pass in its place, and the runner does not wait for it."""
    leaves_a_child = "exec 3<&0; cat <&3 >/dev/null & exit 0"  # which lives until the barrier is closed
    with StartBarrier() as barrier, _start(barrier, script=leaves_a_child) as process:
        assert not barrier.open(process.pid, _SECONDS) and process.wait(_SECONDS) == 0


def test_a_chain_that_never_reaches_the_barrier_is_an_error() -> None:
    """The wait is bounded."""
    with StartBarrier() as barrier, _start(barrier, script="exec sleep 600") as process:
        with pytest.raises(TimeoutError):
            barrier.open(process.pid, 0.1)
        process.kill()
