"""The runner's image with all its compilers: what it offers, in each sandbox, and that its answers are right.

The image is built as users build it. A runner in a container like a task on Fargate, whose only network is
that of a real Redis, works for an API.
"""

import contextlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from chalicelib.catalog import load_catalog
from runner.sandbox.docker.sandbox import Docker
from runner.sandbox.limits import default_limits
from runner.toolchains.probe import probe_toolchains
from tests.support.case_client import CaseClient
from tests.support.case_files import Run, body_of, case_folders, problems_of, read_case, runs_of
from tests.support.engine import RUNNER, Engine
from tests.support.namespaces import network_at
from tests.support.processes import ApiProcess
from tests.support.servers.tools import ROOT

# What the image must offer: a compiler in two languages counts twice.
_LANGUAGES = 9
_ENVIRONMENTS = 25
# What clang links for there, whatever machine this is.
_CROSS = {"arm64-linux", "riscv64-linux"}

# Languages whose results are compared with the image's bare compilers, and the fewest files of each.
_COMPARED = ("go", "rust")
_FILES = 30

# As many clients as the runner has workers, and two more, so that no worker has to wait for a job.
_CLIENTS = 4
# A runner that trusts the image's record is ready in seconds. Testing all compilers takes a minute on two
# quiet cores, and several on a busy machine.
_START_SECONDS = 600

# For one case: the wall clock's limit, and as much again for those before it in the queue.
_PATIENCE_SECONDS = 300

_PROBE = """
import json
import subprocess
subprocess.run(["mount", "-o", "remount,rw", "/proc/sys"], check=True)
from chalicelib.catalog import load_catalog
from runner.toolchains.probe import probe_toolchains
from runner.sandbox import choose_sandbox
from runner.sandbox.limits import default_limits
sandbox = choose_sandbox("bubblewrap")
toolchains = probe_toolchains(
    load_catalog(), sandbox, default_limits(), find_executable=sandbox.find_compiler
)
print(json.dumps([each.model_dump(mode="json") for each in toolchains.environments]))
"""

# What a host gives where user namespaces are allowed, such as a virtual machine. An engine also makes
# /proc/sys read-only, where bubblewrap forbids jobs to make namespaces: `_PROBE` changes that first.
_NAMESPACES = {"security_opt": ["seccomp=unconfined", "apparmor=unconfined"], "cap_add": ["SYS_ADMIN"]}


class _ApiBeside(ApiProcess):
    """An API of this host that is in a task's network."""

    def __init__(self, network: str) -> None:
        """`network` is the path of the file that stands for the network namespace."""
        super().__init__({"REDIS_ENABLED": "true", "REDIS_ADDR": "127.0.0.1:6379"})
        self._network = network

    def reach(self) -> "contextlib.AbstractContextManager[object]":
        """That network."""
        return network_at(self._network)

    def start(self) -> None:
        """Starts it there."""
        with self.reach():
            super().start()


@pytest.fixture(scope="module")
def api(engine: Engine) -> Iterator[ApiProcess]:
    """An API whose jobs a runner in a container does."""
    with engine.task({"SANDBOX": "setpriv", "MAX_WORKERS": "2"}) as task, _ApiBeside(task.network) as api:
        started = time.monotonic()
        deadline = started + _START_SECONDS
        while not _environments(api):
            task.container.reload()
            logs = task.container.logs().decode(errors="replace")[-3000:]
            assert task.container.status == "running", logs
            assert time.monotonic() < deadline, logs
            time.sleep(0.2)
        print(f"a runner was ready {time.monotonic() - started:.1f} s after its container's start")
        assert b"the build's record is used for" in task.container.logs()
        yield api


def _environments(api: ApiProcess) -> list[dict[str, Any]]:
    answer: list[dict[str, Any]] = api.call("GET", "/api/v1/environments").json()["environments"]
    return answer


def _ids(environments: list[dict[str, Any]]) -> set[tuple[str, str]]:
    return {(each["language"], each["id"]) for each in environments}


