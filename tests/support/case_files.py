"""The acceptance cases: folders tests/cases/<language>/<case>/ with sources and a ``case.toml``.

    claim = "One sentence."            # what the case shows
    main = "main.cpp"                  # default: the language's
    standards = ["c++17"]              # patterns; default: each compiler's own default
    targets = ["x86_64-windows"]       # patterns; default: the machine's own
    stages = ["compile"]               # default
    options = []                       # default
    compilers = ["gcc-*"]              # patterns; default: all
    verdict = "compiles"
    count = { error = 1 }              # optional: how many of that severity, notes included
    [[unless]]                         # optional: another verdict for some of the runs
    [[diagnostics]]                    # optional: each must be reported; narrowed in the same way
    [files]                            # optional: sources whose exact bytes matter, and Python's

Patterns are those of `fnmatch`. A case says what it expects, not how it is run: the same cases go through
the runner's own classes (tests/integration/test_cases.py) and through the HTTP API of a running service
(`body_of`, and `problems_of` on the result). To add a case, add a folder: no code. To let cases say more,
add a field with a default.
"""

import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from chalicelib.catalog import Catalog
from chalicelib.models import Diagnostic, Fix, Severity, Stage, Target, Verdict

CASES = Path(__file__).resolve().parents[1] / "cases"

_ERRORS = (Severity.ERROR, Severity.FATAL)
_PLACE = ("severity", "file", "line", "column", "end_line", "end_column", "code")


class Offer(BaseModel):
    """A compiler as ``GET /api/v1/environments`` lists it; its first target is the machine's own."""

    id: str
    language: str
    standards: tuple[str, ...]
    default_standard: str
    targets: tuple[str, ...]
    stages: tuple[Stage, ...]


class CaseResult(BaseModel):
    """The fields of a result, as JSON, that a case is about."""

    verdict: Verdict
    success: bool
    compiled: bool
    error: str
    stdout: str
    stderr: str
    diagnostics: tuple[Diagnostic, ...]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Scope(_Entry):
    """A part of a case that applies to some runs only."""

    compilers: tuple[str, ...] = ("*",)
    standards: tuple[str, ...] = ("*",)
    targets: tuple[str, ...] = ("*",)
    stages: tuple[Stage, ...] = tuple(Stage)

    def covers(self, run: "Run") -> bool:
        """Whether it applies to that run."""
        return (
            _any_matches(self.compilers, run.compiler)
            and _any_matches(self.standards, run.standard)
            and _any_matches(self.targets, run.target)
            and run.stage in self.stages
        )


class Unless(Scope):
    """Another verdict."""

    verdict: Verdict


class ExpectedFix(_Entry):
    """An edit that must be proposed; a field without a value may be anything."""

    file: str | None = None
    line: int | None = None
    column: int | None = None
    end_line: int | None = None
    end_column: int | None = None
    text: str | None = None

    def matches(self, fix: Fix) -> bool:
        """Whether `fix` is that edit."""
        return all(getattr(fix, name) == value for name, value in self.model_dump(exclude_none=True).items())


class Expected(Scope):
    """A diagnostic that must be reported; a field without a value may be anything.

    `child_of` is a part of the message of its parent.
    """

    severity: Severity | None = None
    file: str | None = None
    line: int | None = None
    column: int | None = None
    end_line: int | None = None
    end_column: int | None = None
    code: str | None = None
    message: str = ""
    child_of: str | None = None
    fix: ExpectedFix | None = None

    def matches(self, diagnostic: Diagnostic, parent: Diagnostic | None) -> bool:
        """Whether `diagnostic`, a child of `parent` if there is one, is that diagnostic."""
        return (
            self.message in diagnostic.message
            and all(getattr(self, field) in (None, getattr(diagnostic, field)) for field in _PLACE)
            and (self.child_of is None or (parent is not None and self.child_of in parent.message))
            and (self.fix is None or any(map(self.fix.matches, diagnostic.fixes)))
        )


class Case(_Entry):
    """A ``case.toml`` with the sources beside it in `files`."""

    claim: str
    verdict: Verdict
    main: str | None = None
    standards: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    stages: tuple[Stage, ...] = (Stage.COMPILE,)
    options: tuple[str, ...] = ()
    compilers: tuple[str, ...] = ("*",)
    count: dict[Literal["error", "warning", "fatal", "note"], int] = {}
    unless: tuple[Unless, ...] = ()
    diagnostics: tuple[Expected, ...] = ()
    files: dict[str, str] = {}

    def expected_verdict(self, run: "Run") -> Verdict:
        """The verdict of the first exception that covers the run, or else the case's."""
        return next((item.verdict for item in self.unless if item.covers(run)), self.verdict)


