"""Where workspaces live, and that only what carries our mark is ever removed."""

import os
import stat
from pathlib import Path

import pytest

from runner.private_folder import own_folder
from runner.workspace import Workspace, remove_stale_workspaces


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """A folder that everybody may write to, as /tmp is."""
    tmp_path.chmod(0o1777)
    return tmp_path


def test_our_folder_is_private_and_the_same_each_time(shared: Path) -> None:
    """All runners of a user share it, so that each can remove what a dead one left."""
    folder = own_folder(shared)
    assert (folder.parent, stat.S_IMODE(folder.stat().st_mode)) == (shared, 0o700)
    assert str(os.geteuid()) in folder.name
    assert own_folder(shared) == folder


def _as_a_link(path: Path) -> None:
    elsewhere = path.parent / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    path.symlink_to(elsewhere)


def _as_a_file(path: Path) -> None:
    path.write_text("mine")


def _open_to_others(path: Path) -> None:
    path.mkdir()
    path.chmod(0o770)


def _of_another_user(path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder to somebody else")
    path.mkdir(mode=0o700)
    os.chown(path, 59_000, 59_000)


def _state(path: Path) -> tuple[int, int, int]:
    status = path.lstat()
    return status.st_uid, status.st_mode, status.st_mtime_ns


@pytest.mark.parametrize("take", [_as_a_link, _as_a_file, _open_to_others, _of_another_user])
def test_a_name_that_others_have_taken_is_not_used(take: object, shared: Path) -> None:
    """Another name serves, nothing is written into what is there, and it is not changed."""
    assert callable(take)
    first = shared / f"will-it-compile-{os.geteuid()}"
    take(first)
    before = _state(first)
    folder = own_folder(shared)
    assert folder.name.startswith(first.name) and folder != first
    assert _state(first) == before
    assert own_folder(shared) == folder


def test_without_any_free_name_it_fails_closed(shared: Path) -> None:
    """The error names the setting that helps."""
    name = f"will-it-compile-{os.geteuid()}"
    for path in (shared / name, *(shared / f"{name}.{number}" for number in range(1, 10))):
        path.symlink_to("/nonexistent")
    with pytest.raises(PermissionError, match="TMPDIR"):
        own_folder(shared)


def _left_behind(folder: Path) -> Path:
    """A workspace whose runner died: its lock is gone, its files are there."""
    workspace = Workspace.create({"a/b.c": "x"}, folder)
    copy = folder / f"{workspace.path.name}0"
    copy.mkdir()
    (copy / "b.c").write_text("x")
    for mark in folder.glob(f"{workspace.path.name}.*"):
        (folder / mark.name.replace(workspace.path.name, copy.name)).write_bytes(mark.read_bytes())
    workspace.close()
    return copy


def test_only_what_carries_our_mark_is_removed(tmp_path: Path) -> None:
    """Of folders and files with names like ours, also such with a mark of another text, nothing changes."""
    stale = _left_behind(tmp_path)
    for name in ("wic-notes", "notes", "123-0123456789abcdef", "12-34"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "keep.txt").write_text("mine")
    (tmp_path / "notes.workspace").write_text("my notes about workspaces\n")
    (tmp_path / "12-34.workspace").symlink_to(tmp_path / f"{stale.name}.workspace")
    os.mkfifo(tmp_path / "pipe.workspace")
    before = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*") if stale.name not in str(path))
    assert remove_stale_workspaces(tmp_path) == 1
    assert not stale.exists()
    assert sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*")) == before


def test_a_mark_without_its_folder_is_removed(tmp_path: Path) -> None:
    """A runner may die between the two steps of making or of removing a workspace."""
    stale = _left_behind(tmp_path)
    (stale / "b.c").unlink()
    stale.rmdir()
    assert remove_stale_workspaces(tmp_path) == 0
    assert list(tmp_path.iterdir()) == []
