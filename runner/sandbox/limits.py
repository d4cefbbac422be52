"""The limits of a run: their default values, why they are what they are, and how the kernel is told.

CPU time, memory and output are settings: their numbers are in chalicelib/settings.py. The kernel's limits
(util-linux's `prlimit`) are per process, so they only stop what is too fast for sampling; the sums over
the process tree are watched by `supervisor.py`.

docs/development.md says how to add a limit.
"""

import math

from chalicelib.settings import Settings
from runner.sandbox.base import Limits

MIB = 1024 * 1024

_DEFAULTS = Settings.from_env({})

# g++ and clang need 150 to 300 MB for one heavy standard header, and 1 GB for the largest template libraries.
# Several jobs run at once, so it is not everything that a host has.
MEMORY_MIB = _DEFAULTS.compile_memory_mb

# Per stream. A page of errors is 4 kB; a template error can be 200 kB. Nobody reads more, and both streams
# must fit into Redis and through API Gateway (10 MB).
OUTPUT_KIB = _DEFAULTS.output_limit_kb

# Per stream. The 6,000 warnings of a large source are some MB. javac quotes the line of each error and draws
# a line of blanks below it: a hundred errors in a line of 160,000 characters are 32 MB. To read 64 MiB takes
# about a second of the runner's processor time, and 8 if all lines are empty. More ends the run.
FLOOD_MIB = 64

# CPU time decides, so that jobs which starve each other do not time out. The wall clock only has to end
# what sleeps: four times the CPU time leaves room for four busy jobs on each core.
WALL_PER_CPU_SECOND = 4

# A debug build of a header-only library leaves 20 MB of assembler text. The workspace lives in
# memory, so this comes on top of `memory_bytes`, once for it and once for /tmp.
DISK_MIB = 128

# gcc and clang use 4 processes. Threads count as well, and runtimes with a thread pool (go, java) start one
# for each core and a few more.
PROCESSES = 128

# Per process. C and C++ headers are read one inside the other, 200 deep at most; go reads the packages of its
# library side by side, and opened up to 320 files for a program that imports them all.
OPEN_FILES = 1024

# An empty file costs no bytes of disk but about 1 kB of kernel memory: one for every 16 kB of
# disk is far more than a compiler makes.
DISK_BYTES_PER_FILE = 16 * 1024

# The kernel also ends a process that uses up the CPU time alone, in case the runner is not looking: one
# second later than the sampled sum does, so that the sum decides in the ordinary case.
_CPU_BACKSTOP_SECONDS = 1


def default_limits(
    *,
    timeout_seconds: float = _DEFAULTS.compile_timeout_seconds,
    memory_mib: int = MEMORY_MIB,
    output_kib: int = OUTPUT_KIB,
) -> Limits:
    """Build limits from the three that operators set; the others are the constants above.

    `timeout_seconds` is CPU time, summed over the process tree.
    """
    return Limits(
        wall_seconds=timeout_seconds * WALL_PER_CPU_SECOND,
        cpu_seconds=timeout_seconds,
        memory_bytes=memory_mib * MIB,
        output_bytes=output_kib * 1024,
        flood_bytes=FLOOD_MIB * MIB,
        disk_bytes=DISK_MIB * MIB,
        processes=PROCESSES,
        open_files=OPEN_FILES,
    )


def file_count_limit(limits: Limits) -> int:
    """How many files a run may make, in the workspace and in /tmp separately."""
    return max(64, limits.disk_bytes // DISK_BYTES_PER_FILE)


def prlimit_command(limits: Limits, *, extra_processes: int | None = 0) -> list[str]:
    """The `prlimit … --` prefix that puts the kernel's limits on the command after it.

    DATA and not AS: runtimes reserve gigabytes of address space without using them. The process
    limit counts every process of the same user (of the same user namespace, since Linux 5.14).
    `extra_processes` is how many of these are the sandbox's own; None leaves the process limit out.
    """
    cpu = math.ceil(limits.cpu_seconds) + _CPU_BACKSTOP_SECONDS
    processes = [] if extra_processes is None else [f"--nproc={limits.processes + extra_processes}"]
    return [
        "prlimit",
        f"--cpu={cpu}:{cpu + 1}",
        f"--data={limits.memory_bytes}",
        f"--fsize={limits.disk_bytes}",
        *processes,
        f"--nofile={limits.open_files}",
        "--core=0",
        "--memlock=0",
        "--msgqueue=0",
        "--",
    ]
