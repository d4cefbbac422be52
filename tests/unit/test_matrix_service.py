"""The use cases of matrices, over the store in memory, with a runner that the test plays itself."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from chalicelib.api.content_negotiation import OutputFormat
from chalicelib.errors import InvalidRequest, MatrixNotFound, NotReady, QueueFull, StoreUnavailable
from chalicelib.matrix.service import parse_after
from chalicelib.models import Diagnostic, Job, Reason, Result, Severity, Status, Verdict
from chalicelib.service import CompileService
from chalicelib.storage.memory import MemoryStore
from tests.support.factories import make_environment, make_result, make_runner, make_settings
from tests.support.services import StartRunner, make_service, make_store, runners_over

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
def service(store: MemoryStore) -> CompileService:
    """The service over `store`."""
    return make_service(store)


def _needs_17(job: Job) -> Result:
    """A compiler to which the source is C++17."""
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
        environment=next(each for each in OFFERED if each.id == job.request.compiler),
        command=("g++", f"-std={job.request.standard}", "main.cpp"),
    )


@pytest.fixture
def runner(store: MemoryStore) -> Iterator[StartRunner]:
    """Starts a runner that ends each job with what the given function returns."""
    with runners_over(store) as start:
        yield start


def _end_one(store: MemoryStore) -> None:
    claim = store.claim("runner", 1.0)
    assert claim is not None
    assert store.complete(claim, _needs_17(claim.job))


def test_a_matrix_is_accepted_with_the_jobs_of_its_cells(store: MemoryStore, service: CompileService) -> None:
    """Everything about it is told at once; each cell is a job that can be asked for."""
    answer = service.matrices.submit(_body(standards=["c++14", "c++17"]))
    assert not answer.ended
    assert answer.body["matrix_id"] == answer.id
    cells = answer.body["cells"]
    assert [(cell["compiler"], cell["standard"], cell["status"]) for cell in cells] == [
        ("gcc-11", "c++14", "queued"),
        ("gcc-11", "c++17", "queued"),
        ("gcc-12", "c++14", "queued"),
        ("gcc-12", "c++17", "queued"),
    ]
    assert answer.body["summary"]["queued"] == 4
    for cell in cells:
        job = store.get(cell["job_id"])
        assert job is not None and len(job.fingerprint) == 64
        assert (job.request.compiler, job.request.standard) == (cell["compiler"], cell["standard"])
        assert service.fetch(cell["job_id"]).body["status"] == "queued"
    assert service.matrices.fetch(answer.id).body == answer.body


def test_a_matrix_that_ends_within_the_wait_is_answered_at_once(
    service: CompileService, runner: Callable[..., None]
) -> None:
    """One request for everything: verdicts, minimum standards, and what several cells say."""
    runner(_needs_17)
    answer = service.matrices.submit(_body(standards="all"), wait_seconds=10)
    assert answer.ended and answer.body["ended"]
    summary = answer.body["summary"]
    assert (summary["cells"], summary["compiles"], summary["rejected"]) == (8, 4, 4)
    assert [each["minimum"] for each in answer.body["minimum_standard"]] == ["c++17", "c++17"]
    [group] = answer.body["groups"]
    assert (group["diagnostic"]["message"], group["cells"]) == ("too new", [0, 1, 4, 5])
    assert service.matrices.fetch(answer.id).body == answer.body


def test_the_answer_comes_in_parts(store: MemoryStore, service: CompileService) -> None:
    """With `after`, a wait ends as soon as more cells have ended than the client knows."""
    answer = service.matrices.submit(_body(compilers=["gcc-12"], standards=["c++14", "c++17"]))
    seen: list[int] = []

    def follow() -> None:
        while not seen or seen[-1] < 2:
            part = service.matrices.fetch(answer.id, 10.0, after=seen[-1] if seen else 0)
            seen.append(part.body["summary"]["ended"])

    thread = threading.Thread(target=follow)
    thread.start()
    for _ in range(2):
        time.sleep(0.2)
        _end_one(store)
    thread.join(timeout=10)
    assert seen == [1, 2]
    # More than there are is all of them.
    assert service.matrices.fetch(answer.id, 10.0, after=63).ended


def test_a_wait_that_is_over_tells_what_there_is(store: MemoryStore, service: CompileService) -> None:
    """Partial results, and what has not ended by its status."""
    answer = service.matrices.submit(_body(compilers=["gcc-12"], standards=["c++14", "c++17", "c++20"]))
    _end_one(store)
    assert store.claim("runner", 1.0) is not None
    started = time.monotonic()
    part = service.matrices.fetch(answer.id, 0.2)
    assert 0.15 <= time.monotonic() - started < 5
    assert not part.ended
    assert [cell["status"] for cell in part.body["cells"]] == ["failed", "processing", "queued"]
    [minimum] = part.body["minimum_standard"]
    assert (minimum["minimum"], minimum["monotonic"]) == (None, None)


def test_cancelling_a_matrix_ends_what_has_not_ended(store: MemoryStore, service: CompileService) -> None:
    """Cells that have a verdict keep it; doing it again changes nothing."""
    answer = service.matrices.submit(_body(compilers=["gcc-12"], standards=["c++14", "c++17", "c++20"]))
    _end_one(store)
    claim = store.claim("runner", 1.0)
    for _ in range(2):
        cancelled = service.matrices.cancel(answer.id)
        assert cancelled.ended
        assert [cell["status"] for cell in cancelled.body["cells"]] == ["failed", "cancelled", "cancelled"]
    assert claim is not None and not store.complete(claim, _needs_17(claim.job))
    assert store.claim("runner", 0.05) is None


def test_a_matrix_that_does_not_fit_is_refused_as_a_whole() -> None:
    """Nothing is queued, whatever room there was."""
    store = make_store(OFFERED, queue_size=5)
    service = make_service(store)
    service.submit(_body())
    service.submit(_body())
    with pytest.raises(QueueFull):
        service.matrices.submit(_body(standards=["c++14", "c++17"]))
    assert store.counts().by_status[Status.QUEUED] == 2
    with pytest.raises(InvalidRequest, match="no more than 5"):
        service.matrices.submit(_body(standards="all"))


@pytest.mark.parametrize("matrix_id", ["", "x", "0" * 32, "A" * 32, "0" * 31, "../job"])
def test_an_id_that_is_none_of_ours_is_unknown(matrix_id: str, service: CompileService) -> None:
    """For fetch and cancel alike; a job's id is no matrix's."""
    job_id = service.submit(_body()).id
    for call in (service.matrices.fetch, service.matrices.cancel):
        for unknown in (matrix_id, job_id):
            with pytest.raises(MatrixNotFound):
                call(unknown)


def test_without_compilers_a_matrix_is_not_ready() -> None:
    """As a compile request is."""
    with pytest.raises(NotReady):
        make_service(MemoryStore(make_settings())).matrices.submit(_body())


class _LostWhileWaiting(MemoryStore):
    """A store that is away as soon as somebody waits."""

    def wait_all(self, *_arguments: Any) -> Any:
        raise StoreUnavailable("away")


def test_a_matrix_is_accepted_even_if_the_store_is_lost_while_waiting() -> None:
    """It is stored: who heard an error now would submit it again."""
    store = _LostWhileWaiting(make_settings())
    store.register(make_runner(), OFFERED, ttl_seconds=60)
    answer = make_service(store).matrices.submit(_body(), wait_seconds=5)
    assert not answer.ended
    assert store.get_matrix(answer.id) is not None


def test_expectations_are_judged_for_each_cell(service: CompileService, runner: Callable[..., None]) -> None:
    """Kept with the matrix, and with every job."""
    runner(_needs_17)
    expect = {"verdict": "rejected", "diagnostics": [{"line": 1, "message": "too new"}]}
    body = _body(compilers=["gcc-12"], standards=["c++14", "c++17"], expect=expect)
    answer = service.matrices.submit(body, wait_seconds=10)
    assert [cell["expectation"]["met"] for cell in answer.body["cells"]] == [True, False]
    assert answer.body["summary"]["expectations_met"] == 1
    job = service.fetch(answer.body["cells"][1]["job_id"]).body
    assert job["expectation"] == answer.body["cells"][1]["expectation"]


def test_a_matrix_in_sarif_has_a_run_for_each_compiler(
    service: CompileService, runner: Callable[..., None]
) -> None:
    """An invocation for each cell; what several cells of a compiler say is one result, in code points."""
    runner(_needs_17)
    answer = service.matrices.submit(_body(standards="all"), wait_seconds=10, form=OutputFormat.SARIF)
    assert (answer.form, answer.ended) == (OutputFormat.SARIF, True)
    runs = answer.body["runs"]
    assert [run["tool"]["driver"]["name"] for run in runs] == ["gcc-11", "gcc-12"]
    for run in runs:
        standards = [each["properties"]["standard"] for each in run["invocations"]]
        assert standards == list(STANDARDS)
        [result] = run["results"]
        assert (result["occurrenceCount"], result["properties"]) == (2, {"invocations": [0, 1]})
        region = result["locations"][0]["physicalLocation"]["region"]
        assert region == {"startLine": 1, "startColumn": 6}  # byte 7 is behind the two bytes of é
    assert service.matrices.fetch(answer.id, form=OutputFormat.SARIF).body == answer.body


def test_a_matrix_that_has_not_ended_has_no_sarif_yet(store: MemoryStore, service: CompileService) -> None:
    """It is told as JSON until then; so is a job."""
    answer = service.matrices.submit(_body(), form=OutputFormat.SARIF)
    assert (answer.form, answer.ended) == (OutputFormat.JSON, False)
    job = service.submit(_body(), form=OutputFormat.SARIF)
    assert (job.form, job.ended) == (OutputFormat.JSON, False)


def test_a_cell_without_a_verdict_is_a_notification_in_sarif(
    service: CompileService, runner: Callable[..., None]
) -> None:
    """Its invocation did not succeed, and says why."""
    runner(lambda job: Result.inconclusive(job.id, Reason.TIMEOUT, "It took too long."))
    answer = service.matrices.submit(_body(compilers=["gcc-12"]), wait_seconds=10, form=OutputFormat.SARIF)
    [run] = answer.body["runs"]
    [invocation] = run["invocations"]
    assert not invocation["executionSuccessful"]
    [notification] = invocation["toolExecutionNotifications"]
    assert notification["descriptor"] == {"id": "timeout"}
    assert notification["message"] == {"text": "It took too long."}
    assert run["results"] == []


@pytest.mark.parametrize(("given", "after"), [([], None), (["0"], 0), (["63"], 63)])
def test_after_is_a_number_of_cells(given: list[str], after: int | None) -> None:
    """None when it is not given."""
    assert parse_after(given) == after


@pytest.mark.parametrize("given", [["-1"], ["64"], ["1.5"], [""], ["x"], ["1", "2"], ["٣"], ["100"]])
def test_another_after_is_refused(given: list[str]) -> None:
    """With the numbers that there are."""
    with pytest.raises(InvalidRequest, match="from 0 to 63"):
        parse_after(given)
