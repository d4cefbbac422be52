"""The weight of a job among others, from samples of its tasks."""

import pytest

from runner.sandbox.cpu_fairness import Weight

# A sample is taken every 20 ms (runner/sandbox/supervisor.py), so this is a fifth of a second.
_SOON = 10

# sched(7): a step of niceness is a factor of 1.25.
_STEP = 1.25


def test_one_compiler_keeps_its_weight() -> None:
    """A job with one task that wants to run is not slowed down, even when its driver runs now and then."""
    weight = Weight()
    assert {weight.update(runnable) for runnable in [1, 1, 2, 1, 0, 1, 1, 2, 1, 1] * 20} == {0}


@pytest.mark.parametrize("tasks", [3, 8, 40, 60])
def test_many_tasks_weigh_no_more_than_one(tasks: int) -> None:
    """Within a fifth of a second all tasks together weigh at most as much as one process."""
    weight = Weight()
    nice = [weight.update(tasks) for _ in range(_SOON)]
    assert nice == sorted(nice) and tasks / _STEP ** nice[-1] <= 1
    # And not so much less that a job with threads of its own would starve.
    assert tasks / _STEP ** nice[-1] > 0.25


def test_a_flood_is_seen_at_once() -> None:
    """Forty tasks are slowed down by the first sample, before a second neighbour has started."""
    assert Weight().update(40) >= 10


def test_the_niceness_is_at_most_that_of_the_kernel() -> None:
    """It is never above 19, however many tasks there are."""
    weight = Weight()
    assert max(weight.update(10_000) for _ in range(50)) == 19
