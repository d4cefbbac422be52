"""The acceptance cases: files under tests/cases/<language>/<case>/, against every installed compiler.

A case is a folder with its sources and a ``case.toml``:

    claim = "One sentence."            # what the case shows
    main = "main.cpp"                  # default: the language's
    standards = ["c++17"]              # default: each compiler's own default
    stages = ["compile"]               # default
    options = []                       # default
    compilers = ["gcc-*"]              # default: all
    verdict = "compiles"
    count = { error = 1 }              # optional: how many of that severity, notes included
    [[unless]]                         # optional: another verdict for some compilers, standards or stages
    [[diagnostics]]                    # optional: each must be found; narrowed in the same way
    [files]                            # optional: sources whose exact bytes matter

To add a case, add a folder: no code. Each run is also compared with the bare compiler.
"""

import fnmatch
import os
import subprocess
import tempfile
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
from pydantic import BaseModel, ConfigDict

from chalicelib.models import CompileRequest, Diagnostic, Environment, Severity, Stage, Verdict
from runner.output import clean_text
from tests.compilers import RealCompilers, real_compilers

_CASES = Path(__file__).resolve().parents[1] / "cases"

# As many as the smallest machine that runs these tests has cores.
_THREADS = 2


class _Scope(BaseModel):
    """A part of a case that holds for some runs only."""

    model_config = ConfigDict(extra="forbid")

    compilers: tuple[str, ...] = ("*",)
    standards: tuple[str, ...] = ("*",)
    stages: tuple[Stage, ...] = tuple(Stage)

    def covers(self, compiler: str, standard: str, stage: Stage) -> bool:
        return (
            any(fnmatch.fnmatchcase(compiler, pattern) for pattern in self.compilers)
            and any(fnmatch.fnmatchcase(standard, pattern) for pattern in self.standards)
            and stage in self.stages
        )


class _Unless(_Scope):
    verdict: Verdict


class _Expected(_Scope):
    """A diagnostic that must be found; what is not given may be anything."""

    severity: Severity | None = None
    file: str | None = None
    line: int | None = None
    column: int | None = None
    code: str | None = None
    message: str = ""

    def matches(self, diagnostic: Diagnostic) -> bool:
        exact = ("severity", "file", "line", "column", "code")
        return self.message in diagnostic.message and all(
            getattr(self, field) in (None, getattr(diagnostic, field)) for field in exact
        )


class _Case(BaseModel):
    """A ``case.toml``."""

    model_config = ConfigDict(extra="forbid")

    claim: str
    verdict: Verdict
    main: str | None = None
    standards: tuple[str, ...] = ()
    stages: tuple[Stage, ...] = (Stage.COMPILE,)
    options: tuple[str, ...] = ()
    compilers: tuple[str, ...] = ("*",)
    count: dict[Literal["error", "warning", "fatal", "note"], int] = {}
    unless: tuple[_Unless, ...] = ()
    diagnostics: tuple[_Expected, ...] = ()
    files: dict[str, str] = {}

    def expected_verdict(self, compiler: str, standard: str, stage: Stage) -> Verdict:
        for exception in self.unless:
            if exception.covers(compiler, standard, stage):
                return exception.verdict
        return self.verdict


@dataclass(frozen=True, slots=True)
class _Run:
    """One case in one environment."""

    compiler: str
    standard: str
    stage: Stage
    request: CompileRequest


def _folders() -> list[Path]:
    return sorted(path.parent for path in _CASES.glob("*/*/case.toml"))


def _read(folder: Path) -> _Case:
    case = _Case.model_validate(tomllib.loads((folder / "case.toml").read_text(encoding="utf-8")))
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != "case.toml":
            case.files[path.relative_to(folder).as_posix()] = path.read_text(encoding="utf-8")
    return case


def _runs(case: _Case, language: str, real: RealCompilers) -> Iterator[_Run]:
    """Every combination of installed compiler, standard and stage that the case names."""
    found = real.catalog.language(language)
    assert found is not None, f"tests/cases/{language} is not a language of the catalogue"
    environments = [
        environment
        for environment in real.toolchains.environments
        if environment.language == language
        and any(fnmatch.fnmatchcase(environment.id, pattern) for pattern in case.compilers)
    ]
    for environment in environments:
        for standard in case.standards or (environment.default_standard,):
            if standard not in environment.standards:
                continue
            for stage in case.stages:
                request = CompileRequest(
                    files=case.files,
                    main=case.main or found.default_main,
                    language=language,
                    compiler=environment.id,
                    standard=standard,
                    architecture=real.architecture,
                    os=real.os,
                    stage=stage,
                    options=case.options,
                )
                yield _Run(environment.id, standard, stage, request)


