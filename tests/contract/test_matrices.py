"""The contract of `JobStore` about matrices, held by every store: all or nothing, and nothing twice."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from chalicelib.errors import BatchTooLarge, QueueFull
from chalicelib.models import Expectation, Job, Matrix, Omission, Status, Verdict, new_id
from chalicelib.storage.protocol import JobStore
from tests.contract.support import WAIT_SECONDS, MakeStore, assert_in_one_status, nothing_to_claim
from tests.support.factories import make_environment, make_job, make_matrix, make_result
from tests.support.servers import wait_until
from tests.support.stores import DEADLINE_SECONDS, claim_one


def _submitted(store: JobStore, count: int = 3) -> tuple[Matrix, list[Job]]:
    jobs = [make_job() for _ in range(count)]
    matrix = make_matrix(jobs)
    store.submit_matrix(matrix, jobs)
    return matrix, jobs


def test_a_matrix_is_stored_and_its_jobs_are_queued_in_order(store: JobStore) -> None:
    """What was submitted can be read again, and a cell is a job like any other."""
    jobs = [make_job() for _ in range(5)]
    matrix = make_matrix(jobs).model_copy(
        update={
            "omitted": (Omission(compiler="gcc-9", standard="c++20", reason="é"),),
            "environments": (make_environment(),),
            "expect": Expectation(verdict=Verdict.REJECTED),
        }
    )
    store.submit_matrix(matrix, jobs)
    assert store.get_matrix(matrix.id) == matrix
    assert store.get_matrix(new_id()) is None
    assert_in_one_status(store, {Status.QUEUED: 5})
    assert [claim_one(store).job for _ in jobs] == [
        job.model_copy(update=_claimed(store, job)) for job in jobs
    ]


def _claimed(store: JobStore, job: Job) -> dict[str, object]:
    """What a claim changes in a job."""
    claimed = store.get(job.id)
    assert claimed is not None
    return {name: getattr(claimed, name) for name in ("status", "started_at", "attempts", "runner")}


def test_a_matrix_that_does_not_fit_leaves_nothing_behind(stores: MakeStore) -> None:
    """Neither the matrix nor any of its jobs is stored; a smaller one that fits is."""
    store = stores(queue_size=4)
    store.submit(make_job())
    jobs = [make_job() for _ in range(4)]
    matrix = make_matrix(jobs)
    with pytest.raises(QueueFull) as caught:
        store.submit_matrix(matrix, jobs)
    assert caught.value.retry_after_seconds is not None and caught.value.retry_after_seconds >= 1
    assert store.get_matrix(matrix.id) is None
    assert [store.get(job.id) for job in jobs] == [None] * 4
    assert_in_one_status(store, {Status.QUEUED: 1})
    store.submit_matrix(make_matrix(jobs[:3]), jobs[:3])
    assert_in_one_status(store, {Status.QUEUED: 4})


def test_a_matrix_that_can_never_fit_is_too_large(stores: MakeStore) -> None:
    """Trying again later cannot help, so the error is not `QueueFull`, and it has the size of the queue."""
    store = stores(queue_size=2)
    jobs = [make_job() for _ in range(3)]
    matrix = make_matrix(jobs)
    with pytest.raises(BatchTooLarge, match="no more than 2 may wait") as caught:
        store.submit_matrix(matrix, jobs)
    assert caught.value.queue_size == 2
    assert store.get_matrix(matrix.id) is None
    assert_in_one_status(store, {})


def test_the_bound_holds_for_matrices_that_come_at_once(stores: MakeStore) -> None:
    """Of ten matrices of three jobs, a queue of ten takes three as a whole; the others leave nothing."""
    store = stores(queue_size=10)
    matrices = [(make_matrix(jobs), jobs) for jobs in ([make_job() for _ in range(3)] for _ in range(10))]

    def submit(pair: tuple[Matrix, list[Job]]) -> bool:
        try:
            store.submit_matrix(*pair)
        except QueueFull:
            return False
        return True

    with ThreadPoolExecutor(10) as pool:
        submitted = list(pool.map(submit, matrices))
    assert sum(submitted) == 3
    for (matrix, jobs), inside in zip(matrices, submitted, strict=True):
        assert (store.get_matrix(matrix.id) is not None) == inside
        assert all((store.get(job.id) is not None) == inside for job in jobs)
    assert_in_one_status(store, {Status.QUEUED: 9})


def test_a_matrix_that_is_submitted_again_is_not_queued_twice(stores: MakeStore) -> None:
    """Also when the queue is full by then, and when some of its jobs have left the queue."""
    store = stores(queue_size=3)
    matrix, jobs = _submitted(store)
    store.submit_matrix(matrix, jobs)
    assert_in_one_status(store, {Status.QUEUED: 3})
    claim = claim_one(store)
    store.complete(claim, make_result(claim.job.id))
    store.submit_matrix(matrix, jobs)
    assert_in_one_status(store, {Status.QUEUED: 2, Status.COMPLETED: 1})
    assert {claim_one(store).job.id for _ in range(2)} == {jobs[1].id, jobs[2].id}
    assert nothing_to_claim(store)


def test_a_matrix_expires_and_so_do_its_jobs(stores: MakeStore) -> None:
    """A matrix lives for the job TTL; then it is unknown, and so are jobs that nothing changed since."""
    ttl_seconds = 0.5
    store = stores(redis_job_ttl_hours=ttl_seconds / 3600)
    before = time.monotonic()
    matrix, jobs = _submitted(store)
    alive = store.get_matrix(matrix.id) is not None
    assert alive or time.monotonic() - before > ttl_seconds
    wait_until(lambda: store.get_matrix(matrix.id) is None, "the matrix's expiry")
    assert store.wait_all([job.id for job in jobs], 3, WAIT_SECONDS) == (None, None, None)


def test_statuses_of_several_jobs_come_in_the_order_of_the_ids(store: JobStore) -> None:
    """The status of an unknown job is None, and it counts as ended."""
    _, jobs = _submitted(store)
    claim = claim_one(store)
    store.complete(claim, make_result(claim.job.id))
    claim_one(store)
    ids = [jobs[2].id, new_id(), jobs[1].id, jobs[0].id]
    expected = (Status.QUEUED, None, Status.PROCESSING, Status.COMPLETED)
    assert store.wait_all(ids, 0, 0.0) == expected
    assert store.wait_all(ids, 2, WAIT_SECONDS) == expected
    assert store.wait_all([], 0, 0.0) == ()


def test_waiting_for_several_jobs_ends_when_enough_of_them_have_ended(store: JobStore) -> None:
    """The waiting client is woken by the ends of the jobs, long before its time-out."""
    _, jobs = _submitted(store)
    ids = [job.id for job in jobs]
    with ThreadPoolExecutor(2) as pool:
        two = pool.submit(store.wait_all, ids, 2, WAIT_SECONDS)
        three = pool.submit(store.wait_all, ids, 3, WAIT_SECONDS)
        for number in range(3):
            time.sleep(0.15)
            assert two.done() == (number >= 2)
            claim = claim_one(store)
            store.complete(claim, make_result(claim.job.id))
            if number == 1:
                assert list(two.result(timeout=WAIT_SECONDS / 2)).count(Status.COMPLETED) == 2
        assert three.result(timeout=WAIT_SECONDS / 2) == (Status.COMPLETED,) * 3


def test_waiting_for_several_jobs_gives_up_after_its_time(store: JobStore) -> None:
    """The answer is then the present statuses."""
    _, jobs = _submitted(store)
    started = time.monotonic()
    assert store.wait_all([job.id for job in jobs], 1, 0.3) == (Status.QUEUED,) * 3
    assert 0.25 <= time.monotonic() - started < DEADLINE_SECONDS


def test_an_outline_is_the_result_without_what_the_compiler_wrote(store: JobStore) -> None:
    """It can be read as soon as the job has ended; for a job without a result it is None."""
    _, jobs = _submitted(store)
    claim = claim_one(store)
    result = make_result(
        claim.job.id,
        stdout="o",
        stderr="e" * 1000,
        environment=make_environment(),
        command=("gcc", "-c"),
        command_environment={"GOOS": "linux"},
        compiled_files=("main.go", "a b/übung.go"),
    )
    store.complete(claim, result)
    outlines = store.get_outlines([jobs[1].id, claim.job.id])
    assert outlines == (None, result.model_copy(update={"stdout": "", "stderr": "", "attempts": 1}))
    assert store.get_outlines([]) == ()


def test_cancelling_the_jobs_of_a_matrix_ends_them(store: JobStore) -> None:
    """A cell is cancelled like any job."""
    _, jobs = _submitted(store)
    for job in jobs:
        assert store.cancel(job.id) is Status.CANCELLED
    assert store.wait_all([job.id for job in jobs], 3, 0.0) == (Status.CANCELLED,) * 3
    assert nothing_to_claim(store)


def test_a_large_matrix_is_stored_as_a_whole(stores: MakeStore) -> None:
    """Sixty-four jobs with a quarter of a mebibyte of source each, within the time-outs of the store."""
    store = stores()
    request = make_job().request.model_copy(update={"files": {"main.cpp": "x" * (256 * 1024)}})
    jobs = [make_job(request=request) for _ in range(64)]
    matrix = make_matrix(jobs)
    store.submit_matrix(matrix, jobs)
    assert_in_one_status(store, {Status.QUEUED: 64})
    last = store.get(jobs[-1].id)
    assert last is not None and last.request == request
