"""The sandboxes under test, and the probe that they run in place of a compiler.

To put another sandbox under the whole contract, add it to `SANDBOXES` of `runner.sandbox`.
"""

import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runner.sandbox import SANDBOXES
from runner.sandbox.base import Sandbox, SandboxResult, SandboxUnavailable
from runner.workspace import Workspace
from tests.sandbox.support import TIGHT, Run, missing

PROBE_SOURCE = Path(__file__).parent / "probes" / "probe.c"


@pytest.fixture(scope="session", params=list(SANDBOXES))
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    """Each sandbox, probed."""
    sandbox = SANDBOXES[request.param]()
    try:
        sandbox.probe()
    except SandboxUnavailable as unavailable:
        missing(str(unavailable))
    return sandbox


@pytest.fixture(scope="session")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled probe on the host."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        missing("no C compiler for the probe")
    binary = tmp_path_factory.mktemp("probe") / "probe"
    subprocess.run([str(compiler), "-O1", "-w", "-o", str(binary), str(PROBE_SOURCE)], check=True)
    return binary


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
