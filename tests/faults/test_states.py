"""Any order of submit, claim, heartbeat, complete, hand back, cancel, crash, recover and expire.

Hypothesis drives a store and a model of it side by side. After every step each living id is in
exactly one status, the one that the model says; what a store answers is what the model expects.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from chalicelib.errors import QueueFull
from chalicelib.models import Status, Verdict
from chalicelib.storage.base import Claim, JobStore
from chalicelib.storage.memory import MemoryStore
from chalicelib.storage.redis import RedisStore
from tests.factories import make_job, make_result, make_settings
from tests.servers import RedisServer

QUEUE_SIZE = 4
MAX_ATTEMPTS = 2
LEASE_SECONDS = 3600.0


@dataclass
class Expected:
    """What the model knows of a job."""

    status: Status = Status.QUEUED
    attempts: int = 0
    claim: Claim | None = None


class Machine(RuleBasedStateMachine):
    """The model. A subclass brings the store and the ways to age and to expire."""

    jobs = Bundle("jobs")

    store: JobStore

    def __init__(self) -> None:
        super().__init__()
        self.expected: dict[str, Expected] = {}
        self.former_claims: list[Claim] = []
        self.begin()

    def begin(self) -> None:
        """Makes the store, empty."""
        raise NotImplementedError

    def age_leases(self) -> None:
        """Makes every lease run out."""
        raise NotImplementedError

    def expire(self, job_id: str) -> None:
        """Lets a job's time to live end."""
        raise NotImplementedError

    def _in(self, status: Status) -> list[str]:
        return [job_id for job_id, job in self.expected.items() if job.status is status]

    @rule(target=jobs)
    def submit(self) -> str:
        """A new job: queued, or refused when the queue is full."""
        job = make_job()
        full = len(self._in(Status.QUEUED)) >= QUEUE_SIZE
        try:
            self.store.submit(job)
        except QueueFull:
            assert full
            assert self.store.get(job.id) is None
        else:
            assert not full
            self.expected[job.id] = Expected()
        return job.id

    @rule()
    def claim(self) -> None:
        """The longest-waiting job, unless none waits."""
        queued = self._in(Status.QUEUED)
        claim = None
        for _ in range(len(self.expected) + 2):  # entries of ended jobs may be met first
            claim = claim or self.store.claim("runner", 0.001)
        if not queued:
            assert claim is None
            return
        assert claim is not None
        job = self.expected[claim.job.id]
        assert job.status is Status.QUEUED
        job.status, job.attempts, job.claim = Status.PROCESSING, job.attempts + 1, claim
        assert claim.attempts == job.attempts

    @rule(job_id=jobs)
    def heartbeat(self, job_id: str) -> None:
        """A valid claim is renewed."""
        job = self.expected.get(job_id)
        if job and job.claim:
            assert self.store.heartbeat("runner", [job.claim]) == frozenset()

    @rule(job_id=jobs, verdict=st.sampled_from([Verdict.COMPILES, Verdict.REJECTED]))
    def complete(self, job_id: str, verdict: Verdict) -> None:
        """A valid claim ends its job."""
        job = self.expected.get(job_id)
        if job and job.claim:
            result = make_result(job_id, verdict=verdict, compiled=verdict is Verdict.COMPILES)
            assert self.store.complete(job.claim, result)
            self._ended(job, result.status)

    @rule(job_id=jobs)
    def release(self, job_id: str) -> None:
        """A valid claim is handed back: queued, its attempt not counted."""
        job = self.expected.get(job_id)
        if job and job.claim:
            assert self.store.release(job.claim)
            self.former_claims.append(job.claim)
            job.status, job.attempts, job.claim = Status.QUEUED, job.attempts - 1, None

    @rule(job_id=jobs)
    def cancel(self, job_id: str) -> None:
        """A living job is cancelled; an ended one keeps its status."""
        job = self.expected.get(job_id)
        status = self.store.cancel(job_id)
        if job is None:
            assert status is None
        elif job.status.terminal:
            assert status is job.status
        else:
            assert status is Status.CANCELLED
            self._ended(job, Status.CANCELLED)

    def _ended(self, job: Expected, status: Status) -> None:
        if job.claim:
            self.former_claims.append(job.claim)
        job.status, job.claim = status, None

    @rule()
    def crash_and_recover(self) -> None:
        """All runners die and their leases run out: their jobs come back, or end after enough attempts."""
        self.age_leases()
        self.store.sweep()
        for job_id in self._in(Status.PROCESSING):
            job = self.expected[job_id]
            assert job.claim is not None
            self.former_claims.append(job.claim)
            job.claim = None
            job.status = Status.ERROR if job.attempts >= MAX_ATTEMPTS else Status.QUEUED

    @rule(job_id=jobs)
    def time_runs_out(self, job_id: str) -> None:
        """A job's time to live ends: it is unknown, whatever it was."""
        if job_id in self.expected:
            self.expire(job_id)
            job = self.expected.pop(job_id)
            if job.claim:
                self.former_claims.append(job.claim)

    @rule(data=st.data())
    def late_word(self, data: st.DataObject) -> None:
        """A former claim counts no more: not to renew, not to hand back, not to complete."""
        if not self.former_claims:
            return
        claim = data.draw(st.sampled_from(self.former_claims))
        job = self.expected.get(claim.job.id)
        if job is None:
            return  # a job that expired under its runner is nobody's business: either answer will do
        if job.status in (Status.COMPLETED, Status.FAILED):
            return  # may be the very claim that ended it: repeating that is allowed, see the contract
        assert self.store.heartbeat("runner", [claim]) == {claim.job.id}
        assert not self.store.release(claim)
        assert not self.store.complete(claim, make_result(claim.job.id, stdout="late"))

    @invariant()
    def statuses_agree(self) -> None:
        """Each living job has the model's status, and its result exactly when it has ended."""
        for job_id, job in self.expected.items():
            found = self.store.get(job_id)
            assert found is not None
            assert found.status is job.status
            result = self.store.get_result(job_id)
            assert (result is not None) == job.status.terminal
            assert result is None or (result.status is job.status and result.stdout != "late")
        self.check_index()

    def check_index(self) -> None:
        """Each living id is in one status."""
        by_status = self.store.counts().by_status
        assert sum(by_status.values()) == len(self.expected)


