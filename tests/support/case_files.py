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
    [[diagnostics]]                    # optional: each must be found; narrowed in the same way
    [files]                            # optional: sources whose exact bytes matter, and Python's

Patterns are those of `fnmatch`. A case says what it expects and nothing of how it is run: the same ones go
through the runner's own classes (tests/integration/test_cases.py) and through the HTTP API of a running
service (`body_of`, and `problems_of` on its answer). To add a case, add a folder: no code. To let cases say
more, add a field with a default.
"""

import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from chalicelib.catalog import Catalog
from chalicelib.models import Diagnostic, Fix, Severity, Stage, Verdict

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


class Answer(BaseModel):
    """What of a result, or of the API's answer with one, a case speaks about."""

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
    """A part of a case that holds for some runs only."""

    compilers: tuple[str, ...] = ("*",)
    standards: tuple[str, ...] = ("*",)
    targets: tuple[str, ...] = ("*",)
    stages: tuple[Stage, ...] = tuple(Stage)

    def covers(self, run: "Run") -> bool:
        """Whether it speaks about that run."""
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
    """An edit that must be proposed; what is not given may be anything."""

    file: str | None = None
    line: int | None = None
    column: int | None = None
    end_line: int | None = None
    end_column: int | None = None
    text: str | None = None

    def matches(self, fix: Fix) -> bool:
        """Whether that is the edit."""
        return all(getattr(fix, name) == value for name, value in self.model_dump(exclude_none=True).items())


class Expected(Scope):
    """A diagnostic that must be found; what is not given may be anything.

    `child_of` is a part of the message of the one that it is a child of.
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
        """Whether that is the diagnostic, where `parent` is the one that it is a child of."""
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
        """The first exception that covers the run decides."""
        return next((each.verdict for each in self.unless if each.covers(run)), self.verdict)


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
    """The folders of all cases, by name; the parent's name is the language's id."""
    return sorted(path.parent for path in CASES.glob("*/*/case.toml"))


def read_case(folder: Path) -> Case:
    """The case in `folder`, with the files that lie beside its ``case.toml``."""
    case = Case.model_validate(tomllib.loads((folder / "case.toml").read_text(encoding="utf-8")))
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != "case.toml":
            case.files[path.relative_to(folder).as_posix()] = path.read_text(encoding="utf-8")
    return case


def runs_of(case: Case, language: str, offers: Iterable[Offer]) -> Iterator[Run]:
    """Every combination of offered compiler, standard, target and stage that the case names."""
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
    found = catalog.language(language)
    assert found is not None, f"tests/cases/{language} is not a language of the catalogue"
    architecture, _, system = run.target.partition("-")
    return {
        "files": case.files,
        "main": case.main or found.default_main,
        "language": language,
        "compiler": run.compiler,
        "standard": run.standard,
        "architecture": architecture,
        "os": system,
        "stage": run.stage.value,
        "options": list(case.options),
        "cache": False,
    }


def problems_of(case: Case, run: Run, result: Mapping[str, Any]) -> list[str]:
    """What in a result, a JSON object as the API answers it, is not as the case says: sentences."""
    answer = Answer.model_validate(result)
    found = list(_with_parents(answer.diagnostics))
    wanted = case.expected_verdict(run)
    problems = []
    if answer.verdict is not wanted:
        problems.append(f"the verdict is {answer.verdict}, not {wanted}")
    if answer.compiled is not (answer.verdict is Verdict.COMPILES):
        problems.append(f"`compiled` is {answer.compiled} with the verdict {answer.verdict}")
    if answer.success is not (answer.verdict is not Verdict.INCONCLUSIVE):
        problems.append(f"`success` is {answer.success} with the verdict {answer.verdict}")
    errors = [each for each, _ in found if each.severity in _ERRORS]
    if bool(errors) is not (answer.verdict is Verdict.REJECTED):
        problems.append(f"{len(errors)} errors with the verdict {answer.verdict}")
    for expected in case.diagnostics:
        if expected.covers(run) and not any(expected.matches(*each) for each in found):
            said = expected.model_dump(exclude_defaults=True, mode="json")
            problems.append(f"no diagnostic is {said}")
    for severity, count in case.count.items():
        counted = sum(each.severity == severity for each, _ in found)
        if counted != count:
            problems.append(f"{counted} of severity {severity}, not {count}")
    foreign = {each.file for each, _ in found if each.file and each.file.startswith("/work")}
    if foreign:
        problems.append(f"files are named by the workspace's path: {foreign}")
    if problems:
        shown = "\n".join(f"    {each!r}" for each, _ in found)
        problems.append(f"{run}: {answer.error}\n{answer.stdout}{answer.stderr}\n{shown}")
    return problems


def _any_matches(patterns: Sequence[str], name: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _named(patterns: Sequence[str], offered: Sequence[str], default: str) -> Sequence[str]:
    return [each for each in offered if _any_matches(patterns, each)] if patterns else (default,)


def _with_parents(
    diagnostics: Sequence[Diagnostic], parent: Diagnostic | None = None
) -> Iterator[tuple[Diagnostic, Diagnostic | None]]:
    for diagnostic in diagnostics:
        yield diagnostic, parent
        yield from _with_parents(diagnostic.children, diagnostic)
