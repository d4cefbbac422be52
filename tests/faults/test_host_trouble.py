"""A host that fails under running jobs: each job ends, no source is blamed, and the runner goes on."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.host_trouble import TROUBLES
from tests.support.servers.tools import ROOT

# What goes wrong for a moment; all other jobs come before or after it.
_IN_TROUBLE = {
    "sandbox-vanishes": {"empty", "fails", "killed"},
    "sandbox-killed": {"killed"},
    "space": {"full", "read-only"},
    "compiler": {"without one"},
}


@pytest.mark.timeout(300)
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for a mount namespace")
@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_host_in_trouble_makes_no_verdict_and_no_lasting_harm(trouble: str, tmp_path: Path) -> None:
    """While it lasts jobs are inconclusive because of the infrastructure; then they compile again."""
    program = [sys.executable, "-m", "tests.faults.host_trouble", trouble, str(tmp_path)]
    ran = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", *program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    print(ran.stderr[-3000:])
    lines = [json.loads(line) for line in ran.stdout.splitlines() if line.startswith("{")]
    assert ran.returncode == 0
    assert {line["name"] for line in lines} >= _IN_TROUBLE[trouble]
    for line in lines:
        if line["name"] in _IN_TROUBLE[trouble]:
            assert (line["verdict"], line["reason"]) == ("inconclusive", "infrastructure"), line
            assert line["error"], line
        else:
            assert (line["status"], line["verdict"]) == ("completed", "compiles"), line