class MemoryMachine(Machine):
    """The store in memory, with a clock that the machine sets."""

    def begin(self) -> None:
        """A new store."""
        self.now = 0.0
        values = {"queue_size": QUEUE_SIZE, "max_attempts": MAX_ATTEMPTS, "lease_seconds": LEASE_SECONDS}
        self.store = MemoryStore(make_settings(**values), clock=lambda: self.now)

    def age_leases(self) -> None:
        """An hour passes."""
        self.now += LEASE_SECONDS

    def expire(self, job_id: str) -> None:
        """Time passes for one job alone: it is the oldest of all."""
        store = self.store
        assert isinstance(store, MemoryStore)
        store._records[job_id].expires_at = self.now
        store._records.move_to_end(job_id, last=False)


class RedisMachine(Machine):
    """The Redis store on a real server."""

    server: ClassVar[RedisServer]
    opened: ClassVar[list[RedisStore]] = []

    def begin(self) -> None:
        """The same server, emptied."""
        self.redis: Any = self.server.admin
        self.redis.flushall()
        if not self.opened:
            variables = {
                "redis_enabled": True,
                "redis_addr": self.server.address,
                "queue_size": QUEUE_SIZE,
                "max_attempts": MAX_ATTEMPTS,
                "lease_seconds": LEASE_SECONDS,
            }
            self.opened.append(RedisStore(make_settings(**variables)))
        self.store = self.opened[0]

    def age_leases(self) -> None:
        """Every pending entry has been idle for an hour, and nobody has swept for as long."""
        self.redis.hdel("stats", "swept_at_ms")
        if not self.redis.exists("job:stream"):
            return
        if not self.redis.xinfo_groups("job:stream"):
            return
        for pending in self.redis.xpending_range("job:stream", "runners", "-", "+", 100):
            self.redis.xclaim(
                "job:stream",
                "runners",
                pending["consumer"],
                0,
                [pending["message_id"]],
                idle=int(LEASE_SECONDS * 1000) + 1,
                justid=True,
            )

    def expire(self, job_id: str) -> None:
        """Redis drops both hashes, and nothing else: the index is ours to mend."""
        self.redis.delete(f"job:{job_id}", f"result:{job_id}")

    def check_index(self) -> None:
        """Each living id is in one set; ids of expired jobs may be left over."""
        pipe = self.redis.pipeline(transaction=False)
        for status in Status:
            pipe.smembers(f"job:index:status:{status.value}")
        members = pipe.execute()
        for job_id in self.expected:
            assert sum(job_id in ids for ids in members) == 1


def run(machine: type[Machine], examples: int, *, derandomize: bool = False) -> None:
    """Runs a machine; 30 steps reach every transition of a few jobs."""
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=30,
            deadline=None,
            derandomize=derandomize,
            suppress_health_check=list(HealthCheck),
            # Without the phase that explains a failure: it traces every line, which takes minutes here.
            phases=[Phase.generate, Phase.shrink],
        ),
    )


def test_any_order_of_operations_in_memory() -> None:
    """The store in memory keeps its invariants in any order of operations."""
    run(MemoryMachine, examples=150)


@pytest.mark.timeout(300)
def test_any_order_of_operations_in_redis(start_redis: Callable[..., RedisServer]) -> None:
    """The Redis store keeps its invariants in any order of operations."""
    # Redis looks 10 times a second for blocked clients whose time is over: too rarely for empty queues here.
    RedisMachine.server = start_redis(config={"hz": "500"})
    RedisMachine.opened.clear()
    try:
        run(RedisMachine, examples=40)
    finally:
        for store in RedisMachine.opened:
            store.close()


def test_the_model_notices_a_broken_store() -> None:
    """A store that forgets to refuse late results is caught: the machine can fail."""

    class Careless(MemoryStore):
        def _valid(self, claim: Claim) -> Any:
            return self._find(claim.job.id)

    class CarelessMachine(MemoryMachine):
        def begin(self) -> None:
            super().begin()
            values = {"queue_size": QUEUE_SIZE, "max_attempts": MAX_ATTEMPTS, "lease_seconds": LEASE_SECONDS}
            self.store = Careless(make_settings(**values), clock=lambda: self.now)

    # The same examples each time: it is the model that is tested here, not the luck of finding it.
    with pytest.raises(AssertionError):
        run(CarelessMachine, examples=400, derandomize=True)
