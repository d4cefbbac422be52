"""The sandboxes under test, and the probe that they run in place of a compiler.

- `sandbox` is each sandbox that can be tried on this host: a test that takes it is a part of the contract.
- `one_sandbox` is the first of them: for tests about compilers, whose answers do not depend on the sandbox.

Both come from `SANDBOXES` of runner/sandbox/__init__.py, the one place to add a sandbox. test_setpriv.py runs
these same files in a container like a task on Fargate, where TEST_SANDBOXES names the sandbox.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runner.sandbox.base import Command, Sandbox, SandboxResult, SandboxUnavailable
from runner.sandbox.bubblewrap.sandbox import Bubblewrap
from runner.workspace import Workspace
from tests.sandbox.hostile.secrets import Secrets, hide
from tests.sandbox.support import ALL_SANDBOXES, TIGHT, Run, build_probe, sandboxes_here
from tests.support.engine import RUNNER, Engine
from tests.support.skipping import missing

PROBE_SOURCE = Path(__file__).parent / "probes" / "probe.c"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test with `sandbox` over each sandbox of this host, and one with `one_sandbox` over the first."""
    if "sandbox_name" in metafunc.fixturenames:
        metafunc.parametrize("sandbox_name", sandboxes_here(), scope="session")
    if "one_sandbox_name" in metafunc.fixturenames:
        metafunc.parametrize("one_sandbox_name", sandboxes_here()[:1], scope="session")


@pytest.fixture(scope="session")
def make_sandbox(request: pytest.FixtureRequest) -> Callable[..., Sandbox]:
    """Makes a sandbox by its name in `ALL_SANDBOXES`; `options` are those of its class."""

    def make(name: str, **options: Any) -> Sandbox:
        if name == "docker":
            engine: Engine = request.getfixturevalue("engine")
            return ALL_SANDBOXES[name](RUNNER, base_url=engine.url, **options)
        return ALL_SANDBOXES[name](**options)

    return make


def _probed(sandbox: Sandbox) -> Sandbox:
    try:
        sandbox.probe()
    except SandboxUnavailable as unavailable:
        missing(str(unavailable))
    return sandbox


@pytest.fixture(scope="session")
def sandbox(sandbox_name: str, make_sandbox: Callable[..., Sandbox]) -> Sandbox:
    """Each sandbox, probed."""
    return _probed(make_sandbox(sandbox_name))


@pytest.fixture(scope="session")
def one_sandbox(one_sandbox_name: str, make_sandbox: Callable[..., Sandbox]) -> Sandbox:
    """The first sandbox of this host, probed."""
    return _probed(make_sandbox(one_sandbox_name))


@pytest.fixture(scope="session")
def bubblewrap() -> Bubblewrap:
    """Bubblewrap, probed, for tests of its own duties."""
    sandbox = Bubblewrap()
    _probed(sandbox)
    return sandbox


@pytest.fixture(scope="session")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled probe on the host."""
    return build_probe(PROBE_SOURCE, tmp_path_factory.mktemp("probe") / "probe")


@pytest.fixture(scope="session")
def workspace_with_probe(probe: Path) -> Callable[[], Workspace]:
    """Makes workspaces that hold the probe as `./probe`; the caller closes them."""

    def make() -> Workspace:
        workspace = Workspace.create({})
        shutil.copy(probe, workspace.path / "probe")
        return workspace

    return make


@pytest.fixture
def run(sandbox: Sandbox, workspace_with_probe: Callable[[], Workspace]) -> Run:
    """Runs the probe in the sandbox under test, under `TIGHT` limits."""

    def run(*words: str, env: Mapping[str, str] | None = None, **limits: Any) -> SandboxResult:
        with workspace_with_probe() as workspace:
            command = Command(["./probe", *words], env or {})
            return sandbox.run(command, workspace, replace(TIGHT, **limits))

    return run


@pytest.fixture(scope="module")
def hidden(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secrets]:
    """What no job may see, hidden where a job would look for it."""
    with hide(tmp_path_factory.mktemp("canary")) as secrets:
        yield secrets
