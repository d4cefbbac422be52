"""What a person keeps beside our files survives every start, crash and sweep of a runner."""

import contextlib
from pathlib import Path

import pytest

from tests.support.factories import slow_cpp
from tests.support.processes import ApiProcess
from tests.support.servers import wait_until
from tests.support.skipping import require

_SLOW = {"source_code": slow_cpp(60), "language": "cpp", "compiler": "gcc-12", "stage": "syntax"}


def _tree(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    """A TMPDIR with files of a person in it."""
    for name in ("wic-notes", "wic-123-abc", "will-it-compile-notes", "12-34"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "keep.txt").write_text("mine")
    return tmp_path


def test_only_our_own_files_are_removed_after_a_crash(temporary: Path) -> None:
    """A server is killed while it compiles: the next one removes that job's files and nothing else."""
    require("g++-12")
    mine = _tree(temporary)
    with ApiProcess({"COMPILERS": "gcc-12", "TMPDIR": str(temporary)}) as api:
        assert api.call("POST", "/api/v1/compile", _SLOW).status == 202
        wait_until(lambda: bool(_left_by_jobs(temporary, mine)), "a job at work", timeout_seconds=60)
        api.kill()
        left = _left_by_jobs(temporary, mine)
        assert left
        api.start()
        api.wait_for(lambda: not left & _left_by_jobs(temporary, mine), "a clean folder")
        assert "workspaces: removed " in api.log()
        assert api.stop() == 0
    assert {path: text for path, text in _tree(temporary).items() if path in mine} == mine
    assert not _left_by_jobs(temporary, mine)


def _left_by_jobs(temporary: Path, mine: dict[Path, bytes]) -> set[Path]:
    """Sources of jobs below TMPDIR."""
    sources = set(temporary.rglob("main.cpp")) - set(mine)
    return {path for path in sources if "constexpr" in _text_of(path)}


def _text_of(path: Path) -> str:
    with contextlib.suppress(OSError):
        return path.read_text()
    return ""
