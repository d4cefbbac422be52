"""`python -m tools.capacity`: waiting times and cost per pattern, a bill per volume, and the limits.

`--search` tries all the numbers of scaling (some minutes); `--min-tasks`, `--target` and so on try others
than the recommended ones.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tools.capacity.cost import Bill, bill, task_hour
from tools.capacity.model import Run
from tools.capacity.patterns import PATTERNS
from tools.capacity.quotas import limits
from tools.capacity.recommend import RECOMMENDED, day, search

DAYS_PER_MONTH = 30.4
# The mean of a compile, which a call waits for at least.
COMPILE_SECONDS = 0.49
VOLUMES = (1e5, 1e6, 3e6, 1e7)


def main(arguments: Sequence[str]) -> int:
    """Prints the tables."""
    parser = argparse.ArgumentParser(prog="python -m tools.capacity", description=__doc__)
    parser.add_argument("--search", action="store_true", help="try all numbers, and print the best ten")
    parser.add_argument("--min-tasks", type=int, default=RECOMMENDED.min_tasks)
    parser.add_argument("--max-tasks", type=int, default=RECOMMENDED.max_tasks)
    parser.add_argument("--target", type=float, default=RECOMMENDED.target_backlog_per_task)
    parser.add_argument("--idle-seconds", type=int, default=RECOMMENDED.idle_seconds)
    options = parser.parse_args(arguments)
    if options.search:
        for value, scaling in search()[:10]:
            show(f"{value:.4f} USD per 1,000 (tasks and waiting): {scaling}")
        return 0
    scaling = replace(
        RECOMMENDED,
        min_tasks=options.min_tasks,
        max_tasks=options.max_tasks,
        target_backlog_per_task=options.target,
        idle_seconds=options.idle_seconds,
    )
    show(f"{scaling}\n")
    show("pattern         jobs/day  p50 s  p95 s  p99 s  tasks (most) starts  USD/1,000 runners  USD/compile")
    for pattern in PATTERNS:
        run = day(pattern, scaling)
        per_thousand = run.task_hours * task_hour() / run.jobs * 1000
        month = monthly(run)
        show(
            f"{pattern.name:<14} {run.jobs:>9,} {run.p50_seconds:>6.1f} {run.p95_seconds:>6.1f}"
            f" {run.p99_seconds:>6.1f} {run.tasks_on_average:>6.2f} ({run.most_tasks:>3}) {run.starts:>6}"
            f" {per_thousand:>10.4f}         {month.per_compile:.7f}   {pattern.words}"
        )
    show(
        "\noffice hours, a month                 p95 s   fixed  requests  runners   Redis  total USD"
        "  USD/compile  without the fixed"
    )
    office = next(pattern for pattern in PATTERNS if pattern.name == "office")
    for volume in VOLUMES:
        run = day(office, scaling, jobs_per_day=volume / DAYS_PER_MONTH)
        for words, choice in (
            ("as it is by default", {}),
            ("two zones, Redis on nodes", {"zones": 2, "cache": "cache.t4g.small"}),
            ("nothing free of charge", {"free_tier": False}),
            ("image through a NAT", {"egress": "nat", "layers": "nat"}),
        ):
            month = monthly(run, **choice)
            show(
                f"{volume:>12,.0f} {words:<26} {run.p95_seconds:>4.0f}  {month.fixed:>6.1f}"
                f" {month.requests:>7.1f}  {month.runners:>8.1f} {month.redis:>7.1f}"
                f" {month.total:>8.1f}   {month.per_compile:.7f}   {month.variable_per_compile:.7f}"
            )
    show("\nthe limit                               busy runners   what to do")
    for limit in limits():
        show(f"{limit.name:<38} {limit.runners:>10,.0f}   {limit.remedy}")
    return 0


def monthly(run: Run, **choice: Any) -> Bill:
    """The bill of a month of such days."""
    return bill(
        run.jobs * DAYS_PER_MONTH,
        run.task_hours * DAYS_PER_MONTH,
        seconds_per_call=COMPILE_SECONDS,
        starts=run.starts * DAYS_PER_MONTH,
        **choice,
    )


def show(line: str) -> None:
    """Prints a line, at once."""
    print(line, flush=True)  # noqa: T201 -- this is the program's own output


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
