"""The setpriv sandbox, in a container of the runner's image under the conditions of a task on Fargate.

The first tests run the suites that every sandbox has to pass inside that container, for the sandbox as
it is and for each half of it alone: without a root of its own, and without Landlock.
"""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.sandbox import landlock, reaper, slots, user_processes
from runner.sandbox.base import SandboxError, SandboxUnavailable
from runner.sandbox.killer import Killer
from runner.sandbox.setpriv import Setpriv
from tests.engine import FARGATE, Engine
from tests.sandbox import credentials
from tests.servers.tools import wait_until

_FOLDER = Path("tests/sandbox")
_SUITES = ("test_contract.py", "test_isolation.py", "test_seccomp.py", "test_slots.py")


@pytest.fixture(scope="module")
def task(engine: Engine) -> Iterator[str]:
    """The network of a task, in which another container is the credential service."""
    service = ["-m", "tests.sandbox.credentials", "serve"]
    with engine.container(service, {}, cap_add=["NET_ADMIN"]) as container:
        wait_until(lambda: credentials.READY.encode() in container.logs(), "the credential service")
        yield f"container:{container.id}"


@pytest.mark.parametrize("suite", _SUITES)
def test_the_suites_hold_under_the_conditions_of_fargate(engine: Engine, task: str, suite: str) -> None:
    """Default seccomp and capabilities, read-only root, tmpfs, init: every test passes, none skips."""
    status, output = engine.pytest("-q", str(_FOLDER / suite), sandbox="setpriv", network=task)
    print(output[-2000:])
    assert status == 0 and "skipped" not in output, output[-6000:]


@pytest.mark.parametrize("half", ["setpriv-without-jail", "setpriv-without-landlock"])
def test_each_half_of_the_confinement_holds_alone(engine: Engine, task: str, half: str) -> None:
    """Landlock without a root of its own, and a root without Landlock, keep the whole contract."""
    status, output = engine.pytest(
        "-q", *(str(_FOLDER / suite) for suite in _SUITES), sandbox=half, network=task
    )
    print(output[-2000:])
    assert status == 0 and "skipped" not in output, output[-6000:]


def test_the_runner_starts_in_its_own_image(engine: Engine) -> None:
    """With SANDBOX=auto the runner of the image chooses setpriv, and its compilers pass their self-test."""
    code = (
        "import logging; logging.basicConfig(level=logging.INFO)\n"
        "from chalicelib.settings import Settings\n"
        "from runner.assembly import find_compilers, open_sandbox\n"
        "settings = Settings.from_env({'REDIS_ENABLED': 'true'})\n"
        "sandbox = open_sandbox(settings)\n"
        "found = find_compilers(settings, sandbox)\n"
        "print('SANDBOX', sandbox.name, sandbox.weaknesses)\n"
        "print('FOUND', sorted({e.id for e in found.environments}))\n"
    )
    status, output = engine.python(code)
    assert status == 0, output
    assert "SANDBOX setpriv ()" in output, output
    found = output.rpartition("FOUND ")[2]
    assert "'gcc-14'" in found and "'clang-19'" in found, output


_FULL = """
import os
from chalicelib.catalog import load_catalog
from chalicelib.models import CompileRequest
from runner.compiler import Compiler
from runner.sandbox.limits import default_limits
from runner.sandbox.setpriv import Setpriv
from runner.toolchains import native_target, probe_toolchains
architecture, system = native_target().split("-")
sandbox = Setpriv()
sandbox.probe()
catalog, limits = load_catalog(), default_limits()
compiler = Compiler(sandbox, catalog, probe_toolchains(catalog, sandbox, limits, wanted=["c/gcc-14"]), limits)
request = CompileRequest(
    files={"main.c": "int x;"}, main="main.c", language="c", compiler="gcc-14", standard="c17",
    architecture=architecture, os=system,
)
made = []
while os.statvfs("/jail/work").f_ffree:
    made.append(f"/jail/work/{len(made)}")
    open(made[-1], "x").close()
def show():
    result = compiler.compile("full", request)
    print(f"SAID {result.verdict} {result.reason} {result.error}")
show()
for path in made:
    os.unlink(path)
show()
"""


def test_a_file_system_for_jobs_that_is_full_is_told_and_no_job_is_blamed(engine: Engine) -> None:
    """Where a job's files find no place the answer is infrastructure and why; with room again it compiles."""
    tmpfs = {**FARGATE["tmpfs"], "/jail/work": "exec,mode=1777,size=64m,nr_inodes=200"}
    with engine.container(["-c", _FULL], {}, tmpfs=tmpfs) as container:
        status = container.wait(timeout=120)["StatusCode"]
        output = container.logs().decode(errors="replace")
    assert status == 0 and "Traceback" not in output, output
    full, roomy = (line for line in output.splitlines() if line.startswith("SAID "))
    assert full.startswith("SAID inconclusive infrastructure ") and "No space left on device" in full
    assert roomy == "SAID compiles None "


