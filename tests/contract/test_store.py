"""The contract of `JobStore`, held by every store: in memory, on fakeredis, on real servers.

A test here knows the protocol only. What it waits for it waits for with a deadline, so that
the same lines run against a dictionary and against a server. `stores` makes a store with the
settings that a test asks for; times are short, so that leases and lives run out within a test.
"""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from chalicelib.errors import QueueFull
from chalicelib.models import Reason, Status, Verdict
from chalicelib.storage.protocol import JobStore
from tests.contract.support import (
    DEADLINE_SECONDS,
    MakeStore,
    assert_in_one_status,
    claim_one,
    nothing_to_claim,
    sweep_until,
)
from tests.support.factories import make_environment, make_job, make_result, make_runner


def test_a_submitted_job_reads_back_unchanged(store: JobStore) -> None:
    """What was submitted is what a reader gets, down to the microsecond and the NUL byte."""
    job = make_job(fingerprint="f" * 64, owner="somebody")
    job = job.model_copy(
        update={"request": job.request.model_copy(update={"files": {"main.cpp": "é\0\t\r\n"}})}
    )
    store.submit(job)
    assert store.get(job.id) == job
    assert_in_one_status(store, {Status.QUEUED: 1})


def test_unknown_ids_are_none(store: JobStore) -> None:
    """A job that was never submitted has no record, no result, and cannot be cancelled."""
    assert store.get("nope") is None
    assert store.get_result("nope") is None
    assert store.cancel("nope") is None
    assert store.wait("nope", 0.1) is None


def test_a_stored_record_and_result_read_back(store: JobStore) -> None:
    """`store` and `store_result` write what `get` and `get_result` read."""
    job = make_job(status=Status.COMPLETED)
    result = make_result(job.id, stdout="out", stderr="err")
    store.store(job)
    store.store_result(result)
    assert store.get(job.id) == job
    assert store.get_result(job.id) == result


def test_submit_is_idempotent(store: JobStore) -> None:
    """A submit that is repeated (its first answer was lost) queues one job."""
    job = make_job()
    store.submit(job)
    store.submit(job)
    assert_in_one_status(store, {Status.QUEUED: 1})
    claim_one(store)
    assert nothing_to_claim(store)


def test_a_claimed_job_is_processing_and_nobody_else_gets_it(store: JobStore) -> None:
    """A claim moves the job to `processing`, tells who has it, and hides it from others."""
    job = make_job()
    store.submit(job)
    claim = claim_one(store, "runner-a")
    assert (claim.job.id, claim.attempts, claim.runner) == (job.id, 1, "runner-a")
    assert claim.job.request == job.request
    assert nothing_to_claim(store, "runner-b")
    found = store.get(job.id)
    assert found is not None and found.started_at is not None
    assert (found.status, found.runner, found.attempts) == (Status.PROCESSING, "runner-a", 1)
    assert_in_one_status(store, {Status.PROCESSING: 1})


@pytest.mark.parametrize(
    ("verdict", "reason", "status"),
    [
        (Verdict.COMPILES, None, Status.COMPLETED),
        (Verdict.REJECTED, None, Status.FAILED),
        (Verdict.INCONCLUSIVE, Reason.TIMEOUT, Status.TIMEOUT),
        (Verdict.INCONCLUSIVE, Reason.MEMORY, Status.ERROR),
        (Verdict.INCONCLUSIVE, Reason.INFRASTRUCTURE, Status.ERROR),
    ],
)
def test_a_completed_job_has_its_result_and_the_status_of_its_verdict(
    store: JobStore, verdict: Verdict, reason: Reason | None, status: Status
) -> None:
    """The verdict alone decides the terminal status, and the result is there with it."""
    job = make_job()
    store.submit(job)
    compiled = verdict is Verdict.COMPILES
    result = make_result(
        job.id,
        verdict=verdict,
        reason=reason,
        compiled=compiled,
        success=reason is None,
        exit_code=None if reason else int(not compiled),
        environment=make_environment(),
        command=("gcc", "-c", "main file.cpp"),
        stderr="a\0b\n",
        attempts=1,
    )
    assert store.complete(claim_one(store), result)
    found = store.get(job.id)
    assert found is not None and found.completed_at is not None
    assert found.status is status
    assert store.get_result(job.id) == result
    assert_in_one_status(store, {status: 1})
    totals = store.counts().totals
    assert (totals.processed, getattr(totals, status.value), totals.duration_ms) == (1, 1, 123)


def test_a_completion_that_is_repeated_counts_once(store: JobStore) -> None:
    """A complete whose answer was lost may be repeated: still true, still one job."""
    job = make_job()
    store.submit(job)
    claim = claim_one(store)
    assert store.complete(claim, make_result(job.id))
    assert store.complete(claim, make_result(job.id))
    assert store.counts().totals.processed == 1
    assert_in_one_status(store, {Status.COMPLETED: 1})


def test_the_oldest_queued_job_is_known_by_its_age(store: JobStore) -> None:
    """Zero while nothing waits; else the age of the job that is next, whoever was claimed before it."""
    assert store.counts().oldest_queued_seconds == 0
    store.submit(make_job())
    time.sleep(0.3)
    store.submit(make_job())
    assert 0.25 <= store.counts().oldest_queued_seconds < 10
    claim_one(store)
    assert 0 <= store.counts().oldest_queued_seconds < 0.25
    claim_one(store)
    assert store.counts().oldest_queued_seconds == 0


