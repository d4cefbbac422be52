"""The JSON of a matrix: its cells, a summary, where the source compiles, and the diagnostics in groups.

Results are added one by one, so that they need not all be in memory at once.
"""

from collections.abc import Sequence
from typing import Any

from chalicelib.api import expectations
from chalicelib.catalog import Language
from chalicelib.diagnostic_groups import DiagnosticGroups
from chalicelib.matrix.minimum_standard import minimum_standards
from chalicelib.models import Cell, Matrix, Reason, Result, Severity, Status, Verdict
from chalicelib.timestamps import format_time

Json = dict[str, Any]


def lost_result(job_id: str) -> Result:
    """The result of a cell whose job no longer exists: nothing is known about the source."""
    return Result.inconclusive(
        job_id, Reason.INFRASTRUCTURE, "The job or its result no longer exists in the store."
    )


def cell_coordinates(cell: Cell) -> Json:
    """The compiler, standard (None where the language has none) and target of a cell."""
    return {"compiler": cell.compiler, "standard": cell.standard or None, "target": cell.target}


class Report:
    """Builds the JSON of one matrix. `statuses` are those of its cells; None for a job that is gone."""

    def __init__(self, matrix: Matrix, statuses: Sequence[Status | None]) -> None:
        self._matrix = matrix
        self._cells: list[Json] = []
        self._verdicts: list[Verdict | None] = [None] * len(statuses)
        self._groups = DiagnosticGroups()
        for cell, status in zip(matrix.cells, statuses, strict=True):
            self._cells.append(
                cell_coordinates(cell)
                | {
                    "job_id": cell.job_id,
                    "status": (status or Status.ERROR).value,
                    "verdict": None,
                    "reason": None,
                    "errors": None,
                    "warnings": None,
                    "expectation": None,
                }
            )

    def add(self, cell: int, result: Result) -> None:
        """Adds the result of the cell with that number."""
        severities = [diagnostic.severity for diagnostic in expectations.flattened(result.diagnostics)]
        expect = self._matrix.expect
        self._cells[cell] |= {
            "verdict": result.verdict.value,
            "reason": result.reason.value if result.reason else None,
            "errors": sum(severity in (Severity.FATAL, Severity.ERROR) for severity in severities),
            "warnings": severities.count(Severity.WARNING),
            "expectation": expectations.evaluate(expect, result) if expect else None,
        }
        self._verdicts[cell] = result.verdict
        self._groups.add(cell, result.diagnostics)

    def to_json(self, language: Language | None) -> Json:
        """The whole object. `language` is that of the matrix, or None if the catalogue no longer has it."""
        matrix, verdicts = self._matrix, self._verdicts
        by_verdict = {
            verdict: [
                cell_coordinates(cell)
                for cell, cell_verdict in zip(matrix.cells, verdicts, strict=True)
                if cell_verdict is verdict
            ]
            for verdict in Verdict
        }
        return {
            "matrix_id": matrix.id,
            "ended": None not in verdicts,
            "language": matrix.language,
            "stage": matrix.stage.value,
            "created_at": format_time(matrix.created_at),
            "summary": self._summary(),
            "cells": self._cells,
            "omitted": [omission.model_dump(mode="json") for omission in matrix.omitted],
            "compiles_on": by_verdict[Verdict.COMPILES],
            "rejected_on": by_verdict[Verdict.REJECTED],
            "inconclusive_on": by_verdict[Verdict.INCONCLUSIVE],
            "minimum_standard": minimum_standards(matrix, language, verdicts),
            "groups": self._groups.to_json(),
            "groups_omitted": self._groups.omitted,
        }

    def _summary(self) -> Json:
        verdicts = self._verdicts
        statuses = [cell["status"] for cell in self._cells]
        met = [cell["expectation"]["met"] for cell in self._cells if cell["expectation"]]
        return {
            "cells": len(verdicts),
            "ended": sum(verdict is not None for verdict in verdicts),
            "queued": statuses.count(Status.QUEUED.value),
            "processing": statuses.count(Status.PROCESSING.value),
            **{verdict.value: verdicts.count(verdict) for verdict in Verdict},
            "omitted": len(self._matrix.omitted),
            "expectations_met": sum(met) if self._matrix.expect else None,
        }
