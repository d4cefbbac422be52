"""A job's directory: names are checked, contents are exact, and it is removed whatever is in it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from runner.workspace import INSIDE, Workspace, check_name, remove_stale_workspaces


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/etc/passwd",
        "//a",
        "..",
        "../a",
        "a/../b",
        "a/..",
        ".",
        "./a",
        "a/.",
        "a//b",
        "a/",
        "a\0b",
        "a\nb",
        "a\rb",
        "\x1b[31m",
        "\x7f",
        "a" * 256,
        "a/" * 3000 + "a",
        "\udcff",
    ],
)
def test_a_name_that_leaves_or_misleads_is_invalid(name: str, tmp_path: Path) -> None:
    """Such a name is a ValueError, and no directory is left behind."""
    with pytest.raises(ValueError):
        check_name(name)
    with pytest.raises(ValueError):
        Workspace.create({"a.c": "", name: ""}, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name", ["main.c", "include/a.hpp", "größe.c", "a b.c", "a-b@c", "..a", "a..", "...", "-o", "a/@x"]
)
def test_an_ordinary_name_is_valid(name: str, tmp_path: Path) -> None:
    """Unusual but harmless names work."""
    with Workspace.create({name: "x"}, tmp_path) as workspace:
        assert (workspace.path / name).read_text() == "x"


def test_the_files_are_there_and_private(tmp_path: Path) -> None:
    """Contents are exact (no newline translation), and only this user can enter."""
    with Workspace.create({"a/b/c.h": "1\r\n2", "a/d.h": "é", "e.c": ""}, tmp_path) as workspace:
        assert (workspace.path / "a/b/c.h").read_bytes() == b"1\r\n2"
        assert (workspace.path / "a/d.h").read_text(encoding="utf-8") == "é"
        assert workspace.path.stat().st_mode & 0o777 == 0o700
        assert workspace.inside == INSIDE and workspace.path.parent == tmp_path
    assert not workspace.path.exists()
    workspace.close()


@pytest.mark.parametrize("files", [{"a": "", "a/b": ""}, {"a/b/c": "", "a": ""}, {"x.c": "\ud800"}])
def test_files_that_cannot_be_written_leave_nothing(files: dict[str, str], tmp_path: Path) -> None:
    """A file that is also a directory, or text without an encoding, is a ValueError."""
    with pytest.raises(ValueError):
        Workspace.create(files, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_links_are_removed_and_never_followed(tmp_path: Path) -> None:
    """The target of a link survives, for links to files, to directories and from below."""
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o700)
    (outside / "kept").write_text("x")
    with Workspace.create({"d/a": ""}, tmp_path) as workspace:
        (workspace.path / "to-directory").symlink_to(outside)
        (workspace.path / "to-file").symlink_to(outside / "kept")
        (workspace.path / "d" / "up").symlink_to("../..")
        (workspace.path / "dangling").symlink_to("/nonexistent")
        os.mkfifo(workspace.path / "fifo")
    assert (outside / "kept").read_text() == "x" and outside.stat().st_mode & 0o777 == 0o700
    assert list(tmp_path.iterdir()) == [outside]


def test_closed_directories_are_removed(tmp_path: Path) -> None:
    """Nested directories without any permission do not stop the removal."""
    with Workspace.create({"a/b/c/d": ""}, tmp_path) as workspace:
        for name in ("a/b/c", "a/b", "a", ""):
            (workspace.path / name).chmod(0)
    assert list(tmp_path.iterdir()) == []


def test_trees_deeper_than_any_path_are_removed(tmp_path: Path) -> None:
    """Three thousand nested directories, each with a file, are removed."""
    with Workspace.create({}, tmp_path) as workspace:
        current = os.open(workspace.path, os.O_RDONLY)
        for _ in range(3000):
            os.mkdir("d", dir_fd=current)
            os.close(os.open("f", os.O_CREAT | os.O_WRONLY, dir_fd=current))
            below = os.open("d", os.O_RDONLY, dir_fd=current)
            os.close(current)
            current = below
        os.close(current)
    assert list(tmp_path.iterdir()) == []


def test_files_of_another_user_are_removed(tmp_path: Path) -> None:
    """If the runner is root, files of a job's own user id are removed as well; otherwise jobs have none."""
    with Workspace.create({"a/b": ""}, tmp_path) as workspace:
        if os.geteuid() == 0:
            for path in (workspace.path / "a/b", workspace.path / "a"):
                os.chown(path, 59_000, 59_000)
                path.chmod(0)
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_took_the_workspaces_name_survives(tmp_path: Path) -> None:
    """Removal empties the workspace itself, not a directory that was put in its place."""
    with Workspace.create({"a": ""}, tmp_path) as workspace:
        moved = tmp_path / "moved"
        workspace.path.rename(moved)
        workspace.path.mkdir()
        (workspace.path / "other").write_text("x")
    assert (workspace.path / "other").exists() and list(moved.iterdir()) == []


def test_workspaces_of_a_dead_runner_are_removed_and_those_of_a_live_one_stay(tmp_path: Path) -> None:
    """The cleaning at the start detects a killed runner's workspace among those in use, in any process."""
    code = (
        "import sys; from pathlib import Path; from runner.workspace import Workspace\n"
        "w = Workspace.create({'d/a.c': 'x'}, Path(sys.argv[1])); print(w.path, flush=True); input()"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with (
        Workspace.create({"a.c": ""}, tmp_path) as ours,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other,
    ):
        assert other.stdout is not None and other.stdin is not None
        theirs = Path(other.stdout.readline().strip())
        (tmp_path / "unrelated").mkdir()
        (tmp_path / "wic-file").write_text("x")
        (tmp_path / "wic-link").symlink_to(tmp_path / "unrelated")
        assert remove_stale_workspaces(tmp_path) == 0
        other.kill()
        other.wait()
        assert theirs.exists()
        assert remove_stale_workspaces(tmp_path) == 1
        assert not theirs.exists() and ours.path.exists()
    assert {path.name for path in tmp_path.iterdir()} == {"unrelated", "wic-file", "wic-link"}
