"""The sweeps of test_false_verdicts.py over the docker sandbox, a few values of each.

A run takes most of a second there. How compilers word a limit is found out in the other sandboxes; here is to
be seen that the limits of a container are told as what they are: too tight, in between, and wide enough.
"""

from collections.abc import Callable
from dataclasses import replace

import pytest

from runner.sandbox.base import Sandbox
from tests.sandbox.test_false_verdicts import COMPILERS, SWEEPS, Sweep, check_sweep, check_time
from tests.support.engine import Engine

# Of each limit the sweep that goes furthest: to a program, where one of them does.
_WIDEST = {sweep.limit: replace(sweep, steps=3, stages=sweep.stages[-1:]) for sweep in SWEEPS}


@pytest.fixture(scope="module")
def docker(engine: Engine, make_sandbox: Callable[..., Sandbox]) -> Sandbox:
    """The sandbox, probed."""
    sandbox = make_sandbox("docker")
    sandbox.probe()
    return sandbox


@pytest.mark.parametrize("sweep", _WIDEST.values(), ids=_WIDEST)
@pytest.mark.parametrize("compiler", COMPILERS)
def test_a_limit_of_a_container_is_never_a_rejection(docker: Sandbox, compiler: str, sweep: Sweep) -> None:
    """Far too tight, in between and wide enough: inconclusive for the limit's own reason, then compiles."""
    check_sweep(docker, compiler, sweep, sweep.stages[0])


@pytest.mark.parametrize("limit", ["cpu_seconds", "wall_seconds"])
@pytest.mark.parametrize("compiler", COMPILERS)
def test_a_container_that_gets_no_time_is_never_a_rejection(
    docker: Sandbox, compiler: str, limit: str
) -> None:
    """Far too little and about enough: inconclusive for the time, or it compiles in time."""
    # An engine takes up to a second to answer a question, and its clock is looked at in between.
    check_time(docker, compiler, limit, (1, 40), constants=60)
