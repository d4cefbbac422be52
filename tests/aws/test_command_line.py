"""`python -m infra` as somebody types it, against an AWS with nothing in it: exit codes, and what is said."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from infra.stage import ROOT
from tests.aws.cloud import REGION, Cloud, cloud

pytestmark = pytest.mark.timeout(300)  # each starts a program, on a machine that does other things as well


@pytest.fixture(scope="module")
def empty() -> Iterator[Cloud]:
    """An AWS with nothing in it."""
    with cloud() as made:
        yield made


def _typed(made: Cloud, *arguments: str, without: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **made.environ}
    return subprocess.run(
        [sys.executable, "-m", "infra", *arguments],
        cwd=ROOT,
        env={name: value for name, value in environ.items() if name not in without},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "without", "code", "words"),
    [
        (["plan", "--stage", "test"], ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), 1,
         "step credentials: there are no AWS credentials"),
        (["plan", "--stage", "test"], ("AWS_DEFAULT_REGION",), 1, "add --region"),
        (["status", "--stage", "Not A Name"], (), 2, "cannot be a name"),
        (["plan", "--stage", "test", "--settings", "nowhere.toml"], (), 2, "nowhere.toml cannot be read"),
        (["plan"], (), 2, "--stage"),
    ],
)  # fmt: skip
def test_a_command_line_that_cannot_work_says_so(
    empty: Cloud, arguments: list[str], without: tuple[str, ...], code: int, words: str
) -> None:
    """No credentials, no region, a wrong name or file: one message, its exit code, and no trace of Python."""
    run = _typed(empty, *arguments, without=without)
    assert (run.returncode, "Traceback" in run.stderr) == (code, False), run.stderr
    assert words in run.stderr


def test_the_command_works_as_it_is_typed(empty: Cloud) -> None:
    """`python -m infra status` speaks to the AWS of the environment, and says what is not there."""
    run = _typed(empty, "status", "--stage", "test", "--region", REGION)
    assert (run.returncode, run.stderr) == (1, "")
    assert run.stdout.count("is not there") == 9


def test_nobody_there_to_confirm_is_no(empty: Cloud) -> None:
    """`destroy` without `--yes` and with nobody at the keyboard removes nothing, and says how to go on."""
    run = _typed(empty, "destroy", "--stage", "test")
    assert (run.returncode, "Traceback" in run.stderr) == (2, False), run.stderr
    assert "not confirmed" in run.stderr and "--yes" in run.stderr


def test_a_missing_boto3_is_one_message(empty: Cloud) -> None:
    """Without boto3, which only the deploy command needs, it says what to install."""
    code = "import sys; sys.modules['boto3'] = None; sys.argv = ['infra', 'status', '--stage', 'test']; "
    code += "import runpy; runpy.run_module('infra', run_name='__main__')"
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **empty.environ},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (run.returncode, "Traceback" in run.stderr) == (1, False), run.stderr
    assert "boto3 is not installed" in run.stderr and "docs/deploy.md" in run.stderr
