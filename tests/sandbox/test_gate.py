"""The gate before a job's program: who may start it, and what becomes of it when nobody does."""

import signal
import subprocess
from pathlib import Path

import pytest

from runner.sandbox.start_barrier import SCRIPT, Gate

# Far more than a shell needs to start; only a mistake waits as long.
_SECONDS = 30.0


def _start(gate: Gate, *program: str, script: str = SCRIPT) -> "subprocess.Popen[bytes]":
    chain = ["/bin/sh", "-c", script, "sh", *program]
    process = subprocess.Popen(chain, stdin=gate.inside, stdout=subprocess.PIPE)
    gate.started()
    return process


def test_a_program_starts_when_it_is_let_through() -> None:
    """It has its arguments, its own exit status, and nothing on standard input, the gate least of all."""
    with Gate() as gate, _start(gate, "sh", "-c", 'cat; echo "$1"; exit 7', "-", "a b") as process:
        assert gate.open(process.pid, _SECONDS) and gate.opened
        assert process.communicate()[0] == b"a b\n"
        assert process.returncode == 7


def test_nothing_starts_when_the_runner_goes_away(tmp_path: Path) -> None:
    """A chain whose runner dies before it opens the gate ends without having run the program."""
    mark = tmp_path / "ran"
    with Gate() as gate:
        process = _start(gate, "touch", str(mark))
    with process:
        # It was at the gate already, or came to one that was closed.
        assert process.wait(_SECONDS) in (125, -signal.SIGPIPE)
    assert not mark.exists()


def test_a_chain_that_ends_before_the_gate_is_not_let_through() -> None:
    """A tool that fails on the way is told from a program that ran."""
    with Gate() as gate, _start(gate, "true", script="exit 3") as process:
        assert not gate.open(process.pid, _SECONDS) and not gate.opened
        assert process.wait(_SECONDS) == 3


def test_a_chain_that_is_dead_but_left_something_is_not_let_through() -> None:
    """What a killed chain leaves behind cannot pass in its place, and nobody waits for it."""
    leaves_a_child = "exec 3<&0; sleep 5 >/dev/null & exit 0"
    with Gate() as gate, _start(gate, script=leaves_a_child) as process:
        assert not gate.open(process.pid, 2) and process.wait(_SECONDS) == 0


def test_a_chain_that_never_arrives_is_an_error() -> None:
    """The wait is bounded."""
    with Gate() as gate, _start(gate, script="exec sleep 60") as process:
        with pytest.raises(TimeoutError):
            gate.open(process.pid, 0.1)
        process.kill()
