"""Any order of submit, claim, renewal, complete, hand back, cancel, crash, recover and expire.

Hypothesis drives a store and its model (model.py) side by side. After every step each living id is in
exactly one status, the one that the model says; what a store answers is what the model expects.
"""

from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from chalicelib.models import Status
from chalicelib.storage.memory import MemoryStore
from chalicelib.storage.protocol import Claim
from chalicelib.storage.redis.store import RedisStore
from tests.faults.model import LEASE_SECONDS, MAX_ATTEMPTS, QUEUE_SIZE, Machine
from tests.support.factories import make_settings
from tests.support.servers import RedisServer


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
