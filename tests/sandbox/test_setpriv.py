"""The setpriv sandbox, in a container of the runner's image under the conditions of a task on Fargate.

The first tests run other files of this folder inside that container: the suites that every sandbox has to
pass, for setpriv as it is and for each half of it alone (without a root of its own, and without Landlock);
and the hostile corpus, the sweeps of limits and the verdicts. The compilers there are those of the runner's
image, which are newer than those of the other runs.
"""

import errno
import json
import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runner.sandbox.base import SandboxUnavailable
from runner.sandbox.setpriv import landlock
from runner.sandbox.setpriv.sandbox import Setpriv
from tests.sandbox import credentials
from tests.sandbox.support import own_weaknesses
from tests.support.engine import FARGATE, Engine
from tests.support.processes import ApiProcess
from tests.support.servers.redis_server import RedisServer
from tests.support.servers.tools import wait_until

_FOLDER = Path("tests/sandbox")

_CONTRACT_SUITES = (
    "test_contract.py",
    "test_isolation.py",
    "test_seccomp.py",
    "test_uid_pool.py",
    "test_limit_attacks.py",
)

# Each takes a minute or two there on two quiet cores, and several times that on busy ones.
_HOSTILE_SUITES = (
    "test_hostile.py",
    "test_hostile_languages.py",
    "test_language_limits.py",
    pytest.param("test_between_jobs.py", marks=pytest.mark.alone),
    "test_false_verdicts.py",
    "test_verdicts.py",
)

# With nothing beside it: see there.
_ALONE = "test_limit_attacks.py::test_processor_time_that_vanishes_counts"

# A container may not make network namespaces, and bubblewrap alone is tried beside the weaker neighbours.
_NOT_IN_A_CONTAINER = (
    "test_between_jobs.py::test_no_other_hostile_job_starves_an_honest_one",
    "test_uid_pool.py::test_runners_in_different_network_namespaces_never_share_a_user_id",
)


@pytest.fixture(scope="module")
def task(engine: Engine) -> Iterator[str]:
    """The network of a task, in which another container is the credential service."""
    service = ["-m", "tests.sandbox.credentials", "serve"]
    with engine.container(service, {}, cap_add=["NET_ADMIN"]) as container:
        wait_until(lambda: credentials.READY.encode() in container.logs(), "the credential service")
        yield f"container:{container.id}"


def _run_suites(engine: Engine, *suites: str, sandbox: str = "setpriv", network: str = "none") -> None:
    """Run these files in the container: every test passes, and none is skipped."""
    files = [str(_FOLDER / suite) for suite in suites]
    alone = () if _ALONE in suites else (_ALONE,)
    left_out = [f"--deselect={_FOLDER / test}" for test in (*_NOT_IN_A_CONTAINER, *alone)]
    status, output = engine.pytest("-q", "-s", *files, *left_out, sandbox=sandbox, network=network)
    print(output[-4000:])
    assert status == 0 and "skipped" not in output, output[-6000:]


@pytest.mark.parametrize("suite", _CONTRACT_SUITES)
def test_the_contract_holds_under_the_conditions_of_fargate(engine: Engine, task: str, suite: str) -> None:
    """With default seccomp and capabilities, a read-only root, a tmpfs and an init, every test passes."""
    _run_suites(engine, suite, network=task)


@pytest.mark.alone
def test_processor_time_that_vanishes_counts_on_fargate(engine: Engine, task: str) -> None:
    """Short processes and those without a parent get 1.2 times the limit at most, on a quiet machine."""
    _run_suites(engine, _ALONE, network=task)


@pytest.mark.parametrize("half", ["setpriv-without-jail", "setpriv-without-landlock"])
def test_each_half_of_the_confinement_holds_alone(engine: Engine, task: str, half: str) -> None:
    """Landlock without a root of its own, and a root without Landlock, keep the whole contract."""
    _run_suites(engine, *_CONTRACT_SUITES, sandbox=half, network=task)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("suite", _HOSTILE_SUITES)
