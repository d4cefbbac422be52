"""The Lambda function's zip: built without a network, and run as Lambda would run it.

The zip is unpacked into an empty folder, and a clean interpreter that sees that folder and the standard
library calls the handler with events of API Gateway, against a real redis-server and a real runner.
"""

import hashlib
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.compilers import real_compilers
from tests.support.processes import RunnerProcess
from tests.support.servers import RedisServer
from tests.support.servers.tools import ROOT
from tests.support.skipping import require

# Files of our own in the package that are not Python: data that is read at run time.
DATA_SUFFIXES = {".toml", ".lua", ".html"}
# Lambda allows 50 MB for an upload and 250 MB unpacked; ours is much smaller, and should stay so.
LARGEST_ZIP_BYTES = 10_000_000
# A cold start is noticed from here on; most of it is pydantic's.
LONGEST_IMPORT_SECONDS = 0.3


@dataclass(frozen=True)
class Package:
    """The zip and the folder into which it was unpacked."""

    path: Path
    folder: Path
    names: frozenset[str]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    """`make package`, run without any network, Redis or setting."""
    bwrap = require("bwrap")
    out = tmp_path_factory.mktemp("package")
    built = subprocess.run(
        # A network namespace of its own: nothing is reachable, this machine included.
        [
            bwrap,
            "--dev-bind",
            "/",
            "/",
            "--unshare-net",
            "--die-with-parent",
            "--",
            "make",
            "package",
            f"OUT={out}",
        ],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert built.returncode == 0, (
        f"{built.stdout}\n{built.stderr}\n(bin/setup test fetches the wheels beforehand)"
    )
    path, folder = out / "deployment.zip", out / "unpacked"
    with zipfile.ZipFile(path) as archive:
        archive.extractall(folder)
        names = frozenset(archive.namelist())
    print(f"deployment.zip: {path.stat().st_size:,} bytes, {len(names)} files")
    return Package(path, folder, names)


# -- what is in it


def test_the_zip_holds_all_of_our_own_files(package: Package) -> None:
    """app.py and every file of chalicelib, with the data that it reads; no caches."""
    expected = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "chalicelib").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {Path(name).suffix for name in expected} >= DATA_SUFFIXES
    assert {name for name in package.names if name.startswith("chalicelib/")} == expected
    assert "app.py" in package.names


def test_the_zip_holds_nothing_that_lambda_does_not_need(package: Package) -> None:
    """No runner, no infrastructure, no tests, none of their libraries, and nothing that Lambda brings."""
    top = {name.partition("/")[0] for name in package.names}
    forbidden = {
        "runner", "infra", "tests", "docs", "boto3", "botocore", "docker", "dotenv", "pytest", "moto",
        "fakeredis", "hypothesis", "pip", "setuptools", ".env", ".chalice", "requirements.txt",
    }  # fmt: skip
    assert top & forbidden == set()
    assert top >= {"app.py", "chalice", "chalicelib", "redis", "pydantic", "pydantic_core"}


def test_the_zip_comes_with_its_provenance(package: Package) -> None:
    """`make package` says which commit and which files the zip is made from."""
    record = json.loads(package.path.with_name("provenance.json").read_text())
    assert record["sha256"] == hashlib.sha256(package.path.read_bytes()).hexdigest()
    assert set(record["files"]) == package.names


def test_the_zip_is_small(package: Package) -> None:
    """A small zip is a quick cold start."""
    assert package.path.stat().st_size < LARGEST_ZIP_BYTES


def test_the_template_of_the_zip_is_there(package: Package) -> None:
    """`chalice package` also writes the stack's template, with the API and the scheduled function."""
    template = json.loads((package.path.parent / "sam.json").read_text())
    functions = [
        item for item in template["Resources"].values() if item["Type"] == "AWS::Serverless::Function"
    ]
    assert sorted(item["Properties"]["Handler"] for item in functions) == ["app.app", "app.sweep"]


# -- what it does

# Runs in the clean interpreter: handles the events on standard input, one JSON document a line each way.
_LAMBDA = """
import json, sys, time
sys.path.insert(0, sys.argv[1])
started = time.perf_counter(), time.process_time()
from app import app
print(json.dumps([time.perf_counter() - started[0], time.process_time() - started[1]]), flush=True)
ours = [name for name in sys.modules if name.partition(".")[0] in ("runner", "boto3", "dotenv", "tests")]
assert ours == [], ours
for module in list(sys.modules.values()):
    path = getattr(module, "__file__", None) or sys.argv[1]
    assert path.startswith((sys.argv[1], sys.base_prefix)) and "site-packages" not in path, path
for line in sys.stdin:
    print(json.dumps(app(json.loads(line), None)), flush=True)
"""
# The minimum that every Chalice function imports.
_BARE_CHALICE = """
import sys, time
sys.path.insert(0, sys.argv[1])
started = time.perf_counter(), time.process_time()
from chalice import Chalice
Chalice(app_name="bare")
print([time.perf_counter() - started[0], time.process_time() - started[1]])
"""
# Alone: no site-packages, no PYTHON* variable, not even the current folder.
_CLEAN = [sys.executable, "-I", "-S"]


