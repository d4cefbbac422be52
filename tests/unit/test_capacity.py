"""The capacity model: it agrees with results that can be calculated, and its recommendation holds.

Simulating a day takes seconds, so most tests use an hour or two. The recommendation is compared with its
neighbours only on the patterns that decide it.
"""

import random
from dataclasses import replace

import pytest

from tools.capacity import prices, quotas
from tools.capacity.__main__ import DAYS_PER_MONTH, VOLUMES, main, monthly
from tools.capacity.cost import IMAGE_GB, bill, task_hour
from tools.capacity.patterns import PATTERNS
from tools.capacity.recommend import RECOMMENDED, burden, day
from tools.capacity.simulation import (
    METRIC_DELAY_SECONDS,
    TASK_START_SECONDS,
    Scaling,
    StepUp,
    arrivals,
    compile_seconds,
    simulate,
)

FIXED = Scaling(
    target_backlog_per_task=1e9,
    min_tasks=1,
    max_tasks=1,
    scale_out_cooldown_seconds=60,
    scale_in_cooldown_seconds=600,
    idle_seconds=900,
)
BY_NAME = {pattern.name: pattern for pattern in PATTERNS}


def test_one_server_waits_as_long_as_queueing_theory_says() -> None:
    """With one task the mean wait is that of the Pollaczek–Khinchine formula, within a fifth."""
    rng = random.Random(3)
    times = [compile_seconds(rng) for _ in range(200_000)]
    mean = sum(times) / len(times)
    square = sum(time * time for time in times) / len(times)
    rate = 0.6 / mean
    expected = rate * square / (2 * (1 - 0.6))
    jobs = arrivals(lambda _: rate, 20, random.Random(5))
    run = simulate(jobs, FIXED, hours=20)
    assert run.mean_wait_seconds == pytest.approx(expected, rel=0.2)
    assert run.task_hours == pytest.approx(20)


def test_no_job_is_lost_and_the_same_seed_gives_the_same_day() -> None:
    """Every job has a waiting time, also one that was never claimed, and a second run is equal."""
    jobs = arrivals(lambda _: 5.0, 1, random.Random(1))
    first = simulate(jobs, FIXED, hours=1)
    assert first.jobs == len(jobs)
    assert first == simulate(jobs, FIXED, hours=1)
    assert first.p50_seconds > 600, "one task cannot serve five jobs a second"


def test_from_zero_a_job_waits_for_the_metric_and_the_start_of_a_task() -> None:
    """The first job after a quiet time waits for the metric and for one task to start."""
    run = simulate([1800.0], RECOMMENDED, hours=1)
    assert TASK_START_SECONDS < run.p50_seconds <= 60 + METRIC_DELAY_SECONDS + TASK_START_SECONDS
    assert run.starts == 1
    # The task starts, and stays until nothing has happened for the idle time.
    assert run.task_hours * 3600 < TASK_START_SECONDS + RECOMMENDED.idle_seconds + 120


def test_a_starting_task_is_not_stopped_before_it_has_compiled() -> None:
    """Rare jobs, one an hour, start one task each, and each waits only for its own."""
    run = simulate([600.0 + 3600 * hour for hour in range(10)], RECOMMENDED, hours=10)
    assert (run.starts, run.most_tasks) == (10, 1)
    assert run.p99_seconds <= 60 + METRIC_DELAY_SECONDS + TASK_START_SECONDS


def test_short_jobs_keep_the_last_runner() -> None:
    """With a job every half minute, most metrics show no backlog; the runner stays all the same."""
    run = simulate([float(second) for second in range(600, 6 * 3600, 30)], RECOMMENDED, hours=6)
    assert (run.starts, run.most_tasks) == (1, 1)


def test_tasks_that_are_starting_are_not_started_again() -> None:
    """Within the cooldown, a second step of the same size adds nothing, and a larger one the difference."""
    step = StepUp(cooldown_seconds=300)
    assert step.desired_tasks(0, 2, lambda before: before + 3) == 5
    assert step.desired_tasks(60, 5, lambda before: before + 3) == 5
    assert step.desired_tasks(120, 5, lambda before: before + 10) == 12
    assert step.desired_tasks(500, 12, lambda before: before + 3) == 15


