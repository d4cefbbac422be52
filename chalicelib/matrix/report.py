"""What became of a matrix, as the API tells it: cells, summary, where it compiles, and what was said.

Results are added cell by cell, so that not all of them need to be held at once.
"""

from collections.abc import Sequence
from typing import Any

from chalicelib.api import expectations
from chalicelib.catalog import Language
from chalicelib.matrix.groups import Groups
from chalicelib.matrix.minimum_standard import minimum_standards
from chalicelib.models import Cell, Matrix, Reason, Result, Severity, Status, Verdict
from chalicelib.timestamps import format_time

Json = dict[str, Any]


def lost(job_id: str) -> Result:
    """The result of a cell whose job is gone: nothing is known about the source."""
    return Result.inconclusive(job_id, Reason.INFRASTRUCTURE, "The job's record or result is gone.")


def place(cell: Cell) -> Json:
    """A cell as compiler, standard (None where the language has none) and target."""
    return {"compiler": cell.compiler, "standard": cell.standard or None, "target": cell.target}


class Report:
    """The answer about one matrix. `statuses` are those of its cells; None for a job that is gone."""

    def __init__(self, matrix: Matrix, statuses: Sequence[Status | None]) -> None:
        self._matrix = matrix
        self._cells: list[Json] = []
        self._verdicts: list[Verdict | None] = [None] * len(statuses)
        self._groups = Groups()
        for cell, status in zip(matrix.cells, statuses, strict=True):
            self._cells.append(
                place(cell)
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
        """The result of the cell with that number."""
        severities = [each.severity for each in expectations.flattened(result.diagnostics)]
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
        """The whole answer. `language` is the matrix's, from the catalogue; None when it is not there."""
        matrix, verdicts = self._matrix, self._verdicts
        by_verdict = {
            wanted: [
                place(cell) for cell, verdict in zip(matrix.cells, verdicts, strict=True) if verdict is wanted
            ]
            for wanted in Verdict
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
        waiting = [cell["status"] for cell in self._cells]
        met = [cell["expectation"]["met"] for cell in self._cells if cell["expectation"]]
        return {
            "cells": len(verdicts),
            "ended": sum(verdict is not None for verdict in verdicts),
            "queued": waiting.count(Status.QUEUED.value),
            "processing": waiting.count(Status.PROCESSING.value),
            **{verdict.value: verdicts.count(verdict) for verdict in Verdict},
            "omitted": len(self._matrix.omitted),
            "expectations_met": sum(met) if self._matrix.expect else None,
        }
