"""Which numbers of scaling are the best of those tried: what tasks cost, and what waiting is worth.

A second that a job waits counts as much as a second of a task: then neither idle runners nor waiting people
are free. `RECOMMENDED` is what `search` finds; the templates have these numbers, and a test holds both.
"""

import itertools
import random
from collections.abc import Iterable, Sequence
from dataclasses import replace

from tools.capacity.cost import task_hour
from tools.capacity.model import Run, Scaling, arrivals, simulate
from tools.capacity.patterns import DAY_HOURS, PATTERNS, Pattern

# The pause between two steps down makes no difference. A target of 16 is 1 % worse.
RECOMMENDED = Scaling(
    target_backlog_per_task=32,
    min_tasks=0,
    max_tasks=20,
    scale_out_cooldown_seconds=300,
    scale_in_cooldown_seconds=60,
    idle_seconds=300,
)
TARGETS = (0.7, 1, 2, 4, 8, 16, 32, 64)
# The longer one is a task's start and the minutes until metrics show it.
SCALE_OUT_SECONDS = (60, 300)
SCALE_IN_SECONDS = (60, 300)
IDLE_SECONDS = (300, 900, 1800)


def day(pattern: Pattern, scaling: Scaling, *, jobs_per_day: float | None = None, seed: int = 1) -> Run:
    """One day of a pattern."""
    rng = random.Random(seed)  # noqa: S311 -- a model, no secret
    jobs = arrivals(pattern.per_second(jobs_per_day), DAY_HOURS, rng)
    return simulate(jobs, scaling, hours=DAY_HOURS, seed=seed)


def burden(scaling: Scaling, patterns: Sequence[Pattern] = PATTERNS) -> float:
    """US dollars per 1,000 compiles, tasks and waiting, averaged over the patterns."""
    total = 0.0
    for pattern in patterns:
        run = day(pattern, scaling)
        waited_hours = run.mean_wait_seconds * run.jobs / 3600
        total += (run.task_hours + waited_hours) * task_hour() / run.jobs * 1000
    return total / len(patterns)


def candidates(around: Scaling = RECOMMENDED) -> Iterable[Scaling]:
    """All that are tried."""
    tried = itertools.product(TARGETS, SCALE_OUT_SECONDS, SCALE_IN_SECONDS, IDLE_SECONDS)
    for target, out, back, idle in tried:
        yield replace(
            around,
            target_backlog_per_task=target,
            scale_out_cooldown_seconds=out,
            scale_in_cooldown_seconds=back,
            idle_seconds=idle,
        )


def search(patterns: Sequence[Pattern] = PATTERNS) -> list[tuple[float, Scaling]]:
    """Every candidate with its burden, the best first."""
    found = [(burden(scaling, patterns), scaling) for scaling in candidates()]
    return sorted(found, key=lambda each: each[0])