def test_the_hostile_suites_hold_under_the_conditions_of_fargate(engine: Engine, suite: str) -> None:
    """The same conditions, without any network: every test passes."""
    _run_suites(engine, suite)


# What a runner does before it is ready, and the record that the image's build has made.
_START = """
import json, logging, os, sys, time
logging.basicConfig(level=logging.INFO, stream=sys.stderr)
from chalicelib.settings import Settings
from runner.bootstrap import open_sandbox, start_self_tests
from runner.toolchains.build_record import RECORD, read_record
settings = Settings.from_env({"REDIS_ENABLED": "true", "COMPILERS": sys.argv[1]})
started = time.monotonic()
sandbox = open_sandbox(settings)
toolchains = start_self_tests(settings, sandbox, os.environ).wait()
json.dump(
    {
        "sandbox": [sandbox.name, *sandbox.weaknesses],
        "seconds": time.monotonic() - started,
        "offered": [each.model_dump(mode="json") for each in toolchains.environments],
        "recorded": [each.environment.model_dump(mode="json") for each in read_record(RECORD).passed],
    },
    sys.stdout,
)
"""


def _start(engine: Engine, compilers: str = "*", **changes: Any) -> tuple[dict[str, Any], str]:
    """What a start in the image reports, and its log."""
    with engine.container(["-c", _START, compilers], {}, **changes) as container:
        status = container.wait(timeout=850)["StatusCode"]  # less than the test may take
        log = container.logs(stdout=False, stderr=True).decode(errors="replace")
        assert status == 0, log
        return json.loads(container.logs(stdout=True, stderr=False)), log


def test_the_runner_starts_in_its_own_image(engine: Engine) -> None:
    """With SANDBOX=auto it chooses setpriv, and offers the compilers that passed when the image was built."""
    start, log = _start(engine)
    print(f"{len(start['offered'])} compilers ready in {start['seconds']:.1f} s")
    assert own_weaknesses(start["sandbox"]) == ["setpriv"]
    assert start["offered"] == start["recorded"]
    assert f"the build's record is used for {len(start['recorded'])} compilers" in log, log
    assert {"gcc-14", "clang-19"} <= {each["id"] for each in start["offered"]}


def test_a_compiler_that_cannot_start_on_this_host_is_not_offered(engine: Engine) -> None:
    """A start notices that a Java lacks its library, whatever the record says; the other Java is offered."""
    nothing = {"/jail/usr/lib/jvm/java-25-openjdk-amd64/lib": "size=1m"}
    start, log = _start(engine, "javac-*,gcc-14", tmpfs={**FARGATE["tmpfs"], **nothing})
    assert {each["id"] for each in start["offered"]} == {"javac-21", "gcc-14"}, log
    assert "testing the family javac completely: javac-25" in log
    assert "the build's record is used for 2 compilers" in log, "gcc-14 in two languages"


def test_only_compilers_below_the_root_of_jobs_are_found(tmp_path: Path) -> None:
    """A compiler of the host outside of that root does not exist for jobs, by its name or by its path."""
    compiler = tmp_path / "usr" / "bin" / "gcc-99"
    compiler.parent.mkdir(parents=True)
    compiler.touch(0o755)
    find = Setpriv(tmp_path).find_compiler
    assert find("gcc-99") == find("/usr/bin/gcc-99") == str(compiler)
    assert find("sh") is None and find("/bin/sh") is None
    assert Setpriv(Path("/")).find_compiler("sh") is not None


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
paths = []
while os.statvfs("/jail/work").f_ffree:
    paths.append(f"/jail/work/{len(paths)}")
    open(paths[-1], "x").close()
def show():
    result = compiler.compile("full", request)
    print(f"RESULT {result.verdict} {result.reason} {result.error}")
show()
for path in paths:
    os.unlink(path)
