"""Every key name in Redis; no other module writes one.

Names and fields are published: operators read them, and data of a running deployment must stay readable, so a
name never changes. In a cluster the coordination keys get the prefix ``{job}:``, so that they share one slot
and a script can touch them together. `job:<id>`, `result:<id>`, `matrix:<id>` and the channels never get it,
so that sources and results spread over the slots.

To add a key: a function here whose docstring says ``<type>, <time to live>: <what it holds>.``, from which
`make docs` makes the table of docs/architecture.md. docs/development.md has the recipe.
"""

from dataclasses import dataclass

from chalicelib.models import Status

CLUSTER_TAG = "{job}:"


def job(job_id: str) -> str:
    """Hash, job TTL: the record of a job: request, status, times, attempts, the runner that has it."""
    return f"job:{job_id}"


def result(job_id: str) -> str:
    """Hash, job TTL: the result of a job that has ended."""
    return f"result:{job_id}"


def matrix(matrix_id: str) -> str:
    """String, job TTL: the matrix and the ids of its jobs, as JSON; the jobs have the statuses."""
    return f"matrix:{matrix_id}"


def events(job_id: str) -> str:
    """Channel, none: the new status, as a hint; the record is what counts."""
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
        """Stream, none: order and delivery of queued ids (field `id`), consumer group `runners`."""
        return f"{self.prefix}job:stream"

    @property
    def live(self) -> str:
        """Hash, job TTL from the last change: five facts about each job that has not ended."""
        return f"{self.prefix}job:live"

    @property
    def stats(self) -> str:
        """Hash, none: totals of jobs that ended, over all runners, and the time of the last sweep."""
        return f"{self.prefix}stats"

    @property
    def runners(self) -> str:
        """Sorted set, job TTL from the last registration: runner ids by the time at which they expire."""
        return f"{self.prefix}runners"

    @property
    def environments(self) -> str:
        """Hash, job TTL from the last registration: digest → the environments of that digest as JSON."""
        return f"{self.prefix}environments"

    def runner(self, runner_id: str) -> str:
        """Hash, LEASE_SECONDS: what a runner registered: `info` (JSON) and the digest of its environments."""
        return f"{self.prefix}runner:{runner_id}"

    def index(self, status: Status) -> str:
        """Set, job TTL from the last arrival: ids of the jobs in that status; a job is in exactly one."""
        return f"{self.prefix}job:index:status:{status.value}"

    def for_scripts(self) -> tuple[str, ...]:
        """KEYS of every coordination script, in the order of `prelude.lua`."""
        return (self.stream, self.live, self.stats, *(self.index(status) for status in Status))
