"""The bubblewrap sandbox's own duties: which user runs a job, how it fails, and what is left when it dies."""

import os
import re
import shutil
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from runner.sandbox.base import Command, LimitHit, SandboxError, SandboxUnavailable
from runner.sandbox.bubblewrap.sandbox import Bubblewrap
from runner.workspace import Workspace
from tests.sandbox.hostile.programs import program
from tests.sandbox.hostile.secrets import PLACES_BELOW_USR, Secrets
from tests.sandbox.support import (
    TIGHT,
    compile_in,
    let_everybody_in,
    own_weaknesses,
    parent_of,
    processes_named,
)
from tests.support.servers.tools import wait_until
from tests.support.skipping import missing

NOBODY = 65_534


def _fork(work: Callable[[], None]) -> int:
    """Run `work` in a copy of this process and return its pid; its exit status 0 means success."""
    sys.stdout.flush()
    with warnings.catch_warnings():
        # Threads of other tests do not run in the copy, and hold no lock that `work` needs.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            if status:
                traceback.print_exc()
            os._exit(status)
    return pid


def _fake(tmp_path: Path, script: str) -> str:
    path = tmp_path / "bwrap"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    let_everybody_in(tmp_path)
    return str(path)


def test_a_missing_bubblewrap_is_named_in_one_line() -> None:
    """Without bwrap the probe fails closed and says which package to install."""
    with pytest.raises(SandboxUnavailable) as failure:
        Bubblewrap("/nonexistent/bwrap").probe()
    assert "install the package bubblewrap" in str(failure.value) and "\n" not in str(failure.value)


def test_a_bubblewrap_that_cannot_make_namespaces_is_unavailable(tmp_path: Path) -> None:
    """On a host without user namespaces the probe says so, and quotes bwrap."""
    executable = _fake(tmp_path, 'echo "bwrap: No permissions to create new namespace" >&2; exit 1')
    with pytest.raises(SandboxUnavailable, match=r"No permissions.*user namespaces"):
        Bubblewrap(executable).probe()


@pytest.mark.parametrize(
    "script",
    [
        pytest.param("exit 0", id="succeeds"),
        pytest.param("exit 1", id="fails"),
        pytest.param('echo "main.c:1:1: error: x" >&2; exit 1', id="prints-an-error"),
        pytest.param("kill -9 $$", id="is-killed"),
        # It names its child and then ends without a status: a sandbox that broke in the middle.
        pytest.param(
            r"""for a; do [ "$p" = --json-status-fd ] && fd=$a; p=$a; done
            eval "echo '{\"child-pid\": 1}' >&$fd"; exit 1""",
            id="names-its-child",
        ),
    ],
)
def test_a_bubblewrap_that_breaks_is_no_verdict(tmp_path: Path, script: str) -> None:
    """Whatever bwrap exits with before the program has run is an error of the sandbox."""
    with Workspace.create({}) as workspace, pytest.raises(SandboxError):
        Bubblewrap(_fake(tmp_path, script)).run(Command(["true"]), workspace, TIGHT)


def test_a_program_that_prints_words_of_bubblewrap_is_still_a_program(bubblewrap: Bubblewrap) -> None:
    """Text on stderr does not make a sandbox failure out of a program's exit status 1."""
    with Workspace.create({}) as workspace:
        command = Command(["sh", "-c", "echo 'bwrap: Creating new namespace failed' >&2; exit 1"])
        result = bubblewrap.run(command, workspace, TIGHT)
    assert result.exit_code == 1 and result.stderr.startswith(b"bwrap:")


def test_killing_bubblewrap_from_outside_is_an_error_and_leaves_nothing(
    bubblewrap: Bubblewrap, workspace_with_probe: Callable[[], Workspace]
) -> None:
    """When the host ends bwrap itself, the run is a sandbox failure and its program dies with it."""
    name = f"wicout{os.getpid() % 10**7}"
    with workspace_with_probe() as workspace, ThreadPoolExecutor(1) as pool:
        os.rename(workspace.path / "probe", workspace.path / name)
        future = pool.submit(bubblewrap.run, Command([f"./{name}", "spin-children", "2"]), workspace, TIGHT)
        wait_until(lambda: len(processes_named(name)) == 3, "three processes of the job")
        parent = {parent_of(pid) for pid in processes_named(name)} - set(processes_named(name))
        (init,) = parent
        os.kill(parent_of(init), signal.SIGKILL)
        with pytest.raises(SandboxError):
            future.result(timeout=60)
    assert processes_named(name) == []


