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
# From "one more" to a runner that claims: an address, 400 MB of image, then one compiler of each family.
TASK_START_SECONDS = 60
# Steps of the policy that starts from zero: (backlog from, tasks).
FROM_ZERO_STEPS = ((50, 10), (10, 3), (1, 1))
FROM_ZERO_COOLDOWN_SECONDS = 120

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
            controller.observe(len(waiting) + fleet.busy(second), fleet.ready)
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
        hours=hours,
    )


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


class _Fleet:
    """Tasks of one core each: those that claim, and those that start."""

    def __init__(self, tasks: int) -> None:
        self.wanted = self.ready = self.most = tasks
        self.task_seconds = 0.0
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
            self._starting.append(second + TASK_START_SECONDS)
        for _ in range(self.wanted - tasks):
            if self._starting:
                self._starting.pop()
            else:
                self.ready -= 1
                self._idle = max(0, self._idle - 1)
        self.wanted = tasks


class _Controller:
    """Target tracking on the backlog per task, and a step from zero."""

    def __init__(self, scaling: Scaling) -> None:
        self._scaling = scaling
        self._history: deque[tuple[int, int]] = deque(maxlen=MINUTES_BELOW)
        self._out_at = self._in_at = self._step_at = -math.inf

    def observe(self, backlog: int, ready: int) -> None:
        """What the scheduled function publishes for a minute."""
        self._history.append((backlog, ready))

    def decide(self, second: int, wanted: int) -> int:
        """How many tasks there shall be."""
        scaling = self._scaling
        if not self._history:
            return wanted
        backlog, ready = self._history[-1]
        tasks = wanted
        if ready < 1 and backlog >= 1 and second - self._step_at >= FROM_ZERO_COOLDOWN_SECONDS:
            self._step_at = second
            tasks = wanted + next(step for least, step in FROM_ZERO_STEPS if backlog >= least)
        per_task = [jobs / max(1, up) for jobs, up in self._history]
        target = scaling.target_backlog_per_task
        above = per_task[-MINUTES_ABOVE:]
        if wanted and len(above) == MINUTES_ABOVE and min(above) > target:
            # A step that is under way is waited for, unless this one is larger.
            aim = math.ceil(max(1, ready) * per_task[-1] / target)
            if aim > wanted and second - self._out_at >= scaling.scale_out_cooldown_seconds:
                self._out_at = second
                tasks = max(tasks, aim)
        elif len(per_task) == MINUTES_BELOW and max(per_task) < LOW_SHARE * target and tasks == wanted:
            aim = math.ceil(ready * max(per_task) / target)
            if aim < wanted and second - max(self._in_at, self._out_at) >= scaling.scale_in_cooldown_seconds:
                self._in_at = second
                tasks = aim
        return min(scaling.max_tasks, max(scaling.min_tasks, tasks))
