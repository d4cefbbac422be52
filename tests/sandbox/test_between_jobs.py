"""Many hostile jobs in a row, and two jobs at once: none costs the runner or its neighbour anything.

Whether one job leaves something is checked after every case of `test_hostile.py`.
"""

import ctypes
import gc
import os
import resource
import statistics
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from runner.sandbox.base import Command, Limits, Sandbox, SandboxResult
from runner.sandbox.limits import MIB
from runner.workspace import Workspace, workspaces_folder
from tests.sandbox.hostile.corpus import LIMITS
from tests.sandbox.hostile.leftovers import Leftovers
from tests.sandbox.hostile.programs import VERSIONS, program
from tests.sandbox.support import TIGHT, processes_named
from tests.support.servers.tools import wait_until

_WORKERS = 4
# Jobs before the first measurement, so that Python has the memory that four jobs at a time need. An engine's
# client library takes longest: 5 MiB more after 160 jobs, and no more than that after 400.
_WARM_UP = 100
# Four outputs of the largest size, and what the allocator rounds up. A leak of one workspace's text or of one
# stream per job would be far more after 200 jobs.
_MOST_GROWTH_BYTES = 8 * MIB

# The rounds of a comparison: an odd number, so that the median is a duration that was measured.
_ROUNDS = 9
# How often a claim is measured on a noisy machine. One success is enough, since noise only makes it fail.
_MEASUREMENTS = 3


@dataclass(frozen=True, slots=True)
class _Job:
    """A program that the sandbox runs in place of a compiler, or a compiler, over some files."""

    name: str
    argv: tuple[str, ...]
    source: str = "int main() { return 0; }\n"


# "gcc" and "g++" stand for the version that is there.
_GCC = ("gcc", "-c", "main.c")
_HOSTILE = (
    _Job("reads the host", _GCC, '#include "/proc/self/environ"\n#include "/etc/passwd"\n'),
    _Job("includes itself", _GCC, '#include "main.c"\n'),
    _Job("floods", _GCC, "#warning flood\n" * 20_000),
    _Job("fills the disk", _GCC, 'asm(".fill 0x10000000000, 1, 65");\n'),
    _Job("eats memory", _GCC, 'asm(".rept 1000000000\\n.long 1\\n.endr");\n'),
    _Job("breaks the compiler", _GCC, "int x = " + "(" * 300_000 + "1" + ")" * 300_000 + ";\n"),
    _Job("forks", ("./probe", "fork-bomb")),
    _Job("leaves orphans", ("./probe", "orphan")),
    _Job("makes files", ("./probe", "many-files")),
    _Job("eats shared memory", ("./probe", "eat-shared", "2000")),
)

_JOBS = [_HOSTILE[number % len(_HOSTILE)] for number in range(200)]

_HONEST = _Job(
    "honest", ("g++", "-O1", "-c", "-x", "c++", "main.c"), "#include <map>\nstd::map<int, int> m;\n"
)


@dataclass(frozen=True, slots=True)
class _Usage:
    """What the runner itself uses."""

    resident_bytes: int
    descriptors: int
    threads: int
    disk_bytes: int

    @classmethod
    def now(cls) -> "_Usage":
        """Measure this process, without memory that it only keeps for later, and its workspaces."""
        gc.collect()
        # How much freed memory glibc keeps depends on what else this process has done.
        ctypes.CDLL(None).malloc_trim(0)
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        folders = (workspaces_folder(), Path(tempfile.gettempdir()))
        workspaces = [path for folder in folders for path in folder.glob(f"{os.getpid()}-*")]
        own = [path for workspace in workspaces for path in workspace.rglob("*")]
        return cls(
            pages * resource.getpagesize(),
            len(os.listdir("/proc/self/fd")),
            threading.active_count(),
            sum(path.lstat().st_size for path in own),
        )


Start = Callable[..., SandboxResult]


@pytest.fixture
def start(sandbox: Sandbox, workspace_with_probe: Callable[[], Workspace]) -> Start:
    """Runs a `_Job` in a workspace of its own."""
    return _starter(sandbox, workspace_with_probe)


@pytest.fixture
def start_in_one(one_sandbox: Sandbox, workspace_with_probe: Callable[[], Workspace]) -> Start:
    """The same in one sandbox only."""
    return _starter(one_sandbox, workspace_with_probe)


def _starter(sandbox: Sandbox, workspace_with_probe: Callable[[], Workspace]) -> Start:
    def start(job: _Job, limits: Limits = LIMITS, cancel: threading.Event | None = None) -> SandboxResult:
        with workspace_with_probe() as workspace:
            (workspace.path / "main.c").write_text(job.source)
            argv = [program(sandbox, word) if word in VERSIONS else word for word in job.argv]
            return sandbox.run(Command(argv), workspace, limits, cancel=cancel)

    return start


@pytest.mark.timeout(240)  # seconds; about 50 on two idle cores
def test_two_hundred_hostile_jobs_cost_the_runner_nothing(start: Start) -> None:
    """After 200 hostile jobs, four at a time, the runner uses no more memory, files, threads or disk.

    A leak shows in every 200 jobs. What Python or the allocator grows by once does not come again.
    """
    grown: list[int] = []
    with ThreadPoolExecutor(_WORKERS) as pool:
        list(pool.map(start, _JOBS[:_WARM_UP]))
        while len(grown) < _MEASUREMENTS and not (grown and grown[-1] < _MOST_GROWTH_BYTES):
            grown.append(_growth(start, pool))
    assert grown[-1] < _MOST_GROWTH_BYTES, grown


