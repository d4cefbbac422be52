"""`python -m tools.capacity` prints waiting times and cost per pattern, a bill per volume, and the limits.

Without options it uses the recommended numbers of scaling. `--search` tries all combinations (some minutes);
`--min-tasks`, `--target` and the others replace one number.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tools.capacity.cost import Bill, bill, task_hour
from tools.capacity.patterns import PATTERNS
from tools.capacity.quotas import limits
from tools.capacity.recommend import RECOMMENDED, day, search
from tools.capacity.simulation import Run

DAYS_PER_MONTH = 30.4
# The mean of a compile; a call lasts at least as long.
COMPILE_SECONDS = 0.49
VOLUMES = (1e5, 1e6, 3e6, 1e7)


def main(arguments: Sequence[str]) -> int:
    """Prints the tables."""
    parser = argparse.ArgumentParser(prog="python -m tools.capacity", description=__doc__)
    parser.add_argument("--search", action="store_true", help="try all combinations, and print the best ten")
    for option, kind, default, description in (
        ("--min-tasks", int, RECOMMENDED.min_tasks, "runners that are always there"),
        ("--max-tasks", int, RECOMMENDED.max_tasks, "the most runners"),
        ("--target", float, RECOMMENDED.target_backlog_per_task, "backlog per runner that scaling aims at"),
        ("--idle-seconds", int, RECOMMENDED.idle_seconds, "time without jobs that stops the last runners"),
    ):
        parser.add_argument(option, type=kind, default=default, help=f"{description} (default: %(default)s)")
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
            f" {per_thousand:>10.4f}         {month.per_compile:.7f}   {pattern.description}"
        )
    show(
        "\noffice hours, a month                 p95 s   fixed  requests  runners   Redis  total USD"
        "  USD/compile  without the fixed part"
    )
    office = next(pattern for pattern in PATTERNS if pattern.name == "office")
    for volume in VOLUMES:
        run = day(office, scaling, jobs_per_day=volume / DAYS_PER_MONTH)
        for description, choice in (
            ("the default", {}),
            ("endpoints in two zones", {"zones": 2}),
            ("Redis serverless", {"cache": "serverless"}),
            ("Redis durable", {"cache": "cache.m7g.large"}),
            ("without free allowances", {"free_tier": False}),
            ("image through a NAT", {"egress": "nat", "layers": "nat"}),
        ):
            month = monthly(run, **choice)
            show(
                f"{volume:>12,.0f} {description:<26} {run.p95_seconds:>4.0f}  {month.fixed:>6.1f}"
                f" {month.requests:>7.1f}  {month.runners:>8.1f} {month.redis:>7.1f}"
                f" {month.total:>8.1f}   {month.per_compile:.7f}   {month.variable_per_compile:.7f}"
            )
    show("\nthe limit                               busy runners   what to do")
    for limit in limits():
        show(f"{limit.name:<38} {limit.runners:>10,.0f}   {limit.hint}")
    return 0


def monthly(run: Run, **choice: Any) -> Bill:
    """The bill of a month of days like this one."""
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
