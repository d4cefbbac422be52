"""What a sandbox costs: each job beside the bare command, as a ratio of medians taken in one run.

    make bench              every sandbox that works here
    make bench ARGS="bubblewrap docker"

It prints and judges nothing: a time on a busy machine is no claim. Bare and confined runs take turns, so that
whatever else the machine does weighs on both; the ratio of their medians is then the figure to compare. A
sandbox with compilers of its own (docker) is compared with the same command on this host, and says so when
the versions differ. To measure another program, add it to `PROGRAMS`.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from runner.sandbox import SANDBOXES
from runner.sandbox.base import Sandbox, SandboxError, SandboxUnavailable
from runner.sandbox.limits import default_limits
from runner.workspace import Workspace

# Odd, so that a median is one that was measured; fifteen pairs take half a minute for each sandbox.
ROUNDS = 15


@dataclass(frozen=True, slots=True)
class Program:
    """What is compiled: a file name decides the language, and `compilers` are tried in this order."""

    title: str
    compilers: tuple[str, ...]
    name: str
    source: str


PROGRAMS = (
    Program("nothing (true)", ("true",), "main.c", ""),
    Program("trivial C", ("gcc-14", "gcc-12", "gcc"), "main.c", "int main(void) { return 0; }\n"),
    Program(
        "C++ <iostream>",
        ("g++-14", "g++-12", "g++"),
        "main.cpp",
        '#include <iostream>\nint main() { std::cout << "hello\\n"; }\n',
    ),
)


def bare(argv: Sequence[str], program: Program) -> float:
    """Seconds of the command alone, in a folder with the source; that is made and removed as well."""
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        Path(folder, program.name).write_text(program.source)
        subprocess.run(
            argv, cwd=folder, check=True, capture_output=True, env={"PATH": os.defpath, "TMPDIR": folder}
        )
    return time.perf_counter() - started


def confined(sandbox: Sandbox, argv: Sequence[str], program: Program) -> float:
    """Seconds of the whole job in the sandbox, its workspace included."""
    started = time.perf_counter()
    with Workspace.create({program.name: program.source}) as workspace:
        result = sandbox.run(argv, workspace, default_limits())
    if result.exit_code != 0:
        raise SandboxError(f"{argv[0]} ended with {result.exit_code}: {result.stderr[:200]!r}")
    return time.perf_counter() - started


def command(program: Program, works: Callable[[str], bool]) -> list[str] | None:
    """The command with the first compiler that works; None when there is none."""
    name = next(filter(works, program.compilers), None)
    if name is None:
        return None
    return [name] if name == "true" else [name, "-c", program.name]


def works_in(sandbox: Sandbox) -> Callable[[str], bool]:
    """Whether a program is there and runs in the sandbox."""

    def works(name: str) -> bool:
        try:
            with Workspace.create({}) as workspace:
                return sandbox.run([name, "--version"], workspace, default_limits()).exit_code == 0
        except SandboxError:
            return False

    return works


def measure(sandbox: Sandbox, program: Program) -> str:
    """One row of the table."""
    inside = command(program, works_in(sandbox))
    outside = command(program, lambda name: shutil.which(name) is not None)
    if inside is None or outside is None:
        return f"{sandbox.name:<12} {program.title:<16} no compiler"
    pairs = []
    for round_number in range(ROUNDS + 1):
        pair = bare(outside, program), confined(sandbox, inside, program)
        if round_number:  # the first one fills caches
            pairs.append(pair)
    alone, boxed = (statistics.median(values) for values in zip(*pairs, strict=True))
    note = "" if inside == outside else f"  (bare {outside[0]}, confined {inside[0]})"
    return (
        f"{sandbox.name:<12} {program.title:<16} {alone * 1000:8.1f} ms {boxed * 1000:8.1f} ms "
        f"{(boxed - alone) * 1000:+8.1f} ms {boxed / alone:7.2f} x{note}"
    )


def say(line: str) -> None:
    """One line of the report, at once."""
    print(line, flush=True)  # noqa: T201 -- a report on the terminal is what this program is for


def main(arguments: Sequence[str]) -> int:
    """Measure and print; 1 when no sandbox works."""
    parser = argparse.ArgumentParser(description="What a sandbox costs beside the bare command.")
    parser.add_argument("sandboxes", nargs="*", choices=[[], *SANDBOXES], metavar="SANDBOX")
    chosen = parser.parse_args(arguments).sandboxes or list(SANDBOXES)
    say(f"medians of {ROUNDS} pairs; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    say(f"{'sandbox':<12} {'program':<16} {'bare':>11} {'confined':>11} {'overhead':>11} {'ratio':>9}")
    measured = 0
    for name in chosen:
        sandbox = SANDBOXES[name]()
        try:
            sandbox.probe()
        except SandboxUnavailable as unavailable:
            say(f"{name:<12} does not work here: {unavailable}")
            continue
        for program in PROGRAMS:
            say(measure(sandbox, program))
        measured += 1
    return 0 if measured else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
