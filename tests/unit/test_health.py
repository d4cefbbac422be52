"""The health check of a runner's container: only a file that was touched recently is healthy."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from runner.bootstrap import open_alive_file
from runner.health import STALE_SECONDS, AliveFile, check
from tests.support.servers.tools import ROOT


@pytest.fixture
def alive_file(tmp_path: Path) -> Iterator[AliveFile]:
    """The file in a folder of the test."""
    with closing(AliveFile(str(tmp_path))) as file:
        yield file


def run_check(temporary: Path) -> "subprocess.CompletedProcess[str]":
    """Runs the check as the image does."""
    return subprocess.run(
        [sys.executable, "-S", "-m", "runner.health"],
        cwd=ROOT,
        env={"TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )


def test_a_recent_round_is_healthy_and_an_old_one_is_not(tmp_path: Path, alive_file: AliveFile) -> None:
    """The age counts from the round that is recorded, not from when it was written."""
    alive_file.touch(0)
    assert check(str(tmp_path)) is None
    alive_file.touch(STALE_SECONDS - 5)
    assert check(str(tmp_path)) is None
    alive_file.touch(STALE_SECONDS + 5)
    assert check(str(tmp_path)) == f"the runner has not reported for {STALE_SECONDS + 5} s"


def test_a_clock_that_was_set_back_does_not_hide_a_dead_runner(tmp_path: Path, alive_file: AliveFile) -> None:
    """A time far in the future counts as dead."""
    alive_file.touch(-3600)
    assert "for 3600 s" in str(check(str(tmp_path)))


def test_without_a_file_there_is_no_runner(tmp_path: Path) -> None:
    """Until the compilers have been tested the check fails: the start period of the image covers that."""
    assert "no runner has reported here" in str(check(str(tmp_path)))


def test_only_the_owner_can_use_the_folder(tmp_path: Path, alive_file: AliveFile) -> None:
    """No other user can enter the folder, and a second runner of the same user takes it over."""
    folder = tmp_path / "will-it-compile-health"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "alive").stat().st_mode & 0o777 == 0o600
    with closing(AliveFile(str(tmp_path))) as another:
        another.touch(0)
    assert check(str(tmp_path)) is None


def _open_to_all(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o777)
    (folder / "alive").touch()


def _link(folder: Path) -> None:
    target = folder.with_name("elsewhere")
    target.mkdir(mode=0o700)
    (target / "alive").touch()
    folder.symlink_to(target)


@pytest.mark.parametrize("prepare", [_open_to_all, _link])
def test_a_folder_that_another_user_prepared_is_not_used(
    tmp_path: Path, prepare: Callable[[Path], None]
) -> None:
    """No runner writes there, no check trusts it, and the runner works without the file."""
    prepare(tmp_path / "will-it-compile-health")
    with pytest.raises(OSError, match="must be a folder that only this user can use"):
        AliveFile(str(tmp_path))
    assert "must be a folder that only this user can use" in str(check(str(tmp_path)))
    with open_alive_file(str(tmp_path)) as touch:
        touch(0)
    assert check(str(tmp_path)) is not None


def test_a_file_that_cannot_be_touched_raises_nothing(tmp_path: Path) -> None:
    """The timekeeper, which touches it, has leases to renew."""
    alive_file = AliveFile(str(tmp_path))
    alive_file.close()
    alive_file.touch(0)


def test_the_exit_code_of_the_check_is_its_answer(tmp_path: Path) -> None:
    """0 without output, or 1 with one line."""
    dead = run_check(tmp_path)
    assert (dead.returncode, dead.stdout.count("\n"), dead.stderr) == (1, 1, "")
    with open_alive_file(str(tmp_path)) as touch:
        touch(0)
        alive = run_check(tmp_path)
    assert (alive.returncode, alive.stdout, alive.stderr) == (0, "", "")


def test_the_check_imports_almost_nothing() -> None:
    """It runs every half minute beside compiles, so it must cost hardly more than the start of Python."""
    code = "import sys; before = set(sys.modules); import runner.health; print(*set(sys.modules) - before)"
    ran = subprocess.run(
        [sys.executable, "-S", "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    # `python -m` itself imports contextlib and what that needs.
    assert len(ran.stdout.split()) < 30, ran.stdout
    assert not set(ran.stdout.split()) & {"chalicelib", "logging", "json", "tempfile", "pydantic", "re"}
