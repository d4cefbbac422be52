"""What a matrix tells: cells, summary, minimum standards, and diagnostics that several cells share."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from chalicelib.catalog import load_catalog
from chalicelib.matrix.groups import MAX_GROUPS_BYTES, Groups, Room
from chalicelib.matrix.report import Report, lost
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


def _told(verdicts: Mapping[str, Verdict | None], **changes: Any) -> dict[str, Any]:
    """The answer about one cell for each standard, with these verdicts; None for one that still runs."""
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


def test_each_cell_tells_where_it_is_and_what_became_of_it() -> None:
    """Errors count fatal ones and those below others; warnings likewise."""
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
    """By verdict, and by status those that have not ended."""
    answer = _told(
        {"c++11": REJECTED, "c++14": REJECTED, "c++17": COMPILES, "c++20": INCONCLUSIVE, "gnu++20": None},
        omitted=(Omission(compiler="gcc-9", standard="c++20", reason="gcc-9 does not know it."),),
    )
    assert not answer["ended"]
    assert answer["summary"] == {
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
    assert answer["compiles_on"] == [where | {"standard": "c++17"}]
    assert answer["rejected_on"] == [where | {"standard": "c++11"}, where | {"standard": "c++14"}]
    assert answer["inconclusive_on"] == [where | {"standard": "c++20"}]
    [omission] = answer["omitted"]
    assert omission == {
        "compiler": "gcc-9",
        "standard": "c++20",
        "target": None,
        "reason": "gcc-9 does not know it.",
    }


def test_a_matrix_has_ended_when_its_last_cell_has() -> None:
    """Whatever the verdicts are."""
    assert _told({"c++11": REJECTED, "c++14": INCONCLUSIVE})["ended"]
    assert not _told({"c++11": REJECTED, "c++14": None})["ended"]


def test_a_cell_whose_job_is_gone_is_inconclusive() -> None:
    """Nothing is known about it, and it does not keep the matrix from ending."""
    matrix = _matrix(["c++17"])
    report = Report(matrix, [None])
    report.add(0, lost(matrix.cells[0].job_id))
    answer = report.to_json(LANGUAGE)
    cell = answer["cells"][0]
    assert (cell["status"], cell["verdict"], cell["reason"]) == ("error", "inconclusive", "infrastructure")
    assert answer["ended"]


def test_expectations_are_told_for_each_cell_and_counted() -> None:
    """One that was met and one that was not."""
    answer = _told({"c++11": REJECTED, "c++14": COMPILES}, expect=Expectation(verdict=REJECTED))
    assert [cell["expectation"]["met"] for cell in answer["cells"]] == [True, False]
    assert answer["summary"]["expectations_met"] == 1


# -- minimum standards


def _minimum(verdicts: Mapping[str, Verdict | None], **changes: Any) -> dict[str, Any]:
    [found] = _told(verdicts, **changes)["minimum_standard"]
    assert isinstance(found, dict)
    return found


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
    """Of those that were asked for."""
    found = _minimum(verdicts)
    assert (found["minimum"], found["monotonic"], found["reason"]) == (minimum, True, None)
    assert (found["compiler"], found["target"], found["dialect"]) == ("gcc-12", "x86_64-linux", "iso")


def test_standards_that_were_not_tried_are_told() -> None:
    """Who asked for two of four cannot take the minimum for more than it is."""
    assert _minimum({"c++11": REJECTED, "c++17": COMPILES})["untried"] == ["c++14", "c++20"]
    assert _minimum({"gnu++17": COMPILES})["untried"] == ["gnu++11", "gnu++14", "gnu++20"]


def test_a_standard_that_rejects_what_an_older_one_takes_gives_no_minimum() -> None:
    """Reported as it is, instead of guessed."""
    found = _minimum({"c++11": COMPILES, "c++14": REJECTED, "c++17": COMPILES})
    assert (found["minimum"], found["monotonic"]) == (None, False)
    assert (found["compiles"], found["rejected"]) == (["c++11", "c++17"], ["c++14"])
    assert found["reason"] == "It compiles in c++11 and is rejected in c++14, which is newer."
    found = _minimum({"c++11": COMPILES, "c++14": COMPILES, "c++17": REJECTED})
    assert (found["minimum"], found["monotonic"]) == (None, False)
    assert found["reason"] == "It compiles in c++11 and is rejected in c++17, which is newer."


def test_where_nothing_compiles_there_is_no_minimum() -> None:
    """That is monotonic, and the reason says so."""
    found = _minimum({"c++11": REJECTED, "c++14": REJECTED})
    assert (found["minimum"], found["monotonic"]) == (None, True)
    assert found["reason"] == "It compiles in none of the standards that were asked for."


@pytest.mark.parametrize("unknown", [None, INCONCLUSIVE])
def test_what_is_not_known_gives_no_minimum(unknown: Verdict | None) -> None:
    """A cell that has not ended, or without a verdict, could be either."""
    found = _minimum({"c++11": REJECTED, "c++14": unknown, "c++17": COMPILES})
    assert (found["minimum"], found["monotonic"]) == (None, None)
    assert found["reason"] == "Nothing is known about c++14: not ended, or inconclusive."
    assert (found["compiles"], found["rejected"]) == (["c++17"], ["c++11"])


def test_dialects_compilers_and_targets_have_minimums_of_their_own() -> None:
    """What gnu++14 takes says nothing about c++14."""
    told = _told({"c++14": REJECTED, "gnu++14": COMPILES, "c++17": COMPILES, "gnu++17": COMPILES})
    assert {each["dialect"]: each["minimum"] for each in told["minimum_standard"]} == {
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
    assert [(each["compiler"], each["target"]) for each in chains] == [
        ("gcc-12", "x86_64-linux"),
        ("gcc-12", "arm64-linux"),
        ("gcc-11", "x86_64-linux"),
    ]


@pytest.mark.parametrize("standard", ["", "c++1999"])
def test_a_language_without_standards_has_no_minimums(standard: str) -> None:
    """Nor has a standard that the catalogue does not know any more."""
    matrix = _matrix([standard])
    report = Report(matrix, [Status.COMPLETED])
    report.add(0, _result(matrix.cells[0].job_id, COMPILES))
    answer = report.to_json(LANGUAGE)
    assert answer["minimum_standard"] == []
    assert answer["cells"][0]["standard"] == (standard or None)
    assert report.to_json(None)["minimum_standard"] == []


# -- groups


def test_what_several_cells_say_is_told_once() -> None:
    """The worst first, then what more cells say; a cell that repeats itself is there once."""
    groups = Groups()
    everywhere, here = _error("everywhere"), _error("here")
    warning = _error("careful", severity=Severity.WARNING)
    groups.add(0, (warning, here, everywhere))
    groups.add(1, (everywhere, everywhere, warning))
    groups.add(3, (everywhere, warning))
    assert [(each["diagnostic"]["message"], each["cells"]) for each in groups.to_json()] == [
        ("everywhere", [0, 1, 3]),
        ("here", [0]),
        ("careful", [0, 1, 3]),
    ]


@pytest.mark.parametrize(
    "change", [{"line": 2}, {"column": 5}, {"file": "b.hpp"}, {"code": "-Wx"}, {"severity": Severity.FATAL}]
)
def test_another_place_code_or_severity_is_another_group(change: dict[str, Any]) -> None:
    """The same words elsewhere are not the same."""
    groups = Groups()
    groups.add(0, (_error("same"),))
    groups.add(1, (_error("same", **change),))
    assert len(groups.to_json()) == 2


def test_notes_do_not_split_a_group() -> None:
    """Compilers explain the same error at different length; the first cell's notes are shown."""
    groups = Groups()
    note = _error("declared here", severity=Severity.NOTE)
    groups.add(0, (_error("same", children=(note,)),))
    groups.add(1, (_error("same"),))
    [group] = groups.to_json()
    assert group["cells"] == [0, 1]
    assert group["diagnostic"]["children"][0]["message"] == "declared here"


def test_groups_stay_within_what_an_answer_may_hold() -> None:
    """What is left out is counted."""
    groups = Groups()
    for cell in range(64):
        groups.add(cell, tuple(_error(f"{cell} {number} " + "x" * 2_000) for number in range(40)))
    told = groups.to_json()
    assert groups.omitted == 64 * 40 - len(told)
    assert 0.9 * MAX_GROUPS_BYTES < sum(len(str(each)) for each in told) < 1.2 * MAX_GROUPS_BYTES


def test_several_groups_may_share_the_room() -> None:
    """What one takes, the other lacks."""
    room = Room(500)
    first, second = Groups(room), Groups(room)
    first.add(0, (_error("a" * 300),))
    second.add(0, (_error("b" * 300),))
    assert (len(first.to_json()), first.omitted, len(second.to_json()), second.omitted) == (1, 0, 0, 1)
