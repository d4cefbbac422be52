"""How jobs arrive over a day: the patterns that the numbers of scaling are chosen for.

For another pattern, add an entry to `PATTERNS`. `Pattern.per_second` scales it to any number of jobs a day.
"""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

DAY_HOURS = 24.0


@dataclass(frozen=True)
class Pattern:
    """A day: `rate(hour)` in any unit is scaled so that the day has `jobs_per_day` jobs."""

    name: str
    description: str
    jobs_per_day: float
    rate: Callable[[float], float]

    def per_second(self, jobs_per_day: float | None = None) -> Callable[[float], float]:
        """A function from the hour of the day to jobs a second."""
        minutes = int(DAY_HOURS * 60)
        total = sum(self.rate(minute / 60) * 60 for minute in range(minutes))
        factor = (self.jobs_per_day if jobs_per_day is None else jobs_per_day) / total
        return lambda hour: self.rate(hour % DAY_HOURS) * factor


def _office(hour: float) -> float:
    """Nothing at night, peaks at eleven and at three."""
    if not 7 <= hour <= 20:
        return 0.0
    return 0.1 + math.exp(-(((hour - 11) / 2) ** 2)) + math.exp(-(((hour - 15) / 2) ** 2))


def _build_server(hour: float) -> float:
    """A matrix of builds every half hour, which arrives within two minutes."""
    return 1.0 if (hour * 60) % 30 < 2 else 0.01


def _course(hour: float) -> float:
    """A deadline at eight in the evening: ever more until then, almost nothing afterwards."""
    return math.exp((hour - 20) / 1.5) if hour <= 20 else 0.005


def _flash(hour: float) -> float:
    """Quiet, except for ten minutes with fifty times as many jobs."""
    return 50.0 if 12 <= hour < 12 + 10 / 60 else 1.0


def _nightly(hour: float) -> float:
    """Almost everything between two and four at night."""
    return 1.0 if 2 <= hour < 4 else 0.002


_BUMPS = random.Random(7)  # noqa: S311 -- a model, no secret
_LEVELS = [_BUMPS.lognormvariate(0, 1) for _ in range(24 * 4)]


def _agents(hour: float) -> float:
    """Programs that write programs: each quarter of an hour has its own level, up to tenfold."""
    return _LEVELS[int(hour * 4) % len(_LEVELS)]


MILLION_A_MONTH = 1e6 / 30.4

PATTERNS = (
    Pattern("steady", "the same all day, a million a month", MILLION_A_MONTH, lambda _: 1.0),
    Pattern("office", "working hours of one continent, a million a month", MILLION_A_MONTH, _office),
    Pattern("build server", "a matrix every half hour", MILLION_A_MONTH, _build_server),
    Pattern("course", "a deadline at eight in the evening", 20_000, _course),
    Pattern("flash crowd", "fifty times as many jobs for ten minutes", MILLION_A_MONTH, _flash),
    Pattern("nightly", "almost all between two and four at night", MILLION_A_MONTH, _nightly),
    Pattern("agents", "bursts of a quarter of an hour", 3 * MILLION_A_MONTH, _agents),
    Pattern("hobby", "fifty jobs a day", 50, _office),
)
