"""`python -m infra` as a user types it, against an empty AWS: exit codes and messages."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from infra.stage import ROOT
from tests.aws.cloud import REGION, Cloud, cloud

pytestmark = pytest.mark.timeout(300)  # seconds, only for a hang; each test starts a program


@pytest.fixture(scope="module")
def empty_aws() -> Iterator[Cloud]:
    """An AWS with nothing in it."""
    with cloud() as aws:
        yield aws


def _run(aws: Cloud, *arguments: str, without: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **aws.env}
    return subprocess.run(
        [sys.executable, "-m", "infra", *arguments],
        cwd=ROOT,
        env={name: value for name, value in env.items() if name not in without},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "without", "code", "message"),
    [
        (["plan", "--stage", "test"], ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), 1,
         "step credentials: there are no AWS credentials"),
        (["plan", "--stage", "test"], ("AWS_DEFAULT_REGION",), 1, "add --region"),
        (["status", "--stage", "Not A Name"], (), 2, "cannot be a name"),
        (["plan", "--stage", "test", "--settings", "nowhere.toml"], (), 2, "nowhere.toml cannot be read"),
        (["plan"], (), 2, "--stage"),
    ],
    ids=["no-credentials", "no-region", "invalid-stage-name", "missing-settings-file", "no-stage"],
)  # fmt: skip
def test_an_invalid_command_line_is_one_message(
    empty_aws: Cloud, arguments: list[str], without: tuple[str, ...], code: int, message: str
) -> None:
    """No credentials, no region, a wrong name or file: one message, its exit code, and no traceback."""
    run = _run(empty_aws, *arguments, without=without)
    assert (run.returncode, "Traceback" in run.stderr) == (code, False), run.stderr
    assert message in run.stderr


def test_status_of_a_stage_that_does_not_exist(empty_aws: Cloud) -> None:
    """`python -m infra status` asks the AWS that the variables name, and lists what is missing."""
    run = _run(empty_aws, "status", "--stage", "test", "--region", REGION)
    assert (run.returncode, run.stderr) == (1, "")
    assert run.stdout.count("is not there") == 9


def test_destroy_without_confirmation_removes_nothing(empty_aws: Cloud) -> None:
    """`destroy` without `--yes` and without a terminal removes nothing, and says how to confirm."""
    run = _run(empty_aws, "destroy", "--stage", "test")
    assert (run.returncode, "Traceback" in run.stderr) == (2, False), run.stderr
    assert "not confirmed" in run.stderr and "--yes" in run.stderr


def test_a_missing_boto3_is_one_message(empty_aws: Cloud) -> None:
    """Without boto3, which only this command needs, the message says what to install."""
    code = "import sys; sys.modules['boto3'] = None; sys.argv = ['infra', 'status', '--stage', 'test']; "
    code += "import runpy; runpy.run_module('infra', run_name='__main__')"
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **empty_aws.env},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (run.returncode, "Traceback" in run.stderr) == (1, False), run.stderr
    assert "boto3 is not installed" in run.stderr and "docs/deploy.md" in run.stderr
