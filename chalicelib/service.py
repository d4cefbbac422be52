"""The use cases of single jobs (submit, fetch, wait, cancel) and of the service as a whole (environments,
statistics, readiness, sweep, metrics). Those of matrices are in `matrix/service.py`.

Works with the store's protocol and the catalogue; knows neither Chalice nor Redis nor a compiler. A method
takes what a client sent and gives what the client gets, or raises one of our errors.
"""

import logging
import time
from dataclasses import asdict

from chalicelib import cloudwatch_metrics, queue_outlook
from chalicelib.api import compile_request, responses
from chalicelib.api.content_negotiation import OutputFormat
from chalicelib.api.responses import ApiResponse, Json
from chalicelib.api.validation import quoted
from chalicelib.catalog import Catalog
from chalicelib.errors import JobEnded, JobNotFound, NotReady, StoreError
from chalicelib.models import Job, Status, is_id, new_id, utc_now
from chalicelib.registrations import Need, RegisteredEnvironments
from chalicelib.sarif.document import job_document
from chalicelib.storage.protocol import JobStore

logger = logging.getLogger("will_it_compile")


class CompileService:
    """The use cases over one store. Safe to use from several threads."""

    def __init__(self, store: JobStore, catalog: Catalog, registered: RegisteredEnvironments) -> None:
        self._store = store
        self._catalog = catalog
        self._registered = registered

    # -- jobs

    def submit(
        self, body: bytes, wait_seconds: float = 0.0, output_format: OutputFormat = OutputFormat.JSON
    ) -> ApiResponse:
        """Submits a job and waits up to `wait_seconds`, counted from now, for its end."""
        deadline = time.monotonic() + wait_seconds
        client_request = compile_request.parse(body)
        need = Need.of(self._catalog, client_request.language, [client_request.compiler])
        environments = self._registered.read(need, wait_seconds)
        request = compile_request.resolve(client_request, self._catalog, environments)
        job = Job(id=new_id(), request=request, fingerprint=compile_request.fingerprint(request))
        self._store.submit(job)
        submitted = ApiResponse(job.id, responses.submitted_job(job), ended=False)
        remaining_seconds = deadline - time.monotonic()
        if remaining_seconds <= 0:
            return submitted
        try:
            return self.fetch(job.id, remaining_seconds, output_format)
        except StoreError:
            # The job is stored: after an error the client would submit it a second time.
            return submitted

    def fetch(
        self, job_id: str, wait_seconds: float = 0.0, output_format: OutputFormat = OutputFormat.JSON
    ) -> ApiResponse:
        """The job with its result if it ends within `wait_seconds`, otherwise its status.

        It waits for a second only when the queue needs much longer than `wait_seconds`.
        """
        deadline = time.monotonic() + wait_seconds
        job = self._store.wait(_check_id(job_id), min(wait_seconds, queue_outlook.PROMPT_SECONDS))
        remaining_seconds, retry_after = deadline - time.monotonic(), None
        if job is not None and not job.status.terminal and remaining_seconds > 0:
            if job.status is Status.QUEUED:
                retry_after = queue_outlook.retry_after_seconds(self._store, wait_seconds)
            if retry_after is None:
                job = self._store.wait(job_id, remaining_seconds)
        if job is None:
            raise _not_found(job_id)
        if not job.status.terminal:
            body = responses.unfinished_job(job)
            return ApiResponse(job.id, body, ended=False, retry_after_seconds=retry_after)
        result = self._store.get_result(job.id)
        if result is None:  # it expired between the two reads
            raise _not_found(job_id)
        make_body = job_document if output_format is OutputFormat.SARIF else responses.ended_job
        return ApiResponse(job.id, make_body(job, result), ended=True, output_format=output_format)

    def cancel(self, job_id: str) -> ApiResponse:
        """Cancels a job. Raises `JobEnded` when it has ended in another way."""
        status = self._store.cancel(_check_id(job_id))
        if status is None:
            raise _not_found(job_id)
        if status is not Status.CANCELLED:
            raise JobEnded(f"The job has already ended: its status is {status.value}.")
        return ApiResponse(job_id, {"job_id": job_id, "status": status.value}, ended=True)

    # -- the service as a whole

    def environments(self) -> Json:
        """What can be compiled right now."""
        return responses.environments(self._store.environments(), self._store.runners())

    def statistics(self) -> Json:
        """Figures over all runners."""
        return responses.statistics(self._store.counts(), self._store.runners(), utc_now())

    def sweep(self) -> dict[str, int]:
        """Finds and fixes what dead runners and lost keys left, as runners do; how many of each kind."""
        report = self._store.sweep()
        if report.fixed:
            logger.info("sweep: %s", report)
        return asdict(report)

    def metrics(self, stage: str) -> str:
        """The figures by which runners are scaled, as one log line for CloudWatch."""
        counts, runners = self._store.counts(), len(self._store.runners())
        return cloudwatch_metrics.embedded(counts, runners, stage=stage, now_seconds=time.time())

    def ready(self) -> Json:
        """Succeeds when jobs are compiled now: the store responds, and a runner offers a compiler."""
        self._store.ping()
        runners = self._store.runners()
        if not runners:
            raise NotReady("No runner is alive: jobs are accepted, and wait until one starts.")
        if not self._store.environments():
            raise NotReady("No compiler has passed its self-test yet: the runner is still testing.")
        return {"status": "ready", "runners": len(runners)}


def _check_id(job_id: str) -> str:
    """The id itself. Any text that is not one of our ids is unknown, and never becomes part of a key."""
    if not is_id(job_id):
        raise _not_found(job_id)
    return job_id


def _not_found(job_id: str) -> JobNotFound:
    return JobNotFound(f"Job {quoted(job_id)} does not exist: the id is wrong, or the job has expired.")