def test_tasks_are_stopped_after_a_burst() -> None:
    """After a burst the number of tasks falls to the minimum."""
    burst = [600 + index * 0.05 for index in range(6000)]
    run = simulate(burst, RECOMMENDED, hours=3)
    assert run.most_tasks > 3
    assert run.task_hours < 3 * run.most_tasks / 2


def test_more_runners_wait_less_and_cost_more() -> None:
    """On the same day a higher minimum of tasks means shorter waits and more task hours."""
    few = day(BY_NAME["course"], RECOMMENDED)
    many = day(BY_NAME["course"], replace(RECOMMENDED, min_tasks=3))
    assert many.mean_wait_seconds < few.mean_wait_seconds
    assert many.task_hours > few.task_hours


def test_the_recommended_numbers_beat_their_neighbours() -> None:
    """A quarter of the target and four times the target are not better, for tasks and waiting together."""
    patterns = [BY_NAME[name] for name in ("office", "build server", "agents")]
    best = burden(RECOMMENDED, patterns)
    target = RECOMMENDED.target_backlog_per_task
    for other in (target / 4, target * 4):
        assert burden(replace(RECOMMENDED, target_backlog_per_task=other), patterns) >= best * 0.98


@pytest.mark.parametrize(
    ("cache", "volume"),
    [
        *(("serverless", volume) for volume in VOLUMES if volume >= 1e6),
        # Two nodes cost 37 dollars a month, however few the compiles are.
        *(("cache.t4g.small", volume) for volume in VOLUMES if volume >= 3e6),
    ],
)
def test_from_some_volume_on_a_compile_costs_less_than_required(cache: str, volume: float) -> None:
    """In office hours the whole bill, its fixed part included, is below 0.00005 dollars per compile."""
    run = day(BY_NAME["office"], RECOMMENDED, jobs_per_day=volume / DAYS_PER_MONTH)
    month = monthly(run, cache=cache)
    print(f"{volume:,.0f} a month: {month.per_compile:.7f} dollars each, {month.total:.2f} in total")
    assert month.per_compile < 0.00005


def test_a_bill_is_the_sum_of_its_parts() -> None:
    """An hour of a task and a million calls cost what the price list says."""
    full = prices.FARGATE_VCPU_HOUR + 2 * prices.FARGATE_GB_HOUR
    assert task_hour(spot=False) == pytest.approx(full)
    assert task_hour() == pytest.approx(0.3 * full)
    paid = bill(2e6, 0, seconds_per_call=1.0, free_tier=False)
    free = bill(2e6, 0, seconds_per_call=1.0)
    assert paid.requests - free.requests == pytest.approx(0.2 + 400_000 * prices.LAMBDA_GB_SECOND)
    assert bill(1e6, 0, seconds_per_call=1.0, starts=1000).runners == 0, "the gateway endpoint of S3 is free"
    through_nat = bill(1e6, 0, seconds_per_call=1.0, starts=1000, egress="nat", layers="nat")
    assert through_nat.runners == pytest.approx(1000 * IMAGE_GB * prices.NAT_GB)
    assert free.total == pytest.approx(free.fixed + free.requests + free.runners + free.redis)


def test_two_limits_come_before_a_thousand_runners() -> None:
    """Below 1,000 runners the limits are Lambda's concurrency and the slot of the queue, not the others."""
    runners = {limit.name: limit.runners for limit in quotas.limits()}
    assert runners["Lambda concurrency"] < 1000 and runners["commands in the slot of the queue"] < 1000
    assert runners["connections to Redis"] > 1000 and runners["addresses in the subnets"] > 1000
    assert list(runners.values()) == sorted(runners.values())


def test_the_command_prints_every_pattern_and_limit(capsys: pytest.CaptureFixture[str]) -> None:
    """Without options it prints waiting times and costs of each pattern, the bills, and the limits."""
    assert main([]) == 0
    out = capsys.readouterr().out
    assert len(PATTERNS) >= 6
    assert all(f"\n{pattern.name} " in out for pattern in PATTERNS)
    assert all(limit.name in out for limit in quotas.limits())


def test_help_explains_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    """`python -m tools.capacity --help` names each option with its recommended value."""
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    out = capsys.readouterr().out
    assert all(option in out for option in ("--search", "--min-tasks", "--max-tasks", "--target"))
    assert f"(default: {RECOMMENDED.target_backlog_per_task})" in out
