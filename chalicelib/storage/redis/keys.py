"""Every key name in Redis; no other module writes one.

Names and fields are published: operators read them, and data of a running deployment must stay readable, so a
name never changes. All of them begin with `REDIS_KEY_PREFIX`, which is empty unless several services share
one Redis. In a cluster the coordination keys get a hash tag as well, ``{job}:``, so that they share one slot
and a script can touch them together. `job:<id>`, `result:<id>`, `matrix:<id>` and `source:<sha256>` never get
one, so that sources and results spread over the slots. A prefix is in the tag too: ``p:`` makes
``p:{p:job}:``, and so the deployments of one cluster spread as well.

To add a key: a function here whose docstring says ``<type>, <time to live>: <what it holds>.``, from which
`make docs` makes the table of docs/architecture.md. docs/development.md has the recipe.
"""

from dataclasses import dataclass

from chalicelib.models import Status
from chalicelib.settings import Settings

# What the coordination keys begin with in a cluster, without a prefix.
CLUSTER_TAG = "{job}:"


@dataclass(frozen=True, slots=True)
class Keys:
    """The names for one REDIS_KEY_PREFIX, in a cluster or not."""

    prefix: str = ""
    cluster: bool = False

    @classmethod
    def of(cls, settings: Settings) -> "Keys":
        """The names that the settings choose."""
        return cls(settings.redis_key_prefix, settings.redis_mode == "cluster")

    # -- keys of one job, matrix or file, each in a slot of its own

    def job(self, job_id: str) -> str:
        """Hash, job TTL: the record of a job: request, status, times, attempts, the runner that has it."""
        return f"{self.prefix}job:{job_id}"

    def result(self, job_id: str) -> str:
        """Hash, job TTL: the result of a job that has ended."""
        return f"{self.prefix}result:{job_id}"

    def matrix(self, matrix_id: str) -> str:
        """String, job TTL: the matrix and the ids of its jobs, as JSON; the jobs have the statuses."""
        return f"{self.prefix}matrix:{matrix_id}"

    def source(self, sha256: str) -> str:
        """String, job TTL of the last job that names it: a text that jobs share, compressed (zlib)."""
        return f"{self.prefix}source:{sha256}"

    def events(self, job_id: str) -> str:
        """Channel, none: the new status, as a hint; the record is what counts."""
        # The tag puts it into the slot of the record: serverless caches let a script publish nowhere else.
        return f"{self.prefix}job:events:{{{self.job(job_id)}}}"

    # -- keys that scripts touch together, all in one slot

    @property
    def together(self) -> str:
        """What the names of these begin with."""
        return self.prefix + (f"{{{self.prefix}job}}:" if self.cluster else "")

    @property
    def stream(self) -> str:
        """Stream, none: order and delivery of queued ids (field `id`), consumer group `runners`."""
        return f"{self.together}job:stream"

    @property
    def live(self) -> str:
        """Hash, job TTL from the last change: six facts about each job that has not ended."""
        return f"{self.together}job:live"

    @property
    def stats(self) -> str:
        """Hash, none: totals of jobs that ended, over all runners, and the time of the last sweep."""
        return f"{self.together}stats"

    @property
    def runners(self) -> str:
        """Sorted set, job TTL from the last registration: runner ids by the time at which they expire."""
        return f"{self.together}runners"

    @property
    def environments(self) -> str:
        """Hash, job TTL from the last registration: digest → the environments of that digest as JSON."""
        return f"{self.together}environments"

    def runner(self, runner_id: str) -> str:
        """Hash, LEASE_SECONDS: what a runner registered: `info` (JSON) and the digest of its environments."""
        return f"{self.together}runner:{runner_id}"

    def index(self, status: Status) -> str:
        """Set, job TTL from the last arrival: ids of the jobs in that status; a job is in exactly one."""
        return f"{self.together}job:index:status:{status.value}"

    @property
    def set_aside(self) -> str:
        """What the names of keys that are not ours begin with, once they are out of the way."""
        return (self.together if self.cluster else f"{self.prefix}job:") + "set-aside:"

    def for_scripts(self) -> tuple[str, ...]:
        """KEYS of every coordination script, in the order of `prelude.lua`."""
        return (self.stream, self.live, self.stats, *(self.index(status) for status in Status))
