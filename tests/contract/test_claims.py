"""The contract of `JobStore` about claims: lease, attempts, release and cancel, held by every store."""

import threading
from concurrent.futures import ThreadPoolExecutor

from chalicelib.models import Job, Reason, Status, Verdict
from chalicelib.storage.protocol import Claim, JobStore
from tests.contract.support import (
    LEASE_SECONDS,
    MakeStore,
    assert_in_one_status,
    nothing_to_claim,
    status_of,
)
from tests.support.factories import make_job, make_result
from tests.support.stores import claim_one, keep_lease, sweep_until


def test_cancelling_a_queued_job_ends_it(store: JobStore) -> None:
    """A cancelled job is never claimed, and its result says that it was cancelled."""
    job = make_job()
    store.submit(job)
    assert store.cancel(job.id) is Status.CANCELLED
    assert store.cancel(job.id) is Status.CANCELLED
    result = store.get_result(job.id)
    assert result is not None
    assert (result.verdict, result.reason, result.compiled) == (Verdict.INCONCLUSIVE, Reason.CANCELLED, False)
    assert nothing_to_claim(store)
    assert_in_one_status(store, {Status.CANCELLED: 1})


def test_cancelling_a_running_job_takes_it_from_its_runner(store: JobStore) -> None:
    """The runner is told by its next renewal, and its late result has no effect."""
    job = make_job()
    store.submit(job)
    claim = claim_one(store)
    assert store.renew("runner-a", [claim]) == frozenset()
    assert store.cancel(job.id) is Status.CANCELLED
    assert store.renew("runner-a", [claim]) == {job.id}
    assert not store.complete(claim, make_result(job.id))
    result = store.get_result(job.id)
    assert result is not None and result.reason is Reason.CANCELLED
    assert_in_one_status(store, {Status.CANCELLED: 1})


def test_cancelling_an_ended_job_returns_how_it_ended(store: JobStore) -> None:
    """The cancel comes too late: the status stays, and is returned."""
    job = make_job()
    store.submit(job)
    store.complete(claim_one(store), make_result(job.id))
    assert store.cancel(job.id) is Status.COMPLETED
    assert status_of(store, job) is Status.COMPLETED


def test_cancel_and_complete_have_one_winner(stores: MakeStore) -> None:
    """A hundred races: exactly one of the two wins, and the result is the winner's."""
    store = stores(queue_size=200)
    with ThreadPoolExecutor(2) as pool:
        for _ in range(100):
            job = make_job()
            store.submit(job)
            claim = claim_one(store)
            start = threading.Barrier(2)

            def cancel(job: Job = job, start: threading.Barrier = start) -> bool:
                start.wait()
                return store.cancel(job.id) is Status.CANCELLED

            def complete(claim: Claim = claim, start: threading.Barrier = start) -> bool:
                start.wait()
                return store.complete(claim, make_result(claim.job.id))

            cancelled, completed = pool.submit(cancel), pool.submit(complete)
            assert cancelled.result() != completed.result()
            result = store.get_result(job.id)
            assert result is not None
            assert result.compiled is completed.result()
            winner = Status.COMPLETED if completed.result() else Status.CANCELLED
            assert status_of(store, job) is winner


def test_a_released_job_can_be_claimed_at_once_and_its_attempt_does_not_count(store: JobStore) -> None:
    """A graceful stop costs the job nothing: it is queued, on its first attempt; the old claim is void."""
    job = make_job()
    store.submit(job)
    first = claim_one(store)
    assert store.release(first)
    assert_in_one_status(store, {Status.QUEUED: 1})
    assert not store.release(first)
    second = claim_one(store, "runner-b")
    assert (second.job.id, second.attempts) == (job.id, 1)
    assert second.token > first.token
    assert not store.complete(first, make_result(job.id))
    assert store.renew("runner-a", [first]) == {job.id}
    assert store.complete(second, make_result(job.id, stdout="second"))
    result = store.get_result(job.id)
    assert result is not None and result.stdout == "second"


def test_a_silent_runners_job_is_released_and_its_late_result_has_no_effect(stores: MakeStore) -> None:
    """After the lease another runner gets the job, and what the first one still writes is ignored."""
    store = stores(lease_seconds=LEASE_SECONDS)
    job = make_job()
    store.submit(job)
    first = claim_one(store, "runner-a")
    sweep_until(store, lambda: status_of(store, job) is Status.QUEUED)
    second = claim_one(store, "runner-b")
    assert (second.job.id, second.attempts) == (job.id, 2)
    assert store.renew("runner-a", [first]) == {job.id}
    assert not store.complete(first, make_result(job.id, stdout="late"))
    assert store.complete(second, make_result(job.id, stdout="second"))
    assert not store.complete(first, make_result(job.id, stdout="late"))
    result = store.get_result(job.id)
    assert result is not None and (result.stdout, result.attempts) == ("second", 2)
    assert_in_one_status(store, {Status.COMPLETED: 1})


def test_a_renewed_lease_is_kept(stores: MakeStore) -> None:
    """A runner that renews keeps its job for much longer than the lease."""
    store = stores(lease_seconds=LEASE_SECONDS)

    def start() -> Claim:
        store.submit(make_job())
        return claim_one(store)

    claim = keep_lease(store, start, LEASE_SECONDS)
    assert store.complete(claim, make_result(claim.job.id))


def test_a_job_that_kills_its_runners_ends_in_error(stores: MakeStore) -> None:
    """After MAX_ATTEMPTS silent runners the job ends, and says how many it took."""
    store = stores(lease_seconds=LEASE_SECONDS, max_attempts=2)
    job, behind = make_job(), make_job()
    store.submit(job)
    claim_one(store)
    sweep_until(store, lambda: status_of(store, job) is Status.QUEUED)
    claim_one(store)
    sweep_until(store, lambda: status_of(store, job) is Status.ERROR)
    result = store.get_result(job.id)
    assert result is not None
    assert (result.verdict, result.reason, result.attempts) == (
        Verdict.INCONCLUSIVE,
        Reason.INFRASTRUCTURE,
        2,
    )
    assert "2 times" in result.error
    store.submit(behind)
    assert claim_one(store).job.id == behind.id
