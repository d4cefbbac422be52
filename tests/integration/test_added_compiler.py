"""A compiler version that is added to the catalogue works without any other change."""

import json
import subprocess
import sys
from pathlib import Path

from runner.sandbox.host_paths import find_compiler
from tests.support.compilers import real_compilers
from tests.support.native_run import with_compilers

_ROOT = Path(__file__).resolve().parents[2]

# A compiler that works like the one it calls, and reports a much newer version.
_WRAPPER = """#!/bin/sh
case "$1" in
    --version) echo 'gcc-99 (from a test) 99.1.0' ;;
    *) exec {like} "$@" ;;
esac
"""


def test_a_compiler_version_is_added_with_one_entry_and_no_code(tmp_path: Path) -> None:
    """With a wrapper called gcc-99 and an entry for it, it is offered as the newest and judges correctly."""
    offered = real_compilers().toolchains.environments
    like = next(each.id for each in offered if (each.language, each.family) == ("c", "gcc"))
    assert find_compiler("gcc-99") is None
    program = tmp_path / "bin" / "gcc-99"
    program.parent.mkdir()
    program.write_text(_WRAPPER.format(like=like))
    program.chmod(0o755)
    for folder in (tmp_path, program.parent):
        folder.chmod(0o755)
    ran = subprocess.run(
        with_compilers(tmp_path, [sys.executable, "-m", "tests.support.added_compiler", "gcc-99", like]),
        cwd=_ROOT,
        capture_output=True,
        check=False,
        timeout=100,
    )
    assert ran.returncode == 0, ran.stderr.decode()
    output = json.loads(ran.stdout)

    environments = {each["id"]: each for each in output["environments"]}
    assert set(environments) == {"gcc-99", like}
    assert environments["gcc-99"]["version"] == "99.1.0"
    assert environments["gcc-99"]["version_text"] == "gcc-99 (from a test) 99.1.0"
    assert environments["gcc-99"]["standards"] == environments[like]["standards"]
    assert environments["gcc-99"]["stages"] == environments[like]["stages"]

    good, bad = output["results"]["good"], output["results"]["bad"]
    assert [result["command"][0] for result in (good, bad)] == ["gcc-99", "gcc-99"]
    assert (good["verdict"], bad["verdict"]) == ("compiles", "rejected")
    assert [(each["line"], each["severity"]) for each in bad["diagnostics"]] == [(2, "error")]
