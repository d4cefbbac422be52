"""What a sandbox costs: each job beside the bare command, as a ratio of medians taken in one run.

    make bench                                  every sandbox
    make bench ARGS="bubblewrap docker"

It only prints: a time on a busy machine proves nothing. Bare and confined runs take turns, so that whatever
else the machine does slows down both; the ratio of their medians is the figure to compare. Each sandbox is
measured where it is used, next to the bare command with the same compiler:

- bubblewrap on this host;
- setpriv in a container of the runner's image under the conditions of Fargate, the bare command as well;
- docker from this host, with the bare command in a container of the same image that runs all the time.

The engine for the last two is that of the tests (tests/support/engine.py). The programs are in bench/bare.py.
"""

import argparse
import contextlib
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from bench.bare import PROGRAMS, Program, is_here, seconds
from runner.sandbox import SANDBOXES
from runner.sandbox.base import Command, Sandbox, SandboxError, SandboxUnavailable
from runner.sandbox.limits import default_limits
from runner.workspace import Workspace

if TYPE_CHECKING:
    from tests.support.engine import Engine

# Odd, so that a median is one that was measured; fifteen pairs take half a minute for each sandbox.
ROUNDS = 15

# Seconds of the bare command for one program.
Bare = Callable[[Program], float]


def confined(sandbox: Sandbox, argv: Sequence[str], program: Program) -> float:
    """Seconds of the whole job in the sandbox, its workspace included."""
    started = time.perf_counter()
    with Workspace.create({program.name: program.source}) as workspace:
        result = sandbox.run(Command(argv), workspace, default_limits())
    if result.exit_code != 0:
        raise SandboxError(f"{argv[0]} ended with {result.exit_code}: {result.stderr[:200]!r}")
    return time.perf_counter() - started


def bare_here(program: Program) -> float:
    """On this host, or inside the container that this runs in."""
    argv = program.command(is_here)
    if argv is None:
        raise SandboxError("no compiler")
    return seconds(argv, program)


@contextlib.contextmanager
def bare_in_a_container(engine: "Engine") -> Iterator[Bare]:
    """In a container that runs all the time; what it costs to start the command in there is not counted."""
    with engine.container(["-c", "import time; time.sleep(3600)"], {}) as container:

        def bare(program: Program) -> float:
            status, output = container.exec_run(["python", "-m", "bench.bare", str(PROGRAMS.index(program))])
            if status != 0:
                raise SandboxError(output.decode(errors="replace").strip())
            return float(output)

        yield bare


def works_in(sandbox: Sandbox) -> Callable[[str], bool]:
    """Whether a program is there and runs in the sandbox."""

    def works(name: str) -> bool:
        try:
            with Workspace.create({}) as workspace:
                command = Command([name, "--version"])
                return sandbox.run(command, workspace, default_limits()).exit_code == 0
        except SandboxError:
            return False

    return works


def measure(sandbox: Sandbox, program: Program, bare: Bare) -> str:
    """One row of the table."""
    argv = program.command(works_in(sandbox))
    if argv is None:
        return f"{sandbox.name:<12} {program.title:<16} no compiler"
    pairs = []
    for round_number in range(ROUNDS + 1):
        pair = bare(program), confined(sandbox, argv, program)
        if round_number:  # the first one fills caches
            pairs.append(pair)
    alone, boxed = (statistics.median(values) for values in zip(*pairs, strict=True))
    return (
        f"{sandbox.name:<12} {program.title:<16} {argv[0]:<8} {alone * 1000:8.1f} ms {boxed * 1000:8.1f} ms "
        f"{(boxed - alone) * 1000:+8.1f} ms {boxed / alone:7.2f} x"
    )


def measure_all(sandbox: Sandbox, bare: Bare) -> None:
    """The rows of one sandbox. Raises SandboxUnavailable."""
    sandbox.probe()
    for program in PROGRAMS:
        say(measure(sandbox, program, bare))


def say(line: str) -> None:
    """One line of the report, at once."""
    print(line, flush=True)  # noqa: T201 -- a report on the terminal is what this program is for


@contextlib.contextmanager
def engine_of_the_tests() -> "Iterator[Engine]":
    """The engine with its images. Raises SandboxUnavailable without an engine."""
    import pytest

    from tests.support.engine import start_engine

    with contextlib.ExitStack() as stack:
        try:
            engine = stack.enter_context(start_engine())
            engine.build()
        except (pytest.skip.Exception, pytest.fail.Exception) as missing:
            raise SandboxUnavailable(str(missing)) from missing
        yield engine


def measure_docker() -> None:
    """The rows of the docker sandbox. Raises SandboxUnavailable."""
    from runner.sandbox.docker.sandbox import Docker
    from tests.support.engine import RUNNER

    with engine_of_the_tests() as engine, bare_in_a_container(engine) as bare:
        measure_all(Docker(RUNNER, base_url=engine.url), bare)


def measure_setpriv() -> None:
    """The rows of the setpriv sandbox, measured by this very program inside. Raises SandboxUnavailable."""
    with engine_of_the_tests() as engine:
        status, output = engine.module("bench.overhead", "--here", "setpriv")
    if status != 0:
        raise SandboxUnavailable(output.strip())
    say(output.strip())


ELSEWHERE = {"docker": measure_docker, "setpriv": measure_setpriv}


def main(arguments: Sequence[str]) -> int:
    """Measure and print; returns 1 when no sandbox works."""
    parser = argparse.ArgumentParser(description="What a sandbox costs beside the bare command.")
    parser.add_argument("sandboxes", nargs="*", choices=[[], *SANDBOXES], metavar="SANDBOX")
    parser.add_argument("--here", action="store_true", help="no container: each one as it works here")
    chosen = parser.parse_args(arguments)
    if not chosen.here:
        say(f"medians of {ROUNDS} pairs; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        head = f"{'sandbox':<12} {'program':<16} {'compiler':<8}"
        say(f"{head} {'bare':>11} {'confined':>11} {'overhead':>11} {'ratio':>9}")
    measured = 0
    for name in chosen.sandboxes or list(SANDBOXES):
        try:
            if name in ELSEWHERE and not chosen.here:
                ELSEWHERE[name]()
            else:
                measure_all(SANDBOXES[name](), bare_here)
        except SandboxError as error:
            say(f"{name:<12} cannot be measured here: {error}")
        else:
            measured += 1
    return 0 if measured else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
