"""What is built can be traced: the Lambda's zip, the image's bill of materials, base images by digest."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.servers.tools import ROOT
from tools import bill_of_materials, lambda_zip

_DIGEST = f"sha256:{'0123456789abcdef' * 4}"
_PINNED = ("runner/Dockerfile", "api.Dockerfile", "docker-compose.yml")


def _zip(path: Path, files: Sequence[tuple[str, bytes]], mode: int, year: int) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files:
            entry = zipfile.ZipInfo(name, (year, 1, 1, 0, 0, 0))
            entry.external_attr = mode << 16
            archive.writestr(entry, data)
    return path


def test_the_same_files_make_the_same_zip(tmp_path: Path) -> None:
    """Order, modes and times of the machine that packed leave no trace; the contents stay."""
    files = [("app.py", b"import x\n" * 100), ("chalicelib/x.py", b"")]
    one = _zip(tmp_path / "one.zip", files, 0o600, 2001)
    two = _zip(tmp_path / "two.zip", files[::-1], 0o755, 2020)
    assert one.read_bytes() != two.read_bytes()
    hashes = lambda_zip.normalize(one)
    assert lambda_zip.normalize(two) == hashes
    assert one.read_bytes() == two.read_bytes()
    assert hashes == {name: hashlib.sha256(data).hexdigest() for name, data in files}
    with zipfile.ZipFile(one) as archive:
        assert [(item.filename, archive.read(item)) for item in archive.infolist()] == files
        assert {item.external_attr >> 16 for item in archive.infolist()} == {0o644}


def test_a_zip_comes_with_its_commit_and_hash(tmp_path: Path) -> None:
    """provenance.json names the commit, whether files differ from it, and the zip's own hash."""
    path = _zip(tmp_path / "deployment.zip", [("app.py", b"")], 0o644, 2001)
    command = [sys.executable, "-m", "tools.lambda_zip", str(path)]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout
    record = json.loads((tmp_path / "provenance.json").read_text())
    assert record["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest() == printed.split()[0]
    assert record["files"] == {"app.py": hashlib.sha256(b"").hexdigest()}
    git = shutil.which("git")
    if git and (ROOT / ".git").exists():
        head = subprocess.run(
            [git, "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
        ).stdout.strip()
        assert record["commit"] == head
        assert record["modified"] in (True, False)


def test_outside_of_a_checkout_no_commit_is_claimed(tmp_path: Path) -> None:
    """An unpacked archive of the sources has no commit, and the record says so."""
    path = _zip(tmp_path / "deployment.zip", [], 0o644, 2001)
    record = lambda_zip.provenance(path, {}, tmp_path)
    assert (record["commit"], record["modified"]) == ("", None)


def test_the_bill_of_materials_names_every_package() -> None:
    """Debian's packages with sources, Python's with normal names, and the compilers that are fetched."""
    printed = {
        "dpkg-query": "libc6:amd64\t2.41-12\tamd64\tglibc\ng++-14\t4:14.2.0+1\tamd64\tgcc-14\n",
        "/opt/venv/bin/python": "redis\t8.1.0\ntyping_extensions\t4.16.0\n",
    }
    document = bill_of_materials.document("image", _DIGEST, lambda command: printed[command[0]])
    assert document == bill_of_materials.document("image", _DIGEST, lambda command: printed[command[0]])
    purls = [item["purl"] for item in document["components"]]
    assert purls == sorted(purls)
    assert {
        "pkg:deb/debian/libc6@2.41-12?arch=amd64",
        "pkg:deb/debian/g++-14@4%3A14.2.0%2B1?arch=amd64",
        "pkg:pypi/redis@8.1.0",
        "pkg:pypi/typing-extensions@4.16.0",
    } < set(purls)
    assert sum(bool(re.match(r"pkg:(?:pypi/ziglang|npm/%40typescript/\S+)@\d", purl)) for purl in purls) == 2
    assert {item["version"] for item in document["components"] if item["name"] == "libc6"} == {"2.41-12"}


def test_without_an_engine_the_bill_of_materials_is_a_sentence(tmp_path: Path) -> None:
    """No stack trace: exit code 1 and what is missing."""
    ran = subprocess.run(
        [sys.executable, "-m", "tools.bill_of_materials", "no-image"],
        cwd=ROOT,
        env={**os.environ, "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr == "bill_of_materials: there is no `docker` here\n"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The command and the files that it writes to, in a folder of their own."""
    for name in (*_PINNED, "bin/pin-images"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def _pin(copy: Path, answer: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command with a `docker` that gives this answer: no registry is in reach of a test."""
    tools = copy / "tools"
    tools.mkdir(exist_ok=True)
    (tools / "docker").write_text(f"#!/bin/sh\n{answer}\n")
    (tools / "docker").chmod(0o755)
    return subprocess.run(
        [copy / "bin" / "pin-images", *arguments],
        env={**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def _texts(copy: Path) -> dict[str, str]:
    return {name: (copy / name).read_text() for name in _PINNED}


def test_base_images_are_pinned_renewed_and_unpinned(copy: Path) -> None:
    """Every place that names a base image gets the digest; again replaces it; --unpin restores the files."""
    before = _texts(copy)
    assert _pin(copy, f"echo {_DIGEST}").returncode == 0
    pinned = _texts(copy)
    for image in ("debian:trixie-slim", "redis:7-alpine"):
        places = sum(text.count(image) for text in before.values())
        assert places
        assert sum(text.count(f"{image}@{_DIGEST}") for text in pinned.values()) == places
    newer = _DIGEST[:-1] + "0"
    assert _pin(copy, f"echo {newer}").returncode == 0
    assert _texts(copy) == {name: text.replace(_DIGEST, newer) for name, text in pinned.items()}
    assert _pin(copy, "exit 1", "--unpin").returncode == 0
    assert _texts(copy) == before


@pytest.mark.parametrize("answer", ["exit 1", "echo no-digest", "true"])
def test_a_digest_that_cannot_be_looked_up_changes_nothing(copy: Path, answer: str) -> None:
    """The command says what is wrong, and no file is half pinned."""
    before = _texts(copy)
    ran = _pin(copy, answer)
    assert ran.returncode == 1
    assert ran.stderr.startswith("pin-images: ")
    assert _texts(copy) == before
