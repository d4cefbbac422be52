"""Whole folders with Go files: the verdict is that of `go build` in a folder with the same files.

The reference is what a person types there: `go build ./... .` with a go.mod (all packages, and the one in the
folder), and `GO111MODULE=off go build .` without one (which needs no go.mod), with `-gcflags=-e` for all
errors. Which files it compiles, `go list` says. A main file that is left out has no verdict here, where the
bare command succeeds without it.
"""

import json
import os
import subprocess
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from chalicelib.api import compile_request
from chalicelib.models import Environment, Verdict
from runner.go_packages import Build, why_left_out
from tests.differential.counting import COUNTERS
from tests.differential.go_folders import Folder, folder, left_out
from tests.support.compilers import RealCompilers, real_compilers
from tests.support.skipping import missing
from tests.support.tiers import in_tier

# As many as the smallest machine that runs these tests has cores.
_THREADS = 2
_TIMEOUT_SECONDS = 60
_TARGETS = (("linux", "amd64"), ("windows", "amd64"), ("darwin", "arm64"), ("linux", "arm64"))


def _newest(real: RealCompilers) -> Environment:
    installed = [each for each in real.toolchains.environments if each.language == "go"]
    if not installed:
        missing("no Go is installed")
    return max(installed, key=lambda each: each.version_key)


def _write(files: Mapping[str, str], parent: Path) -> Path:
    for name, text in files.items():
        path = parent / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    return parent


def _run_go(real: RealCompilers, arguments: list[str], cwd: Path, **env: str) -> tuple[int, str, str]:
    """Exit status, stdout and stderr of the bare go command, with only its own settings."""
    entry = real.toolchains.entry(_newest(real))
    ran = subprocess.run(
        [*entry.command, *arguments],
        cwd=cwd,
        env={
            "PATH": os.defpath,
            "HOME": str(cwd.parent),
            "GOENV": "off",
            "GOPROXY": "off",
            "GOTOOLCHAIN": "local",
            **{name: value for name, value in entry.env.items() if name == "GOROOT"},
            **env,
        },
        capture_output=True,
        check=False,
        timeout=_TIMEOUT_SECONDS,
        text=True,
        encoding="utf-8",
    )
    return ran.returncode, ran.stdout, ran.stderr


@pytest.mark.timeout(600)
def test_files_are_left_out_for_the_reasons_that_go_has(tmp_path: Path) -> None:
    """Names and constraints are read as the go command reads them, for every target."""
    real = real_compilers()
    version = _newest(real).version_key

    def differences(seed: int) -> list[str]:
        files = left_out(seed)
        where = _write(files, tmp_path / str(seed))
        system, architecture = _TARGETS[seed % len(_TARGETS)]
        tags = frozenset({"custom"} if seed % 3 == 0 else ())
        _, listed, errors = _run_go(
            real,
            ["list", "-e", f"-tags={','.join(tags)}", "-f={{range .GoFiles}}{{.}} {{end}}", "."],
            where,
            GO111MODULE="off",
            CGO_ENABLED="0",
            GOOS=system,
            GOARCH=architecture,
        )
        build = Build(system, architecture, version, tags)
        ours = {name for name, text in files.items() if why_left_out(name, text, build) is None}
        if ours == set(listed.split()):
            return []
        odd = {name: files[name] for name in ours ^ set(listed.split())}
        return [f"{seed} {system}/{architecture} {tags or ''}: {odd} {errors}"]

    with ThreadPoolExecutor(_THREADS) as pool:
        results = list(pool.map(differences, range(in_tier(fast=20, full=200))))
    assert [problem for problems in results for problem in problems] == []


def _compare(real: RealCompilers, each: Folder, where: Path) -> tuple[Verdict, list[str]]:
    """The verdict of the service, and everything in which the bare command differs, in words."""
    body = {
        "language": "go",
        "compiler": _newest(real).id,
        "files": each.files,
        "main": each.main,
        "options": each.options,
    }
    request = compile_request.resolve(
        compile_request.parse(json.dumps(body).encode()), real.catalog, real.toolchains.environments
    )
    result = real.executor.compile("differential", request)
    _write(each.files, where)
    is_module = "go.mod" in each.files
    packages = ["./...", "."] if is_module else ["."]
    env = {"GO111MODULE": "on" if is_module else "off"}
    status, _, errors = _run_go(
        real, ["build", "-o", "/dev/null", "-gcflags=-e", *each.options, *packages], where, **env
    )
    files_of = "-f={{range .GoFiles}}{{$.Dir}}/{{.}}\n{{end}}"
    _, listed, _ = _run_go(real, ["list", "-e", *each.options, files_of, "."], where, **env)
    expected = Verdict.REJECTED if status else Verdict.COMPILES
    if expected is Verdict.COMPILES and str(where / each.main) not in listed.splitlines():
        expected = Verdict.INCONCLUSIVE
    problems = []
    if result.verdict is not expected:
        problems.append(f"{result.verdict} ({result.error}{result.stderr}), not {expected} ({errors})")
    printed = COUNTERS["go"](errors.replace(f"{where}/", ""))
    places = {(file.removeprefix("./"), line) for _, file, line in printed if file}
    reported = {(item.file, item.line) for item in result.diagnostics if (item.file or "").endswith(".go")}
    if result.verdict is Verdict.REJECTED and reported != places:
        problems.append(f"places {reported}, not {places}: {errors}")
    return result.verdict, problems


@pytest.mark.timeout(900)
def test_a_request_has_the_verdict_of_go_build_in_its_folder(tmp_path: Path) -> None:
    """Verdict and places are those of the bare command, whatever belongs to the package."""
    real = real_compilers()
    seeds = range(in_tier(fast=12, full=120))

    def compare(seed: int) -> tuple[Verdict, list[str]]:
        verdict, problems = _compare(real, folder(seed), tmp_path / str(seed) / "folder")
        return verdict, [f"{seed}: {folder(seed).files}: {problem}" for problem in problems]

    with ThreadPoolExecutor(_THREADS) as pool:
        results = list(pool.map(compare, seeds))
    verdicts = [verdict for verdict, _ in results]
    print({verdict.value: verdicts.count(verdict) for verdict in Verdict})
    assert [problem for _, problems in results for problem in problems] == []
    # Folders that only compile, or are only rejected, would test little.
    assert {Verdict.COMPILES, Verdict.REJECTED} <= set(verdicts)
