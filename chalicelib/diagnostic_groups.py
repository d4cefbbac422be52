"""Diagnostics that several cells of a matrix have in common, each listed once with the numbers of its cells.

Two diagnostics are the same when severity, code, message, file, line and column are equal. The rest (the end
of the range, notes, proposed fixes) is that of the first cell.
"""

from dataclasses import dataclass, field
from typing import Any

from chalicelib.models import Diagnostic, Severity

# A Lambda function's response has at most 6 MB, and in SARIF a diagnostic is about three times as long.
MAX_GROUPS_BYTES = 1_500_000

_SEVERITY_ORDER = {severity: position for position, severity in enumerate(Severity)}
_Key = tuple[Severity, str | None, str, str | None, int | None, int | None]


@dataclass(slots=True)
class DiagnosticGroup:
    """A diagnostic and the numbers of the cells that have it, in ascending order."""

    diagnostic: Diagnostic
    cells: list[int] = field(default_factory=list)


class ByteBudget:
    """How many bytes of diagnostics a response may still hold. Several `DiagnosticGroups` may share one."""

    def __init__(self, limit_bytes: int = MAX_GROUPS_BYTES) -> None:
        self._remaining_bytes = limit_bytes

    def take(self, diagnostic: Diagnostic) -> bool:
        """Whether the diagnostic fits; after the first that does not, none fits any more."""
        if self._remaining_bytes > 0:
            self._remaining_bytes -= len(diagnostic.model_dump_json().encode())
        return self._remaining_bytes > 0


class DiagnosticGroups:
    """Groups the diagnostics of cells, up to a budget; `omitted` counts those that exceeded it."""

    def __init__(self, budget: ByteBudget | None = None) -> None:
        self._groups: dict[_Key, DiagnosticGroup] = {}
        self._budget = budget or ByteBudget()
        self.omitted = 0

    def add(self, cell: int, diagnostics: tuple[Diagnostic, ...]) -> None:
        """Adds the diagnostics of one cell. A diagnostic that the cell has twice counts once."""
        for diagnostic in diagnostics:
            key = (
                diagnostic.severity,
                diagnostic.code,
                diagnostic.message,
                diagnostic.file,
                diagnostic.line,
                diagnostic.column,
            )
            group = self._groups.get(key)
            if group is None:
                if not self._budget.take(diagnostic):
                    self.omitted += 1
                    continue
                group = self._groups[key] = DiagnosticGroup(diagnostic)
            if group.cells[-1:] != [cell]:
                group.cells.append(cell)

    def ordered(self) -> list[DiagnosticGroup]:
        """By severity, the worst first; then those of more cells first; then in the order of arrival."""
        return sorted(
            self._groups.values(),
            key=lambda group: (_SEVERITY_ORDER[group.diagnostic.severity], -len(group.cells)),
        )

    def to_json(self) -> list[dict[str, Any]]:
        """``[{"diagnostic": …, "cells": [0, 3]}, …]``, ordered."""
        return [
            {"diagnostic": group.diagnostic.model_dump(mode="json"), "cells": group.cells}
            for group in self.ordered()
        ]
