"""Connections that are cut in the middle of a command or of its answer, at many places, in both directions.

The client retries once by itself; with two cuts in a row the caller gets `StoreUnavailable` and, as the
runner does, calls again. Wherever the cut is: one job is queued, claimed once, and ends once.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from chalicelib.errors import StoreUnavailable
from chalicelib.models import Status
from chalicelib.storage.protocol import Claim
from chalicelib.storage.redis.store import RedisStore
from tests.support.factories import make_job, make_result
from tests.support.servers import RedisServer, wait_until
from tests.support.servers.proxy import CuttingProxy
from tests.support.stores import claim_one, redis_store

# Places per direction, number of cuts and operation: beginnings, middles and ends of each command.
PLACES = 10


@dataclass
class Setting:
    """A store behind the proxy, and one beside it that is never cut."""

    proxy: CuttingProxy
    cut: RedisStore
    straight: RedisStore
    server: RedisServer


@pytest.fixture
def setting(clean_redis: RedisServer) -> Iterator[Setting]:
    """Both stores over the same emptied server."""
    with CuttingProxy(clean_redis.port) as proxy:
        stores = [
            redis_store(clean_redis.environment(), redis_addr=f"127.0.0.1:{port}", lease_seconds=0.5)
            for port in (proxy.port, clean_redis.port)
        ]
        yield Setting(proxy, stores[0], stores[1], clean_redis)
        for store in stores:
            store.close()


def again_until_done(call: Callable[[], object]) -> object:
    """Calls until the store answers, as a client that gets 503 does."""
    for _ in range(5):
        try:
            return call()
        except StoreUnavailable:
            continue
    pytest.fail("the store did not come back after the cuts")


def queued_once(setting: Setting, job_id: str) -> None:
    """The job is queued, once, with one entry in the stream."""
    by_status = setting.straight.counts().by_status
    assert {status: number for status, number in by_status.items() if number} == {Status.QUEUED: 1}
    redis: Any = setting.server.admin
    assert [fields for _, fields in redis.xrange("job:stream")] == [{"id": job_id}]


def ended_once(setting: Setting, job_id: str, status: Status) -> None:
    """The job has ended with this status, is counted once, has its result and leaves nothing else."""
    job, result = setting.straight.get(job_id), setting.straight.get_result(job_id)
    assert job is not None
    assert result is not None
    assert job.status is status is result.status
    counts = setting.straight.counts()
    assert {status: number for status, number in counts.by_status.items() if number} == {status: 1}
    assert counts.totals.processed + counts.totals.cancelled == 1
    assert setting.server.admin.xlen("job:stream") == 0
    assert setting.server.admin.hlen("job:live") == 0


def try_submit(setting: Setting) -> None:
    """Submit is cut and repeated: one job is queued."""
    job = make_job()
    again_until_done(lambda: setting.cut.submit(job))
    queued_once(setting, job.id)


def try_claim(setting: Setting) -> None:
    """Claim is cut: the job is claimed once, if need be after the lease, and never lost."""
    job = make_job()
    setting.straight.submit(job)
    held = again_until_done(lambda: setting.cut.claim("cut runner", 0.1))
    if held is None:  # the answer of the read or of the claim was lost: the lease runs out
        held = claim_one(setting.straight, sweep=True)
    assert isinstance(held, Claim)
    assert held.job.id == job.id
    assert setting.straight.complete(held, make_result(job.id))
    ended_once(setting, job.id, Status.COMPLETED)


def try_renew(setting: Setting) -> None:
    """Renew is cut and repeated: the lease is kept."""
    job = make_job()
    setting.straight.submit(job)
    claim = claim_one(setting.straight, sweep=True)
    assert again_until_done(lambda: setting.cut.renew(claim.runner, [claim])) == frozenset()
    assert setting.straight.complete(claim, make_result(job.id))
    ended_once(setting, job.id, Status.COMPLETED)


def try_complete(setting: Setting) -> None:
    """Complete is cut and repeated: true, and the job is counted once."""
    job = make_job()
    setting.straight.submit(job)
    claim = claim_one(setting.straight, sweep=True)
    assert again_until_done(lambda: setting.cut.complete(claim, make_result(job.id))) is True
    ended_once(setting, job.id, Status.COMPLETED)


def try_cancel(setting: Setting) -> None:
    """Cancel is cut and repeated: the job is cancelled, once."""
    job = make_job()
    setting.straight.submit(job)
    assert again_until_done(lambda: setting.cut.cancel(job.id)) is Status.CANCELLED
    ended_once(setting, job.id, Status.CANCELLED)


def try_release(setting: Setting) -> None:
    """Release is cut and repeated: the job is queued once, and the attempt is not counted."""
    job = make_job()
    setting.straight.submit(job)
    claim = claim_one(setting.straight, sweep=True)
    again_until_done(lambda: setting.cut.release(claim))
    queued_once(setting, job.id)
    assert claim_one(setting.straight, sweep=True).attempts == 1


OPERATIONS = {
    "submit": try_submit,
    "claim": try_claim,
    "renew": try_renew,
    "complete": try_complete,
    "cancel": try_cancel,
    "release": try_release,
}


@pytest.mark.parametrize("direction", ["request", "answer"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_cut_operation_has_the_effect_of_one(setting: Setting, operation: str, direction: str) -> None:
    """It is cut at ten places, once and twice in a row, and repeated; nothing is lost or done twice."""
    attempt = OPERATIONS[operation]
    setting.cut.ping()
    attempt(setting)  # loads the scripts
    setting.server.admin.flushdb()
    setting.proxy.arm("", 0)
    attempt(setting)  # uncut, to count the bytes that can be cut
    total = setting.proxy.passed[direction]
    assert total > 0
    cuts_made = 0
    for cuts in (1, 2):
        for place in range(PLACES):
            setting.server.admin.flushdb()
            setting.proxy.arm(direction, total * place // PLACES + 1, cuts=cuts)
            attempt(setting)
            cuts_made += cuts - setting.proxy.disarm()
    print(f"\n{operation}, {direction}: {total} bytes, {cuts_made} cuts")
    assert cuts_made >= PLACES


def test_the_proxy_really_cuts(setting: Setting) -> None:
    """Without retries a cut is an error: the proxy does what these tests rely on."""
    setting.proxy.arm("answer", 1, cuts=10)
    with pytest.raises(StoreUnavailable):
        setting.cut.counts()
    assert setting.proxy.disarm() < 10
    wait_until(lambda: setting.cut.counts() is not None, "the next connection")