def test_without_a_root_for_jobs_and_without_landlock_there_is_no_sandbox() -> None:
    """One of the two must confine a job's view of files; with neither the probe fails closed."""
    with pytest.raises(SandboxUnavailable) as failure:
        Setpriv(Path("/"), abi=0).probe()
    assert "\n" not in str(failure.value)


def test_rights_are_named_from_the_abi_of_the_kernel() -> None:
    """An old kernel is asked for no right that it does not know, a new one for every one that setpriv has."""
    assert landlock.rights(0) == ()
    assert [len(landlock.rights(abi)) for abi in (1, 2, 3, 7)] == [13, 14, 15, 15]
    (access, read, write, null) = landlock.arguments(
        2, readable=["/usr"], writable=["/work/a"], devices=[("/dev/null", True)]
    )
    assert access.startswith("--landlock-access=fs:execute,") and access.endswith(",refer")
    assert read == "--landlock-rule=path-beneath:execute,read-file,read-dir:/usr"
    assert "make-reg" in write and "make-char" not in write and "make-sock" not in write
    assert null == "--landlock-rule=path-beneath:read-file,write-file:/dev/null"


class _Powerless(Killer):
    """A killer that kills nothing, as if the kernel could not."""

    def kill_all_of(self, uid: int) -> None:
        """Do nothing."""


def test_a_slot_that_does_not_come_clean_is_an_error() -> None:
    """What survives is told as an error within a bounded time, and the caller quarantines the slot."""
    if os.geteuid() != 0:
        return  # nobody else can start a process of a slot; the container above is root
    with slots.lease(59_940, 1) as uid:
        stuck = subprocess.Popen(["sleep", "60"], user=uid, group=uid)
        with pytest.raises(SandboxError, match="survived"):
            reaper.clear(uid, _Powerless(), seconds=0.1)
        stuck.kill()
        stuck.wait()
        reaper.clear(uid, _Powerless(), seconds=0.1)


def test_the_killer_refuses_root() -> None:
    """Nobody can ask for a signal to everything that root runs."""
    with pytest.raises(ValueError, match="root"):
        Killer().kill_all_of(0)


def test_the_killer_ends_what_a_user_runs_and_nothing_else() -> None:
    """Every process of the slot is gone, zombies included; the sender and everybody else live on."""
    if os.geteuid() != 0:
        with pytest.raises(SandboxError, match="root"):
            Killer().kill_all_of(59_960)
        return
    with slots.lease(59_960, 1) as uid:
        mine = subprocess.Popen(["sleep", "60"])
        theirs = [
            subprocess.Popen(["sh", "-c", "trap '' TERM; sleep 60 & sleep 60"], user=uid, group=uid)
            for _ in range(3)
        ]
        wait_until(lambda: len(user_processes.processes_of(uid)) == 9, "nine processes of the slot")
        Killer().kill_all_of(uid)
        assert [process.wait(10) for process in theirs] == [-9] * 3
        reaper.clear(uid, Killer())
        assert user_processes.processes_of(uid) == [] and mine.poll() is None
        mine.kill()
        mine.wait()


def test_the_killer_slows_down_what_a_user_runs_and_nothing_else() -> None:
    """Every thread of the slot gets the niceness, and what it starts later; a lower one is not asked for."""
    if os.geteuid() != 0:
        return  # nobody else can start a process of a slot; the container above is root
    with slots.lease(59_980, 1) as uid:
        theirs = [subprocess.Popen(["sleep", "60"], user=uid, group=uid) for _ in range(3)]
        try:
            Killer().slow_down(uid, 7)
            assert {os.getpriority(os.PRIO_PROCESS, process.pid) for process in theirs} == {7}
            assert user_processes.UserUsage(uid, 0).sample().nice == 7
            Killer().slow_down(uid, 3)
            assert {os.getpriority(os.PRIO_PROCESS, process.pid) for process in theirs} <= {3, 7}
            assert os.getpriority(os.PRIO_PROCESS, os.getpid()) == 0
        finally:
            Killer().kill_all_of(uid)
            for process in theirs:
                process.wait()


def test_what_a_dead_runner_left_in_a_slot_is_ended_and_what_a_living_one_has_is_not() -> None:
    """At a runner's start orphans of slots that nobody holds are killed, and only they."""
    if os.geteuid() != 0:
        return
    # Two that other tests do not take: leases begin at the other end.
    uids = range(slots.FIRST_UID + slots.SLOTS - 2, slots.FIRST_UID + slots.SLOTS)
    with slots.lease(uids[1], 1) as held:
        living = subprocess.Popen(["sleep", "60"], user=held, group=held)
        for uid in uids:
            subprocess.run(["sh", "-c", "sleep 61 &"], user=uid, group=uid, check=True)
        assert [len(user_processes.processes_of(uid)) for uid in uids] == [1, 2]
        reaper.sweep(Killer())
        assert [len(user_processes.processes_of(uid)) for uid in uids] == [0, 2]
        Killer().kill_all_of(held)
        living.wait()