class Function:
    """The unpacked function in a clean interpreter, as Lambda keeps one: started once, called often."""

    def __init__(self, package: Package, environ: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [*_CLEAN, "-c", _LAMBDA, str(package.folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd="/",
            # The variables that Lambda sets (the program uses one of them), and the settings.
            env={"AWS_LAMBDA_FUNCTION_NAME": "will-it-compile", "PATH": "/usr/bin"} | dict(environ),
        )
        # By the clock, and of the processor.
        self.import_seconds: tuple[float, float] = tuple(json.loads(self._line()))

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        query: Mapping[str, str] | None = None,
        **names: str,
    ) -> dict[str, Any]:
        """The answer to an event as a REST API of API Gateway sends it for the stage `prod`."""
        event = {
            "resource": path,
            "path": path.format(**names),
            "httpMethod": method,
            "headers": {
                "Content-Type": "application/json",
                "Host": "x.execute-api.test",
                "X-Forwarded-Proto": "https",
            },
            "multiValueQueryStringParameters": {name: [value] for name, value in query.items()}
            if query
            else None,
            "pathParameters": names or None,
            "stageVariables": None,
            "requestContext": {
                "resourcePath": path,
                "httpMethod": method,
                "path": f"/prod{path.format(**names)}",
                "stage": "prod",
                "identity": {"sourceIp": "192.0.2.1"},
            },
            "body": None if body is None else json.dumps(body),
            "isBase64Encoded": False,
        }
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(event) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._line())
        return answer

    def _line(self) -> str:
        assert self._process.stdout is not None and self._process.stderr is not None
        line = self._process.stdout.readline()
        assert line, f"the function ended: {self._process.stderr.read()}"
        return line

    def close(self) -> str:
        """End it; returns its log."""
        return self._process.communicate(timeout=10)[1]


@pytest.fixture
def function(package: Package, clean_redis: RedisServer) -> Iterator[Function]:
    """The function with an empty Redis, as it is deployed: no other files, and nothing runs before it."""
    started = Function(package, clean_redis.environment())
    yield started
    started.close()


def test_the_function_works_with_a_runner_over_redis(function: Function, clean_redis: RedisServer) -> None:
    """A POST and a GET from API Gateway get a verdict from a runner in another process."""
    real_compilers()
    with RunnerProcess(clean_redis.environment()):
        accepted = function.call("POST", "/api/v1/compile", {"source_code": "int x;", "language": "cpp"})
        assert accepted["statusCode"] == 202, accepted
        job_id = json.loads(accepted["body"])["job_id"]
        assert accepted["headers"]["Location"] == f"/prod/api/v1/compile/{job_id}"
        ended = function.call("GET", "/api/v1/compile/{job_id}", query={"wait": "20"}, job_id=job_id)
    assert ended["statusCode"] == 200
    assert json.loads(ended["body"])["verdict"] == "compiles"
    assert clean_redis.admin.hget(f"job:{job_id}", "status") == "completed"


def test_the_function_answers_every_route(function: Function) -> None:
    """The data files are found in the package: the page, the catalogue and the scripts all work."""
    for path, status in (
        ("/", 200), ("/health", 200), ("/ready", 503), ("/api/v1/environments", 200),
        ("/api/v1/workers/stats", 200),
    ):  # fmt: skip
        assert function.call("GET", path)["statusCode"] == status, path
    unknown = function.call("GET", "/api/v1/compile/{job_id}", job_id="0" * 32)
    assert (unknown["statusCode"], json.loads(unknown["body"])["error"]) == (404, "job_not_found")
    assert function.call("DELETE", "/api/v1/compile/{job_id}", job_id="x")["statusCode"] == 404
    assert function.call("POST", "/api/v1/compile", {"language": 1})["statusCode"] == 400


def test_the_page_names_the_stage(function: Function) -> None:
    """The curl on the page goes through API Gateway, over HTTPS and with the stage in its path."""
    page = function.call("GET", "/")
    assert "curl -s 'https://x.execute-api.test/prod/api/v1/compile?wait=20'" in page["body"]


def test_a_function_without_redis_does_not_keep_jobs(package: Package) -> None:
    """With REDIS_ENABLED=false each request is an error, and the log says why."""
    function = Function(package, {})
    answer = function.call("POST", "/api/v1/compile", {"source_code": "int x;", "language": "cpp"})
    assert (answer["statusCode"], json.loads(answer["body"])["error"]) == (503, "invalid_settings")
    assert "REDIS_ENABLED" not in answer["body"]
    assert "REDIS_ENABLED='false' is not allowed on Lambda" in function.close()


@pytest.mark.alone
def test_the_import_time_is_printed(package: Package, clean_redis: RedisServer) -> None:
    """How long the imports of a cold start take, and those of an empty Chalice app; the best of five."""
    ours, bare = [], []
    for _ in range(5):
        function = Function(package, clean_redis.environment())
        ours.append(function.import_seconds)
        function.close()
        run = subprocess.run(
            [*_CLEAN, "-c", _BARE_CHALICE, str(package.folder)],
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        )
        bare.append(tuple(json.loads(run.stdout)))
    (wall, processor), (bare_wall, bare_processor) = (
        map(min, zip(*each, strict=True)) for each in (ours, bare)
    )
    print(
        f"import, best of 5: handler {wall * 1000:.0f} ms ({processor * 1000:.0f} ms of the processor), "
        f"bare Chalice {bare_wall * 1000:.0f} ms ({bare_processor * 1000:.0f} ms)"
    )
    # Processor time: the time by the clock depends on what else the machine does.
    assert processor < LONGEST_IMPORT_SECONDS
