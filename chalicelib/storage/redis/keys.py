"""Every key name in Redis; no other module writes one.

Names and fields are published: operators read them, and data of a running deployment must stay readable, so a
name never changes. In a cluster the coordination keys get the prefix ``{job}:``, so that they share one slot
and a script can touch them together. `job:<id>`, `result:<id>`, `matrix:<id>` and the channels never get it,
so that sources and results spread over the slots.
"""

from dataclasses import dataclass

from chalicelib.models import Status

CLUSTER_TAG = "{job}:"


def job(job_id: str) -> str:
    """Hash: the job's record."""
    return f"job:{job_id}"


def result(job_id: str) -> str:
    """Hash: the job's result."""
    return f"result:{job_id}"


def matrix(matrix_id: str) -> str:
    """String: the matrix and the ids of its jobs, as JSON."""
    return f"matrix:{matrix_id}"


def events(job_id: str) -> str:
    """Channel: a hint that the job's status changed."""
    return f"job:events:{job_id}"


@dataclass(frozen=True, slots=True)
class CoordinationKeys:
    """The keys that scripts touch together; all in one slot."""

    prefix: str = ""

    @classmethod
    def for_mode(cls, redis_mode: str) -> "CoordinationKeys":
        """The names for a REDIS_MODE."""
        return cls(prefix=CLUSTER_TAG if redis_mode == "cluster" else "")

    @property
    def stream(self) -> str:
        """Stream: order and delivery of queued ids."""
        return f"{self.prefix}job:stream"

    @property
    def live(self) -> str:
        """Hash: five facts about each job that has not ended; see prelude.lua."""
        return f"{self.prefix}job:live"

    @property
    def stats(self) -> str:
        """Hash: totals over all runners, and the time of the last sweep."""
        return f"{self.prefix}stats"

    @property
    def runners(self) -> str:
        """Sorted set: runner ids by the time at which their registration runs out."""
        return f"{self.prefix}runners"

    @property
    def environments(self) -> str:
        """Hash: digest → JSON list of environments, as runners registered them."""
        return f"{self.prefix}environments"

    def runner(self, runner_id: str) -> str:
        """Hash with a TTL: a runner's registration."""
        return f"{self.prefix}runner:{runner_id}"

    def index(self, status: Status) -> str:
        """Set: the ids of the jobs in that status."""
        return f"{self.prefix}job:index:status:{status.value}"

    def for_scripts(self) -> tuple[str, ...]:
        """KEYS of every coordination script, in the order of `prelude.lua`."""
        return (self.stream, self.live, self.stats, *(self.index(status) for status in Status))
