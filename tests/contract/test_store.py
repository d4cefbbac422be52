"""The contract of `JobStore`, held by every store: in memory, on fakeredis, on real servers.

A test here knows the protocol only, so the same lines run against a dictionary and against a server. `stores`
opens a store with the settings that a test asks for; leases and times to live are short, so that they run out
within a test.
"""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from chalicelib.errors import QueueFull
from chalicelib.models import Job, Reason, Status, Verdict
from chalicelib.storage.protocol import JobStore
from tests.contract.support import WAIT_SECONDS, MakeStore, assert_in_one_status, nothing_to_claim
from tests.support.factories import make_environment, make_job, make_result, make_runner
from tests.support.servers import wait_until
from tests.support.stores import DEADLINE_SECONDS, claim_one, sweep_until


def test_a_submitted_job_reads_back_unchanged(store: JobStore) -> None:
    """A reader gets exactly what was submitted, down to the microsecond and the NUL byte."""
    job = make_job(fingerprint="f" * 64, owner="somebody")
    job = job.model_copy(
        update={"request": job.request.model_copy(update={"files": {"main.cpp": "é\0\t\r\n"}})}
    )
    store.submit(job)
    assert store.get(job.id) == job
    assert_in_one_status(store, {Status.QUEUED: 1})


def test_an_unknown_id_gives_none(store: JobStore) -> None:
    """A job that was never submitted has no record, no result, and cannot be cancelled."""
    assert store.get("nope") is None
    assert store.get_result("nope") is None
    assert store.cancel("nope") is None
    assert store.wait("nope", 0.1) is None


def test_submit_is_idempotent(store: JobStore) -> None:
    """A submit that is repeated, because its first answer was lost, queues one job."""
    job = make_job()
    store.submit(job)
    store.submit(job)
    assert_in_one_status(store, {Status.QUEUED: 1})
    claim_one(store)
    assert nothing_to_claim(store)


def test_a_claimed_job_is_processing_and_nobody_else_gets_it(store: JobStore) -> None:
    """A claim moves the job to `processing`, records the runner, and hides the job from others."""
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
    """A `complete` that is repeated, because its answer was lost, returns true and counts one job."""
    job = make_job()
    store.submit(job)
    claim = claim_one(store)
    assert store.complete(claim, make_result(job.id))
    assert store.complete(claim, make_result(job.id))
    assert store.counts().totals.processed == 1
    assert_in_one_status(store, {Status.COMPLETED: 1})


def test_the_age_of_the_oldest_queued_job_is_counted(store: JobStore) -> None:
    """Zero while no job waits; else the age of the job that will be claimed next."""
    rounding_seconds = 0.05
    assert store.counts().oldest_queued_seconds == 0
    store.submit(make_job())
    time.sleep(0.3)
    second_submitted_at = time.monotonic()
    store.submit(make_job())
    assert store.counts().oldest_queued_seconds >= 0.3 - rounding_seconds
    claim_one(store)
    age_seconds = store.counts().oldest_queued_seconds
    assert 0 <= age_seconds <= time.monotonic() - second_submitted_at + rounding_seconds
    claim_one(store)
    assert store.counts().oldest_queued_seconds == 0


def test_jobs_are_claimed_in_the_order_in_which_they_were_submitted(store: JobStore) -> None:
    """First in, first out, for one runner."""
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
        claimed_here = []
        while store.counts().by_status[Status.QUEUED]:
            claim = store.claim(name, 0.05)
            if claim is not None:
                claimed_here.append(claim.job.id)
                assert store.complete(claim, make_result(claim.job.id))
        return claimed_here

    with ThreadPoolExecutor(8) as pool:
        claimed = [job_id for ids in pool.map(run, [f"runner-{n}" for n in range(8)]) for job_id in ids]
    assert sorted(claimed) == sorted(job.id for job in jobs)
    assert_in_one_status(store, {Status.COMPLETED: 60})


def test_a_full_queue_takes_no_job_and_stores_nothing_of_it(stores: MakeStore) -> None:
    """For the job past QUEUE_SIZE the error says when to try again, and the job is unknown afterwards."""
    store = stores(queue_size=3)
    for _ in range(3):
        store.submit(make_job())
    overflowing = make_job()
    with pytest.raises(QueueFull) as caught:
        store.submit(overflowing)
    assert caught.value.retry_after_seconds is not None and caught.value.retry_after_seconds >= 1
    assert store.get(overflowing.id) is None
    assert_in_one_status(store, {Status.QUEUED: 3})
    claim_one(store)
    store.submit(overflowing)
    assert_in_one_status(store, {Status.QUEUED: 3, Status.PROCESSING: 1})


def test_the_bound_of_the_queue_holds_under_concurrent_submits(stores: MakeStore) -> None:
    """Of thirty submits at once into a queue of ten, ten are queued and twenty get `QueueFull`."""
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
    """A waiting client is woken by the end of its job, long before its time-out."""
    job = make_job()
    store.submit(job)
    claim = claim_one(store)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(store.wait, job.id, WAIT_SECONDS)
        time.sleep(0.2)  # so that it waits already, as a rule
        store.complete(claim, make_result(job.id))
        ended = waiting.result(timeout=WAIT_SECONDS / 2)
    assert ended is not None and ended.status is Status.COMPLETED


def test_wait_gives_up_after_its_time(store: JobStore) -> None:
    """When the job does not end in time, the answer is its present status."""
    job = make_job()
    store.submit(job)
    started = time.monotonic()
    waiting = store.wait(job.id, 0.3)
    assert waiting is not None and waiting.status is Status.QUEUED
    assert 0.25 <= time.monotonic() - started < DEADLINE_SECONDS


def test_jobs_and_results_expire(stores: MakeStore) -> None:
    """After its time to live a job cannot be read or claimed any more, and neither can its result."""
    store = stores(redis_job_ttl_hours=0.5 / 3600)
    jobs = _submit_until_one_ends(store)
    jobs.append(make_job())
    store.submit(jobs[-1])
    wait_until(lambda: all(store.get(job.id) is None for job in jobs), "the expiry of the jobs")
    wait_until(lambda: all(store.get_result(job.id) is None for job in jobs), "the expiry of the result")
    assert nothing_to_claim(store)


def _submit_until_one_ends(store: JobStore) -> list[Job]:
    """Submits jobs until one is completed, since on a busy machine a job may expire before its claim."""
    jobs = []
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        jobs.append(make_job())
        store.submit(jobs[-1])
        claim = store.claim("runner-a", 0.05)
        if claim is not None and store.complete(claim, make_result(claim.job.id)):
            return jobs
    pytest.fail("every job expired before its claim")


def test_runners_and_environments_are_known_while_registered(store: JobStore) -> None:
    """A registration holds until it runs out; environments that were registered last are remembered."""
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
    """Of a runner that registers again only the newest registration is listed."""
    runner = make_runner()
    store.register(runner, [make_environment()], 30)
    busier = runner.model_copy(update={"active_workers": 4})
    store.register(busier, [make_environment()], 30)
    assert store.runners() == (busier,)


def test_ping_and_close_can_be_called_at_any_time(store: JobStore) -> None:
    """A reachable store answers a ping; closing twice is harmless."""
    store.ping()
    store.close()
    store.close()