def test_the_command_of_the_readme_builds_this_image(engine: Engine) -> None:
    """`docker build`, as README.md has it, gives the image that is tested here."""
    [command] = re.findall(r"^docker build .*", (ROOT / "README.md").read_text(), re.MULTILINE)
    tag = f"{RUNNER}-readme"
    words = [tag if word == "will-it-compile-runner" else word for word in command.split()]
    assert tag in words
    # The builder that has the layers already.
    env = {**os.environ, "DOCKER_BUILDKIT": "0"}
    if engine.url:
        env["DOCKER_HOST"] = engine.url
    built = subprocess.run(words, env=env, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout[-2000:] + built.stderr[-2000:]
    with engine.client() as client:
        assert client.images.get(tag).id == client.images.get(RUNNER).id
        client.images.remove(tag)


def test_the_image_says_what_it_consists_of(engine: Engine) -> None:
    """The bill of materials has Debian's, Python's and the fetched packages of the image."""
    env = {**os.environ, **({"DOCKER_HOST": engine.url} if engine.url else {})}
    command = [sys.executable, "-m", "tools.bill_of_materials", RUNNER]
    printed = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    components = {item["purl"].partition("@")[0] for item in json.loads(printed)["components"]}
    print(f"{len(components)} packages")
    assert {
        "pkg:deb/debian/libc6",
        "pkg:deb/debian/bubblewrap",
        "pkg:pypi/redis",
        "pkg:pypi/ziglang",
    } <= components


def test_the_image_offers_what_it_promises(api: ApiProcess, engine: Engine) -> None:
    """Nine languages, 25 compilers, clang for more targets: exactly what passed at the build."""
    offered = _environments(api)
    for each in offered:
        print(each["language"], each["id"], each["version"], *each["targets"], *each["stages"])
        assert each["version"] in each["version_text"]
        assert each["standards"] and each["targets"] and "compile" in each["stages"]
        assert each["default_standard"] in each["standards"]
        if each["id"].startswith("clang-"):
            assert {*each["targets"]} >= _CROSS
    assert len({each["language"] for each in offered}) >= _LANGUAGES
    assert len(offered) >= _ENVIRONMENTS
    status, record = engine.python("print(open('self-tests.json').read())")
    assert status == 0, record
    passed = [each["environment"] for each in json.loads(record)["record"]["passed"]]
    assert _ids(offered) == _ids(passed) and len(offered) == len(passed)


def test_every_sandbox_offers_the_same(api: ApiProcess, engine: Engine) -> None:
    """A compiler that passes its self-test in setpriv passes it in bubblewrap and in docker as well."""
    expected = _ids(_environments(api))
    with engine.container(["-c", _PROBE], {}, **_NAMESPACES) as container:
        status = container.wait(timeout=_START_SECONDS)["StatusCode"]
        output = container.logs(stdout=True, stderr=False).decode()
        assert status == 0, container.logs().decode(errors="replace")[-3000:]
    assert _ids(json.loads(output)) == expected
    sandbox = Docker(RUNNER, base_url=engine.url)
    sandbox.probe()
    toolchains = probe_toolchains(
        load_catalog(), sandbox, default_limits(), find_executable=sandbox.find_compiler
    )
    offered = {(each.language, each.id) for each in toolchains.environments}
    assert offered == expected, toolchains.unavailable


def test_the_image_answers_every_case_as_expected(api: ApiProcess) -> None:
    """All acceptance cases with all compilers of the image, through the HTTP API."""
    catalog, client = load_catalog(), CaseClient(api, patience_seconds=_PATIENCE_SECONDS)
    offers = client.offers()

    def check(folder: Path, run: Run) -> list[str]:
        case, language = read_case(folder), folder.parent.name
        answer = client.result(body_of(case, language, run, catalog))
        return [f"{folder.name}: {problem}" for problem in problems_of(case, run, answer)]

    runs = [
        (folder, run)
        for folder in case_folders()
        for run in runs_of(read_case(folder), folder.parent.name, offers)
    ]
    started = time.monotonic()
    with ThreadPoolExecutor(_CLIENTS) as pool:
        problems = [problem for each in pool.map(lambda pair: check(*pair), runs) for problem in each]
    print(f"{len(runs)} runs in {time.monotonic() - started:.0f} s")
    assert {(folder.parent.name, run.compiler) for folder, run in runs} == _ids(_environments(api))
    assert not problems, "\n".join(problems)


def test_the_image_agrees_with_its_bare_compilers(engine: Engine) -> None:
    """The differential test, for compilers that a host may lack: a rustc that runs without /proc, and Go."""
    status, output = engine.pytest(
        "-q",
        "-s",
        "tests/differential/test_differential.py::test_the_service_says_what_the_bare_compiler_says",
        *("-k", " or ".join(f"[{language}]" for language in _COMPARED)),
        sandbox="setpriv",
        compilers=",".join(f"{language}/*" for language in _COMPARED),
    )
    print(output[-4000:])
    assert status == 0 and "skipped" not in output, output[-6000:]
    compared = re.findall(r"(?m)^\W*(\w+) +\S+ +(\d+) files, .*precision 1.000, recall 1.000$", output)
    assert sorted(language for language, _ in compared) == sorted(_COMPARED)
    assert all(int(files) >= _FILES for _, files in compared)