def _flat(diagnostics: tuple[Diagnostic, ...]) -> list[Diagnostic]:
    return [each for diagnostic in diagnostics for each in (diagnostic, *_flat(diagnostic.children))]


def _bare(
    run: _Run, files: dict[str, str], real: RealCompilers, parent: Path
) -> subprocess.CompletedProcess[bytes]:
    """The same command without the service: the cases are ours, so they may run outside a sandbox."""
    request = run.request
    command = real.catalog.build_command(
        request.language,
        request.compiler,
        request.standard,
        request.stage,
        request.options,
        request.files,
        request.main,
    )
    folder = Path(tempfile.mkdtemp(dir=parent))
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "TMPDIR": str(folder)}
    return subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        check=False,
        timeout=60,  # seconds; the slowest case takes one
    )


@pytest.mark.parametrize("folder", _folders(), ids=lambda folder: f"{folder.parent.name}/{folder.name}")
def test_the_service_answers_a_case_as_expected_and_as_the_bare_compiler_does(
    folder: Path, tmp_path: Path
) -> None:
    """Verdict, diagnostics, exit status and messages are what the case and the compiler itself say."""
    real = real_compilers()
    case = _read(folder)
    runs = list(_runs(case, folder.parent.name, real))
    assert runs, "no installed compiler matches this case, so it shows nothing"
    with ThreadPoolExecutor(_THREADS) as pool:
        results = pool.map(lambda run: real.compiler.compile(folder.name, run.request), runs)
        bares = pool.map(lambda run: _bare(run, case.files, real, tmp_path), runs)
    for run, result, bare in zip(runs, results, bares, strict=True):
        where = f"{run.compiler} {run.standard} {run.stage}: {result.error}\n{result.stderr}"
        assert result.verdict is case.expected_verdict(run.compiler, run.standard, run.stage), where
        found = _flat(result.diagnostics)
        for expected in case.diagnostics:
            if expected.covers(run.compiler, run.standard, run.stage):
                assert any(map(expected.matches, found)), f"{expected!r}\nnot in {found!r}\n{where}"
        for severity, count in case.count.items():
            assert sum(diagnostic.severity == severity for diagnostic in found) == count, where

        assert (bare.returncode == 0) is (result.verdict is Verdict.COMPILES), where
        assert bare.returncode == result.exit_code, where
        if run.stage is not Stage.LINK:  # a linker names objects that get a random name each time
            assert (clean_text(bare.stdout), clean_text(bare.stderr)) == (result.stdout, result.stderr), where


def test_there_are_cases_for_every_language_of_the_catalogue() -> None:
    """No language of the catalogue is without acceptance cases, and there are at least 25 in all."""
    folders = _folders()
    languages = {folder.parent.name for folder in folders}
    assert languages == {language.id for language in real_compilers().catalog.languages}
    assert len(folders) >= 25


def test_every_announced_standard_is_one_that_the_compiler_takes(tmp_path: Path) -> None:
    """An empty program compiles in each standard of each installed compiler: no standard is only claimed."""
    real = real_compilers()
    (tmp_path / "main.x").write_text("int value;\n", encoding="utf-8")

    def refusal(environment: Environment, standard: str) -> str:
        command = real.catalog.build_command(
            environment.language, environment.id, standard, Stage.SYNTAX, (), ("main.x",), "main.x"
        )
        ran = subprocess.run(
            command, cwd=tmp_path, capture_output=True, encoding="utf-8", check=False, timeout=60
        )
        return f"{command}: {ran.stderr}" if ran.returncode or ran.stderr else ""

    pairs = [(each, standard) for each in real.toolchains.environments for standard in each.standards]
    with ThreadPoolExecutor(_THREADS) as pool:
        refusals = list(pool.map(lambda pair: refusal(*pair), pairs))
    assert [refusal for refusal in refusals if refusal] == []


def test_the_default_standard_is_the_compilers_own() -> None:
    """What is compiled without naming a standard is what the bare compiler would compile it as."""
    real = real_compilers()
    macros = {"c": "__STDC_VERSION__", "cpp": "__cplusplus"}
    for environment in real.toolchains.environments:
        language = real.catalog.language(environment.language)
        assert language is not None
        entry = language.compiler(environment.id)
        assert entry is not None
        printed = [
            subprocess.run(
                [*entry.command, *standard, "-x", language.input_language, "-dM", "-E", "/dev/null"],
                capture_output=True,
                encoding="utf-8",
                check=True,
                timeout=60,
            ).stdout
            for standard in ([], [f"-std={entry.default_standard}"])
        ]
        assert macros[environment.language] in printed[0]
        assert printed[0] == printed[1], f"{environment.language} {environment.id}"
