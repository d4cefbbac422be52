"""What every sandbox promises about a run: how it ends, what it is limited to, what is left of it."""

import os
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from runner.sandbox.base import Command, LimitHit, Sandbox, SandboxError
from runner.workspace import Workspace
from tests.sandbox.support import TIGHT, Run, processes_named

# Far more than the end of a run takes, and less than the wall clock limit: only a mistake waits this long.
_HANG_SECONDS = 15

# How often a claim about time is measured. A busy machine makes some runs slower and none faster, so one
# success is enough.
_MEASUREMENTS = 10


def _own_descriptors_and_children() -> tuple[set[str], set[str]]:
    """What this process has open, and its child processes, zombies included."""
    tasks = list(Path("/proc/self/task").iterdir())
    children = {child for task in tasks for child in (task / "children").read_text().split()}
    return set(os.listdir("/proc/self/fd")), children


@pytest.mark.parametrize("status", [0, 1, 3, 124, 255])
def test_the_exit_status_is_the_programs_own(run: Run, status: int) -> None:
    """An exit status comes back as it is, without a signal and without a limit."""
    result = run("exit", str(status))
    assert (result.exit_code, result.signal, result.limit_hit) == (status, None, None)


@pytest.mark.parametrize("number", [6, 11, 9, 40])
def test_a_deadly_signal_is_not_an_exit_status(run: Run, number: int) -> None:
    """The result of a program that a signal ended has that signal and no exit status."""
    result = run("die", str(number))
    assert (result.exit_code, result.signal, result.limit_hit) == (None, number, None)


def test_stdout_and_stderr_are_kept_apart(run: Run) -> None:
    """Each stream comes back on its own, byte for byte."""
    result = run("say", "out\n", "err")
    assert (result.stdout, result.stderr) == (b"out\n", b"err")
    assert not result.stdout_truncated and not result.stderr_truncated


def test_stdin_is_empty(run: Run) -> None:
    """Reading stdin gives the end of the file at once."""
    assert run("stdin").stdout == b"0\n"


def test_files_arrive_with_their_contents_and_directories(
    sandbox: Sandbox, workspace_with_probe: Callable[[], Workspace]
) -> None:
    """The program reads the job's files by their relative names."""
    with Workspace.create({"a.txt": "first", "deep/down/b.txt": "sécond"}) as workspace:
        result = sandbox.run(Command(["cat", "a.txt", "deep/down/b.txt"]), workspace, TIGHT)
    assert result.stdout.decode() == "firstsécond"


def test_kernel_limits_are_set(run: Run) -> None:
    """No core file is ever written, and open files are limited as asked."""
    assert run("limits").stdout == b"core 0\nopen_files 64\n"


def test_sleeping_ends_at_the_wall_clock_limit(run: Run) -> None:
    """A program that waits for nothing is ended when the wall clock limit has passed."""
    result = run("sleep", wall_seconds=0.5)
    assert result.limit_hit is LimitHit.TIMEOUT
    assert 0.5 <= result.duration_seconds < _HANG_SECONDS and result.cpu_seconds < 0.3


def test_spinning_ends_at_the_cpu_limit(run: Run) -> None:
    """CPU time decides, long before the wall clock does."""
    result = run("spin", cpu_seconds=0.5)
    assert result.limit_hit is LimitHit.TIMEOUT
    assert 0.4 <= result.cpu_seconds < 3  # the kernel itself ends a process at 2 s


def test_cpu_time_of_children_counts(run: Run) -> None:
    """Children that are each below the limit hit it together."""
    result = run("spin-children", "4", cpu_seconds=1)
    assert result.limit_hit is LimitHit.TIMEOUT
    assert 0.9 <= result.cpu_seconds < 4  # each of them alone could use 1 s


def test_one_process_cannot_take_more_memory(run: Run) -> None:
    """Memory over the limit is denied or ends the run; either way not much more is ever used."""
    result = run("eat", "2000")
    assert result.limit_hit is LimitHit.MEMORY or result.stdout == b"no memory\n"
    assert result.peak_memory_bytes < 2 * TIGHT.memory_bytes


@pytest.mark.parametrize("words", [("eat-shared", "2000"), ("eat-children", "8")], ids=lambda words: words[0])
def test_memory_is_limited_in_sum(run: Run, words: tuple[str, ...]) -> None:
    """Shared memory and many small processes count, which the kernel's own limit does not see."""
    result = run(*words)
    assert result.limit_hit is LimitHit.MEMORY
    assert result.peak_memory_bytes < 8 * TIGHT.memory_bytes


