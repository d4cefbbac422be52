"""The service compared with the bare compilers, for the corpus of this folder.

For each file the verdict must agree with the bare compiler's exit status, both streams must be equal byte for
byte once paths are mapped, and the diagnostics must be the messages that an independent count finds in the
bare output: none missing, none invented. Precision and recall of each compiler are printed.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from chalicelib.models import Diagnostic, Environment, Severity, Verdict
from runner.workspace import INSIDE
from tests.differential.corpus import Sample, languages, samples
from tests.differential.counting import COUNTERS, Message
from tests.support.compilers import RealCompilers, real_compilers
from tests.support.native_run import run_bare, same_names
from tests.support.tiers import in_tier

# As many as the smallest machine that runs these tests has cores.
_THREADS = 2

# Only the newest version of each family is tested, or this would take half an hour. The front end of zig cc
# is clang's, so it gets every fifth file.
_EVERY = {"zig-cc": 5}

# With the compilers that `bin/setup` installs on every machine; rustc, which cannot always run, adds more.
_LEAST_FILES = 300


@dataclass(slots=True)
class _Score:
    """The results for one compiler's files."""

    files: int = 0
    rejected: int = 0
    printed: int = 0
    reported: int = 0
    agreed: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def precision(self) -> float:
        return self.agreed / self.reported if self.reported else 1.0

    @property
    def recall(self) -> float:
        return self.agreed / self.printed if self.printed else 1.0


def _chosen(real: RealCompilers, language: str) -> list[Environment]:
    """The newest compiler of each family on this machine."""
    newest: dict[str, Environment] = {}
    for environment in sorted(real.toolchains.environments, key=lambda each: each.version_key):
        if environment.language == language:
            newest[environment.family] = environment
    return list(newest.values())


def _messages(diagnostics: Iterable[Diagnostic]) -> Counter[Message]:
    messages: Counter[Message] = Counter()
    for item in diagnostics:
        if item.severity is not Severity.NOTE:
            severity = "warning" if item.severity is Severity.WARNING else "error"
            messages[severity, item.file or "", item.line or 0] += 1
    return messages


def _mapped(messages: Counter[Message]) -> Counter[Message]:
    """Messages with the request's file names: compilers print ./a.h for a header beside the source."""
    mapped: Counter[Message] = Counter()
    for (severity, file, line), count in messages.items():
        mapped[severity, file.removeprefix(f"{INSIDE}/").removeprefix("./"), line] += count
    return mapped


def _compare(
    real: RealCompilers, environment: Environment, sample: Sample, parent: Path
) -> tuple[Counter[Message], Counter[Message], Verdict, list[str]]:
    """Messages of the bare compiler and of the service, the verdict, and all problems in words."""
    language = real.catalog.language(environment.language)
    assert language is not None
    request = real.request(environment, sample.files, language.default_main)
    result = real.executor.compile("differential", request)
    bare = run_bare(result, sample.files, parent)
    problems = []
    expected = Verdict.REJECTED if bare.exit_code else Verdict.COMPILES
    if result.verdict is not expected or result.exit_code != bare.exit_code:
        problems.append(f"{result.verdict} ({result.exit_code}, {result.error}) for {bare.exit_code}")
    for name, ours, theirs in (
        ("stdout", same_names(result.stdout), bare.stdout),
        ("stderr", same_names(result.stderr), bare.stderr),
    ):
        if ours != theirs:
            problems.append(f"{name} is\n{ours}\nand not\n{theirs}")
    printed = _mapped(COUNTERS[environment.family](f"{bare.stdout}\n{bare.stderr}"))
    reported = _messages(result.diagnostics)
    if printed != reported:
        problems.append(
            f"missing {printed - reported}, invented {reported - printed} in\n{bare.stdout}{bare.stderr}"
        )
    return printed, reported, result.verdict, problems


def _score(real: RealCompilers, environment: Environment, corpus: Sequence[Sample], parent: Path) -> _Score:
    score = _Score()
    every = _EVERY.get(environment.family, 1) * in_tier(fast=10, full=1)
    chosen = corpus[::every]
    with ThreadPoolExecutor(_THREADS) as pool:
        results = list(pool.map(lambda sample: _compare(real, environment, sample, parent), chosen))
    for sample, (printed, reported, verdict, problems) in zip(chosen, results, strict=True):
        score.files += 1
        score.rejected += verdict is Verdict.REJECTED
        score.printed += printed.total()
        score.reported += reported.total()
        score.agreed += (printed & reported).total()
        score.problems += [f"{environment.id}: {sample.name}: {problem}" for problem in problems]
    return score


# A busy machine takes several times as long as a quiet one.
@pytest.mark.timeout(900)
@pytest.mark.parametrize("language", languages())
def test_the_service_says_what_the_bare_compiler_says(language: str, tmp_path: Path) -> None:
    """Verdict, exit status and text are the bare compiler's; precision and recall are both 1."""
    real = real_compilers()
    corpus = samples(language)
    scores = {each: _score(real, each, corpus, tmp_path) for each in _chosen(real, language)}
    for environment, score in scores.items():
        print(
            f"{language:10} {environment.id:12} {score.files:3} files, {score.rejected:3} rejected, "
            f"{score.printed:4} messages, precision {score.precision:.3f}, recall {score.recall:.3f}"
        )
    assert [problem for score in scores.values() for problem in score.problems] == []
    for score in scores.values():
        assert (score.precision, score.recall) == (1.0, 1.0)
        # A corpus that only compiles, or is only rejected, would test little; one file may be either.
        assert score.files == 1 or 0 < score.rejected < score.files


def test_the_corpus_is_large_enough_for_the_compilers_here() -> None:
    """At least 300 files are compared on this machine, and there are some for every language."""
    real = real_compilers()
    here = {environment.language for environment in real.toolchains.environments}
    counts = {language: len(samples(language)) for language in languages()}
    print(counts)
    assert set(counts) == {language.id for language in real.catalog.languages}
    assert sum(count for language, count in counts.items() if language in here) >= _LEAST_FILES
