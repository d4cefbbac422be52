"""Keeps a job with many busy processes from taking the processor from its neighbours.

Without a control group for each job (a task on Fargate cannot make any) the kernel shares cores between
processes, not between jobs. So the more tasks of a job want to run, the higher their `nice` becomes, until
all of them together weigh half of what one process does. Cores that nobody else wants stay theirs.

`nice` is only ever raised: lowering it takes a capability that a runner need not have. So it must not react
to what is over within a sample or two, such as a compiler that starts while its driver still runs.
"""

import math

# sched(7): one step of nice is a factor of 1.25 in weight; 19 is the last one.
_STEP = 1.25
_LAST = 19

# With fewer tasks than this that want to run, a job is ordinary: one compiler, and the driver for moments.
_ORDINARY_TASKS = 1.5

# Half of one process: beside it an honest job keeps two thirds of a core even where there is one for both.
_TOTAL = 0.5

# How much of the newest sample is in the average: forty spinning processes are seen in the first one, and a
# driver beside its compiler is not in any.
_NEWEST_PART = 0.25


class Weight:
    """The weight of one job, from samples of how many of its tasks want to run."""

    def __init__(self) -> None:
        self._average = 1.0

    def update(self, runnable: int) -> int:
        """Take in one more sample; returns the `nice` (0 to 19) that each of the job's tasks should have."""
        self._average += _NEWEST_PART * (runnable - self._average)
        if self._average < _ORDINARY_TASKS:
            return 0
        return min(_LAST, math.ceil(math.log(self._average / _TOTAL, _STEP)))
