"""The use cases of a matrix: submit, fetch, wait, cancel.

Every cell is an ordinary job: runners know nothing of matrices, and a cell can be asked for like any other.
"""

import re
import time
from collections.abc import Callable, Iterator, Sequence

from chalicelib.api import compile_request
from chalicelib.api.content_negotiation import OutputFormat
from chalicelib.api.responses import ApiResponse
from chalicelib.api.validation import invalid, quoted
from chalicelib.catalog import Catalog
from chalicelib.errors import BatchTooLarge, MatrixNotFound, StoreError
from chalicelib.ids import is_id, new_id
from chalicelib.matrix import plan
from chalicelib.matrix.groups import Groups, Room
from chalicelib.matrix.report import Report, lost
from chalicelib.models import Cell, Environment, Job, Matrix, Result, Status
from chalicelib.sarif import document
from chalicelib.storage.protocol import JobStore

# Results may be long: so many are read and told at a time.
_CHUNK = 8


class MatrixService:
    """All use cases of matrices over one store. `offered` gives what was registered, or raises `NotReady`."""

    def __init__(
        self, store: JobStore, catalog: Catalog, offered: Callable[[], tuple[Environment, ...]]
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._offered = offered

    def submit(
        self,
        body: bytes,
        wait_seconds: float = 0.0,
        after: int | None = None,
        form: OutputFormat = OutputFormat.JSON,
    ) -> ApiResponse:
        """Accepts a matrix: all of its jobs, or none. Waits as `fetch` does, counted from now."""
        deadline = time.monotonic() + wait_seconds
        client_matrix = plan.parse(body)
        made = plan.make(client_matrix, self._catalog, self._offered())
        jobs = [
            Job(id=new_id(), request=request, fingerprint=compile_request.fingerprint(request))
            for request in made.requests
        ]
        matrix = Matrix(
            id=new_id(),
            language=made.language.id,
            stage=made.stage,
            cells=tuple(_cell(job) for job in jobs),
            omitted=made.omitted,
            environments=made.environments,
            expect=jobs[0].request.expect,
        )
        try:
            self._store.submit_matrix(matrix, jobs)
        except BatchTooLarge as error:
            raise invalid(
                "compilers",
                f"The matrix has {len(jobs)} cells, and here no more than {error.queue_size} jobs may wait: "
                "ask for fewer.",
            ) from None
        remaining_seconds = deadline - time.monotonic()
        if remaining_seconds > 0:
            try:
                return self._answer(matrix, remaining_seconds, after, form)
            except StoreError:
                pass  # the matrix is stored: who heard an error now would submit it again
        return ApiResponse(matrix.id, self._report(matrix, [Status.QUEUED] * len(jobs)), ended=False)

    def fetch(
        self,
        matrix_id: str,
        wait_seconds: float = 0.0,
        after: int | None = None,
        form: OutputFormat = OutputFormat.JSON,
    ) -> ApiResponse:
        """What there is, once more than `after` cells have ended (None: all), or after `wait_seconds`."""
        return self._answer(self._found(matrix_id), wait_seconds, after, form)

    def cancel(self, matrix_id: str) -> ApiResponse:
        """Cancels every cell that has not ended. The answer is that of `fetch`."""
        matrix = self._found(matrix_id)
        statuses = self._store.wait_all(_job_ids(matrix), 0, 0.0)
        for cell, status in zip(matrix.cells, statuses, strict=True):
            if status is not None and not status.terminal:
                self._store.cancel(cell.job_id)
        return self._answer(matrix, 0.0, None, OutputFormat.JSON)

    def _found(self, matrix_id: str) -> Matrix:
        matrix = self._store.get_matrix(matrix_id) if is_id(matrix_id) else None
        if matrix is None:
            raise MatrixNotFound(
                f"There is no matrix {quoted(matrix_id)}: its id is wrong, or its time to live is over."
            )
        return matrix

    def _answer(
        self, matrix: Matrix, wait_seconds: float, after: int | None, form: OutputFormat
    ) -> ApiResponse:
        size = len(matrix.cells)
        wanted = size if after is None else min(after + 1, size)
        statuses = self._store.wait_all(_job_ids(matrix), wanted, wait_seconds)
        ended = all(status is None or status.terminal for status in statuses)
        if ended and form is OutputFormat.SARIF:
            return ApiResponse(matrix.id, self._sarif(matrix, statuses), ended=True, form=form)
        return ApiResponse(matrix.id, self._report(matrix, statuses), ended=ended)

    def _report(self, matrix: Matrix, statuses: Sequence[Status | None]) -> dict[str, object]:
        report = Report(matrix, statuses)
        for number, result in self._results(matrix, statuses):
            report.add(number, result)
        return report.to_json(self._catalog.language(matrix.language))

    def _sarif(self, matrix: Matrix, statuses: Sequence[Status | None]) -> dict[str, object]:
        """One run for each compiler, its jobs in the order of the cells."""
        jobs = (self._store.get(cell.job_id) for cell in matrix.cells)
        files = next((job.request.files for job in jobs if job is not None), {})
        environments = {environment.id: environment for environment in matrix.environments}
        room = Room()
        runs: dict[str, tuple[document.Run, Groups]] = {}
        for number, result in self._results(matrix, statuses):
            cell = matrix.cells[number]
            if cell.compiler not in runs:
                environment = result.environment or environments.get(cell.compiler)
                runs[cell.compiler] = document.Run(cell.compiler, environment, files), Groups(room)
            run, groups = runs[cell.compiler]
            invocation = run.add(result, cell.standard, cell.target, matrix.stage, {})
            groups.add(invocation, result.diagnostics)
        told = []
        for compiler, (run, groups) in runs.items():
            if groups.omitted:
                run.omitted(groups.omitted)
            told.append(run.to_json(f"{document.CONVERTER}/{compiler}/{matrix.id}", groups.ordered()))
        return document.document(told)

    def _results(self, matrix: Matrix, statuses: Sequence[Status | None]) -> Iterator[tuple[int, Result]]:
        """Number and result of each cell that has ended, without what the compilers wrote."""
        ended = [number for number, status in enumerate(statuses) if status is None or status.terminal]
        for start in range(0, len(ended), _CHUNK):
            numbers = ended[start : start + _CHUNK]
            job_ids = [matrix.cells[number].job_id for number in numbers]
            for number, job_id, result in zip(
                numbers, job_ids, self._store.get_outlines(job_ids), strict=True
            ):
                yield number, result or lost(job_id)


def _cell(job: Job) -> Cell:
    request = job.request
    target = f"{request.architecture}-{request.os}"
    return Cell(compiler=request.compiler, standard=request.standard, target=target, job_id=job.id)


def _job_ids(matrix: Matrix) -> list[str]:
    return [cell.job_id for cell in matrix.cells]


def parse_after(given: Sequence[str]) -> int | None:
    """The `after` query parameter, from all its values; None when it is not given."""
    if not given:
        return None
    text = given[-1]
    if len(given) == 1 and re.fullmatch(r"[0-9]{1,2}", text) and int(text) < plan.MAX_CELLS:
        return int(text)
    raise invalid(
        "after", f"`after` is one number of cells from 0 to {plan.MAX_CELLS - 1}, not {quoted(text)}."
    )