def test_jobs_come_in_order_of_submission(store: JobStore) -> None:
    """One runner gets the jobs in the order in which they were submitted."""
    jobs = [make_job() for _ in range(20)]
    for job in jobs:
        store.submit(job)
    assert [claim_one(store).job.id for _ in jobs] == [job.id for job in jobs]


def test_each_job_goes_to_one_runner(stores: MakeStore) -> None:
    """Eight runners over sixty jobs: each job is claimed once."""
    store = stores()
    jobs = [make_job() for _ in range(60)]
    for job in jobs:
        store.submit(job)

    def run(name: str) -> list[str]:
        mine = []
        idle = 0
        while idle < 5:
            claim = store.claim(name, 0.05)
            if claim is None:
                idle += 1
                continue
            mine.append(claim.job.id)
            assert store.complete(claim, make_result(claim.job.id))
        return mine

    with ThreadPoolExecutor(8) as pool:
        claimed = [job_id for ids in pool.map(run, [f"runner-{n}" for n in range(8)]) for job_id in ids]
    assert sorted(claimed) == sorted(job.id for job in jobs)
    assert_in_one_status(store, {Status.COMPLETED: 60})


def test_a_full_queue_refuses_and_keeps_nothing(stores: MakeStore) -> None:
    """The job past QUEUE_SIZE is refused with a time to come back, and is unknown afterwards."""
    store = stores(queue_size=3)
    for _ in range(3):
        store.submit(make_job())
    refused = make_job()
    with pytest.raises(QueueFull) as caught:
        store.submit(refused)
    assert caught.value.retry_after_seconds is not None and caught.value.retry_after_seconds >= 1
    assert store.get(refused.id) is None
    assert_in_one_status(store, {Status.QUEUED: 3})
    claim_one(store)
    store.submit(refused)
    assert_in_one_status(store, {Status.QUEUED: 3, Status.PROCESSING: 1})


def test_the_bound_of_the_queue_holds_under_concurrent_submits(stores: MakeStore) -> None:
    """Thirty submits at once into a queue of ten: ten are in, twenty are told."""
    store = stores(queue_size=10)

    def submit(_: int) -> bool:
        try:
            store.submit(make_job())
        except QueueFull:
            return False
        return True

    with ThreadPoolExecutor(10) as pool:
        assert sum(pool.map(submit, range(30))) == 10
    assert_in_one_status(store, {Status.QUEUED: 10})


def test_wait_returns_when_the_job_ends(store: JobStore) -> None:
    """A waiting client is woken by the end, not by its time-out."""
    job = make_job()
    store.submit(job)
    claim = claim_one(store)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(store.wait, job.id, DEADLINE_SECONDS)
        time.sleep(0.2)
        started = time.monotonic()
        store.complete(claim, make_result(job.id))
        found = waiting.result()
        assert time.monotonic() - started < DEADLINE_SECONDS / 2
    assert found is not None and found.status is Status.COMPLETED


def test_wait_gives_up_after_its_time(store: JobStore) -> None:
    """When the job does not end in time, the answer is its present status."""
    job = make_job()
    store.submit(job)
    started = time.monotonic()
    found = store.wait(job.id, 0.3)
    assert found is not None and found.status is Status.QUEUED
    assert 0.25 <= time.monotonic() - started < DEADLINE_SECONDS / 2


def test_jobs_and_results_expire(stores: MakeStore) -> None:
    """After its time to live a job and its result are gone."""
    store = stores(redis_job_ttl_hours=0.5 / 3600)
    ended, queued = make_job(), make_job()
    store.submit(ended)
    store.complete(claim_one(store), make_result(ended.id))
    store.submit(queued)
    time.sleep(0.8)
    for job in (ended, queued):
        assert store.get(job.id) is None
        assert store.get_result(job.id) is None
    assert nothing_to_claim(store)


def test_runners_and_environments_are_known_while_registered(store: JobStore) -> None:
    """An registration is seen until it runs out; what was offered last is remembered."""
    gcc, clang = make_environment(), make_environment(id="clang-16", family="clang")
    first, second = make_runner(), make_runner()
    assert store.environments() == ()
    store.register(first, [gcc], 30)
    store.register(second, [clang, gcc], 30)
    assert store.runners() == (first, second)
    assert store.environments() == (clang, gcc)
    store.register(second, [clang, gcc], 0.2)
    sweep_until(store, lambda: store.runners() == (first,))
    assert store.environments() == (gcc,)
    store.unregister(first.id)
    assert store.runners() == ()
    assert gcc in store.environments()


def test_a_newer_registration_replaces_the_older(store: JobStore) -> None:
    """A runner's latest word counts, once."""
    runner = make_runner()
    store.register(runner, [make_environment()], 30)
    busier = runner.model_copy(update={"active_workers": 4})
    store.register(busier, [make_environment()], 30)
    assert store.runners() == (busier,)


def test_ping_and_close_may_be_called_any_time(store: JobStore) -> None:
    """A reachable store answers a ping; closing twice is harmless."""
    store.ping()
    store.close()
    store.close()
