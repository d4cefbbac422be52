"""Arrivals in, waiting times and task hours out: the runners under the scaling rules of
infra/templates/runners.yml.

Time goes in steps of one second. Within a step jobs are served first come, first served, by as many cores as
there are; a compile takes processor time only. What scaling sees is what CloudWatch would show: a value per
minute, late by `METRIC_DELAY_SECONDS`. Everything random comes from one seed, so the same call gives the same
answer.
"""

import heapq
import math
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

# From the end of a minute until an alarm has seen it: the function runs, CloudWatch stores, the alarm
# evaluates.
METRIC_DELAY_SECONDS = 20
# Target tracking waits for three minutes above the target and fifteen below nine tenths of it
# (docs.aws.amazon.com/autoscaling/application: target tracking alarms).
MINUTES_ABOVE, MINUTES_BELOW, LOW_SHARE = 3, 15, 0.9
# From "one more" to a runner that claims: an assumption, to be measured in your account. Fargate keeps no
# image (docs.aws.amazon.com/AmazonECS: fargate-pull-behavior), so each start has all of it. 40 s for a
# machine and an address, as small images take (repost.aws: 30 to 45 s). 100 s to fetch 2.4 GB and unpack them
# to 5.1 GB on one core: images of 0.4 and 0.9 GB were seen to start in 57 and 70 s, which is 27 s more for
# each GB, and half as much again. 10 s for one compiler of each family. 30 s to be safe.
TASK_START_SECONDS = 180
# What is published instead of no backlog (chalicelib/cloudwatch_metrics.py, and a test compares).
LEAST_BACKLOG = 0.01
# Steps of the policy that starts from zero: (backlog from, tasks).
FROM_ZERO_STEPS = ((50, 10), (10, 3), (1, 1))
# Longer than a start, the minute until a metric shows it, and that metric's delay; a shorter one would start
# as many again.
FROM_ZERO_COOLDOWN_SECONDS = 300

# Processor seconds of a compile: half of them under 0.3, one in a hundred over 3, as C and C++ files are.
COMPILE_MEDIAN_SECONDS, COMPILE_SIGMA = 0.3, 1.0
LONGEST_COMPILE_SECONDS = 30.0


@dataclass(frozen=True)
class Scaling:
    """The numbers of the template."""

    target_backlog_per_task: float
    min_tasks: int
    max_tasks: int
    scale_out_cooldown_seconds: int
    scale_in_cooldown_seconds: int
    # The last runners go when no job has waited, run or ended for so long.
    idle_seconds: int


@dataclass(frozen=True)
class Run:
    """What came of it: waiting times in seconds (from accepted to claimed), and tasks."""

    jobs: int
    p50_seconds: float
    p95_seconds: float
    p99_seconds: float
    mean_wait_seconds: float
    task_hours: float
    most_tasks: int
    starts: int
    hours: float

    @property
    def tasks_on_average(self) -> float:
        return self.task_hours / self.hours


def compile_seconds(rng: random.Random) -> float:
    """One compile's processor time."""
    return min(LONGEST_COMPILE_SECONDS, rng.lognormvariate(math.log(COMPILE_MEDIAN_SECONDS), COMPILE_SIGMA))


def arrivals(rate: Callable[[float], float], hours: float, rng: random.Random) -> list[float]:
    """Times of a Poisson process whose rate (jobs a second) changes with the time of day in hours."""
    times, step = [], 60.0
    for minute in range(int(hours * 60)):
        expected = rate(minute / 60.0) * step
        # Counts of a Poisson distribution by their exponential gaps.
        at = rng.expovariate(1.0) if expected > 0 else math.inf
        while at < expected:
            times.append(minute * step + at / expected * step)
            at += rng.expovariate(1.0)
    return times


def simulate(
    jobs: Sequence[float], scaling: Scaling, *, hours: float, seed: int = 1, tasks: int | None = None
) -> Run:
    """Serves the jobs, given by their times of arrival in seconds, and scales as AWS would."""
    rng = random.Random(seed)  # noqa: S311 -- a model, no secret
    fleet = _Fleet(scaling.min_tasks if tasks is None else tasks)
    controller = _Controller(scaling)
    waiting: deque[float] = deque()
    waits: list[float] = []
    following = 0
    for second in range(int(hours * 3600)):
        while following < len(jobs) and jobs[following] < second + 1:
            waiting.append(jobs[following])
            following += 1
        fleet.begin(second)
        while waiting and (start := fleet.free_at(second, waiting[0])) is not None:
            arrived = waiting.popleft()
            waits.append(start - arrived)
            fleet.work(start, compile_seconds(rng))
        if second % 60 == 59:
            busy = fleet.busy(second + 1)
            controller.observe(len(waiting) + busy, fleet.ready, len(waits) - busy)
        if second % 60 == METRIC_DELAY_SECONDS:
            fleet.resize(controller.decide(second, fleet.wanted), second)
    # Who still waits at the end has waited so long at least.
    waits += [hours * 3600 - arrived for arrived in waiting]
    waits.sort()
    return Run(
        jobs=len(waits),
        p50_seconds=_quantile(waits, 0.50),
        p95_seconds=_quantile(waits, 0.95),
        p99_seconds=_quantile(waits, 0.99),
        mean_wait_seconds=sum(waits) / len(waits) if waits else 0.0,
        task_hours=fleet.task_seconds / 3600,
        most_tasks=fleet.most,
        starts=fleet.starts,
        hours=hours,
    )


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


