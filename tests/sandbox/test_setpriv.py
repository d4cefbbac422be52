"""The setpriv sandbox, in a container of the runner's image under the conditions of a task on Fargate.

The first tests run the suites that every sandbox has to pass inside that container, for the sandbox as
it is and for each half of it alone: without a root of its own, and without Landlock.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runner.sandbox import compiler_finder
from runner.sandbox.base import SandboxError, SandboxUnavailable
from runner.sandbox.setpriv import landlock
from runner.sandbox.setpriv.sandbox import Setpriv
from runner.sandbox.uid_pool import pool, slot_cleanup, uid_usage
from runner.sandbox.uid_pool.killer import Killer
from tests.sandbox import credentials
from tests.support.engine import FARGATE, Engine
from tests.support.servers.tools import wait_until

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


# What a runner does before it is ready, and the record that the image's build has made.
_START = """
import json, logging, sys, time
logging.basicConfig(level=logging.INFO, stream=sys.stderr)
from chalicelib.settings import Settings
from runner.bootstrap import find_compilers, open_sandbox
from runner.toolchains.build_record import RECORD, read_record
settings = Settings.from_env({"REDIS_ENABLED": "true", "COMPILERS": sys.argv[1]})
started = time.monotonic()
sandbox = open_sandbox(settings)
found = find_compilers(settings, sandbox)
json.dump(
    {
        "sandbox": [sandbox.name, *sandbox.weaknesses],
        "seconds": time.monotonic() - started,
        "found": [each.model_dump(mode="json") for each in found.environments],
        "recorded": [each.environment.model_dump(mode="json") for each in read_record(RECORD).passed],
    },
    sys.stdout,
)
"""


def _start(engine: Engine, compilers: str = "*", **changes: Any) -> tuple[dict[str, Any], str]:
    """What a start in the image came to, and its log."""
    with engine.container(["-c", _START, compilers], {}, **changes) as container:
        status = container.wait(timeout=850)["StatusCode"]  # less than the test may take
        log = container.logs(stdout=False, stderr=True).decode(errors="replace")
        assert status == 0, log
        return json.loads(container.logs(stdout=True, stderr=False)), log


def test_the_runner_starts_in_its_own_image(engine: Engine) -> None:
    """With SANDBOX=auto the runner of the image chooses setpriv, and offers what passed when it was built."""
    start, log = _start(engine)
    print(f"{len(start['found'])} compilers ready in {start['seconds']:.1f} s")
    assert start["sandbox"] == ["setpriv"]
    assert start["found"] == start["recorded"]
    assert f"the build's record is used for {len(start['recorded'])} compilers" in log, log
    assert {"gcc-14", "clang-19"} <= {each["id"] for each in start["found"]}


def test_a_compiler_that_cannot_start_on_this_host_is_not_offered(engine: Engine) -> None:
    """A Java without its library is found out at the start, whatever the record says; the other one stays."""
    nothing = {"/jail/usr/lib/jvm/java-25-openjdk-amd64/lib": "size=1m"}
    start, log = _start(engine, "javac-*,gcc-14", tmpfs={**FARGATE["tmpfs"], **nothing})
    assert {each["id"] for each in start["found"]} == {"javac-21", "gcc-14"}, log
    assert "testing the family javac completely: javac-25" in log
    assert "the build's record is used for 2 compilers" in log, "gcc-14 in two languages"


def test_only_compilers_below_the_root_of_jobs_are_found(tmp_path: Path) -> None:
    """What the host has besides does not exist for jobs, by whichever name the catalogue calls it."""
    compiler = tmp_path / "usr" / "bin" / "gcc-99"
    compiler.parent.mkdir(parents=True)
    compiler.touch(0o755)
    find = compiler_finder(Setpriv(tmp_path))
    assert find("gcc-99") == find("/usr/bin/gcc-99") == str(compiler)
    assert find("sh") is None and find("/bin/sh") is None
    assert compiler_finder(Setpriv(Path("/")))("sh") is not None


_FULL = """
import os
from chalicelib.catalog import load_catalog
from chalicelib.models import CompileRequest
from runner.executor import JobExecutor
from runner.toolchains.probe import probe_toolchains
from runner.sandbox.limits import default_limits
from runner.sandbox.setpriv.sandbox import Setpriv
from runner.toolchains.model import native_target
architecture, system = native_target()
sandbox = Setpriv()
sandbox.probe()
catalog, limits = load_catalog(), default_limits()
toolchains = probe_toolchains(catalog, sandbox, limits, patterns=["c/gcc-14"])
compiler = JobExecutor(sandbox, catalog, toolchains, limits)
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
    with pool.lease(59_940, 1) as uid:
        stuck = subprocess.Popen(["sleep", "60"], user=uid, group=uid)
        with pytest.raises(SandboxError, match="survived"):
            slot_cleanup.clear(uid, _Powerless(), seconds=0.1)
        stuck.kill()
        stuck.wait()
        slot_cleanup.clear(uid, _Powerless(), seconds=0.1)


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
    with pool.lease(59_960, 1) as uid:
        mine = subprocess.Popen(["sleep", "60"])
        theirs = [
            subprocess.Popen(["sh", "-c", "trap '' TERM; sleep 60 & sleep 60"], user=uid, group=uid)
            for _ in range(3)
        ]
        wait_until(lambda: len(uid_usage.processes_of(uid)) == 9, "nine processes of the slot")
        Killer().kill_all_of(uid)
        assert [process.wait(10) for process in theirs] == [-9] * 3
        slot_cleanup.clear(uid, Killer())
        assert uid_usage.processes_of(uid) == [] and mine.poll() is None
        mine.kill()
        mine.wait()


def test_the_killer_slows_down_what_a_user_runs_and_nothing_else() -> None:
    """Every thread of the slot gets the niceness, and what it starts later; a lower one is not asked for."""
    if os.geteuid() != 0:
        return  # nobody else can start a process of a slot; the container above is root
    with pool.lease(59_980, 1) as uid:
        theirs = [subprocess.Popen(["sleep", "60"], user=uid, group=uid) for _ in range(3)]
        try:
            Killer().slow_down(uid, 7)
            assert {os.getpriority(os.PRIO_PROCESS, process.pid) for process in theirs} == {7}
            assert uid_usage.UserUsage(uid, 0).sample().nice == 7
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
    uids = range(pool.FIRST_UID + pool.SLOTS - 2, pool.FIRST_UID + pool.SLOTS)
    with pool.lease(uids[1], 1) as held:
        living = subprocess.Popen(["sleep", "60"], user=held, group=held)
        for uid in uids:
            subprocess.run(["sh", "-c", "sleep 61 &"], user=uid, group=uid, check=True)
        assert [len(uid_usage.processes_of(uid)) for uid in uids] == [1, 2]
        slot_cleanup.sweep(Killer())
        assert [len(uid_usage.processes_of(uid)) for uid in uids] == [0, 2]
        Killer().kill_all_of(held)
        living.wait()