def test_a_runner_that_is_killed_takes_its_job_along(
    bubblewrap: Bubblewrap, workspace_with_probe: Callable[[], Workspace]
) -> None:
    """A runner that dies without a chance to clean up leaves no process of a job."""
    name = f"wicdie{os.getpid() % 10**7}"
    with workspace_with_probe() as workspace:
        os.rename(workspace.path / "probe", workspace.path / name)

        def runner() -> None:
            bubblewrap.run(Command([f"./{name}", "spin-children", "2"]), workspace, TIGHT)

        pid = _fork(runner)
        wait_until(lambda: len(processes_named(name)) == 3, "three processes of the job")
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        wait_until(lambda: processes_named(name) == [], "the end of the job's processes")


def _with_word(word: str) -> list[int]:
    """Every living process that has `word` in its command line, as every process of a job's chain has."""
    pids = []
    for entry in os.scandir("/proc"):
        try:
            if entry.name.isdigit() and word.encode() in Path(entry.path, "cmdline").read_bytes():
                pids.append(int(entry.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return pids


# Kills are spread over the time that a start takes, from bwrap's first moment to after the program's: 10 to
# 20 ms, and longer on a busy host.
_LATEST_SECONDS = 0.03
_MOMENTS = 60
# Fewer where each costs seconds: the user id is free again when the host's process 1 has reaped what is left.
_FEWER_MOMENTS = 12


def _has_child(pid: int) -> bool:
    return any(task.read_text() for task in Path(f"/proc/{pid}/task").glob("*/children"))


def test_a_runner_that_dies_while_it_starts_a_job_leaves_nothing(
    bubblewrap: Bubblewrap, workspace_with_probe: Callable[[], Workspace]
) -> None:
    """Killed at any moment of a start, a runner leaves no process."""
    name = f"wicrace{os.getpid() % 10**7}"
    with workspace_with_probe() as workspace:
        os.rename(workspace.path / "probe", workspace.path / name)

        def runner() -> None:
            bubblewrap.run(Command([f"./{name}", "spin-children", "2"]), workspace, TIGHT)

        for moment in range(_MOMENTS):
            pid = _fork(runner)
            # A busy host may take long to begin with a start; from here on every kill is in its middle.
            wait_until(lambda: _has_child(pid), "bwrap", timeout_seconds=60, every_seconds=0)  # noqa: B023 -- called before the next round
            time.sleep(_LATEST_SECONDS * moment / _MOMENTS)
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        wait_until(lambda: _with_word(name) == [], "the end of all processes of the jobs")


def test_a_bubblewrap_that_dies_while_it_starts_leaves_nothing(
    bubblewrap: Bubblewrap, workspace_with_probe: Callable[[], Workspace]
) -> None:
    """Killed at any moment of its start, bwrap leaves no process, and the run is a failure of the sandbox."""
    name = f"wicends{os.getpid() % 10**7}"

    def started() -> list[int]:
        return [pid for pid in _with_word(name) if parent_of(pid) == os.getpid()]

    with workspace_with_probe() as workspace, ThreadPoolExecutor(1) as pool:
        os.rename(workspace.path / "probe", workspace.path / name)
        for moment in range(_FEWER_MOMENTS):
            future = pool.submit(
                bubblewrap.run, Command([f"./{name}", "spin-children", "2"]), workspace, TIGHT
            )
            while not (children := started()):
                assert not future.done()
            (bwrap,) = children
            time.sleep(_LATEST_SECONDS * moment / _FEWER_MOMENTS)
            os.kill(bwrap, signal.SIGKILL)
            with pytest.raises(SandboxError):
                future.result(timeout=60)
        wait_until(lambda: _with_word(name) == [], "the end of all processes of the jobs")


def test_a_root_runner_runs_jobs_as_another_user(
    bubblewrap: Bubblewrap, workspace_with_probe: Callable[[], Workspace]
) -> None:
    """No process of a job has root's user id. Where the runner is not root, jobs have the runner's."""
    name = f"wicuid{os.getpid() % 10**7}"
    cancel = threading.Event()
    with workspace_with_probe() as workspace, ThreadPoolExecutor(1) as pool:
        os.rename(workspace.path / "probe", workspace.path / name)
        future = pool.submit(bubblewrap.run, Command([f"./{name}", "sleep"]), workspace, TIGHT, cancel=cancel)
        wait_until(lambda: len(processes_named(name)) == 1, "the job's process")
        (pid,) = processes_named(name)
        owner = Path(f"/proc/{pid}").stat().st_uid
        cancel.set()
        future.result(timeout=60)
    assert owner != 0
    assert os.geteuid() == 0 or owner == os.geteuid()


def test_files_of_the_host_below_usr_are_out_of_reach(
    bubblewrap: Bubblewrap, workspace_with_probe: Callable[[], Workspace], hidden: Secrets
) -> None:
    """A file that everybody may read, with settings or sources below /usr, does not exist for a job."""
    planted = [hidden.paths[name] for name in PLACES_BELOW_USR if Path(hidden.paths[name]).exists()]
    if not planted:
        missing("only root can put a file below /usr")
    for path in planted:
        for name in (path, f"/usr/bin/../..{path}", str(Path(path).parent)):
            with workspace_with_probe() as workspace:
                assert bubblewrap.run(Command(["./probe", "read", name]), workspace, TIGHT).exit_code == 1, (
                    name
                )


def test_compiles_are_charged_what_they_use(bubblewrap: Bubblewrap) -> None:
    """A driver with its compiler, assembler and linker, ten times over, costs what it says that it used."""
    script = f"for n in 1 2 3 4 5 6 7 8 9 10; do {program(bubblewrap, 'gcc')} main.c; done; times"
    source = "#include <stdio.h>\nint main(void) { return puts(__FILE__); }\n"
    result = compile_in(bubblewrap, ["sh", "-c", script], {"main.c": source})
    of_shell_and_children = re.findall(r"(\d+)m([\d.]+)s", result.stdout.decode())
    used_seconds = sum(60 * int(minutes) + float(seconds) for minutes, seconds in of_shell_and_children)
    print(f"{used_seconds:.2f} s used, {result.cpu_seconds:.2f} s counted")
    assert result.exit_code == 0 and len(of_shell_and_children) == 4
    assert 0.8 * used_seconds < result.cpu_seconds < 1.1 * used_seconds + 0.1


def test_an_ordinary_user_gets_the_same_protection(
    workspace_with_probe: Callable[[], Workspace], probe: Path, tmp_path: Path
) -> None:
    """The limits hold, the probe passes and the workspace goes when the runner is not root."""

    def as_user() -> None:
        if os.geteuid() == 0:
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
        sandbox = Bubblewrap()
        sandbox.probe()
        assert own_weaknesses(sandbox.weaknesses) == []
        expected = {
            ("exit", "3"): None,
            ("fork-bomb",): LimitHit.PROCESSES,
            ("fill", "big", "100"): LimitHit.DISK,
            ("many-files",): LimitHit.DISK,
            ("eat-children", "8"): LimitHit.MEMORY,
            ("spin-children", "3"): LimitHit.TIMEOUT,
        }
        for words, limit_hit in expected.items():
            with Workspace.create({}) as workspace:
                (workspace.path / "probe").write_bytes(binary)
                (workspace.path / "probe").chmod(0o755)
                result = sandbox.run(Command(["./probe", *words]), workspace, replace(TIGHT, cpu_seconds=0.5))
            assert result.limit_hit is limit_hit, (words, result)
            assert not workspace.path.exists()

    binary = probe.read_bytes()
    _, status = os.waitpid(_fork(as_user), 0)
    assert status == 0


def test_a_runner_with_more_than_a_thousand_open_files_runs_jobs(
    bubblewrap: Bubblewrap, workspace_with_probe: Callable[[], Workspace]
) -> None:
    """Descriptors above 1023, which select(2) cannot watch, are no problem."""
    opened = [os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC) for _ in range(1100)]
    try:
        with workspace_with_probe() as workspace:
            assert bubblewrap.run(Command(["./probe", "exit", "0"]), workspace, TIGHT).exit_code == 0
    finally:
        for descriptor in opened:
            os.close(descriptor)


@pytest.mark.alone
def test_the_price_of_a_sandbox_is_small(
    bubblewrap: Bubblewrap, workspace_with_probe: Callable[[], Workspace]
) -> None:
    """Starting and cleaning up costs much less than the smallest compile (`make bench` prints both)."""
    if shutil.which("true") is None:
        missing("no true")
    times = []
    for _ in range(15):
        started = time.perf_counter()
        with Workspace.create({"a.c": ""}) as workspace:
            bubblewrap.run(Command(["true"]), workspace, TIGHT)
        times.append(time.perf_counter() - started)
    print(f"sandboxed true, best of {len(times)}: {min(times) * 1000:.1f} ms")
    assert min(times) < 0.25  # ten times what it takes: only a mistake costs as much