class _Fleet:
    """Tasks of one core each: those that claim, and those that start."""

    def __init__(self, tasks: int) -> None:
        self.wanted = self.ready = self.most = tasks
        self.task_seconds = 0.0
        self.starts = 0
        self._starting: deque[int] = deque()
        self._idle = tasks
        self._ends: list[float] = []

    def begin(self, second: int) -> None:
        """What has started, works; what has ended, is free; every task costs, also while it starts."""
        while self._starting and self._starting[0] <= second:
            self._starting.popleft()
            self.ready += 1
            self._idle += 1
        self.task_seconds += self.ready + len(self._starting)
        self.most = max(self.most, self.ready)

    def free_at(self, second: int, arrived: float) -> float | None:
        """When within this second somebody can take a job that came at `arrived`; None for nobody."""
        if self._idle > 0:
            return max(float(second), arrived)
        if self._ends and len(self._ends) <= self.ready and self._ends[0] < second + 1:
            return max(heapq.heappop(self._ends), arrived)
        # A busy task too many (its stop is under way) takes nothing more.
        while len(self._ends) > self.ready and self._ends[0] < second + 1:
            heapq.heappop(self._ends)
        return None

    def work(self, start: float, seconds: float) -> None:
        """One of the free ones is busy."""
        if self._idle > 0:
            self._idle -= 1
        heapq.heappush(self._ends, start + seconds)

    def busy(self, second: int) -> int:
        """How many compile; those that are done are free."""
        while self._ends and self._ends[0] <= second:
            heapq.heappop(self._ends)
        self._idle = max(0, self.ready - len(self._ends))
        return len(self._ends)

    def resize(self, tasks: int, second: int) -> None:
        """Starts what is missing; stops what is too much (those that only start come first)."""
        for _ in range(tasks - self.wanted):
            self.starts += 1
            self._starting.append(second + TASK_START_SECONDS)
        for _ in range(self.wanted - tasks):
            if self._starting:
                self._starting.pop()
            else:
                self.ready -= 1
                self._idle = max(0, self._idle - 1)
        self.wanted = tasks


class Step:
    """A step up, and what counts while its cooldown lasts.

    Until then the capacity that it added is part of what the next step wants, so that only a larger one adds
    something (docs.aws.amazon.com/autoscaling/application: cooldown periods).
    """

    def __init__(self, cooldown_seconds: int) -> None:
        self._cooldown_seconds = cooldown_seconds
        self._before = 0
        self.at = -math.inf

    def aim(self, second: int, wanted: int, aim_from: Callable[[int], int]) -> int:
        """How many tasks there shall be, given how many it would be from so many."""
        before = self._before if second - self.at < self._cooldown_seconds else wanted
        aim = aim_from(before)
        if aim > wanted:
            self._before, self.at = before, second
        return max(wanted, aim)


class _Controller:
    """Target tracking on the backlog per task, a step from zero, and a step to zero.

    Scaling counts from how many tasks are wanted, which for ECS is what it changes (the desired count), while
    the metric is divided by the runners that live. So while tasks start, target tracking asks for too many.
    """

    def __init__(self, scaling: Scaling) -> None:
        self._scaling = scaling
        self._per_task: deque[float] = deque(maxlen=MINUTES_BELOW)
        self._work: deque[tuple[int, int]] = deque(maxlen=scaling.idle_seconds // 60)
        self._out = Step(scaling.scale_out_cooldown_seconds)
        self._from_zero = Step(FROM_ZERO_COOLDOWN_SECONDS)
        self._in_at = -math.inf
        self._ready = 0

    def observe(self, backlog: int, ready: int, ended: int) -> None:
        """What the scheduled function publishes for a minute (chalicelib/cloudwatch_metrics.py)."""
        self._per_task.append(max(LEAST_BACKLOG, backlog) / max(1, ready))
        self._work.append((backlog, ended))
        self._ready = ready

    def decide(self, second: int, wanted: int) -> int:
        """How many tasks there shall be."""
        scaling, tasks = self._scaling, wanted
        if not self._work:
            return wanted
        target = scaling.target_backlog_per_task
        backlog, _ = self._work[-1]
        above = list(self._per_task)[-MINUTES_ABOVE:]
        if self._ready < 1 and backlog >= 1:
            step = next(step for least, step in FROM_ZERO_STEPS if backlog >= least)
            tasks = self._from_zero.aim(second, wanted, lambda before: before + step)
        if wanted and len(above) == MINUTES_ABOVE and min(above) > target:
            most = scaling.max_tasks
            aim = self._out.aim(
                second, wanted, lambda before: min(most, math.ceil(before * above[-1] / target))
            )
            tasks = max(tasks, aim)
        elif len(self._per_task) == MINUTES_BELOW and max(self._per_task) < LOW_SHARE * target:
            # Which of the fifteen values counts is not documented; with the newest most tasks go, and the
            # other extreme, the largest, came out the same.
            aim = math.ceil(wanted * self._per_task[-1] / target)
            rested = second - max(self._in_at, self._out.at) >= scaling.scale_in_cooldown_seconds
            if aim < wanted and tasks == wanted and rested:
                self._in_at = second
                tasks = aim
        if self._idle():
            tasks = 0
        return min(scaling.max_tasks, max(scaling.min_tasks, tasks))

    def _idle(self) -> bool:
        first, last = self._work[0], self._work[-1]
        whole = len(self._work) == self._work.maxlen
        return whole and first[1] == last[1] and not any(backlog for backlog, _ in self._work)
