"""Any order of submit, claim, renew, complete, release, cancel, crash, sweep and expiry.

Hypothesis drives a store and its model (model.py) side by side. After every step each living id is in exactly
one status, that of the model, and the store has answered as the model expects.
"""

from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from chalicelib.models import Result, Status
from chalicelib.storage.memory import MemoryStore
from chalicelib.storage.protocol import Claim
from chalicelib.storage.redis.store import RedisStore
from tests.faults.model import LEASE_SECONDS, MAX_ATTEMPTS, QUEUE_SIZE, Machine
from tests.support.factories import make_settings
from tests.support.servers import RedisServer
from tests.support.stores import redis_store

SETTINGS = {"queue_size": QUEUE_SIZE, "max_attempts": MAX_ATTEMPTS, "lease_seconds": LEASE_SECONDS}


class SteeredMemoryStore(MemoryStore):
    """A store in memory whose clock is set by hand, and which can let a single job expire."""

    def __init__(self) -> None:
        self.now = 0.0
        super().__init__(make_settings(**SETTINGS), clock=lambda: self.now)

    def expire(self, job_id: str) -> None:
        """The job's time to live is over: it is the first in order of expiry."""
        self._records[job_id].expires_at = self.now
        self._records.move_to_end(job_id, last=False)


class MemoryMachine(Machine):
    """The store in memory, with a clock that the machine sets."""

    store: SteeredMemoryStore

    def open_store(self) -> None:
        """A new store."""
        self.store = SteeredMemoryStore()

    def age_leases(self) -> None:
        """An hour passes."""
        self.store.now += LEASE_SECONDS

    def expire(self, job_id: str) -> None:
        """Time passes for one job only."""
        self.store.expire(job_id)


class RedisMachine(Machine):
    """The Redis store on a real server."""

    server: ClassVar[RedisServer]
    opened: ClassVar[list[RedisStore]] = []

    def open_store(self) -> None:
        """The same server, emptied."""
        self.redis: Any = self.server.admin
        self.redis.flushall()
        if not self.opened:
            self.opened.append(redis_store(self.server.environment(), **SETTINGS))
        self.store = self.opened[0]

    def age_leases(self) -> None:
        """Every pending entry has been idle for an hour, and the last sweep was longer ago."""
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
        """Redis removes both hashes and nothing else: the store must clean up its index."""
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
    """A store that takes the result of an older claim is caught: the machine can fail."""

    class CarelessStore(SteeredMemoryStore):
        def __init__(self) -> None:
            super().__init__()
            self.newest: dict[str, Claim] = {}

        def claim(self, runner: str, block_seconds: float) -> Claim | None:
            claim = super().claim(runner, block_seconds)
            if claim is not None:
                self.newest[claim.job.id] = claim
            return claim

        def complete(self, claim: Claim, result: Result) -> bool:
            return super().complete(self.newest[claim.job.id], result)

    class CarelessMachine(MemoryMachine):
        def open_store(self) -> None:
            self.store = CarelessStore()

    # The same examples each time: the model is tested here, and not whether a random search is lucky.
    with pytest.raises(AssertionError):
        run(CarelessMachine, examples=400, derandomize=True)
