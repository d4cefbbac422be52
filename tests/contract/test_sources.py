"""The contract of `JobStore` about sources: whole for who reads a job, and no more than may wait."""

import random
from collections.abc import Callable
from typing import Any

import pytest

from chalicelib.errors import QueueFull
from chalicelib.models import CompileRequest, Expectation, Job, Status, Verdict
from chalicelib.storage.protocol import JobStore
from chalicelib.storage.sources import pack
from tests.contract.support import MakeStore, assert_in_one_status
from tests.support.factories import make_job, make_matrix, make_request, make_result
from tests.support.stores import claim_one

# The least that can be set.
LIMIT_MB = 8
_random = random.Random(1)


_PRINTABLE = bytes(32 + number % 95 for number in range(256))


def incompressible(size_bytes: int) -> str:
    """A text that shrinks by a sixth only: what somebody would send who fills the store."""
    return _random.randbytes(size_bytes).translate(_PRINTABLE).decode("ascii")


def room_for(size_bytes: int, taken_bytes: int = 0) -> int:
    """How many sources of that size fit beside what is taken, each in a quarter of what is free."""
    [weight] = pack([make_request(incompressible(size_bytes))]).weights
    return (LIMIT_MB * 2**20 - taken_bytes) // weight - 3


def large(**changes: Any) -> CompileRequest:
    """A request that is too long for a record, with every kind of file."""
    files = {
        "a.hpp": "#pragma once\n",
        "main.cpp": '#include "a.hpp"\nint main() {}\n' + "// \U0001f600\n" * 9000,
        "b.hpp": "",
        "c.cpp": "int c;\r\n" * 3000,
    }
    return make_request(files=files, options=("-Wall",), **changes)


REQUESTS: dict[str, Callable[[], list[CompileRequest]]] = {
    "one small": lambda: [make_request()],
    "one large": lambda: [large()],
    "a small matrix": lambda: [make_request(compiler=f"gcc-{number}") for number in range(3)],
    "a large matrix": lambda: [
        large(compiler=f"gcc-{number}", expect=Expectation(verdict=Verdict.COMPILES)) for number in range(12)
    ],
    "different ones": lambda: [make_request("int x;" * 9000), large(), make_request("int y;" * 9000)],
}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_is_read_as_it_was_submitted(store: JobStore, name: str) -> None:
    """By the runner, before and after the end of the job, with its files in their order."""
    jobs = [make_job(request=request) for request in REQUESTS[name]()]
    if len(jobs) == 1:
        store.submit(jobs[0])
    else:
        store.submit_matrix(make_matrix(jobs), jobs)
    for job in jobs:
        stored = store.get(job.id)
        assert stored is not None
        assert stored.request == job.request
        claim = claim_one(store)
        assert claim.job.request == job.request
        assert list(claim.job.request.files) == list(job.request.files)
        assert store.complete(claim, make_result(claim.job.id))
        for ended in (store.get(job.id), store.wait(job.id, 0.2)):
            assert ended is not None
            assert (ended.status, ended.request) == (Status.COMPLETED, job.request)


def flood(store: JobStore, size_bytes: int) -> tuple[list[Job], QueueFull]:
    """Submits jobs with different sources of that size until one is turned away; the jobs, and the error."""
    jobs: list[Job] = []
    for _ in range(1000):
        job = make_job(request=make_request(incompressible(size_bytes)))
        try:
            store.submit(job)
        except QueueFull as error:
            assert store.get(job.id) is None
            return jobs, error
        jobs.append(job)
    pytest.fail("the store takes everything")


def test_a_flood_of_large_sources_is_turned_away_and_other_jobs_are_not(stores: MakeStore) -> None:
    """Within STORE_LIMIT_MB; the error says when to try again; a client with a small job gets in."""
    store = stores(store_limit_mb=LIMIT_MB, queue_size=1000)
    size_bytes = 512 * 1024
    jobs, error = flood(store, size_bytes)
    # Two texts of the same size differ by a few bytes when they are compressed.
    assert abs(len(jobs) - room_for(size_bytes)) <= 1
    assert error.retry_after_seconds is not None and error.retry_after_seconds >= 1
    assert "a quarter of what is free" in error.message
    assert_in_one_status(store, {Status.QUEUED: len(jobs)})
    other = make_job(request=make_request(incompressible(32 * 1024)))
    store.submit(other)
    assert_in_one_status(store, {Status.QUEUED: len(jobs) + 1})
    store.submit(jobs[0])  # a retry of what was taken needs no room
    # What is claimed or cancelled waits no more, and makes room.
    assert claim_one(store).job.id == jobs[0].id
    assert store.cancel(jobs[1].id) is Status.CANCELLED
    store.submit(make_job(request=make_request(incompressible(size_bytes))))


def test_no_request_takes_more_than_a_quarter(stores: MakeStore) -> None:
    """A matrix of different sources that is larger is turned away, although nothing waits."""
    store = stores(store_limit_mb=LIMIT_MB)
    jobs = [make_job(request=make_request(incompressible(400 * 1024))) for _ in range(8)]
    matrix = make_matrix(jobs)
    with pytest.raises(QueueFull):
        store.submit_matrix(matrix, jobs)
    assert store.get_matrix(matrix.id) is None
    assert [store.get(job.id) for job in jobs] == [None] * len(jobs)
    store.submit_matrix(matrix, jobs[:5])


def test_what_waits_again_counts_again(stores: MakeStore) -> None:
    """A job that was released is in the queue, and so are its bytes."""
    store = stores(store_limit_mb=LIMIT_MB)
    size_bytes = 1000 * 1024
    job = make_job(request=make_request(incompressible(size_bytes)))
    for _ in range(3):
        store.submit(job)
        claim = claim_one(store)
        assert claim.job.id == job.id
        assert store.release(claim)
    jobs, _ = flood(store, size_bytes)
    assert len(jobs) == room_for(size_bytes) - 1
    assert store.complete(claim_one(store), make_result(job.id))
    more, _ = flood(store, size_bytes)
    assert len(more) == 1


def test_a_shared_source_counts_once(stores: MakeStore) -> None:
    """A matrix of many cells has the bytes of its source, and of as many short records."""
    store = stores(store_limit_mb=LIMIT_MB)
    request = make_request(incompressible(1000 * 1024))
    jobs = [make_job(request=request.model_copy(update={"compiler": f"gcc-{n}"})) for n in range(20)]
    store.submit_matrix(make_matrix(jobs), jobs)
    assert_in_one_status(store, {Status.QUEUED: len(jobs)})
    for _ in jobs:
        claim = claim_one(store)
        assert claim.job.request.files == request.files
        assert store.complete(claim, make_result(claim.job.id))
    jobs, _ = flood(store, 1000 * 1024)
    assert len(jobs) == room_for(1000 * 1024)
