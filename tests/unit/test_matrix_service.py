"""The use cases of matrices, over the store in memory, with runners that the test controls."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from chalicelib.api.content_negotiation import OutputFormat
from chalicelib.bootstrap import Application
from chalicelib.errors import InvalidRequest, MatrixNotFound, NotReady, QueueFull, StoreUnavailable
from chalicelib.matrix.service import MatrixService
from chalicelib.models import Diagnostic, Job, Reason, Result, Severity, Status, Verdict
from chalicelib.service import CompileService
from chalicelib.storage.memory import MemoryStore
from tests.support.factories import make_environment, make_result, make_runner, make_settings
from tests.support.services import StartRunner, make_application, make_store, runners_over

STANDARDS = ("c++11", "c++14", "c++17", "c++20")
OFFERED = tuple(
    make_environment(id=f"gcc-{number}", version_key=(number,), standards=STANDARDS) for number in (11, 12)
)


def _body(**fields: Any) -> bytes:
    return json.dumps({"source_code": "int é;", "language": "cpp"} | fields).encode()


@pytest.fixture
def store() -> MemoryStore:
    """A store in which one runner has registered `OFFERED`."""
    return make_store(OFFERED)


@pytest.fixture
def application(store: MemoryStore) -> Application:
    """The application over `store`."""
    return make_application(store)


@pytest.fixture
def matrices(application: Application) -> MatrixService:
    """The use cases of matrices."""
    return application.matrices


@pytest.fixture
def service(application: Application) -> CompileService:
    """The use cases of jobs, over the same store."""
    return application.service


def _needs_17(job: Job) -> Result:
    """The result of a source that needs C++17."""
    new = job.request.standard >= "c++17"
    diagnostic = Diagnostic(
        severity=Severity.ERROR, message="too new", file="main.cpp", line=1, column=7, code="-Wc++17"
    )
    return make_result(
        job.id,
        verdict=Verdict.COMPILES if new else Verdict.REJECTED,
        compiled=new,
        exit_code=0 if new else 1,
        diagnostics=() if new else (diagnostic,),
        environment=next(item for item in OFFERED if item.id == job.request.compiler),
        command=("g++", f"-std={job.request.standard}", "main.cpp"),
    )


@pytest.fixture
def runner(store: MemoryStore) -> Iterator[StartRunner]:
    """Starts a runner that completes each job with the result that a function makes of it."""
    with runners_over(store) as start:
        yield start


def _complete_one(store: MemoryStore) -> None:
    claim = store.claim("runner", 1.0)
    assert claim is not None
    assert store.complete(claim, _needs_17(claim.job))


def test_a_matrix_is_submitted_with_the_jobs_of_its_cells(
    store: MemoryStore, service: CompileService, matrices: MatrixService
) -> None:
    """The response has every cell at once, and each cell is a job that can be fetched."""
    response = matrices.submit(_body(standards=["c++14", "c++17"]))
    assert not response.ended
    assert response.body["matrix_id"] == response.id
    cells = response.body["cells"]
    assert [(cell["compiler"], cell["standard"], cell["status"]) for cell in cells] == [
        ("gcc-11", "c++14", "queued"),
        ("gcc-11", "c++17", "queued"),
        ("gcc-12", "c++14", "queued"),
        ("gcc-12", "c++17", "queued"),
    ]
    assert response.body["summary"]["queued"] == 4
    for cell in cells:
        job = store.get(cell["job_id"])
        assert job is not None and len(job.fingerprint) == 64
        assert (job.request.compiler, job.request.standard) == (cell["compiler"], cell["standard"])
        assert service.fetch(cell["job_id"]).body["status"] == "queued"
    assert matrices.fetch(response.id).body == response.body


def test_submit_returns_the_verdicts_of_a_matrix_that_ends_within_the_wait(
    matrices: MatrixService, runner: Callable[..., None]
) -> None:
    """One request gives verdicts, minimum standards and groups of diagnostics."""
    runner(_needs_17)
    response = matrices.submit(_body(standards="all"), wait_seconds=10)
    assert response.ended and response.body["ended"]
    summary = response.body["summary"]
    assert (summary["cells"], summary["compiles"], summary["rejected"]) == (8, 4, 4)
    assert [item["minimum"] for item in response.body["minimum_standard"]] == ["c++17", "c++17"]
    [group] = response.body["groups"]
    assert (group["diagnostic"]["message"], group["cells"]) == ("too new", [0, 1, 4, 5])
    assert matrices.fetch(response.id).body == response.body


def test_a_matrix_can_be_followed_while_its_cells_end(store: MemoryStore, matrices: MatrixService) -> None:
    """With `after`, a wait ends as soon as more cells have ended than the client knows of."""
    response = matrices.submit(_body(compilers=["gcc-12"], standards=["c++14", "c++17"]))
    seen: list[int] = []

    def follow() -> None:
        while not seen or seen[-1] < 2:
            part = matrices.fetch(response.id, 10.0, after=seen[-1] if seen else 0)
            seen.append(part.body["summary"]["ended"])

    thread = threading.Thread(target=follow)
    thread.start()
    for _ in range(2):
        time.sleep(0.2)
        _complete_one(store)
    thread.join(timeout=10)
    assert seen == [1, 2]
    # A number above that of the cells means all of them.
    assert matrices.fetch(response.id, 10.0, after=63).ended


def test_a_wait_that_is_over_returns_what_is_known(store: MemoryStore, matrices: MatrixService) -> None:
    """The results so far, and the statuses of the other cells."""
    response = matrices.submit(_body(compilers=["gcc-12"], standards=["c++14", "c++17", "c++20"]))
    _complete_one(store)
    assert store.claim("runner", 1.0) is not None
    started = time.monotonic()
    part = matrices.fetch(response.id, 0.2)
    assert 0.15 <= time.monotonic() - started < 5
    assert not part.ended
    assert [cell["status"] for cell in part.body["cells"]] == ["failed", "processing", "queued"]
    [minimum] = part.body["minimum_standard"]
    assert (minimum["minimum"], minimum["monotonic"]) == (None, None)


def test_cancelling_a_matrix_cancels_the_cells_that_have_not_ended(
    store: MemoryStore, matrices: MatrixService
) -> None:
    """Cells with a verdict keep it; cancelling again changes nothing."""
    response = matrices.submit(_body(compilers=["gcc-12"], standards=["c++14", "c++17", "c++20"]))
    _complete_one(store)
    claim = store.claim("runner", 1.0)
    for _ in range(2):
        cancelled = matrices.cancel(response.id)
        assert cancelled.ended
        assert [cell["status"] for cell in cancelled.body["cells"]] == ["failed", "cancelled", "cancelled"]
    assert claim is not None and not store.complete(claim, _needs_17(claim.job))
    assert store.claim("runner", 0.05) is None


def test_a_matrix_that_does_not_fit_into_the_queue_is_not_queued_at_all() -> None:
    """None of its jobs is queued, even when there is room for some."""
    store = make_store(OFFERED, queue_size=5)
    application = make_application(store)
    application.service.submit(_body())
    application.service.submit(_body())
    with pytest.raises(QueueFull):
        application.matrices.submit(_body(standards=["c++14", "c++17"]))
    assert store.counts().by_status[Status.QUEUED] == 2
    with pytest.raises(InvalidRequest, match="no more than 5"):
        application.matrices.submit(_body(standards="all"))


@pytest.mark.parametrize("matrix_id", ["", "x", "0" * 32, "A" * 32, "0" * 31, "../job"])
def test_any_other_id_is_unknown(matrix_id: str, service: CompileService, matrices: MatrixService) -> None:
    """In fetch and cancel; so is the id of a job."""
    job_id = service.submit(_body()).id
    for call in (matrices.fetch, matrices.cancel):
        for unknown in (matrix_id, job_id):
            with pytest.raises(MatrixNotFound):
                call(unknown)


def test_without_compilers_a_matrix_is_not_ready() -> None:
    """The same as for a compile request."""
    with pytest.raises(NotReady):
        make_application(MemoryStore(make_settings())).matrices.submit(_body())


class _FailsWhileWaiting(MemoryStore):
    """A store that cannot be reached any more as soon as somebody waits."""

    def wait_all(self, *_arguments: Any) -> Any:
        raise StoreUnavailable("away")


def test_a_matrix_is_reported_as_submitted_when_the_store_fails_afterwards() -> None:
    """It is stored: after an error the client would submit it again."""
    store = _FailsWhileWaiting(make_settings())
    store.register(make_runner(), OFFERED, ttl_seconds=60)
    response = make_application(store).matrices.submit(_body(), wait_seconds=5)
    assert not response.ended
    assert store.get_matrix(response.id) is not None


def test_expectations_are_evaluated_for_each_cell(
    service: CompileService, matrices: MatrixService, runner: Callable[..., None]
) -> None:
    """They are stored with the matrix and with each of its jobs."""
    runner(_needs_17)
    expect = {"verdict": "rejected", "diagnostics": [{"line": 1, "message": "too new"}]}
    body = _body(compilers=["gcc-12"], standards=["c++14", "c++17"], expect=expect)
    response = matrices.submit(body, wait_seconds=10)
    assert [cell["expectation"]["met"] for cell in response.body["cells"]] == [True, False]
    assert response.body["summary"]["expectations_met"] == 1
    job = service.fetch(response.body["cells"][1]["job_id"]).body
    assert job["expectation"] == response.body["cells"][1]["expectation"]


def test_a_matrix_in_sarif_has_a_run_for_each_compiler(
    matrices: MatrixService, runner: Callable[..., None]
) -> None:
    """Each cell is an invocation; a diagnostic of several cells is one result; columns are in code points."""
    runner(_needs_17)
    response = matrices.submit(_body(standards="all"), wait_seconds=10, output_format=OutputFormat.SARIF)
    assert (response.output_format, response.ended) == (OutputFormat.SARIF, True)
    runs = response.body["runs"]
    assert [run["tool"]["driver"]["name"] for run in runs] == ["gcc-11", "gcc-12"]
    for run in runs:
        standards = [item["properties"]["standard"] for item in run["invocations"]]
        assert standards == list(STANDARDS)
        [result] = run["results"]
        assert (result["occurrenceCount"], result["properties"]) == (2, {"invocations": [0, 1]})
        region = result["locations"][0]["physicalLocation"]["region"]
        assert region == {"startLine": 1, "startColumn": 6}  # byte 7 is behind the two bytes of é
    assert matrices.fetch(response.id, output_format=OutputFormat.SARIF).body == response.body


def test_a_matrix_that_has_not_ended_has_no_sarif_yet(
    store: MemoryStore, service: CompileService, matrices: MatrixService
) -> None:
    """Until then it comes as JSON, and so does a job."""
    response = matrices.submit(_body(), output_format=OutputFormat.SARIF)
    assert (response.output_format, response.ended) == (OutputFormat.JSON, False)
    job = service.submit(_body(), output_format=OutputFormat.SARIF)
    assert (job.output_format, job.ended) == (OutputFormat.JSON, False)


def test_a_cell_without_a_verdict_is_a_notification_in_sarif(
    matrices: MatrixService, runner: Callable[..., None]
) -> None:
    """Its invocation is not successful, and the notification says why."""
    runner(lambda job: Result.inconclusive(job.id, Reason.TIMEOUT, "It took too long."))
    response = matrices.submit(_body(compilers=["gcc-12"]), wait_seconds=10, output_format=OutputFormat.SARIF)
    [run] = response.body["runs"]
    [invocation] = run["invocations"]
    assert not invocation["executionSuccessful"]
    [notification] = invocation["toolExecutionNotifications"]
    assert notification["descriptor"] == {"id": "timeout"}
    assert notification["message"] == {"text": "It took too long."}
    assert run["results"] == []