@dataclass(frozen=True, slots=True)
class Run:
    """One case in one environment."""

    compiler: str
    standard: str
    target: str
    stage: Stage

    def __str__(self) -> str:
        return f"{self.compiler} {self.standard} {self.target} {self.stage}"


def case_folders() -> list[Path]:
    """The folders of all cases by name; the name of their parent is the language's id."""
    return sorted(path.parent for path in CASES.glob("*/*/case.toml"))


def read_case(folder: Path) -> Case:
    """The case in `folder`, with the files beside its ``case.toml``."""
    case = Case.model_validate(tomllib.loads((folder / "case.toml").read_text(encoding="utf-8")))
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != "case.toml":
            case.files[path.relative_to(folder).as_posix()] = path.read_text(encoding="utf-8")
    return case


def runs_of(case: Case, language: str, offers: Iterable[Offer]) -> Iterator[Run]:
    """Every combination of an offered compiler, standard, target and stage that the case names."""
    for offer in offers:
        if offer.language != language or not _any_matches(case.compilers, offer.id):
            continue
        for standard in _named(case.standards, offer.standards, offer.default_standard):
            for target in _named(case.targets, offer.targets, offer.targets[0]):
                for stage in case.stages:
                    if stage in offer.stages:
                        yield Run(offer.id, standard, target, stage)


def body_of(case: Case, language: str, run: Run, catalog: Catalog) -> dict[str, Any]:
    """The JSON object of ``POST /api/v1/compile`` for one run; the answer may not come from a cache."""
    entry = catalog.language(language)
    assert entry is not None, f"tests/cases/{language} is not a language of the catalogue"
    target = Target.parse(run.target)
    return {
        "files": case.files,
        "main": case.main or entry.default_main,
        "language": language,
        "compiler": run.compiler,
        "standard": run.standard,
        "architecture": target.architecture,
        "os": target.os,
        "stage": run.stage.value,
        "options": list(case.options),
        "cache": False,
    }


def problems_of(case: Case, run: Run, result: Mapping[str, Any]) -> list[str]:
    """Sentences about everything in a result, as JSON, that is not as the case expects."""
    answer = CaseResult.model_validate(result)
    diagnostics = list(_with_parents(answer.diagnostics))
    verdict = case.expected_verdict(run)
    problems = []
    if answer.verdict is not verdict:
        problems.append(f"the verdict is {answer.verdict}, not {verdict}")
    if answer.compiled is not (answer.verdict is Verdict.COMPILES):
        problems.append(f"`compiled` is {answer.compiled} with the verdict {answer.verdict}")
    if answer.success is not (answer.verdict is not Verdict.INCONCLUSIVE):
        problems.append(f"`success` is {answer.success} with the verdict {answer.verdict}")
    errors = [item for item, _ in diagnostics if item.severity in _ERRORS]
    if bool(errors) is not (answer.verdict is Verdict.REJECTED):
        problems.append(f"{len(errors)} errors with the verdict {answer.verdict}")
    for expected in case.diagnostics:
        if expected.covers(run) and not any(expected.matches(*item) for item in diagnostics):
            fields = expected.model_dump(exclude_defaults=True, mode="json")
            problems.append(f"there is no diagnostic with {fields}")
    for severity, count in case.count.items():
        counted = sum(item.severity == severity for item, _ in diagnostics)
        if counted != count:
            problems.append(f"{counted} of severity {severity}, not {count}")
    foreign = {item.file for item, _ in diagnostics if item.file and item.file.startswith("/work")}
    if foreign:
        problems.append(f"files are named by the workspace's path: {foreign}")
    if problems:
        lines = "\n".join(f"    {item!r}" for item, _ in diagnostics)
        problems.append(f"{run}: {answer.error}\n{answer.stdout}{answer.stderr}\n{lines}")
    return problems


def _any_matches(patterns: Sequence[str], name: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _named(patterns: Sequence[str], offered: Sequence[str], default: str) -> Sequence[str]:
    return [name for name in offered if _any_matches(patterns, name)] if patterns else (default,)


def _with_parents(
    diagnostics: Sequence[Diagnostic], parent: Diagnostic | None = None
) -> Iterator[tuple[Diagnostic, Diagnostic | None]]:
    for diagnostic in diagnostics:
        yield diagnostic, parent
        yield from _with_parents(diagnostic.children, diagnostic)
