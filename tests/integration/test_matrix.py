"""A matrix as a user meets it: `chalice local` with the workers inside, and the compilers of this machine."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.sarif.validator import faults_by_schema
from tests.support.api import error_of, wait_until_ready
from tests.support.processes import ApiProcess, Reply

MATRIX = "/api/v1/matrix"
COMPILE = "/api/v1/compile"
SARIF = "application/sarif+json"
# On a busy machine a matrix may need more than one wait.
ENDS_WITHIN_SECONDS = 100.0
MOST_CELLS = 64
ISO = ["c++98", "c++11", "c++14", "c++17", "c++20"]
GNU = [standard.replace("c++", "gnu++") for standard in ISO]
CONCEPTS = """#include <concepts>
template <std::integral Number> Number twice(Number number) { return number + number; }
int main() { return twice(0); }
"""


@pytest.fixture(scope="module")
def api() -> Iterator[ApiProcess]:
    """The API as `make run` starts it, once its compilers are registered."""
    with ApiProcess() as process:
        wait_until_ready(process)
        yield process


def _environments(api: ApiProcess, language: str = "cpp") -> list[dict[str, Any]]:
    offered = api.call("GET", "/api/v1/environments").json()["environments"]
    return [item for item in offered if item["language"] == language]


def _ended(api: ApiProcess, reply: Reply) -> dict[str, Any]:
    """The matrix of a response, once all its cells have ended."""
    deadline = time.monotonic() + ENDS_WITHIN_SECONDS
    while True:
        assert reply.status in (200, 202), reply
        body: dict[str, Any] = reply.json()
        if body["ended"]:
            return body
        assert time.monotonic() < deadline, body["summary"]
        reply = api.call("GET", f"{MATRIX}/{body['matrix_id']}?wait=25")


def _matrix(api: ApiProcess, **fields: Any) -> dict[str, Any]:
    return _ended(api, api.call("POST", f"{MATRIX}?wait=25", {"language": "cpp"} | fields))


def test_a_matrix_of_64_cells_finds_the_oldest_standard_for_each_compiler(api: ApiProcess) -> None:
    """Concepts need C++20, with or without extensions."""
    compilers = [item["id"] for item in _environments(api) if item["family"] in ("gcc", "clang")]
    standards = [*ISO, *GNU][-(MOST_CELLS // len(compilers)) :]
    started = time.monotonic()
    reply = api.call(
        "POST",
        f"{MATRIX}?wait=25",
        {"source_code": CONCEPTS, "language": "cpp", "compilers": compilers, "standards": standards},
    )
    print(f"{reply.status} after {time.monotonic() - started:.1f} s")
    body = _ended(api, reply)
    assert body["summary"]["cells"] == len(compilers) * len(standards)
    assert MOST_CELLS - len(compilers) < body["summary"]["cells"] <= MOST_CELLS
    assert body["summary"]["inconclusive"] == 0
    dialects = {"gnu" if standard.startswith("gnu") else "iso" for standard in standards}
    entries = {(entry["compiler"], entry["dialect"]): entry for entry in body["minimum_standard"]}
    assert set(entries) == {(compiler, dialect) for compiler in compilers for dialect in dialects}
    for (_, dialect), entry in entries.items():
        assert entry["minimum"] == ("gnu++20" if dialect == "gnu" else "c++20"), entry
        assert entry["monotonic"]
    assert {cell["standard"] for cell in body["compiles_on"]} <= {"c++20", "gnu++20"}
    for group in body["groups"]:
        for number in group["cells"]:
            assert body["cells"][number]["verdict"] == "rejected"


def test_every_cell_is_a_job_whose_receipt_reproduces_it(api: ApiProcess, tmp_path: Path) -> None:
    """The line of the receipt, run in a folder with the file, has the job's output and exit status."""
    source = 'int main() { return "é" + missing; }\n'
    body = _matrix(api, source_code=source, compilers=["gcc-*", "clang-*"])
    (tmp_path / "main.cpp").write_text(source)
    for cell in body["cells"]:
        job = api.call("GET", f"{COMPILE}/{cell['job_id']}").json()
        assert (job["verdict"], job["environment"]["id"]) == ("rejected", cell["compiler"])
        receipt = job["receipt"]
        assert receipt["argv"] == job["command"]
        assert job["environment"]["version"] in receipt["version"]
        if receipt["image"]:
            continue
        # The line is made for a shell.
        env = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}
        again = subprocess.run(
            ["sh", "-c", receipt["reproduce"]],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            check=False,
        )
        assert (again.returncode, again.stderr.decode()) == (job["exit_code"], job["stderr"])


def test_a_standard_that_removes_something_gives_no_minimum(api: ApiProcess) -> None:
    """C++17 removed `register`, and clang reports it as an error."""
    source = "int f() { register int size = 1; return size; }\n"
    body = _matrix(api, source_code=source, compilers=["clang"], standards=["c++14", "c++17"])
    [minimum] = body["minimum_standard"]
    assert (minimum["minimum"], minimum["monotonic"]) == (None, False)
    assert (minimum["compiles"], minimum["rejected"]) == (["c++14"], ["c++17"])


