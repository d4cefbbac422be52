"""How much of a busy processor one job may claim: no more than one or two processes, however many it has.

The kernel shares cores between processes, not between jobs. Where it has no groups for them (in a container
without control groups of its own there are none to be had), a job of forty busy processes gets forty shares
and its neighbour one. So the more of a job's tasks want to run, the less each of them weighs: `nice` is
raised until all of them together weigh half of what one process does. Cores that nobody wants stay theirs.

It only works upwards: lowering `nice` takes a capability that a runner need not have. A job that wanted to
run more at once for a while keeps the low weight, which costs it nothing while there are as many cores as
jobs. It must never lower the weight of a job for what is over within a sample or two: a compiler and its
driver run at the same time for moments.
"""

import math

# sched(7): one step of nice is a factor of 1.25 in weight; 19 is the last one.
_STEP = 1.25
_LAST = 19

# Below as many tasks that want to run, a job is what it should be: one compiler and the one that it feeds.
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

    def nice_for(self, runnable: int) -> int:
        """The `nice` (0 to 19) that each of the job's tasks should have after one more sample."""
        self._average += _NEWEST_PART * (runnable - self._average)
        if self._average < _ORDINARY_TASKS:
            return 0
        return min(_LAST, math.ceil(math.log(self._average / _TOTAL, _STEP)))
