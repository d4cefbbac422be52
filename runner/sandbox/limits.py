"""The limits of a run: their default values, each with its reason, and how a kernel is told.

Shared by every sandbox that starts the compiler through util-linux's `prlimit`. The kernel's
limits are per process, so they only stop what is too fast for sampling; the sums over the process
tree are watched by `supervisor.py`.
"""

import math

from runner.sandbox.base import Limits

MIB = 1024 * 1024

# CPU time decides (DESIGN: jobs that starve each other must not time out), so the wall clock only
# has to end what sleeps: four times leaves room for as many busy jobs on each core.
WALL_PER_CPU_SECOND = 4

# g++ needs 150 to 300 MB for one heavy standard header and 1 GB for the largest template
# libraries; clang about the same. Several jobs run at once, so not everything a host has.
MEMORY_MIB = 1024

# A page of errors is 4 kB; a template error can be 200 kB. Beyond this nobody reads on, and the
# text must fit into Redis and through API Gateway (10 MB) for both streams.
OUTPUT_KIB = 256

# A debug build of a header-only library leaves 20 MB of assembler text. The workspace lives in
# memory, so this comes on top of `memory_bytes`, once for it and once for /tmp.
DISK_MIB = 128

# gcc and clang use 4, but runtimes with a thread pool (go, java) start one thread per core and a
# few more, and threads count as well.
PROCESSES = 128

# C and C++ headers are read one inside the other, 200 deep at most; go looks at the packages of its library
# side by side, and took up to 320 for a program that imports them all.
OPEN_FILES = 1024

# An empty file costs no bytes of disk but about 1 kB of kernel memory: one for every 16 kB of
# disk is far more than a compiler makes.
DISK_BYTES_PER_FILE = 16 * 1024

# Where a process alone uses up the CPU time, the kernel ends it even if the runner is not looking;
# a second later than the sampled sum would, so that the sum decides in the ordinary case.
_CPU_BACKSTOP_SECONDS = 1


def default_limits(
    *, timeout_seconds: float = 30, memory_mib: int = MEMORY_MIB, output_kib: int = OUTPUT_KIB
) -> Limits:
    """Build limits from the three that operators set; the others are the constants above.

    `timeout_seconds` is CPU time, summed over the process tree.
    """
    return Limits(
        wall_seconds=timeout_seconds * WALL_PER_CPU_SECOND,
        cpu_seconds=timeout_seconds,
        memory_bytes=memory_mib * MIB,
        output_bytes=output_kib * 1024,
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
    limit counts every process of the same user (of the same user namespace, since Linux 5.14), so
    `extra_processes` says how many of the sandbox's own are among them; None leaves this limit out.
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
