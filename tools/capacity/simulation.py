"""Simulates the runners under the scaling rules of infra/templates/runners.yml.

Arrivals of jobs go in, waiting times and task hours come out. Time advances in steps of one second. Jobs are
served in the order in which they arrive, one per core; a compile takes processor time only. Scaling sees what
CloudWatch would show: one value per minute, late by `METRIC_DELAY_SECONDS`. All randomness comes from one
seed, so the same call gives the same result.
"""

import heapq
import math
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

# From the end of a minute until an alarm sees its value: the function runs, CloudWatch stores the value, the
# alarm evaluates it.
METRIC_DELAY_SECONDS = 20
# Target tracking acts after three minutes above the target, or fifteen below nine tenths of it
# (docs.aws.amazon.com/autoscaling/application: target tracking alarms).
MINUTES_ABOVE, MINUTES_BELOW, LOW_SHARE = 3, 15, 0.9
# From the decision to start a task until its runner claims jobs. An assumption: measure it in your account.
# Fargate does not cache images (docs.aws.amazon.com/AmazonECS: fargate-pull-behavior), so each start fetches
# all of it. 40 s for a machine and an address, as small images take (repost.aws: 30 to 45 s). 100 s to fetch
# 2.4 GB and unpack them to 5.1 GB on one core: images of 0.4 and 0.9 GB started in 57 and 70 s, which is 27 s
# for each further GB, plus half of that. 10 s to test one compiler of each family. 30 s as a reserve.
TASK_START_SECONDS = 180
# Published instead of a backlog of 0 (as in chalicelib/cloudwatch_metrics.py; a test compares the two).
LEAST_BACKLOG = 0.01
# Steps of the policy that starts from zero: (backlog from, tasks).
FROM_ZERO_STEPS = ((50, 10), (10, 3), (1, 1))
# Longer than a start, the minute until a metric shows it, and that metric's delay; a shorter cooldown would
# start the same number of tasks again.
FROM_ZERO_COOLDOWN_SECONDS = 300

# Processor seconds of a compile: half of them under 0.3, one in a hundred over 3, as C and C++ files are.
COMPILE_MEDIAN_SECONDS, COMPILE_SIGMA = 0.3, 1.0
LONGEST_COMPILE_SECONDS = 30.0


@dataclass(frozen=True)
class Scaling:
    """The six numbers of the template."""

    target_backlog_per_task: float
    min_tasks: int
    max_tasks: int
    scale_out_cooldown_seconds: int
    scale_in_cooldown_seconds: int
    # After this time in which no job waited, ran or ended, the last runners are stopped.
    idle_seconds: int


@dataclass(frozen=True)
class Run:
    """The result of a simulation: waiting times in seconds (from submitted to claimed), and tasks."""

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
    """The processor time of one compile."""
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
    """Serves jobs that arrive at these times (seconds) and scales as AWS would; `tasks` run at the start."""
    rng = random.Random(seed)  # noqa: S311 -- a model, no secret
    fleet = _Fleet(scaling.min_tasks if tasks is None else tasks)
    scaler = _Scaler(scaling)
    waiting: deque[float] = deque()
    waits: list[float] = []
    next_job = 0
    for second in range(int(hours * 3600)):
        while next_job < len(jobs) and jobs[next_job] < second + 1:
            waiting.append(jobs[next_job])
            next_job += 1
        fleet.advance_to(second)
        while waiting and (start := fleet.free_at(second, waiting[0])) is not None:
            arrived = waiting.popleft()
            waits.append(start - arrived)
            fleet.work(start, compile_seconds(rng))
        if second % 60 == 59:
            busy = fleet.busy(second + 1)
            scaler.observe(len(waiting) + busy, fleet.ready, len(waits) - busy)
        if second % 60 == METRIC_DELAY_SECONDS:
            fleet.resize(scaler.desired_tasks(second, fleet.desired), second)
    # Jobs that still wait at the end have waited at least until then.
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
    """Tasks of one core each: `ready` ones, which claim jobs, and those that are starting."""

    def __init__(self, tasks: int) -> None:
        self.desired = self.ready = self.most = tasks
        self.task_seconds = 0.0
        self.starts = 0
        self._starting: deque[int] = deque()
        self._idle = tasks
        self._ends: list[float] = []

    def advance_to(self, second: int) -> None:
        """Tasks that have started become ready. Every task costs, also while it starts."""
        while self._starting and self._starting[0] <= second:
            self._starting.popleft()
            self.ready += 1
            self._idle += 1
        self.task_seconds += self.ready + len(self._starting)
        self.most = max(self.most, self.ready)

    def free_at(self, second: int, arrived: float) -> float | None:
        """When, within this second, a task can claim a job that arrived at `arrived`; None if none can."""
        if self._idle > 0:
            return max(float(second), arrived)
        if self._ends and len(self._ends) <= self.ready and self._ends[0] < second + 1:
            return max(heapq.heappop(self._ends), arrived)
        # A busy task that is being stopped claims nothing more.
        while len(self._ends) > self.ready and self._ends[0] < second + 1:
            heapq.heappop(self._ends)
        return None

    def work(self, start: float, seconds: float) -> None:
        """A free task becomes busy."""
        if self._idle > 0:
            self._idle -= 1
        heapq.heappush(self._ends, start + seconds)

    def busy(self, second: int) -> int:
        """How many tasks compile; those whose job has ended become free."""
        while self._ends and self._ends[0] <= second:
            heapq.heappop(self._ends)
        self._idle = max(0, self.ready - len(self._ends))
        return len(self._ends)

    def resize(self, tasks: int, second: int) -> None:
        """Starts tasks that are missing; stops those that are too many, first the ones still starting."""
        for _ in range(tasks - self.desired):
            self.starts += 1
            self._starting.append(second + TASK_START_SECONDS)
        for _ in range(self.desired - tasks):
            if self._starting:
                self._starting.pop()
            else:
                self.ready -= 1
                self._idle = max(0, self._idle - 1)
        self.desired = tasks