show()
"""


def test_a_full_file_system_for_jobs_is_an_infrastructure_failure(engine: Engine) -> None:
    """When a job's files cannot be written the result is `infrastructure` and says why; later it compiles."""
    tmpfs = {**FARGATE["tmpfs"], "/jail/work": "exec,mode=1777,size=64m,nr_inodes=200"}
    with engine.container(["-c", _FULL], {}, tmpfs=tmpfs) as container:
        status = container.wait(timeout=120)["StatusCode"]
        output = container.logs().decode(errors="replace")
    assert status == 0 and "Traceback" not in output, output
    full, roomy = (line for line in output.splitlines() if line.startswith("RESULT "))
    assert full.startswith("RESULT inconclusive infrastructure ") and "No space left on device" in full
    assert roomy == "RESULT compiles None "


def test_without_a_root_for_jobs_and_without_landlock_there_is_no_sandbox() -> None:
    """One of the two must confine what files a job sees; with neither the probe fails."""
    with pytest.raises(SandboxUnavailable) as failure:
        Setpriv(Path("/"), abi=0).probe()
    assert "\n" not in str(failure.value)


def test_rights_are_named_from_the_abi_of_the_kernel() -> None:
    """An old kernel is only asked for rights that it knows, a new one for all that setpriv knows."""
    assert landlock.rights(0) == ()
    assert [len(landlock.rights(abi)) for abi in (1, 2, 3, 7)] == [13, 14, 15, 15]
    (access, read, write, null) = landlock.arguments(
        2, readable=["/usr"], writable=["/work/a"], files=[("/dev/null", True)]
    )
    assert access.startswith("--landlock-access=fs:execute,") and access.endswith(",refer")
    assert read == "--landlock-rule=path-beneath:execute,read-file,read-dir:/usr"
    assert "make-reg" in write and "make-char" not in write and "make-sock" not in write
    assert null == "--landlock-rule=path-beneath:read-file,write-file:/dev/null"


# A host that lacks a protection: a real runner in the container, from which one thing is taken, works for an
# API of this host through a real Redis.

_LIBSECCOMP = f"/usr/lib/{platform.machine()}-linux-gnu/libseccomp.so.2"

# As a kernel without Landlock answers.
_NO_LANDLOCK = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "syscalls": [
        {
            "names": ["landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"],
            "action": "SCMP_ACT_ERRNO",
            "errnoRet": errno.ENOSYS,
        }
    ],
}

# What is taken, and a part of the sentence that says so.
_WEAK_HOSTS: dict[str, tuple[dict[str, Any], str]] = {
    "no-landlock": (
        {"security_opt": [f"seccomp={json.dumps(_NO_LANDLOCK)}"]},
        "Landlock does not confine jobs",
    ),
    "no-libseccomp": ({"volumes": {os.devnull: {"bind": _LIBSECCOMP, "mode": "ro"}}}, "libseccomp2"),
}


@pytest.mark.parametrize(("changes", "says"), _WEAK_HOSTS.values(), ids=_WEAK_HOSTS)
def test_a_weakness_is_in_the_log_of_the_start_and_in_the_api(
    engine: Engine, changes: dict[str, Any], says: str
) -> None:
    """Without Landlock or without libseccomp the runner works, and says which protection its jobs lack."""
    with RedisServer() as redis_server:
        settings = redis_server.environment()
        inside = {**settings, "SANDBOX": "setpriv", "MAX_WORKERS": "1", "COMPILERS": "c/gcc-14"}
        with (
            engine.container(["-m", "runner"], inside, network_mode="host", **changes) as container,
            ApiProcess(settings) as api,
        ):

            def answer() -> Any:
                return api.call("GET", "/api/v1/environments").json()

            # One compiler is tested, which takes seconds, and several times as long on busy machines.
            wait_until(
                lambda: bool(answer()["environments"]),
                "the registration",
                timeout_seconds=120,
                every_seconds=0.5,
            )
            [runner] = answer()["runners"]
            log = container.logs().decode(errors="replace")
    print(runner)
    assert runner["sandbox"] == "setpriv"
    [weakness] = own_weaknesses(runner["sandbox_weaknesses"])
    assert says in weakness and "\n" not in weakness
    assert f"sandbox: weakness: {weakness}" in log
