"""Finds the best numbers of scaling among those tried, by the cost of tasks and of waiting.

A second that a job waits counts as much as a second of a task, so neither idle runners nor waiting users are
free. `RECOMMENDED` is what `search` found; the templates have these numbers, and a test compares them.
"""

import itertools
import random
from collections.abc import Iterable, Sequence
from dataclasses import replace

from tools.capacity.cost import task_hour
from tools.capacity.patterns import DAY_HOURS, PATTERNS, Pattern
from tools.capacity.simulation import Run, Scaling, arrivals, simulate

# The pause between two steps down makes no difference, and a target of 16 is only 1 % worse.
RECOMMENDED = Scaling(
    target_backlog_per_task=32,
    min_tasks=0,
    max_tasks=20,
    scale_out_cooldown_seconds=300,
    scale_in_cooldown_seconds=60,
    idle_seconds=300,
)
TARGETS = (0.7, 1, 2, 4, 8, 16, 32, 64)
# The longer pause covers the start of a task and the minutes until metrics show it.
SCALE_OUT_SECONDS = (60, 300)
SCALE_IN_SECONDS = (60, 300)
IDLE_SECONDS = (300, 900, 1800)


def day(pattern: Pattern, scaling: Scaling, *, jobs_per_day: float | None = None, seed: int = 1) -> Run:
    """Simulates one day of a pattern."""
    rng = random.Random(seed)  # noqa: S311 -- a model, no secret
    jobs = arrivals(pattern.per_second(jobs_per_day), DAY_HOURS, rng)
    return simulate(jobs, scaling, hours=DAY_HOURS, seed=seed)


def burden(scaling: Scaling, patterns: Sequence[Pattern] = PATTERNS) -> float:
    """US dollars per 1,000 compiles for tasks and waiting together, as the mean of the patterns."""
    total = 0.0
    for pattern in patterns:
        run = day(pattern, scaling)
        waited_hours = run.mean_wait_seconds * run.jobs / 3600
        total += (run.task_hours + waited_hours) * task_hour() / run.jobs * 1000
    return total / len(patterns)


def candidates(around: Scaling = RECOMMENDED) -> Iterable[Scaling]:
    """All combinations that `search` tries."""
    for target, scale_out, scale_in, idle in itertools.product(
        TARGETS, SCALE_OUT_SECONDS, SCALE_IN_SECONDS, IDLE_SECONDS
    ):
        yield replace(
            around,
            target_backlog_per_task=target,
            scale_out_cooldown_seconds=scale_out,
            scale_in_cooldown_seconds=scale_in,
            idle_seconds=idle,
        )


def search(patterns: Sequence[Pattern] = PATTERNS) -> list[tuple[float, Scaling]]:
    """Every candidate with its burden, the best first."""
    burdens = [(burden(scaling, patterns), scaling) for scaling in candidates()]
    return sorted(burdens, key=lambda pair: pair[0])
