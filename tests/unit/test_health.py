"""The check of a runner's container: young signs are healthy, everything else is not, and it costs little."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from runner.bootstrap import health_sign
from runner.health import STALE_SECONDS, Sign, trouble
from tests.support.servers.tools import ROOT


@pytest.fixture
def sign(tmp_path: Path) -> Iterator[Sign]:
    """A sign in a folder of the test's own."""
    with closing(Sign(str(tmp_path))) as sign:
        yield sign


def check(temporary: Path) -> "subprocess.CompletedProcess[str]":
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


def test_a_young_sign_is_healthy_and_an_old_one_is_not(tmp_path: Path, sign: Sign) -> None:
    """The age counts from the moment that the sign tells, not from when it was left."""
    sign.leave(0)
    assert trouble(str(tmp_path)) is None
    sign.leave(STALE_SECONDS - 5)
    assert trouble(str(tmp_path)) is None
    sign.leave(STALE_SECONDS + 5)
    assert trouble(str(tmp_path)) == f"no sign of the runner for {STALE_SECONDS + 5} s"


def test_a_clock_that_was_set_back_does_not_hide_a_dead_runner(tmp_path: Path, sign: Sign) -> None:
    """A sign from far in the future is none."""
    sign.leave(-3600)
    assert "for 3600 s" in str(trouble(str(tmp_path)))


def test_without_a_sign_there_is_no_runner(tmp_path: Path) -> None:
    """While compilers are tried, and before, the check fails: the start period is there for that."""
    assert "no sign of a runner" in str(trouble(str(tmp_path)))


def test_the_place_is_its_owners_alone(tmp_path: Path, sign: Sign) -> None:
    """Nobody else may look into the folder, and a second runner of the same user takes it over."""
    folder = tmp_path / "will-it-compile-health"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "alive").stat().st_mode & 0o777 == 0o600
    with closing(Sign(str(tmp_path))) as another:
        another.leave(0)
    assert trouble(str(tmp_path)) is None


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
def test_a_place_that_somebody_else_prepared_is_refused(
    tmp_path: Path, prepare: Callable[[Path], None]
) -> None:
    """No runner leaves its sign there, no check believes one, and the runner works all the same."""
    prepare(tmp_path / "will-it-compile-health")
    with pytest.raises(OSError, match="must be a folder of this user's alone"):
        Sign(str(tmp_path))
    assert "must be a folder of this user's alone" in str(trouble(str(tmp_path)))
    with health_sign(str(tmp_path)) as leave:
        leave(0)
    assert trouble(str(tmp_path)) is not None


def test_a_sign_that_cannot_be_left_ends_nothing(tmp_path: Path) -> None:
    """The timekeeper, which leaves it, has leases to renew."""
    sign = Sign(str(tmp_path))
    sign.close()
    sign.leave(0)


def test_the_check_says_by_its_exit_code_what_it_found(tmp_path: Path) -> None:
    """0 and silent, or 1 and one line."""
    dead = check(tmp_path)
    assert (dead.returncode, dead.stdout.count("\n"), dead.stderr) == (1, 1, "")
    with health_sign(str(tmp_path)) as leave:
        leave(0)
        alive = check(tmp_path)
    assert (alive.returncode, alive.stdout, alive.stderr) == (0, "", "")


def test_the_check_loads_nothing_but_what_python_has_loaded_anyway() -> None:
    """It runs every half minute beside a compile, so it must cost no more than the start of Python."""
    code = "import sys; before = set(sys.modules); import runner.health; print(*set(sys.modules) - before)"
    ran = subprocess.run(
        [sys.executable, "-S", "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    # `runpy`, which is behind `-m`, takes contextlib and what that needs.
    assert len(ran.stdout.split()) < 30, ran.stdout
    assert not set(ran.stdout.split()) & {"chalicelib", "logging", "json", "tempfile", "pydantic", "re"}
