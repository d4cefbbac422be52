"""The sandboxes under test, and the probe that they run in place of a compiler.

`sandbox` is each one that can be tried on this very host, so every test that takes it is a part of the
contract. `setpriv` is made for another kind of host: test_setpriv.py runs these same files inside a
container that is like it, with the variable TEST_SANDBOXES.

To put another sandbox under the whole contract, add it to `SANDBOXES` below.
"""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from runner.sandbox.base import Sandbox, SandboxResult, SandboxUnavailable
from runner.sandbox.bubblewrap.sandbox import Bubblewrap
from runner.sandbox.docker.sandbox import Docker
from runner.sandbox.setpriv.sandbox import Setpriv
from runner.workspace import Workspace
from tests.sandbox.hostile.secrets import Secrets, hide
from tests.sandbox.support import TIGHT, Run, build_probe, missing
from tests.support.engine import RUNNER, Engine

PROBE_SOURCE = Path(__file__).parent / "probes" / "probe.c"


SANDBOXES: dict[str, Callable[..., Sandbox]] = {
    "bubblewrap": Bubblewrap,
    "docker": Docker,
    "setpriv": Setpriv,
    # The two halves of it, each of which has to hold alone.
    "setpriv-without-jail": partial(Setpriv, Path("/")),
    "setpriv-without-landlock": partial(Setpriv, abi=0),
}

# Here and by default: every test over bubblewrap, these also over docker, where a run takes most of a second.
_OVER_DOCKER = ("test_contract", "test_isolation", "test_seccomp", "test_hostile", "test_between_jobs")


@pytest.fixture(scope="session")
def make_sandbox(request: pytest.FixtureRequest) -> Callable[..., Sandbox]:
    """Makes a sandbox by its name in `SANDBOXES`; `options` are those of its class."""

    def make(name: str, **options: Any) -> Sandbox:
        if name == "docker":
            engine: Engine = request.getfixturevalue("engine")
            return Docker(RUNNER, base_url=engine.url, **options)
        return SANDBOXES[name](**options)

    return make


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run every test that takes a `sandbox`, or its `sandbox_name`, over each one that is meant here."""
    if "sandbox_name" not in metafunc.fixturenames:
        return
    module = metafunc.module.__name__.rpartition(".")[2]
    names = ["bubblewrap", "docker"] if module in _OVER_DOCKER else ["bubblewrap"]
    if chosen := os.environ.get("TEST_SANDBOXES"):
        names = chosen.split(",")
    metafunc.parametrize("sandbox_name", names, scope="session")


@pytest.fixture(scope="session")
def sandbox(sandbox_name: str, make_sandbox: Callable[..., Sandbox]) -> Sandbox:
    """Each sandbox, probed."""
    sandbox = make_sandbox(sandbox_name)
    try:
        sandbox.probe()
    except SandboxUnavailable as unavailable:
        missing(str(unavailable))
    return sandbox


@pytest.fixture(scope="session")
def bubblewrap() -> Bubblewrap:
    """Bubblewrap alone, probed, for tests that are about no other."""
    sandbox = Bubblewrap()
    try:
        sandbox.probe()
    except SandboxUnavailable as unavailable:
        missing(str(unavailable))
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

    def run(*words: str, environment: Mapping[str, str] | None = None, **limits: Any) -> SandboxResult:
        with workspace_with_probe() as workspace:
            return sandbox.run(
                ["./probe", *words], workspace, replace(TIGHT, **limits), environment=environment
            )

    return run


@pytest.fixture(scope="module")
def hidden(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secrets]:
    """What no job may see, where a job would look for it."""
    with hide(tmp_path_factory.mktemp("canary")) as made:
        yield made
