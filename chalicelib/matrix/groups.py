"""Diagnostics of many cells, told once with the cells that say so.

Two cells say the same when severity, code, text and place are the same; how a compiler marks the
end of the place, its notes and its proposed fixes are the first cell's.
"""

from dataclasses import dataclass, field
from typing import Any

from chalicelib.models import Diagnostic, Severity

# A Lambda function answers with at most 6 MB; a diagnostic in SARIF is about three times as long as here.
MAX_GROUPS_BYTES = 1_500_000

_ORDER = {severity: position for position, severity in enumerate(Severity)}
_Key = tuple[Severity, str | None, str, str | None, int | None, int | None]


@dataclass(slots=True)
class Group:
    """A diagnostic, and the numbers of the cells that have it, in order."""

    diagnostic: Diagnostic
    cells: list[int] = field(default_factory=list)


class Room:
    """How many bytes of diagnostics an answer may still hold. Several `Groups` may share one."""

    def __init__(self, limit_bytes: int = MAX_GROUPS_BYTES) -> None:
        self._left_bytes = limit_bytes

    def take(self, diagnostic: Diagnostic) -> bool:
        """True when the diagnostic fits; from the first one that does not, none does."""
        if self._left_bytes > 0:
            self._left_bytes -= len(diagnostic.model_dump_json().encode())
        return self._left_bytes > 0


class Groups:
    """Collects the diagnostics of cells, as long as there is room; `omitted` counts the others."""

    def __init__(self, room: Room | None = None) -> None:
        self._groups: dict[_Key, Group] = {}
        self._room = room or Room()
        self.omitted = 0

    def add(self, cell: int, diagnostics: tuple[Diagnostic, ...]) -> None:
        """The diagnostics of one cell. What it says twice counts once."""
        for each in diagnostics:
            key = (each.severity, each.code, each.message, each.file, each.line, each.column)
            group = self._groups.get(key)
            if group is None:
                if not self._room.take(each):
                    self.omitted += 1
                    continue
                group = self._groups[key] = Group(each)
            if group.cells[-1:] != [cell]:
                group.cells.append(cell)

    def ordered(self) -> list[Group]:
        """The worst first; among equals what more cells say; then as they came."""
        return sorted(
            self._groups.values(), key=lambda group: (_ORDER[group.diagnostic.severity], -len(group.cells))
        )

    def to_json(self) -> list[dict[str, Any]]:
        """``[{"diagnostic": …, "cells": [0, 3]}, …]`` in that order."""
        return [
            {"diagnostic": group.diagnostic.model_dump(mode="json"), "cells": group.cells}
            for group in self.ordered()
        ]
