"""The use cases of a matrix: submit, fetch, wait, cancel.

Every cell is an ordinary job: runners know nothing about matrices, and a cell can be fetched like any job.
"""

import time
from collections.abc import Iterator, Sequence

from chalicelib import queue_outlook
from chalicelib.api import compile_request
from chalicelib.api.content_negotiation import OutputFormat
from chalicelib.api.responses import ApiResponse
from chalicelib.api.validation import invalid, quoted
from chalicelib.catalog import Catalog
from chalicelib.diagnostic_groups import ByteBudget, DiagnosticGroups
from chalicelib.errors import BatchTooLarge, MatrixNotFound, StoreError
from chalicelib.matrix.plan import make_plan, parse
from chalicelib.matrix.report import Report, lost_result
from chalicelib.models import Cell, Job, Matrix, Result, Status, Target, is_id, new_id
from chalicelib.registrations import Need, RegisteredEnvironments
from chalicelib.sarif.document import MAX_RUNS, CompilerRun, run_id, sarif_document
from chalicelib.storage.protocol import JobStore

# Results may be long, so only this many are in memory at a time.
_RESULTS_AT_A_TIME = 8


class MatrixService:
    """The use cases over one store."""

    def __init__(self, store: JobStore, catalog: Catalog, registered: RegisteredEnvironments) -> None:
        self._store = store
        self._catalog = catalog
        self._registered = registered

    def submit(
        self,
        body: bytes,
        wait_seconds: float = 0.0,
        after: int | None = None,
        output_format: OutputFormat = OutputFormat.JSON,
    ) -> ApiResponse:
        """Submits a matrix: all of its jobs, or none. Waits as `fetch` does, counted from now."""
        deadline = time.monotonic() + wait_seconds
        client_matrix = parse(body)
        need = Need.of(self._catalog, client_matrix.language, client_matrix.compilers)
        plan = make_plan(client_matrix, self._catalog, self._registered.read(need, wait_seconds))
        jobs = [
            Job(id=new_id(), request=request, fingerprint=compile_request.fingerprint(request))
            for request in plan.requests
        ]
        matrix = Matrix(
            id=new_id(),
            language=plan.language.id,
            stage=plan.stage,
            cells=tuple(_cell(job) for job in jobs),
            omitted=plan.omitted,
            environments=plan.environments,
            expect=jobs[0].request.expect,
        )
        try:
            self._store.submit_matrix(matrix, jobs)
        except BatchTooLarge as error:
            raise invalid(
                "compilers",
                f"The matrix has {len(jobs)} cells, but no more than {error.queue_size} jobs may wait here: "
                "choose fewer compilers, standards or targets.",
            ) from None
        remaining_seconds = deadline - time.monotonic()
        if remaining_seconds > 0:
            try:
                return self._respond(matrix, remaining_seconds, after, output_format)
            except StoreError:
                pass  # the matrix is stored: after an error the client would submit it a second time
        return ApiResponse(matrix.id, self._report(matrix, [Status.QUEUED] * len(jobs)), ended=False)

    def fetch(
        self,
        matrix_id: str,
        wait_seconds: float = 0.0,
        after: int | None = None,
        output_format: OutputFormat = OutputFormat.JSON,
    ) -> ApiResponse:
        """The matrix, as soon as more than `after` cells have ended (None: all), or after `wait_seconds`.

        As with a single job, a queue that needs much longer ends the wait after a second.
        """
        return self._respond(self._get(matrix_id), wait_seconds, after, output_format)

    def cancel(self, matrix_id: str) -> ApiResponse:
        """Cancels every cell that has not ended. The response is that of `fetch`."""
        matrix = self._get(matrix_id)
        statuses = self._store.wait_all(_job_ids(matrix), 0, 0.0)
        for cell, status in zip(matrix.cells, statuses, strict=True):
            if status is not None and not status.terminal:
                self._store.cancel(cell.job_id)
        return self._respond(matrix, 0.0, None, OutputFormat.JSON)

    def _get(self, matrix_id: str) -> Matrix:
        matrix = self._store.get_matrix(matrix_id) if is_id(matrix_id) else None
        if matrix is None:
            raise MatrixNotFound(
                f"Matrix {quoted(matrix_id)} does not exist: the id is wrong, or the matrix has expired."
            )
        return matrix

    def _respond(
        self, matrix: Matrix, wait_seconds: float, after: int | None, output_format: OutputFormat
    ) -> ApiResponse:
        size = len(matrix.cells)
        min_ended = size if after is None else min(after + 1, size)
        statuses, retry_after = self._wait(_job_ids(matrix), min_ended, wait_seconds)
        ended = all(status is None or status.terminal for status in statuses)
        if ended and output_format is OutputFormat.SARIF:
            return ApiResponse(
                matrix.id, self._sarif(matrix, statuses), ended=True, output_format=output_format
            )
        return ApiResponse(
            matrix.id, self._report(matrix, statuses), ended=ended, retry_after_seconds=retry_after
        )

    def _wait(
        self, job_ids: Sequence[str], enough: int, wait_seconds: float
    ) -> tuple[Sequence[Status | None], int | None]:
        """The statuses once enough cells have ended; or after a second, and when to ask again."""
        deadline = time.monotonic() + wait_seconds
        statuses = self._store.wait_all(job_ids, enough, min(wait_seconds, queue_outlook.PROMPT_SECONDS))
        remaining_seconds = deadline - time.monotonic()
        ended = sum(1 for status in statuses if status is None or status.terminal)
        if ended >= enough or remaining_seconds <= 0:
            return statuses, None
        # As long as one cell runs, or some have ended, others may follow soon.
        if all(status is Status.QUEUED for status in statuses):
            retry_after = queue_outlook.retry_after_seconds(self._store, wait_seconds)
            if retry_after is not None:
                return statuses, retry_after
        return self._store.wait_all(job_ids, enough, remaining_seconds), None

    def _report(self, matrix: Matrix, statuses: Sequence[Status | None]) -> dict[str, object]:
        report = Report(matrix, statuses)
        for number, result in self._results(matrix, statuses):
            report.add(number, result)
        return report.to_json(self._catalog.language(matrix.language))

    def _sarif(self, matrix: Matrix, statuses: Sequence[Status | None]) -> dict[str, object]:
        """One run for each compiler, its jobs in the order of the cells.

        If that were too many runs, one for each family.
        """
        jobs = (self._store.get(cell.job_id) for cell in matrix.cells)
        files = next((job.request.files for job in jobs if job is not None), {})
        environments = {environment.id: environment for environment in matrix.environments}
        shared = len({cell.compiler for cell in matrix.cells}) > MAX_RUNS
        budget = ByteBudget()
        runs: dict[str, tuple[CompilerRun, DiagnosticGroups]] = {}
        for number, result in self._results(matrix, statuses):
            cell = matrix.cells[number]
            environment = result.environment or environments.get(cell.compiler)
            # Without an environment nothing is known but the id, such as gcc-12.
            family = environment.family if environment else cell.compiler.rpartition("-")[0]
            name = family if shared else cell.compiler
            if name not in runs:
                runs[name] = CompilerRun(name, environment, files), DiagnosticGroups(budget)
            run, groups = runs[name]
            if shared:
                run.add_compiler(cell.compiler, environment)
            invocation = run.add_job(result, cell.standard, Target.parse(cell.target), matrix.stage, {})
            groups.add(invocation, result.diagnostics)
        documents = []
        for name, (run, groups) in runs.items():
            if groups.omitted:
                run.note_omitted(groups.omitted)
            documents.append(run.to_json(run_id(name, matrix.id), groups.ordered()))
        return sarif_document(documents)

    def _results(self, matrix: Matrix, statuses: Sequence[Status | None]) -> Iterator[tuple[int, Result]]:
        """Number and result of each cell that has ended, without `stdout` and `stderr`."""
        ended = [number for number, status in enumerate(statuses) if status is None or status.terminal]
        for start in range(0, len(ended), _RESULTS_AT_A_TIME):
            numbers = ended[start : start + _RESULTS_AT_A_TIME]
            job_ids = [matrix.cells[number].job_id for number in numbers]
            for number, job_id, result in zip(
                numbers, job_ids, self._store.get_outlines(job_ids), strict=True
            ):
                yield number, result or lost_result(job_id)


def _cell(job: Job) -> Cell:
    request = job.request
    return Cell(
        compiler=request.compiler, standard=request.standard, target=str(request.target), job_id=job.id
    )


def _job_ids(matrix: Matrix) -> list[str]:
    return [cell.job_id for cell in matrix.cells]
