"""The oldest standard from which on a source compiles, for each compiler, target and dialect.

Only standards that were tried count. Where a newer standard rejects what an older one accepts (`register`,
`auto_ptr`), the minimum stays open, and the result says why instead of naming one.
"""

from collections.abc import Sequence
from typing import Any

from chalicelib.catalog import Language
from chalicelib.models import Matrix, Verdict

# Standards of one dialect with their verdicts; None for a cell that has not ended.
_Chain = Sequence[tuple[str, Verdict | None]]


def minimum_standards(
    matrix: Matrix, language: Language | None, verdicts: Sequence[Verdict | None]
) -> list[dict[str, Any]]:
    """One entry for each chain of standards: a compiler, a target, and a dialect such as ``gnu``.

    `verdicts` are those of the cells in their order, None for a cell that has not ended.
    """
    known = {standard.id: standard for standard in language.standards} if language else {}
    chains: dict[tuple[str, str, str], list[tuple[str, Verdict | None]]] = {}
    for cell, verdict in zip(matrix.cells, verdicts, strict=True):
        # A language may have no standards, and a newer release may have dropped one from the catalogue.
        if cell.standard in known:
            key = cell.compiler, cell.target, known[cell.standard].dialect
            chains.setdefault(key, []).append((cell.standard, verdict))
    offered = {environment.id: environment.standards for environment in matrix.environments}
    entries = []
    for (compiler, target, dialect), chain in chains.items():
        chain.sort(key=lambda link: known[link[0]].order)
        tried = {standard for standard, _ in chain}
        untried = [
            standard
            for standard in offered.get(compiler, ())
            if standard in known and known[standard].dialect == dialect and standard not in tried
        ]
        coordinates = {"compiler": compiler, "target": target, "dialect": dialect}
        entries.append(coordinates | _boundary(chain) | {"untried": untried})
    return entries


def _boundary(chain: _Chain) -> dict[str, Any]:
    """Where a chain of standards, oldest first, turns from rejected to compiles."""
    compiles = [standard for standard, verdict in chain if verdict is Verdict.COMPILES]
    rejected = [standard for standard, verdict in chain if verdict is Verdict.REJECTED]
    unknown = [standard for standard, verdict in chain if verdict in (None, Verdict.INCONCLUSIVE)]
    entry: dict[str, Any] = {
        "minimum": None,
        "monotonic": None,
        "compiles": compiles,
        "rejected": rejected,
        "reason": None,
    }
    if unknown:
        return entry | {
            "reason": f"A verdict is missing for {', '.join(unknown)}: not ended yet, or inconclusive."
        }
    verdicts = [verdict for _, verdict in chain]
    monotonic = verdicts == [Verdict.REJECTED] * len(rejected) + [Verdict.COMPILES] * len(compiles)
    if not monotonic:
        first = verdicts.index(Verdict.COMPILES)
        later = chain[verdicts.index(Verdict.REJECTED, first)][0]
        reason = f"It compiles in {chain[first][0]} and is rejected in {later}, which is newer."
    elif not compiles:
        reason = "It compiles in none of the requested standards."
    else:
        return entry | {"minimum": compiles[0], "monotonic": True}
    return entry | {"monotonic": monotonic, "reason": reason}