class StepUp:
    """A scaling step up with a cooldown.

    While the cooldown lasts, the tasks that the step added count towards the next step, so that only a larger
    step adds more (docs.aws.amazon.com/autoscaling/application: cooldown periods).
    """

    def __init__(self, cooldown_seconds: int) -> None:
        self._cooldown_seconds = cooldown_seconds
        self._tasks_before = 0
        self.second = -math.inf

    def desired_tasks(self, second: int, desired: int, step: Callable[[int], int]) -> int:
        """How many tasks there should be; `step` turns a number of tasks into the one after the step."""
        in_cooldown = second - self.second < self._cooldown_seconds
        before = self._tasks_before if in_cooldown else desired
        after = step(before)
        if after > desired:
            self._tasks_before, self.second = before, second
        return max(desired, after)


class _Scaler:
    """Target tracking on the backlog per task, a step up from zero, and a step down to zero.

    Scaling starts from the number of desired tasks, as ECS does, while the metric is divided by the number of
    living runners. So while tasks start, target tracking asks for too many.
    """

    def __init__(self, scaling: Scaling) -> None:
        self._scaling = scaling
        self._per_task: deque[float] = deque(maxlen=MINUTES_BELOW)
        self._work: deque[tuple[int, int]] = deque(maxlen=scaling.idle_seconds // 60)
        self._up = StepUp(scaling.scale_out_cooldown_seconds)
        self._from_zero = StepUp(FROM_ZERO_COOLDOWN_SECONDS)
        self._down_second = -math.inf
        self._ready = 0

    def observe(self, backlog: int, ready: int, ended: int) -> None:
        """What the scheduled function publishes for a minute (chalicelib/cloudwatch_metrics.py)."""
        self._per_task.append(max(LEAST_BACKLOG, backlog) / max(1, ready))
        self._work.append((backlog, ended))
        self._ready = ready

    def desired_tasks(self, second: int, desired: int) -> int:
        """How many tasks there should be, from the number that is desired so far."""
        scaling, tasks = self._scaling, desired
        if not self._work:
            return desired
        target = scaling.target_backlog_per_task
        backlog, _ = self._work[-1]
        above = list(self._per_task)[-MINUTES_ABOVE:]
        if self._ready < 1 and backlog >= 1:
            more = next(more for least, more in FROM_ZERO_STEPS if backlog >= least)
            tasks = self._from_zero.desired_tasks(second, desired, lambda before: before + more)
        if desired and len(above) == MINUTES_ABOVE and min(above) > target:
            up = self._up.desired_tasks(
                second,
                desired,
                lambda before: min(scaling.max_tasks, math.ceil(before * above[-1] / target)),
            )
            tasks = max(tasks, up)
        elif len(self._per_task) == MINUTES_BELOW and max(self._per_task) < LOW_SHARE * target:
            # AWS does not document which of the fifteen values counts. With the newest, most tasks are
            # stopped; the other extreme, the largest, gave the same result.
            down = math.ceil(desired * self._per_task[-1] / target)
            cooled_down = (
                second - max(self._down_second, self._up.second) >= scaling.scale_in_cooldown_seconds
            )
            if down < desired and tasks == desired and cooled_down:
                self._down_second = second
                tasks = down
        if self._is_idle():
            tasks = 0
        return min(scaling.max_tasks, max(scaling.min_tasks, tasks))

    def _is_idle(self) -> bool:
        first, last = self._work[0], self._work[-1]
        complete = len(self._work) == self._work.maxlen
        return complete and first[1] == last[1] and not any(backlog for backlog, _ in self._work)
