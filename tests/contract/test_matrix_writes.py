"""A process that dies while it submits a matrix, at each step.

A matrix is queued as a whole or not at all, and its jobs are never queued without it.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import fakeredis
import pytest
from redis.exceptions import ConnectionError as CutError

from chalicelib.errors import QueueFull, StoreUnavailable
from chalicelib.models import Job, Status
from chalicelib.storage.redis.store import RedisStore
from tests.contract.support import assert_in_one_status
from tests.support.factories import make_job, make_matrix, make_result
from tests.support.stores import claim_one, store_over

CELLS = 10  # more than one chunk of records


class _Mortal:
    """Counts the steps of a client, and lets it die at one of them: before the step, or before its answer."""

    def __init__(self, last_step: int, *, done: bool) -> None:
        self.steps = 0
        self._last_step = last_step
        self._done = done

    def step(self, action: Any, *arguments: Any, **options: Any) -> Any:
        if self.steps > self._last_step:
            raise CutError("dead")
        dying = self.steps == self._last_step
        self.steps += 1
        if dying and not self._done:
            self.steps += 1
            raise CutError("dies before")
        answer = action(*arguments, **options)
        if dying:
            self.steps += 1
            raise CutError("dies after")
        return answer


class _MortalRedis(fakeredis.FakeRedis):
    """A Redis in this process whose client may die."""

    def __init__(self, mortal: _Mortal, **options: Any) -> None:
        self._mortal = mortal
        super().__init__(**options)

    def execute_command(self, *arguments: Any, **options: Any) -> Any:
        """One command is one step."""
        return self._mortal.step(super().execute_command, *arguments, **options)

    def pipeline(self, *arguments: Any, **options: Any) -> Any:
        """One pipeline is one step."""
        pipe: Any = super().pipeline(*arguments, **options)
        execute = pipe.execute
        pipe.execute = lambda: self._mortal.step(execute)
        return pipe


def _deaths() -> Iterator[tuple[int, bool]]:
    """Every step of a submission; `test_every_step_is_tried` checks that there are no more."""
    for step in range(8):
        yield step, False
        yield step, True


def _store(server: fakeredis.FakeServer, mortal: _Mortal | None = None, **settings: object) -> RedisStore:
    options: dict[str, Any] = {"server": server, "decode_responses": True}
    client = _MortalRedis(mortal, **options) if mortal else fakeredis.FakeRedis(**options)
    return store_over(client, **settings)


def _jobs() -> list[Job]:
    return [make_job() for _ in range(CELLS)]


def _queued(store: RedisStore) -> int:
    return store.counts().by_status[Status.QUEUED]


def test_every_step_is_tried() -> None:
    """A submission has no more steps than those at which the tests below let it die."""
    mortal = _Mortal(1000, done=True)
    jobs = _jobs()
    _store(fakeredis.FakeServer(), mortal).submit_matrix(make_matrix(jobs), jobs)
    assert 4 <= mortal.steps <= max(step for step, _ in _deaths())


@pytest.mark.parametrize(("step", "done"), list(_deaths()))
def test_a_process_that_dies_while_submitting_leaves_all_or_nothing(step: int, done: bool) -> None:
    """Either all jobs are queued and their matrix can be read, or no job is; a readable matrix ends."""
    server = fakeredis.FakeServer()
    jobs = _jobs()
    matrix = make_matrix(jobs)
    with contextlib.suppress(StoreUnavailable):
        _store(server, _Mortal(step, done=done)).submit_matrix(matrix, jobs)
    store = _store(server)
    assert _queued(store) in (0, CELLS)
    if _queued(store):
        assert store.get_matrix(matrix.id) == matrix
    if store.get_matrix(matrix.id) is None:
        return
    # Should a client know the id all the same, its jobs are queued by reading them, and end.
    store.wait_all([job.id for job in jobs], 0, 0.0)
    assert _queued(store) == CELLS
    for _ in jobs:
        claim = claim_one(store)
        assert store.complete(claim, make_result(claim.job.id))
    assert store.wait_all([job.id for job in jobs], CELLS, 0.0) == (Status.COMPLETED,) * CELLS


@pytest.mark.parametrize(("step", "done"), list(_deaths()))
def test_a_submission_that_is_repeated_queues_nothing_twice(step: int, done: bool) -> None:
    """A submission that was cut off and repeated counts as one, even when the queue has no more room."""
    server = fakeredis.FakeServer()
    jobs = _jobs()
    matrix = make_matrix(jobs)
    with contextlib.suppress(StoreUnavailable):
        _store(server, _Mortal(step, done=done), queue_size=CELLS).submit_matrix(matrix, jobs)
    store = _store(server, queue_size=CELLS)
    store.submit_matrix(matrix, jobs)
    assert_in_one_status(store, {Status.QUEUED: CELLS})
    entries: Any = fakeredis.FakeRedis(server=server, decode_responses=True).xrange("job:stream")
    assert sorted(fields["id"] for _, fields in entries) == sorted(job.id for job in jobs)


def test_a_queue_that_fills_up_during_a_submission_leaves_nothing() -> None:
    """QUEUE_SIZE is checked again by the step that queues the jobs; what was written before is removed."""
    server = fakeredis.FakeServer()
    other = _store(server, queue_size=CELLS)
    jobs = _jobs()
    matrix = make_matrix(jobs)

    class _Late(_Mortal):
        def step(self, action: Any, *arguments: Any, **options: Any) -> Any:
            if arguments[:1] == ("SET",):  # the matrix is written: the next step is the queue
                other.submit(make_job())
            return action(*arguments, **options)

    with pytest.raises(QueueFull):
        _store(server, _Late(0, done=True), queue_size=CELLS).submit_matrix(matrix, jobs)
    assert other.get_matrix(matrix.id) is None
    assert [other.get(job.id) for job in jobs] == [None] * CELLS
    assert_in_one_status(other, {Status.QUEUED: 1})
