"""The hostile corpus, the proofs around it and the verdicts: setpriv in a container like a task on Fargate.

The container has the compilers of the runner's image, which are newer than those of the other runs.
"""

from pathlib import Path

import pytest

from tests.support.engine import Engine

_FOLDER = Path("tests/sandbox")


# What each takes there on two quiet cores is a minute or two, and several times that on busy ones.
_SUITES = (
    "test_hostile.py",
    "test_hostile_languages.py",
    "test_language_limits.py",
    pytest.param("test_between_jobs.py", marks=pytest.mark.alone),
    "test_false_verdicts.py",
    "test_verdicts.py",
)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("suite", _SUITES)
def test_the_hostile_suites_hold_under_the_conditions_of_fargate(engine: Engine, suite: str) -> None:
    """Default seccomp and capabilities, read-only root, tmpfs, init: every test passes, none skips."""
    status, output = engine.pytest("-q", "-s", str(_FOLDER / suite), sandbox="setpriv")
    print(output[-4000:])
    assert status == 0 and "skipped" not in output, output[-6000:]
