"""The programs that the bench compiles, and how long the bare command takes for each.

    python -m bench.bare NUMBER     prints the seconds for `PROGRAMS[NUMBER]`, measured once

It is a command of its own so that it can be run inside a container, and what it costs to start a command in
there is not measured. To measure another program, add it to `PROGRAMS`.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Program:
    """A program to compile. The file name decides the language; `compilers` are tried in this order."""

    title: str
    compilers: tuple[str, ...]
    name: str
    source: str

    def command(self, works: Callable[[str], bool]) -> list[str] | None:
        """The command with the first compiler that works; None when none does."""
        compiler = next(filter(works, self.compilers), None)
        if compiler is None:
            return None
        return [compiler] if compiler == "true" else [compiler, "-c", self.name]


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


def is_here(compiler: str) -> bool:
    """Whether the program is on the PATH."""
    return shutil.which(compiler) is not None


def seconds(argv: Sequence[str], program: Program) -> float:
    """How long the command takes, including making and removing a folder with the source."""
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        Path(folder, program.name).write_text(program.source)
        subprocess.run(
            argv, cwd=folder, check=True, capture_output=True, env={"PATH": os.defpath, "TMPDIR": folder}
        )
    return time.perf_counter() - started


if __name__ == "__main__":
    chosen = PROGRAMS[int(sys.argv[1])]
    argv = chosen.command(is_here)
    if argv is None:
        sys.exit(f"none of {', '.join(chosen.compilers)} is installed")
    sys.stdout.write(f"{seconds(argv, chosen)}\n")
