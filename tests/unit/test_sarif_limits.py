"""SARIF goes into GitHub's code scanning, which rejects a file with too many runs, results or locations.

Its numbers are in its documentation, "SARIF results exceed one or more limits".
"""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from chalicelib.api.content_negotiation import OutputFormat
from chalicelib.matrix.plan import MAX_CELLS
from chalicelib.matrix.service import MatrixService
from chalicelib.models import Diagnostic, Environment, Job, Result, Severity, Verdict
from tests.sarif.validator import errors_by_tool, faults_by_schema
from tests.support.factories import make_environment, make_result
from tests.support.services import make_application, make_store, runners_over

RUNS, RESULTS, RULES, EXTENSIONS, LOCATIONS, GZIP_BYTES = 20, 25_000, 25_000, 100, 1_000, 10_000_000
# The first 20 of them are a run each, 25 and more share a run by family.
FAMILIES = ("gcc", "clang", "zig-cc")


def _offered(count: int) -> tuple[Environment, ...]:
    return tuple(
        make_environment(
            id=f"{FAMILIES[number % 3]}-{number}",
            family=FAMILIES[number % 3],
            version=f"{number}.1.0",
            version_key=(number, 1, 0),
        )
        for number in range(count)
    )


def _sarif(offered: tuple[Environment, ...], diagnostics: tuple[Diagnostic, ...]) -> dict[str, Any]:
    """The SARIF of a matrix over all of them, each of which rejects the source with these diagnostics."""
    environments = {each.id: each for each in offered}

    def complete(job: Job) -> Result:
        own = Diagnostic(severity=Severity.WARNING, message=f"only {job.request.compiler}")
        return make_result(
            job.id,
            verdict=Verdict.REJECTED,
            compiled=False,
            exit_code=1,
            command=("cc", "main.cpp"),
            environment=environments[job.request.compiler],
            diagnostics=(*diagnostics, own),
        )

    store = make_store(offered)
    matrices: MatrixService = make_application(store).matrices
    with runners_over(store) as start:
        start(complete)
        body = json.dumps({"source_code": "int é;", "language": "cpp"}).encode()
        response = matrices.submit(body, wait_seconds=20, output_format=OutputFormat.SARIF)
    assert response.ended
    document: dict[str, Any] = response.body
    assert len(document["runs"]) <= RUNS
    assert len(gzip.compress(json.dumps(document).encode())) <= GZIP_BYTES
    for run in document["runs"]:
        assert len(run["results"]) <= RESULTS
        assert len(run["tool"]["driver"]["rules"]) <= RULES
        assert len(run["tool"].get("extensions", ())) <= EXTENSIONS
        for result in run["results"]:
            assert len(result.get("locations", ())) + len(result.get("relatedLocations", ())) <= LOCATIONS
    ids = [run["automationDetails"]["id"] for run in document["runs"]]
    assert len(set(ids)) == len(ids)
    return document


_ERROR = Diagnostic(severity=Severity.ERROR, message="no", file="main.cpp", line=1, column=5)


@pytest.mark.parametrize("count", [1, 19, 20])
def test_up_to_twenty_compilers_have_a_run_each(count: int) -> None:
    """The name of the tool is the compiler."""
    offered = _offered(count)
    document = _sarif(offered, (_ERROR,))
    names = [run["tool"]["driver"]["name"] for run in document["runs"]]
    assert sorted(names) == sorted(each.id for each in offered)
    assert not any("extensions" in run["tool"] for run in document["runs"])


@pytest.mark.parametrize("count", [21, 25, MAX_CELLS])
def test_more_compilers_share_a_run_by_family(count: int) -> None:
    """Each compiler is an extension of the tool, and each result says which compilers printed it."""
    offered = _offered(count)
    document = _sarif(offered, (_ERROR,))
    assert sorted(run["tool"]["driver"]["name"] for run in document["runs"]) == sorted(FAMILIES)
    for run in document["runs"]:
        family = run["tool"]["driver"]["name"]
        own = [each for each in offered if each.family == family]
        extensions = {item["name"]: item["version"] for item in run["tool"]["extensions"]}
        assert extensions == {each.id: each.version for each in own}
        compilers = [item["properties"]["compiler"] for item in run["invocations"]]
        assert sorted(compilers) == sorted(extensions)
        shared, *single = run["results"]
        assert shared["message"]["text"] == "no" and shared["occurrenceCount"] == len(own)
        assert sorted(shared["properties"]["compilers"]) == sorted(extensions)
        for result in single:
            [compiler] = result["properties"]["compilers"]
            assert result["message"]["text"] == f"only {compiler}"
            assert compilers[result["provenance"]["invocationIndex"]] == compiler


def test_a_matrix_over_25_compilers_is_valid(tmp_path: Path) -> None:
    """By the schema of SARIF 2.1.0, and by the validator of the format."""
    document = _sarif(_offered(25), (_ERROR,))
    assert faults_by_schema(document) == []
    assert errors_by_tool(document["runs"], tmp_path) == []


def test_the_most_diagnostics_of_the_most_cells_fit() -> None:
    """Every cell has as many diagnostics as a result may have; the worst come first."""
    warnings = [_ERROR.model_copy(update={"severity": Severity.WARNING, "line": n}) for n in range(1, 950)]
    notes = tuple(Diagnostic(severity=Severity.NOTE, message=f"n{n}") for n in range(49))
    error = _ERROR.model_copy(update={"children": notes})
    document = _sarif(_offered(MAX_CELLS), (*warnings, error))
    for run in document["runs"]:
        levels = [result["level"] for result in run["results"]]
        assert levels == sorted(levels, key=["error", "warning", "note"].index)


def test_a_result_has_at_most_a_thousand_locations() -> None:
    """An error with as many notes as a result may have."""
    notes = tuple(
        Diagnostic(severity=Severity.NOTE, message=f"n{n}", file="main.cpp", line=n) for n in range(1, 999)
    )
    _sarif(_offered(1), (_ERROR.model_copy(update={"children": notes}),))
