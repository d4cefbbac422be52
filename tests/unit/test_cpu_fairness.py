"""The weight of a job beside others: what samples of its tasks make of it."""

import pytest

from runner.sandbox.cpu_fairness import Weight

# A sample is taken every 20 ms (runner/sandbox/supervisor.py), so this is a fifth of a second.
_SOON = 10

# sched(7): a step of niceness is a factor of 1.25.
_STEP = 1.25


def test_one_compiler_keeps_its_weight() -> None:
    """A job with one task that wants to run is never slowed down, nor one whose driver runs now and then."""
    weight = Weight()
    assert {weight.nice_for(runnable) for runnable in [1, 1, 2, 1, 0, 1, 1, 2, 1, 1] * 20} == {0}


@pytest.mark.parametrize("tasks", [3, 8, 40, 60])
def test_many_tasks_weigh_no_more_than_one(tasks: int) -> None:
    """Within a fifth of a second the sum over the tasks is no more than what one process weighs."""
    weight = Weight()
    nice = [weight.nice_for(tasks) for _ in range(_SOON)]
    assert nice == sorted(nice) and tasks / _STEP ** nice[-1] <= 1
    # And not so much less that a job with threads of its own would starve.
    assert tasks / _STEP ** nice[-1] > 0.25


def test_a_flood_is_seen_at_once() -> None:
    """Forty tasks are slowed down by the first sample, before a second neighbour has started."""
    assert Weight().nice_for(40) >= 10


def test_the_last_step_is_the_kernels() -> None:
    """There is no niceness above 19, however many tasks there are."""
    weight = Weight()
    assert max(weight.nice_for(10_000) for _ in range(50)) == 19