def test_memory_within_the_limit_can_be_used_and_is_reported(run: Run) -> None:
    """A program gets what the limit allows, and its peak is reported."""
    result = run("eat", "40")
    assert result.exit_code == 0 and result.limit_hit is None
    assert 40 * 2**20 <= result.peak_memory_bytes < 60 * 2**20


@pytest.mark.parametrize("stream", ["1", "2"], ids=["stdout", "stderr"])
def test_a_flood_of_output_is_cut_off(run: Run, stream: str) -> None:
    """Endless output ends the run, and no more than the limit is kept of it."""
    result = run("flood", stream)
    kept, rest = (result.stdout, result.stderr) if stream == "1" else (result.stderr, result.stdout)
    assert result.limit_hit is LimitHit.OUTPUT
    assert len(kept) == TIGHT.output_bytes and rest == b""
    assert (result.stdout_truncated, result.stderr_truncated) == (stream == "1", stream == "2")


def test_output_beyond_the_limit_is_dropped(run: Run) -> None:
    """A program may print more than is kept of it; the result says how much it was."""
    result = run("print", str(TIGHT.output_bytes))
    assert (len(result.stdout), result.stdout_truncated) == (TIGHT.output_bytes, False)
    result = run("print", str(TIGHT.output_bytes + 1))
    assert (len(result.stdout), result.stdout_truncated) == (TIGHT.output_bytes, True)
    assert (result.exit_code, result.limit_hit) == (0, None)
    assert result.output_bytes == TIGHT.output_bytes + 1
    assert set(result.stdout_rest) == {ord("x")} and result.stderr_rest == b""


def test_output_up_to_the_hard_cap_is_no_flood(run: Run) -> None:
    """A program may print exactly as many bytes as the hard cap; one more ends the run."""
    result = run("print", str(TIGHT.flood_bytes))
    assert (result.exit_code, result.limit_hit) == (0, None)
    assert run("print", str(TIGHT.flood_bytes + 1)).limit_hit is LimitHit.OUTPUT


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_errors_and_the_end_of_long_output_are_kept(sandbox: Sandbox, stream: str) -> None:
    """Of what is dropped: lines that are notable, wherever they are, and the end."""
    text = "".join(f"warning {n}\n" for n in range(9000))
    text = f"{text}error: here\n{text}the end\n"
    assert len(text) > 3 * TIGHT.output_bytes
    with Workspace.create({"text": text}) as workspace:
        argv = ["cat", "text"] if stream == "stdout" else ["sh", "-c", "cat text >&2"]
        result = sandbox.run(Command(argv, notable=re.compile(rb"\n(?:error: )")), workspace, TIGHT)
    kept, rest = (
        (result.stdout, result.stdout_rest) if stream == "stdout" else (result.stderr, result.stderr_rest)
    )
    assert (result.exit_code, result.limit_hit, result.output_lost) == (0, None, True)
    assert kept == text.encode()[: TIGHT.output_bytes]
    assert b"\nerror: here\n" in rest and rest.endswith(b"\nthe end\n")
    assert len(rest) < 4 * TIGHT.output_bytes


@pytest.mark.parametrize("path", ["big", "$TMPDIR/big"], ids=["workspace", "tmp"])
def test_a_big_file_hits_the_disk_limit(run: Run, path: str) -> None:
    """Writing more than the disk limit, in the workspace or in TMPDIR, ends the run."""
    result = run("fill", path, "1000")
    assert result.limit_hit is LimitHit.DISK


def test_many_empty_files_hit_the_disk_limit(run: Run) -> None:
    """Files without content cost kernel memory, so their number is limited as well."""
    assert run("many-files").limit_hit is LimitHit.DISK


def test_a_fork_bomb_is_bounded(run: Run) -> None:
    """A fork bomb gets no further than the process limit, and ends the run."""
    result = run("fork-bomb")
    assert result.limit_hit is LimitHit.PROCESSES
    assert not result.stdout or int(result.stdout) < TIGHT.processes


def test_nothing_survives_a_run(
    sandbox: Sandbox, workspace_with_probe: Callable[[], Workspace], probe: Path
) -> None:
    """Processes that left their session and outlived their parents are gone when `run` returns."""
    name = f"wic{os.getpid() % 10**8}"
    for words in (["orphan"], ["fork-bomb"], ["spin-children", "3"]):
        with workspace_with_probe() as workspace:
            os.rename(workspace.path / "probe", workspace.path / name)
            started = time.monotonic()
            sandbox.run(Command([f"./{name}", *words]), workspace, replace(TIGHT, cpu_seconds=1))
            assert time.monotonic() - started < _HANG_SECONDS
        assert processes_named(name) == []


