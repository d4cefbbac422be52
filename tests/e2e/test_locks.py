"""`make lock` and the installation from what it writes, as a developer runs them."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.clone import make_clone
from tests.support.servers.tools import ROOT
from tests.support.skipping import missing

# Resolving six groups takes 10 s where the index answers quickly.
_LOCK_SECONDS = 200


@pytest.mark.timeout(2 * _LOCK_SECONDS)
def test_locking_again_changes_nothing(tmp_path: Path) -> None:
    """`make lock` keeps every version as long as the bounds allow it, so it changes nothing here."""
    files = sorted(ROOT.glob("requirements*.txt"))
    assert len(files) == 7
    for path in (*files, ROOT / "pyproject.toml"):
        shutil.copy(path, tmp_path)
    ran = subprocess.run(
        [ROOT / "bin" / "lock"],
        env={**os.environ, "FOLDER": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=_LOCK_SECONDS,
        check=False,
    )
    if ran.returncode and "error sending request" in ran.stderr:
        missing(f"no package index can be reached: {ran.stderr[-500:]}")
    assert ran.returncode == 0, ran.stderr
    for path in files:
        assert (tmp_path / path.name).read_text() == path.read_text(), path.name


@pytest.mark.parametrize("tampered", [False, True])
def test_a_file_with_another_hash_is_not_installed(tmp_path: Path, tampered: bool) -> None:
    """Set-up takes the Lambda's wheels when requirements.txt has their hashes, and fails otherwise."""
    wheels = ROOT / ".wheels"
    if not wheels.is_dir():
        missing("the Lambda function's wheels are not there: run bin/setup test")
    copy = make_clone(tmp_path / "clone", tmp_path / "git")
    requirements = copy / "requirements.txt"
    lines = requirements.read_text().splitlines(keepends=True)
    if tampered:
        # Every hash of redis: which of its files would be taken does not matter.
        start = next(number for number, line in enumerate(lines) if line.startswith("redis=="))
        for number in range(start + 1, len(lines)):
            if "--hash=sha256:" not in lines[number]:
                break
            head, digits = lines[number].split("sha256:")
            lines[number] = f"{head}sha256:{digits[63::-1]}{digits[64:]}"
    requirements.write_text("".join(lines))
    ran = subprocess.run(
        ["bin/setup", "package"],
        cwd=copy,
        env={
            "PATH": os.environ["PATH"],
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(wheels),
        },
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert ("THESE PACKAGES DO NOT MATCH THE HASHES" in ran.stderr) == tampered, ran.stderr
    assert (ran.returncode != 0) == tampered
    assert (copy / ".wheels" / ".stamp").exists() != tampered
