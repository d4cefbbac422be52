"""The service against the bare compilers, over the corpus of this folder.

For each file the verdict must be what the bare compiler's exit status says, both streams must be equal byte
for byte once paths are mapped, and the diagnostics must be the messages that an independent count finds in
the bare output: none missing, none invented. What each compiler reached is printed as precision and recall.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from chalicelib.models import CompileRequest, Diagnostic, Environment, Severity, Verdict
from runner.workspace import INSIDE
from tests.differential.corpus import Sample, languages, samples
from tests.differential.counting import COUNTERS, Message
from tests.support.compilers import RealCompilers, real_compilers
from tests.support.native_run import run_bare, same_names
from tests.support.tiers import in_tier

# As many as the smallest machine that runs these tests has cores.
_THREADS = 2

# Of a family's versions the newest one stands for all, or the whole would take half an hour; zig's front end
# for C is clang's, so it gets every fifth file.
_EVERY = {"zig-cc": 5}

# The compilers that every machine with `bin/setup` has; rustc, which cannot run everywhere, comes on top.
_LEAST_FILES = 300


@dataclass(slots=True)
class _Score:
    """What became of one compiler's files."""

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
    """The newest compiler of each family that is here."""
    newest: dict[str, Environment] = {}
    for environment in sorted(real.toolchains.environments, key=lambda each: each.version_key):
        if environment.language == language:
            newest[environment.family] = environment
    return list(newest.values())


def _messages(diagnostics: Iterable[Diagnostic]) -> Counter[Message]:
    found: Counter[Message] = Counter()
    for each in diagnostics:
        if each.severity is not Severity.NOTE:
            severity = "warning" if each.severity is Severity.WARNING else "error"
            found[severity, each.file or "", each.line or 0] += 1
    return found


def _mapped(messages: Counter[Message]) -> Counter[Message]:
    """Messages with files called as the request does: compilers say ./a.h for a header beside the source."""
    found: Counter[Message] = Counter()
    for (severity, file, line), count in messages.items():
        found[severity, file.removeprefix(f"{INSIDE}/").removeprefix("./"), line] += count
    return found


def _compare(
    real: RealCompilers, environment: Environment, sample: Sample, parent: Path
) -> tuple[Counter[Message], Counter[Message], Verdict, list[str]]:
    """What the bare compiler printed, what the service reported, its verdict, and what differs besides."""
    language = real.catalog.language(environment.language)
    assert language is not None
    request = CompileRequest(
        files=sample.files,
        main=language.default_main,
        language=environment.language,
        compiler=environment.id,
        standard=environment.default_standard,
        architecture=real.architecture,
        os=real.os,
    )
    result = real.compiler.compile("differential", request)
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
        answers = list(pool.map(lambda sample: _compare(real, environment, sample, parent), chosen))
    for sample, (printed, reported, verdict, problems) in zip(chosen, answers, strict=True):
        score.files += 1
        score.rejected += verdict is Verdict.REJECTED
        score.printed += printed.total()
        score.reported += reported.total()
        score.agreed += (printed & reported).total()
        score.problems += [f"{environment.id}: {sample.name}: {problem}" for problem in problems]
    return score


# A busy machine takes several times what a quiet one does.
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
        # A corpus that is only accepted, or only rejected, would show little.
        assert 0 < score.rejected < score.files


def test_the_corpus_is_large_enough_for_the_compilers_here() -> None:
    """At least 300 files are compared on this machine, and every language of the catalogue has its own."""
    real = real_compilers()
    here = {environment.language for environment in real.toolchains.environments}
    counts = {language: len(samples(language)) for language in languages()}
    print(counts)
    assert set(counts) == {language.id for language in real.catalog.languages}
    assert sum(count for language, count in counts.items() if language in here) >= _LEAST_FILES


def test_the_corpus_is_the_same_each_time() -> None:
    """Nothing in it depends on the run, so a difference that was found can be found again."""
    for language in languages():
        assert samples(language) == samples(language)