def test_a_header_of_one_system_compiles_only_for_that_target(api: ApiProcess) -> None:
    """`<windows.h>` exists for Windows and nowhere else; compilers without the target are listed."""
    targets = {"x86_64-windows", "arm64-macos"}
    able = [item["id"] for item in _environments(api) if targets <= set(item["targets"])]
    if not able:
        reply = api.call(
            "POST", MATRIX, {"source_code": "int x;", "language": "cpp", "targets": ["windows/x86_64"]}
        )
        assert (reply.status, error_of(reply)["details"][0]["field"]) == (400, "targets.0")
        return
    body = _matrix(
        api,
        source_code="#include <windows.h>\nDWORD size() { return 0; }\n",
        targets=["windows/x86_64", "macos/arm64"],
    )
    verdicts = {(cell["compiler"], cell["target"]): cell["verdict"] for cell in body["cells"]}
    for compiler in able:
        assert verdicts[compiler, "x86_64-windows"] == "compiles"
        assert verdicts[compiler, "arm64-macos"] == "rejected"
    omitted = {(item["compiler"], item["target"]) for item in body["omitted"]}
    others = [item["id"] for item in _environments(api) if item["id"] not in able]
    assert {(compiler, target) for compiler in others for target in targets} <= omitted


def test_an_expectation_is_evaluated_in_every_cell(api: ApiProcess) -> None:
    """Line, severity and a part of the message count, whatever else the compilers print."""
    source = '\n\nstatic_assert(sizeof(int) == 1, "no");\n'
    expect = {
        "verdict": "rejected",
        "diagnostics": [{"line": 3, "severity": "error", "message": "static assertion"}],
    }
    body = _matrix(api, source_code=source, compilers=["gcc", "clang"], standards=["c++17"], expect=expect)
    if any(not cell["expectation"]["met"] for cell in body["cells"]):
        pytest.fail(str([cell["expectation"] for cell in body["cells"]]))
    assert body["summary"]["expectations_met"] == 2


def test_a_matrix_can_be_followed_and_cancelled(api: ApiProcess) -> None:
    """Each response has more ended cells than the one before; cancelling ends the rest, also twice."""
    body = {"source_code": CONCEPTS, "language": "cpp", "compilers": ["clang", "gcc"]}
    reply = api.call("POST", MATRIX, body | {"standards": [*ISO, *GNU]})
    assert reply.status == 202
    path = reply.headers["location"]
    known = 0
    for _ in range(3):
        part = api.call("GET", f"{path}?wait=25&after={known}").json()
        assert part["summary"]["ended"] > known
        known = part["summary"]["ended"]
        if part["ended"]:
            break
    for cancelled in [api.call("DELETE", path) for _ in range(2)]:
        assert (cancelled.status, cancelled.json()["ended"]) == (200, True)
        assert cancelled.json()["summary"]["ended"] == 20
        assert cancelled.json()["cells"][-1]["status"] in ("cancelled", "completed", "failed")


# -- formats


@pytest.mark.parametrize(
    ("query", "accept"), [("&format=sarif", None), ("", SARIF), ("", f"{SARIF};q=1, */*;q=0.5")]
)
def test_a_job_and_a_matrix_can_be_fetched_as_sarif(api: ApiProcess, query: str, accept: str | None) -> None:
    """With `format` or Accept, at once or later; the document is valid by the schema."""
    headers = {"Accept": accept} if accept else {}
    source = "// é\nint größe = missing;\n"
    for path, kind in ((COMPILE, "compile"), (MATRIX, "matrix")):
        body = {"source_code": source, "language": "cpp"}
        if kind == "matrix":
            body["compilers"] = "gcc"
        reply = api.call("POST", f"{path}?wait=25{query}", body, headers=headers)
        where = reply.headers["location"]
        if reply.status == 202:
            reply = api.call("GET", f"{where}?wait=25{query}", headers=headers)
        assert (reply.status, reply.headers["content-type"]) == (200, SARIF)
        assert faults_by_schema(reply.json()) == []
        [run] = reply.json()["runs"]
        assert run["results"][0]["locations"][0]["physicalLocation"]["region"]["startLine"] == 2
        again = api.call("GET", f"{where}?{query}", headers=headers)
        assert again.json() == reply.json()
        assert api.call("GET", where).headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("query", "headers", "field"),
    [
        ("format=xml", {}, "format"),
        ("format=json&format=sarif", {}, "format"),
        ("", {"Accept": "text/html"}, "Accept"),
        ("after=-1", {}, "after"),
        ("after=64", {}, "after"),
        ("wait=26", {}, "wait"),
    ],
)
def test_an_unknown_format_and_an_invalid_wait_are_errors(
    api: ApiProcess, query: str, headers: dict[str, str], field: str
) -> None:
    """Of POST and GET alike, in JSON, with what is allowed."""
    for method, path in (("POST", MATRIX), ("GET", f"{MATRIX}/{'0' * 32}")):
        body = {"source_code": "int x;", "language": "cpp"} if method == "POST" else None
        reply = api.call(method, f"{path}?{query}", body, headers=headers)
        assert (reply.status, error_of(reply)["details"][0]["field"]) == (400, field)


def test_a_matrix_that_is_not_possible_is_invalid_and_an_unknown_one_not_found(api: ApiProcess) -> None:
    """Globs and names that match nothing, more than 64 cells, and ids of no matrix."""
    good = {"source_code": "int x;", "language": "cpp"}
    for change, field in (
        ({"compilers": ["nothing-*"]}, "compilers.0"),
        ({"standards": ["c17"]}, "standards.0"),
        ({"targets": ["vax-vms"]}, "targets.0"),
        ({"compilers": "all", "standards": "all"}, "compilers"),
        ({"compiler": "gcc"}, "compiler"),
    ):
        reply = api.call("POST", MATRIX, good | change)
        assert reply.status == 400, reply
        [detail] = error_of(reply)["details"]
        assert detail["field"] == field
    for method in ("GET", "DELETE"):
        reply = api.call(method, f"{MATRIX}/{'0' * 32}")
        assert (reply.status, error_of(reply)["error"]) == (404, "matrix_not_found")
