"""The model of a store: what can happen to jobs, and which status each of them must then have.

Hypothesis drives it beside a store. A subclass brings that store, and ways to let leases and jobs run out.
"""

from dataclasses import dataclass

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from chalicelib.errors import QueueFull
from chalicelib.models import Status, Verdict
from chalicelib.storage.protocol import Claim, JobStore
from tests.support.factories import make_job, make_result

QUEUE_SIZE = 4
MAX_ATTEMPTS = 2
LEASE_SECONDS = 3600.0


@dataclass
class Expected:
    """What the model knows about a job."""

    status: Status = Status.QUEUED
    attempts: int = 0
    claim: Claim | None = None


class Machine(RuleBasedStateMachine):
    """The model. A subclass opens the store, and lets leases and jobs run out."""

    jobs = Bundle("jobs")

    store: JobStore

    def __init__(self) -> None:
        super().__init__()
        self.expected: dict[str, Expected] = {}
        self.former_claims: list[Claim] = []
        self.open_store()

    def open_store(self) -> None:
        """Opens the store, empty."""
        raise NotImplementedError

    def age_leases(self) -> None:
        """Lets every lease run out."""
        raise NotImplementedError

    def expire(self, job_id: str) -> None:
        """Lets a job's time to live run out."""
        raise NotImplementedError

    def _in(self, status: Status) -> list[str]:
        return [job_id for job_id, job in self.expected.items() if job.status is status]

    @rule(target=jobs)
    def submit(self) -> str:
        """A new job: queued, or `QueueFull` when too many wait."""
        job = make_job()
        full = len(self._in(Status.QUEUED)) >= QUEUE_SIZE
        try:
            self.store.submit(job)
        except QueueFull:
            assert full
            assert self.store.get(job.id) is None
        else:
            assert not full
            self.expected[job.id] = Expected()
        return job.id

    @rule()
    def claim(self) -> None:
        """The longest-waiting job, unless none waits."""
        queued = self._in(Status.QUEUED)
        claim = None
        for _ in range(len(self.expected) + 2):  # entries of ended jobs may come first
            claim = claim or self.store.claim("runner", 0.001)
        if not queued:
            assert claim is None
            return
        assert claim is not None
        job = self.expected[claim.job.id]
        assert job.status is Status.QUEUED
        job.status, job.attempts, job.claim = Status.PROCESSING, job.attempts + 1, claim
        assert claim.attempts == job.attempts

    @rule(job_id=jobs)
    def renew(self, job_id: str) -> None:
        """A valid claim is renewed."""
        job = self.expected.get(job_id)
        if job and job.claim:
            assert self.store.renew("runner", [job.claim]) == frozenset()

    @rule(job_id=jobs, verdict=st.sampled_from([Verdict.COMPILES, Verdict.REJECTED]))
    def complete(self, job_id: str, verdict: Verdict) -> None:
        """A valid claim ends its job."""
        job = self.expected.get(job_id)
        if job and job.claim:
            result = make_result(job_id, verdict=verdict, compiled=verdict is Verdict.COMPILES)
            assert self.store.complete(job.claim, result)
            self._ended(job, result.status)

    @rule(job_id=jobs)
    def release(self, job_id: str) -> None:
        """A valid claim is released: the job is queued, and the attempt not counted."""
        job = self.expected.get(job_id)
        if job and job.claim:
            assert self.store.release(job.claim)
            self.former_claims.append(job.claim)
            job.status, job.attempts, job.claim = Status.QUEUED, job.attempts - 1, None

    @rule(job_id=jobs)
    def cancel(self, job_id: str) -> None:
        """A living job is cancelled; an ended one keeps its status."""
        job = self.expected.get(job_id)
        status = self.store.cancel(job_id)
        if job is None:
            assert status is None
        elif job.status.terminal:
            assert status is job.status
        else:
            assert status is Status.CANCELLED
            self._ended(job, Status.CANCELLED)

    def _ended(self, job: Expected, status: Status) -> None:
        if job.claim:
            self.former_claims.append(job.claim)
        job.status, job.claim = status, None

    @rule()
    def crash_and_sweep(self) -> None:
        """All runners die and their leases run out: jobs are queued again, or end after enough attempts."""
        self.age_leases()
        self.store.sweep()
        for job_id in self._in(Status.PROCESSING):
            job = self.expected[job_id]
            assert job.claim is not None
            self.former_claims.append(job.claim)
            job.claim = None
            job.status = Status.ERROR if job.attempts >= MAX_ATTEMPTS else Status.QUEUED

    @rule(job_id=jobs)
    def time_to_live_runs_out(self, job_id: str) -> None:
        """A job expires: it is unknown, whatever its status was."""
        if job_id in self.expected:
            self.expire(job_id)
            job = self.expected.pop(job_id)
            if job.claim:
                self.former_claims.append(job.claim)

    @rule(data=st.data())
    def use_a_former_claim(self, data: st.DataObject) -> None:
        """A former claim is not valid any more: not to renew, not to release, not to complete."""
        if not self.former_claims:
            return
        claim = data.draw(st.sampled_from(self.former_claims))
        job = self.expected.get(claim.job.id)
        if job is None:
            return  # expired while it was claimed: the contract leaves the answer open
        if job.status in (Status.COMPLETED, Status.FAILED):
            return  # it may be the claim that ended it: repeating that is allowed, see the contract
        assert self.store.renew("runner", [claim]) == {claim.job.id}
        assert not self.store.release(claim)
        assert not self.store.complete(claim, make_result(claim.job.id, stdout="late"))

    @invariant()
    def statuses_agree(self) -> None:
        """Each living job has the model's status, and its result exactly when it has ended."""
        for job_id, job in self.expected.items():
            stored = self.store.get(job_id)
            assert stored is not None
            assert stored.status is job.status
            result = self.store.get_result(job_id)
            assert (result is not None) == job.status.terminal
            assert result is None or (result.status is job.status and result.stdout != "late")
        self.check_index()

    def check_index(self) -> None:
        """Each living id is in one status."""
        by_status = self.store.counts().by_status
        assert sum(by_status.values()) == len(self.expected)
