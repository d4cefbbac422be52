"""The use cases: submit, fetch, wait, cancel, list environments, statistics, readiness.

Knows the store's protocol and the catalogue; neither HTTP nor Redis nor a compiler. Each
method takes what a client said and gives what a client gets, or raises one of our errors.
"""

import logging
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict

from chalicelib import cloudwatch_metrics
from chalicelib.api import compile_request, responses
from chalicelib.api.content_negotiation import OutputFormat
from chalicelib.api.responses import ApiResponse, Json
from chalicelib.api.validation import invalid, quoted
from chalicelib.catalog import Catalog
from chalicelib.errors import JobEnded, JobNotFound, NotReady, StoreError
from chalicelib.ids import is_id, new_id
from chalicelib.matrix.service import MatrixService
from chalicelib.models import Environment, Job, Status, utc_now
from chalicelib.sarif import document
from chalicelib.storage.protocol import JobStore

logger = logging.getLogger("will_it_compile")

# API Gateway ends a request after 29 s; the rest is for Redis to be slow and the answer to travel.
MAX_WAIT_SECONDS = 25.0
# What is offered changes when runners are deployed; asking the store for each request is waste.
ENVIRONMENTS_AGE_SECONDS = 2.0
# A runner that has just been started tests its compilers first. Better to wait than to refuse.
FIRST_REGISTRATION_SECONDS = 10.0
_POLL_SECONDS = 0.1


class CompileService:
    """All use cases over one store. Safe to use from several threads."""

    def __init__(
        self,
        store: JobStore,
        catalog: Catalog,
        *,
        registration_patience_seconds: float = FIRST_REGISTRATION_SECONDS,
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._patience_seconds = registration_patience_seconds
        # (read at, environments); replaced as a whole, so that threads need no lock.
        self._environments: tuple[float, tuple[Environment, ...]] | None = None
        self.matrices = MatrixService(store, catalog, self._registered)

    # -- jobs

    def submit(
        self, body: bytes, wait_seconds: float = 0.0, form: OutputFormat = OutputFormat.JSON
    ) -> ApiResponse:
        """Accepts a job; waits for its end up to `wait_seconds`, counted from now."""
        deadline = time.monotonic() + wait_seconds
        client_request = compile_request.parse(body)
        request = compile_request.resolve(client_request, self._catalog, self._registered())
        job = Job(id=new_id(), request=request, fingerprint=compile_request.fingerprint(request))
        self._store.submit(job)
        accepted = ApiResponse(job.id, responses.accepted(job), ended=False)
        remaining_seconds = deadline - time.monotonic()
        if remaining_seconds <= 0:
            return accepted
        try:
            return self.fetch(job.id, remaining_seconds, form)
        except StoreError:
            # The job is stored: who heard an error now would submit it again.
            return accepted

    def fetch(
        self, job_id: str, wait_seconds: float = 0.0, form: OutputFormat = OutputFormat.JSON
    ) -> ApiResponse:
        """The result when the job has ended (within `wait_seconds`), else its status."""
        job = self._store.wait(self._checked(job_id), wait_seconds)
        if job is None:
            raise _not_found(job_id)
        if not job.status.terminal:
            return ApiResponse(job.id, responses.pending(job), ended=False)
        result = self._store.get_result(job.id)
        if result is None:  # it expired between the two reads
            raise _not_found(job_id)
        make = document.job_document if form is OutputFormat.SARIF else responses.ended
        return ApiResponse(job.id, make(job, result), ended=True, form=form)

    def cancel(self, job_id: str) -> ApiResponse:
        """Ends a job as cancelled. Raises `JobEnded` when it ended otherwise."""
        status = self._store.cancel(self._checked(job_id))
        if status is None:
            raise _not_found(job_id)
        if status is not Status.CANCELLED:
            raise JobEnded(f"The job has ended already: its status is {status.value}.")
        return ApiResponse(job_id, {"job_id": job_id, "status": status.value}, ended=True)

    def _checked(self, job_id: str) -> str:
        # Ids are ours; anything else is unknown, and never becomes a part of a key.
        if not is_id(job_id):
            raise _not_found(job_id)
        return job_id

    # -- what there is

    def environments(self) -> Json:
        """What can be compiled right now."""
        return responses.environments(self._store.environments(), self._store.runners())

    def statistics(self) -> Json:
        """Figures over all runners."""
        return responses.statistics(self._store.counts(), self._store.runners(), utc_now())

    def sweep(self) -> dict[str, int]:
        """Mends the store as runners do; what was mended, by kind."""
        report = self._store.sweep()
        if report.fixed:
            logger.info("sweep: %s", report)
        return asdict(report)

    def metrics(self, stage: str) -> str:
        """The figures that scale the runners, as one line for CloudWatch."""
        counts, runners = self._store.counts(), len(self._store.runners())
        return cloudwatch_metrics.embedded(counts, runners, stage=stage, now_seconds=time.time())

    def ready(self) -> Json:
        """Says that jobs will be done: the store answers and a runner lives. Raises otherwise."""
        self._store.ping()
        runners = self._store.runners()
        if not runners:
            raise NotReady("No runner is there: jobs are accepted, and wait until one starts.")
        return {"status": "ready", "runners": len(runners)}

    def _registered(self) -> tuple[Environment, ...]:
        """What was registered, at most `ENVIRONMENTS_AGE_SECONDS` old; `NotReady` when nothing ever was."""
        now = time.monotonic()
        if self._environments is not None and now - self._environments[0] < ENVIRONMENTS_AGE_SECONDS:
            return self._environments[1]
        found = _poll(self._store.environments, now + self._patience_seconds)
        if not found:
            raise NotReady("No runner has registered its compilers yet: start one, or try again in a moment.")
        self._environments = (now, found)
        return found


def _poll(read: Callable[[], tuple[Environment, ...]], deadline: float) -> tuple[Environment, ...]:
    while not (found := read()) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    return found


def _not_found(job_id: str) -> JobNotFound:
    return JobNotFound(f"There is no job {quoted(job_id)}: its id is wrong, or its time to live is over.")


def parse_wait(given: Sequence[str]) -> float:
    """The `wait` query parameter in seconds, from all its values; 0 when it is not given."""
    if not given:
        return 0.0
    if len(given) > 1:
        raise invalid("wait", "`wait` is given more than once: give one number of seconds.")
    text = given[0]
    # Digits only: float() would also take "nan", "1e1" and other writing systems' digits.
    if re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,6})?", text) and float(text) <= MAX_WAIT_SECONDS:
        return float(text)
    raise invalid(
        "wait", f"`wait` is a number of seconds from 0 to {MAX_WAIT_SECONDS:g}, not {quoted(text)}."
    )
