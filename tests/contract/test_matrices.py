"""The contract of `JobStore` about matrices, held by every store: all or nothing, and nothing twice."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from chalicelib.errors import InvalidRequest, QueueFull
from chalicelib.matrix.model import Cell, Matrix, Omission
from chalicelib.models import Expectation, Job, Stage, Status, Verdict, new_id
from chalicelib.storage.protocol import JobStore
from tests.contract.support import (
    DEADLINE_SECONDS,
    MakeStore,
    assert_in_one_status,
    claim_one,
    nothing_to_claim,
)
from tests.support.factories import make_environment, make_job, make_result


def make_matrix(jobs: Sequence[Job]) -> Matrix:
    """A matrix of these jobs."""
    cells = [
        Cell(compiler=f"gcc-{number}", standard="c++17", target="x86_64-linux", job_id=job.id)
        for number, job in enumerate(jobs)
    ]
    return Matrix(id=new_id(), language="cpp", stage=Stage.COMPILE, cells=tuple(cells))


def _submitted(store: JobStore, count: int = 3) -> tuple[Matrix, list[Job]]:
    jobs = [make_job() for _ in range(count)]
    matrix = make_matrix(jobs)
    store.submit_matrix(matrix, jobs)
    return matrix, jobs


def test_a_matrix_is_stored_and_its_jobs_are_queued_in_order(store: JobStore) -> None:
    """Everything that was written can be read again; a cell is a job like any other."""
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
    found = store.get(job.id)
    assert found is not None
    return {name: getattr(found, name) for name in ("status", "started_at", "attempts", "runner")}


def test_a_matrix_that_does_not_fit_leaves_nothing_behind(stores: MakeStore) -> None:
    """Neither the matrix nor one of its jobs; what fits is taken."""
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


def test_a_matrix_that_can_never_fit_is_refused_as_such(stores: MakeStore) -> None:
    """To try again later would be no use, so it is no `QueueFull`."""
    store = stores(queue_size=2)
    jobs = [make_job() for _ in range(3)]
    matrix = make_matrix(jobs)
    with pytest.raises(InvalidRequest, match="has 3 cells, and here no more than 2 jobs may wait"):
        store.submit_matrix(matrix, jobs)
    assert store.get_matrix(matrix.id) is None
    assert_in_one_status(store, {})


def test_the_bound_holds_for_matrices_that_come_at_once(stores: MakeStore) -> None:
    """Ten matrices of three into a queue of ten: three are in as a whole, seven leave nothing."""
    store = stores(queue_size=10)
    matrices = [(make_matrix(jobs), jobs) for jobs in ([make_job() for _ in range(3)] for _ in range(10))]

    def submit(pair: tuple[Matrix, list[Job]]) -> bool:
        try:
            store.submit_matrix(*pair)
        except QueueFull:
            return False
        return True

    with ThreadPoolExecutor(10) as pool:
        accepted = list(pool.map(submit, matrices))
    assert sum(accepted) == 3
    for (matrix, jobs), inside in zip(matrices, accepted, strict=True):
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


def test_a_matrix_expires_no_earlier_than_its_jobs_are_needed(stores: MakeStore) -> None:
    """After its time to live it is unknown, and so are jobs that nobody touched since."""
    store = stores(redis_job_ttl_hours=0.5 / 3600)
    matrix, jobs = _submitted(store)
    assert store.get_matrix(matrix.id) is not None
    time.sleep(0.8)
    assert store.get_matrix(matrix.id) is None
    assert store.wait_all([job.id for job in jobs], 3, 5.0) == (None, None, None)


def test_statuses_of_several_jobs_come_in_the_order_asked_for(store: JobStore) -> None:
    """One that is unknown is None, and counts as one that has ended."""
    _, jobs = _submitted(store)
    claim = claim_one(store)
    store.complete(claim, make_result(claim.job.id))
    claim_one(store)
    ids = [jobs[2].id, new_id(), jobs[1].id, jobs[0].id]
    expected = (Status.QUEUED, None, Status.PROCESSING, Status.COMPLETED)
    assert store.wait_all(ids, 0, 0.0) == expected
    assert store.wait_all(ids, 2, DEADLINE_SECONDS) == expected
    assert store.wait_all([], 0, 0.0) == ()


def test_waiting_for_several_jobs_ends_with_as_many_as_were_wanted(store: JobStore) -> None:
    """The waiting client is woken by the ends, not by its time-out."""
    _, jobs = _submitted(store)
    ids = [job.id for job in jobs]
    with ThreadPoolExecutor(2) as pool:
        two = pool.submit(store.wait_all, ids, 2, DEADLINE_SECONDS)
        three = pool.submit(store.wait_all, ids, 3, DEADLINE_SECONDS)
        for number in range(3):
            time.sleep(0.15)
            assert two.done() == (number >= 2)
            claim = claim_one(store)
            store.complete(claim, make_result(claim.job.id))
            if number == 1:
                assert list(two.result(timeout=3)).count(Status.COMPLETED) == 2
        assert three.result(timeout=3) == (Status.COMPLETED,) * 3


def test_waiting_for_several_jobs_gives_up_after_its_time(store: JobStore) -> None:
    """The answer is what there is."""
    _, jobs = _submitted(store)
    started = time.monotonic()
    assert store.wait_all([job.id for job in jobs], 1, 0.3) == (Status.QUEUED,) * 3
    assert 0.25 <= time.monotonic() - started < DEADLINE_SECONDS / 2


def test_whoever_sees_an_end_finds_the_outline_of_its_result(store: JobStore) -> None:
    """Everything but what the compiler wrote; None for a job without a result."""
    _, jobs = _submitted(store)
    claim = claim_one(store)
    result = make_result(
        claim.job.id,
        stdout="o",
        stderr="e" * 1000,
        environment=make_environment(),
        command=("gcc", "-c"),
        command_environment={"GOOS": "linux"},
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
    found = store.get(jobs[-1].id)
    assert found is not None and found.request == request