def test_an_orphan_that_holds_the_pipe_does_not_hold_the_run(run: Run) -> None:
    """The end of the program is the end of the run, whoever still has its output open."""
    result = run("orphan")
    assert result.exit_code == 0 and result.stdout == b"done\n"
    assert result.duration_seconds < _HANG_SECONDS


def test_a_wrecked_workspace_is_gone(sandbox: Sandbox, workspace_with_probe: Callable[[], Workspace]) -> None:
    """Deep, unreadable and linked trees that a run leaves do not stop the removal."""
    with workspace_with_probe() as workspace:
        assert sandbox.run(Command(["./probe", "wreck"]), workspace, TIGHT).exit_code == 0
        path = workspace.path
    assert not path.exists()


def test_cancel_ends_a_run_at_once(sandbox: Sandbox, workspace_with_probe: Callable[[], Workspace]) -> None:
    """Setting the event ends the run at once, and the result says why."""
    # A container is removed before the run returns, which takes a busy engine most of a second.
    at_once_seconds = 2 if sandbox.name == "docker" else 0.2
    took_seconds: list[float] = []
    while len(took_seconds) < _MEASUREMENTS and not (took_seconds and took_seconds[-1] < at_once_seconds):
        cancel = threading.Event()
        with workspace_with_probe() as workspace, ThreadPoolExecutor(1) as pool:
            future = pool.submit(
                sandbox.run, Command(["./probe", "spin-children", "3"]), workspace, TIGHT, cancel=cancel
            )
            time.sleep(0.5)
            set_at = time.monotonic()
            cancel.set()
            result = future.result(timeout=_HANG_SECONDS)
            took_seconds.append(time.monotonic() - set_at)
        assert result.cancelled and result.limit_hit is None
    assert took_seconds[-1] < at_once_seconds, took_seconds


def test_a_run_that_is_cancelled_before_it_starts_ends(
    sandbox: Sandbox, workspace_with_probe: Callable[[], Workspace]
) -> None:
    """An event that is set already ends the run as soon as it starts."""
    cancel = threading.Event()
    cancel.set()
    with workspace_with_probe() as workspace:
        result = sandbox.run(Command(["./probe", "sleep"]), workspace, TIGHT, cancel=cancel)
    assert result.cancelled and result.duration_seconds < _HANG_SECONDS


@pytest.mark.parametrize(
    "program",
    ["no-such-compiler", "./missing", "/usr/bin/no-such", "/etc/passwd", pytest.param("", id="no-name")],
)
def test_a_program_that_is_missing_is_a_failure_of_the_sandbox(sandbox: Sandbox, program: str) -> None:
    """A missing program is never an exit status that could be taken for a rejection."""
    with Workspace.create({"a.c": ""}) as workspace, pytest.raises(SandboxError):
        sandbox.run(Command([program]), workspace, TIGHT)


def test_a_file_that_is_not_a_program_is_a_failure_of_the_sandbox(sandbox: Sandbox) -> None:
    """A file that the kernel will not execute is an error as well."""
    with Workspace.create({"tool": "\x7fELF nonsense"}) as workspace:
        (workspace.path / "tool").chmod(0o755)
        with pytest.raises(SandboxError):
            sandbox.run(Command(["./tool"]), workspace, TIGHT)


def test_runs_at_the_same_time_do_not_disturb_each_other(
    sandbox: Sandbox, workspace_with_probe: Callable[[], Workspace]
) -> None:
    """Honest runs succeed beside a fork bomb, a flood and a memory eater."""
    words = [["say", str(n), "e"] for n in range(12)]
    hostile = [["fork-bomb"], ["flood", "1"], ["eat-shared", "500"]]

    def run(arguments: list[str]) -> tuple[list[str], bytes, LimitHit | None]:
        with workspace_with_probe() as workspace:
            result = sandbox.run(Command(["./probe", *arguments]), workspace, TIGHT)
        return arguments, result.stdout, result.limit_hit

    with ThreadPoolExecutor(5) as pool:
        for arguments, stdout, limit_hit in pool.map(run, hostile + words):
            if arguments[0] == "say":
                assert (stdout, limit_hit) == (arguments[1].encode(), None)
            else:
                assert limit_hit is not None


def test_a_run_leaves_no_descriptor_and_no_process_in_the_runner(run: Run, sandbox: Sandbox) -> None:
    """After runs with every kind of end the runner has the same open files and children as before."""
    run("exit", "0")
    before = _own_descriptors_and_children()
    # A container takes a second, the other sandboxes some milliseconds.
    for number in range(2 if sandbox.name == "docker" else 10):
        run("exit", str(number))
        run("die", "11")
        run("flood", "2")
        run("orphan")
        run("say", "a", "b")
    assert _own_descriptors_and_children() == before