def _growth(start: Start, pool: ThreadPoolExecutor) -> int:
    """By how many bytes this process grows in 200 jobs. In everything else it must be as before."""
    left_before, before = Leftovers.look(), _Usage.now()
    started = time.monotonic()
    ends = Counter(str(result.limit_hit or result.exit_code) for result in pool.map(start, _JOBS))
    seconds = time.monotonic() - started
    after, left = _Usage.now(), Leftovers.look().since(left_before)
    print(f"{len(_JOBS)} jobs in {seconds:.1f} s; ends: {dict(ends)}\nbefore {before}\nafter  {after}")
    assert left == []
    assert replace(after, resident_bytes=0) == replace(before, resident_bytes=0)
    return after.resident_bytes - before.resident_bytes


@contextmanager
def _beside(start: Start, hostile: _Job) -> Iterator[None]:
    """Keep a hostile job running until the context ends: each time a limit ends it, it is started again."""
    cancel, running = threading.Event(), threading.Event()

    def again() -> None:
        while not cancel.is_set():
            running.set()
            start(hostile, replace(LIMITS, cpu_seconds=20), cancel)

    with ThreadPoolExecutor(1) as pool:
        neighbour = pool.submit(again)
        try:
            running.wait()
            # So that it is at work, and not only starting.
            time.sleep(0.1)
            yield
        finally:
            cancel.set()
            neighbour.result()


_NEIGHBOURS = (
    _Job("template bomb", ("g++", "-c", "-x", "c++", "main.c"), (
        "template <int N, unsigned long I> struct A { typename A<N-1,I*2>::t a; typename A<N-1,I*2+1>::t b;"
        " typedef A t; }; template <unsigned long I> struct A<0, I> { typedef int t; }; A<30, 1> x;\n"
    )),
    _Job("flood", ("./probe", "flood", "2")),
    _Job("disk", ("./probe", "many-files")),
    _Job("fork bomb", ("./probe", "fork-bomb")),
)  # fmt: skip
# One process that computes, as a compiler does.
_BUSY = _Job("busy", ("./probe", "spin"))
# Those that take most of the processor and of the memory; how they are held differs between sandboxes.
_STRONGEST = (
    _Job("memory", ("./probe", "eat", "300")),
    _Job("spinning children", ("./probe", "spin-children", "40")),
)


@pytest.mark.alone
@pytest.mark.parametrize("hostile", _STRONGEST, ids=lambda job: job.name)
def test_an_honest_job_beside_a_hostile_one_takes_at_most_twice_as_long(start: Start, hostile: _Job) -> None:
    """It always succeeds, and the median of its durations is less than twice that beside an ordinary job.

    Whatever else the machine does is in the figures, too, so a measurement that failed is repeated.
    """
    _assert_not_starved(start, hostile)


@pytest.mark.alone
@pytest.mark.parametrize("hostile", _NEIGHBOURS, ids=lambda job: job.name)
def test_no_other_hostile_job_starves_an_honest_one(start_in_one: Start, hostile: _Job) -> None:
    """The same for neighbours that are held by the kernel alike in every sandbox."""
    _assert_not_starved(start_in_one, hostile)


def _assert_not_starved(start: Start, hostile: _Job) -> None:
    ratios: list[float] = []
    while len(ratios) < _MEASUREMENTS and not (ratios and ratios[-1] < 2):
        ratios.append(_ratio(start, hostile))
    assert ratios[-1] < 2, ratios


def _ratio(start: Start, hostile: _Job) -> float:
    """How many times as long the honest job takes beside a hostile one as beside an ordinary one.

    Beside an ordinary one rather than alone: two cores may be two threads of one, and then any neighbour
    slows it down by half, which no sandbox can change. The two kinds of runs take turns.
    """
    ordinary: list[float] = []
    beside: list[float] = []
    for _ in range(_ROUNDS):
        for neighbour, seconds in ((_BUSY, ordinary), (hostile, beside)):
            with _beside(start, neighbour):
                honest = start(_HONEST)
            assert honest.exit_code == 0 and honest.limit_hit is None, honest.stderr
            seconds.append(honest.duration_seconds)
    ratio = statistics.median(beside) / statistics.median(ordinary)
    print(
        f"{hostile.name}: beside it {statistics.median(beside):.3f} s, beside an ordinary job "
        f"{statistics.median(ordinary):.3f} s (medians of {_ROUNDS}; fastest {min(beside):.3f} and "
        f"{min(ordinary):.3f}): {ratio:.2f} times"
    )
    return ratio


def _niceness(name: str) -> list[int]:
    """The niceness of every process with this command name."""
    values = []
    for pid in processes_named(name):
        with suppress(ProcessLookupError):
            values.append(os.getpriority(os.PRIO_PROCESS, pid))
    return values


@pytest.mark.parametrize(
    ("words", "nice"), [(("spin",), 0), (("spin-children", "8"), 12)], ids=["one-process", "eight-processes"]
)
def test_the_more_processes_a_job_has_the_less_each_weighs(
    one_sandbox: Sandbox, workspace_with_probe: Callable[[], Workspace], words: tuple[str, ...], nice: int
) -> None:
    """Eight processes that spin are all slowed down; one that spins is not.

    Only in sandboxes that share the kernel's scheduler with the runner: a container has a control group.
    """
    name = f"wicnice{os.getpid() % 10**7}"
    cancel = threading.Event()
    with workspace_with_probe() as workspace, ThreadPoolExecutor(1) as pool:
        os.rename(workspace.path / "probe", workspace.path / name)
        command, limits = Command([f"./{name}", *words]), replace(TIGHT, cpu_seconds=30)
        future = pool.submit(one_sandbox.run, command, workspace, limits, cancel=cancel)
        try:
            wait_until(lambda: bool(_niceness(name)) and min(_niceness(name)) >= nice, "its niceness")
            assert nice or set(_niceness(name)) == {0}
        finally:
            cancel.set()
            assert future.result(timeout=60).cancelled
