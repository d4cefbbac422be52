"""The JSON of a matrix: cells, summary, minimum standards, and diagnostics that several cells share."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from chalicelib.catalog import load_catalog
from chalicelib.diagnostic_groups import MAX_GROUPS_BYTES, ByteBudget, DiagnosticGroups
from chalicelib.matrix.report import Report, lost_result
from chalicelib.models import (
    Cell,
    Diagnostic,
    Expectation,
    Matrix,
    Omission,
    Reason,
    Result,
    Severity,
    Stage,
    Status,
    Verdict,
)
from tests.support.factories import make_environment, make_result

LANGUAGE = load_catalog().language("cpp")
STANDARDS = ("c++11", "gnu++11", "c++14", "gnu++14", "c++17", "gnu++17", "c++20", "gnu++20")
COMPILES, REJECTED, INCONCLUSIVE = Verdict.COMPILES, Verdict.REJECTED, Verdict.INCONCLUSIVE


def _matrix(standards: Sequence[str], **changes: Any) -> Matrix:
    cells = tuple(
        Cell(compiler="gcc-12", standard=standard, target="x86_64-linux", job_id=f"{number:032x}")
        for number, standard in enumerate(standards)
    )
    values: dict[str, Any] = {
        "id": "f" * 32,
        "language": "cpp",
        "stage": Stage.COMPILE,
        "cells": cells,
        "environments": (make_environment(standards=STANDARDS),),
    }
    return Matrix(**(values | changes))


def _result(job_id: str, verdict: Verdict, diagnostics: Sequence[Diagnostic] = ()) -> Result:
    if verdict is INCONCLUSIVE:
        return Result.inconclusive(job_id, Reason.TIMEOUT, "It took too long.")
    return make_result(job_id, verdict=verdict, compiled=verdict is COMPILES, diagnostics=tuple(diagnostics))


def _body(verdicts: Mapping[str, Verdict | None], **changes: Any) -> dict[str, Any]:
    """The JSON of a matrix with one cell for each verdict; None for a cell that is still running."""
    matrix = _matrix(list(verdicts), **changes)
    statuses = [Status.PROCESSING if verdict is None else Status.COMPLETED for verdict in verdicts.values()]
    report = Report(matrix, statuses)
    for number, verdict in enumerate(verdicts.values()):
        if verdict is not None:
            report.add(number, _result(matrix.cells[number].job_id, verdict))
    return report.to_json(LANGUAGE)


def _error(message: str, **changes: Any) -> Diagnostic:
    values: dict[str, Any] = {"severity": Severity.ERROR, "message": message, "file": "main.cpp", "line": 1}
    return Diagnostic(**(values | changes))


# -- cells and summary


def test_each_cell_has_its_coordinates_and_how_it_ended() -> None:
    """Fatal errors and children of diagnostics are counted as well."""
    matrix = _matrix(["c++17"])
    note = _error("here", severity=Severity.NOTE)
    report = Report(matrix, [Status.FAILED])
    report.add(
        0,
        _result(
            matrix.cells[0].job_id,
            REJECTED,
            [
                _error("a", children=(note,)),
                _error("b", severity=Severity.FATAL),
                _error("c", severity=Severity.WARNING),
            ],
        ),
    )
    assert report.to_json(LANGUAGE)["cells"] == [
        {
            "compiler": "gcc-12",
            "standard": "c++17",
            "target": "x86_64-linux",
            "job_id": "0" * 32,
            "status": "failed",
            "verdict": "rejected",
            "reason": None,
            "errors": 2,
            "warnings": 1,
            "expectation": None,
        }
    ]


def test_the_summary_counts_every_cell_once() -> None:
    """By verdict; a cell that has not ended by its status."""
    body = _body(
        {"c++11": REJECTED, "c++14": REJECTED, "c++17": COMPILES, "c++20": INCONCLUSIVE, "gnu++20": None},
        omitted=(Omission(compiler="gcc-9", standard="c++20", reason="gcc-9 does not know it."),),
    )
    assert not body["ended"]
    assert body["summary"] == {
        "cells": 5,
        "ended": 4,
        "queued": 0,
        "processing": 1,
        "compiles": 1,
        "rejected": 2,
        "inconclusive": 1,
        "omitted": 1,
        "expectations_met": None,
    }
    where = {"compiler": "gcc-12", "target": "x86_64-linux"}
    assert body["compiles_on"] == [where | {"standard": "c++17"}]
    assert body["rejected_on"] == [where | {"standard": "c++11"}, where | {"standard": "c++14"}]
    assert body["inconclusive_on"] == [where | {"standard": "c++20"}]
    [omission] = body["omitted"]
    assert omission == {
        "compiler": "gcc-9",
        "standard": "c++20",
        "target": None,
        "reason": "gcc-9 does not know it.",
    }


def test_a_matrix_has_ended_when_its_last_cell_has() -> None:
    """Whatever the verdicts are."""
    assert _body({"c++11": REJECTED, "c++14": INCONCLUSIVE})["ended"]
    assert not _body({"c++11": REJECTED, "c++14": None})["ended"]


def test_a_cell_whose_job_no_longer_exists_is_inconclusive() -> None:
    """Nothing is known about it, but it does not keep the matrix from ending."""
    matrix = _matrix(["c++17"])
    report = Report(matrix, [None])
    report.add(0, lost_result(matrix.cells[0].job_id))
    body = report.to_json(LANGUAGE)
    cell = body["cells"][0]
    assert (cell["status"], cell["verdict"], cell["reason"]) == ("error", "inconclusive", "infrastructure")
    assert body["ended"]


def test_expectations_are_reported_for_each_cell_and_counted() -> None:
    """One that was met and one that was not."""
    body = _body({"c++11": REJECTED, "c++14": COMPILES}, expect=Expectation(verdict=REJECTED))
    assert [cell["expectation"]["met"] for cell in body["cells"]] == [True, False]
    assert body["summary"]["expectations_met"] == 1


# -- minimum standards


def _minimum(verdicts: Mapping[str, Verdict | None], **changes: Any) -> dict[str, Any]:
    [entry] = _body(verdicts, **changes)["minimum_standard"]
    assert isinstance(entry, dict)
    return entry


@pytest.mark.parametrize(
    ("verdicts", "minimum"),
    [
        ({"c++11": REJECTED, "c++14": REJECTED, "c++17": COMPILES, "c++20": COMPILES}, "c++17"),
        ({"c++11": COMPILES, "c++14": COMPILES}, "c++11"),
        ({"c++11": REJECTED, "c++20": COMPILES}, "c++20"),
        ({"c++17": COMPILES}, "c++17"),
    ],
)
def test_the_minimum_is_the_oldest_standard_from_which_on_it_compiles(
    verdicts: dict[str, Verdict | None], minimum: str
) -> None:
    """Among the requested standards."""
    entry = _minimum(verdicts)
    assert (entry["minimum"], entry["monotonic"], entry["reason"]) == (minimum, True, None)
    assert (entry["compiler"], entry["target"], entry["dialect"]) == ("gcc-12", "x86_64-linux", "iso")


def test_standards_that_were_not_tried_are_listed() -> None:
    """A client that requested two of four standards can see that the minimum is only about these two."""
    assert _minimum({"c++11": REJECTED, "c++17": COMPILES})["untried"] == ["c++14", "c++20"]
    assert _minimum({"gnu++17": COMPILES})["untried"] == ["gnu++11", "gnu++14", "gnu++20"]


def test_a_standard_that_rejects_what_an_older_one_accepts_gives_no_minimum() -> None:
    """The reason says so, instead of a guess."""
    entry = _minimum({"c++11": COMPILES, "c++14": REJECTED, "c++17": COMPILES})
    assert (entry["minimum"], entry["monotonic"]) == (None, False)
    assert (entry["compiles"], entry["rejected"]) == (["c++11", "c++17"], ["c++14"])
    assert entry["reason"] == "It compiles in c++11 and is rejected in c++14, which is newer."
    entry = _minimum({"c++11": COMPILES, "c++14": COMPILES, "c++17": REJECTED})
    assert (entry["minimum"], entry["monotonic"]) == (None, False)
    assert entry["reason"] == "It compiles in c++11 and is rejected in c++17, which is newer."


def test_where_nothing_compiles_there_is_no_minimum() -> None:
    """The verdicts are monotonic, and the reason says that none compiles."""
    entry = _minimum({"c++11": REJECTED, "c++14": REJECTED})
    assert (entry["minimum"], entry["monotonic"]) == (None, True)
    assert entry["reason"] == "It compiles in none of the requested standards."


@pytest.mark.parametrize("unknown", [None, INCONCLUSIVE])
def test_a_missing_verdict_gives_no_minimum(unknown: Verdict | None) -> None:
    """A cell that has not ended, or is inconclusive, could be either."""
    entry = _minimum({"c++11": REJECTED, "c++14": unknown, "c++17": COMPILES})
    assert (entry["minimum"], entry["monotonic"]) == (None, None)
    assert entry["reason"] == "A verdict is missing for c++14: not ended yet, or inconclusive."
    assert (entry["compiles"], entry["rejected"]) == (["c++17"], ["c++11"])


def test_dialects_compilers_and_targets_have_minimums_of_their_own() -> None:
    """What compiles as gnu++14 says nothing about c++14."""
    body = _body({"c++14": REJECTED, "gnu++14": COMPILES, "c++17": COMPILES, "gnu++17": COMPILES})
    assert {item["dialect"]: item["minimum"] for item in body["minimum_standard"]} == {
        "iso": "c++17",
        "gnu": "gnu++14",
    }
    cells = tuple(
        Cell(compiler=compiler, standard="c++17", target=target, job_id=f"{number:032x}")
        for number, (compiler, target) in enumerate(
            [("gcc-12", "x86_64-linux"), ("gcc-12", "arm64-linux"), ("gcc-11", "x86_64-linux")]
        )
    )
    report = Report(_matrix([], cells=cells), [Status.QUEUED] * 3)
    chains = report.to_json(LANGUAGE)["minimum_standard"]
    assert [(item["compiler"], item["target"]) for item in chains] == [
        ("gcc-12", "x86_64-linux"),
        ("gcc-12", "arm64-linux"),
        ("gcc-11", "x86_64-linux"),
    ]


@pytest.mark.parametrize("standard", ["", "c++1999"])
def test_a_language_without_standards_has_no_minimums(standard: str) -> None:
    """A standard that the catalogue no longer has is left out as well."""
    matrix = _matrix([standard])
    report = Report(matrix, [Status.COMPLETED])
    report.add(0, _result(matrix.cells[0].job_id, COMPILES))
    body = report.to_json(LANGUAGE)
    assert body["minimum_standard"] == []
    assert body["cells"][0]["standard"] == (standard or None)
    assert report.to_json(None)["minimum_standard"] == []


# -- groups


def test_a_diagnostic_of_several_cells_is_listed_once() -> None:
    """The worst first, then those of more cells; a cell that repeats a diagnostic counts once."""
    groups = DiagnosticGroups()
    everywhere, here = _error("everywhere"), _error("here")
    warning = _error("careful", severity=Severity.WARNING)
    groups.add(0, (warning, here, everywhere))
    groups.add(1, (everywhere, everywhere, warning))
    groups.add(3, (everywhere, warning))
    assert [(item["diagnostic"]["message"], item["cells"]) for item in groups.to_json()] == [
        ("everywhere", [0, 1, 3]),
        ("here", [0]),
        ("careful", [0, 1, 3]),
    ]


@pytest.mark.parametrize(
    "change", [{"line": 2}, {"column": 5}, {"file": "b.hpp"}, {"code": "-Wx"}, {"severity": Severity.FATAL}]
)
def test_another_location_code_or_severity_is_another_group(change: dict[str, Any]) -> None:
    """The same message elsewhere is another diagnostic."""
    groups = DiagnosticGroups()
    groups.add(0, (_error("same"),))
    groups.add(1, (_error("same", **change),))
    assert len(groups.to_json()) == 2


def test_notes_do_not_split_a_group() -> None:
    """Compilers explain the same error in different detail; the notes of the first cell are shown."""
    groups = DiagnosticGroups()
    note = _error("declared here", severity=Severity.NOTE)
    groups.add(0, (_error("same", children=(note,)),))
    groups.add(1, (_error("same"),))
    [group] = groups.to_json()
    assert group["cells"] == [0, 1]
    assert group["diagnostic"]["children"][0]["message"] == "declared here"


def test_groups_stay_within_the_size_of_a_response() -> None:
    """Diagnostics that are left out are counted."""
    groups = DiagnosticGroups()
    for cell in range(64):
        groups.add(cell, tuple(_error(f"{cell} {number} " + "x" * 2_000) for number in range(40)))
    body = groups.to_json()
    assert groups.omitted == 64 * 40 - len(body)
    assert 0.9 * MAX_GROUPS_BYTES < sum(len(str(item)) for item in body) < 1.2 * MAX_GROUPS_BYTES


def test_several_groups_may_share_one_budget() -> None:
    """What one of them uses is missing in the other."""
    budget = ByteBudget(500)
    first, second = DiagnosticGroups(budget), DiagnosticGroups(budget)
    first.add(0, (_error("a" * 300),))
    second.add(0, (_error("b" * 300),))
    assert (len(first.to_json()), first.omitted, len(second.to_json()), second.omitted) == (1, 0, 0, 1)
