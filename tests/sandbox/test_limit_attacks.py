"""Programs that want more than the limits of memory and time, by ways that no process shows.

They are measured from outside: neither what a program believes to have taken counts, nor what the sandbox
says. For memory the kernel's own count of a control group does; processor time is what processes have
printed, each before it ends. `probes/limits.c` has the programs.
"""

import contextlib
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from runner.sandbox.base import Command, LimitHit, Sandbox, SandboxResult
from runner.sandbox.docker.engine import LABEL, this_runner
from runner.sandbox.limits import MIB, default_limits
from runner.workspace import Workspace
from tests.sandbox.support import build_probe
from tests.support.engine import Engine
from tests.support.memory_peak import memory_peak

_SOURCE = Path(__file__).parent / "probes" / "limits.c"

# Large beside what can be taken between two samples (40 MB), small enough for any machine. The disk is small,
# since what is on it comes on top.
_LIMITS = replace(
    default_limits(timeout_seconds=20, memory_mib=640), disk_bytes=16 * MIB, processes=128, open_files=1024
)

# What the programs want, and what they may get.
_WANTED_MIB = 1000
_ALLOWED_BYTES = int(1.3 * _LIMITS.memory_bytes)

# A busy machine samples late, and then a program gets more: it never gets less. So one success is enough.
_MEASUREMENTS = 3

# What a filter denies before it costs anything, and the call that is denied.
_DENIED = {
    "given-back": "mmap",
    "huge-pages-in-pipes": "vmsplice",
    "sockets-in-flight": "sendmsg",
    "byte-locks": "lock",
    "rulesets": "ruleset",
}

# What is counted, and ends the run.
_COUNTED = ("page-tables", "socket-buffers", "pipe-buffers", "mappings")

# What only a control group counts. Elsewhere the kernel's own limit for a user holds, which is a part of the
# machine's memory (fs.epoll.max_user_watches): docs/security.md says so.
_IN_A_CONTROL_GROUP = ("watches",)


@pytest.fixture(scope="session")
def attack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled programs."""
    return build_probe(_SOURCE, tmp_path_factory.mktemp("limits") / "limits")


@contextlib.contextmanager
def _peak_of_containers(engine: Engine) -> Iterator[Callable[[], int]]:
    """The same as `memory_peak`, for the containers that this process starts meanwhile."""
    most = 0
    ended = threading.Event()

    def look() -> None:
        nonlocal most
        with engine.client() as client:
            while not ended.wait(0.05):
                for container in client.containers.list(filters={"label": f"{LABEL}={this_runner()}"}):
                    with contextlib.suppress(Exception):  # it has ended meanwhile
                        memory = client.api.stats(container.id, stream=False, one_shot=True)["memory_stats"]
                        most = max(most, memory.get("max_usage", 0), memory.get("usage", 0))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield lambda: most
    finally:
        ended.set()
        thread.join()


@pytest.fixture
def attacked(
    sandbox: Sandbox, attack: Path, request: pytest.FixtureRequest
) -> Callable[[str], tuple[SandboxResult, int]]:
    """Runs one program until it got no more than is allowed, or too often; the result, and what it got."""

    def peak() -> "contextlib.AbstractContextManager[Callable[[], int]]":
        if sandbox.name == "docker":
            return _peak_of_containers(request.getfixturevalue("engine"))
        return memory_peak()

    def measure(word: str) -> tuple[SandboxResult, int]:
        with Workspace.create({}) as workspace, peak() as most:
            shutil.copy(attack, workspace.path / "limits")
            result = sandbox.run(Command(["./limits", word, str(_WANTED_MIB)]), workspace, _LIMITS)
            used_bytes = most()
        print(
            f"{word}: {used_bytes / MIB:.0f} MiB used, {result.peak_memory_bytes / MIB:.0f} counted in "
            f"{result.duration_seconds:.1f} s, {result.limit_hit}, {result.stdout[:60]!r}"
        )
        return result, used_bytes

    def attacked(word: str) -> tuple[SandboxResult, int]:
        measured = measure(word)
        for _ in range(_MEASUREMENTS - 1):
            if measured[1] > _ALLOWED_BYTES:
                measured = measure(word)
        return measured

    return attacked


@pytest.mark.parametrize(("word", "call"), _DENIED.items(), ids=_DENIED)
def test_memory_that_no_process_shows_is_denied(
    attacked: Callable[[str], tuple[SandboxResult, int]], word: str, call: str
) -> None:
    """The call that takes it fails, and next to nothing is used."""
    result, used_bytes = attacked(word)
    assert (result.limit_hit, result.exit_code) == (None, 1)
    assert result.stdout.startswith(f"{call}: ".encode())
    assert used_bytes < _LIMITS.memory_bytes / 3


@pytest.mark.parametrize("word", _COUNTED)
def test_memory_of_the_kernel_counts(attacked: Callable[[str], tuple[SandboxResult, int]], word: str) -> None:
    """What the kernel keeps for a job hits the limit before it is 1.3 times as much, or is never as much."""
    result, used_bytes = attacked(word)
    assert used_bytes <= _ALLOWED_BYTES
    if used_bytes > _LIMITS.memory_bytes:
        # An engine may be too busy to say why it killed: for memory, as runner/verdict.py has it.
        assert result.limit_hit is LimitHit.MEMORY or result.signal == signal.SIGKILL


@pytest.mark.parametrize("word", _IN_A_CONTROL_GROUP)
def test_a_control_group_counts_everything(
    sandbox: Sandbox, attacked: Callable[[str], tuple[SandboxResult, int]], word: str
) -> None:
    """In a container even that is held which no process shows and no filter can deny."""
    if sandbox.name == "docker":
        assert attacked(word)[1] <= _ALLOWED_BYTES


# How well short processes are seen depends on how soon a sample is taken, and so on what else runs.
@pytest.mark.alone
@pytest.mark.parametrize("word", ["vanishing", "between-samples", "orphans"])
def test_processor_time_that_vanishes_counts(sandbox: Sandbox, attack: Path, word: str) -> None:
    """Processes that are short, between samples or without a parent get 1.2 times the limit at most."""
    limits = replace(_LIMITS, cpu_seconds=3, wall_seconds=100)
    measured: list[float] = []
    while len(measured) < _MEASUREMENTS and not (measured and measured[-1] <= 1.2 * limits.cpu_seconds):
        with Workspace.create({}) as workspace:
            shutil.copy(attack, workspace.path / "limits")
            result = sandbox.run(Command(["./limits", word]), workspace, limits)
        assert result.limit_hit in (LimitHit.TIMEOUT, LimitHit.PROCESSES)
        measured.append(len(result.stdout) / 1000)
        print(
            f"{word}: {measured[-1]:.1f} s used, {result.cpu_seconds:.1f} counted in "
            f"{result.duration_seconds:.1f} s, {result.limit_hit}"
        )
    assert measured[-1] <= 1.2 * limits.cpu_seconds, measured
