"""The acceptance cases of tests/support/case_files.py with every compiler of this machine.

Each case is the body of a request and is resolved as the API does it; each answer is also compared with the
output of the bare compiler.
"""

import json
import os
import subprocess
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from chalicelib.api import compile_request
from chalicelib.models import CompileRequest, Environment, Verdict
from tests.support.case_files import Offer, Run, body_of, case_folders, problems_of, read_case, runs_of
from tests.support.compilers import RealCompilers, may_be_missing, real_compilers
from tests.support.native_run import bare_command, bare_env, run_bare, same_names
from tests.support.tiers import in_tier

# As many as the smallest machine that runs these tests has cores.
_THREADS = 2

# With fewer there would be a gap in what is tested; more are welcome, but each costs a run per compiler.
_LEAST_CASES = 150
_LEAST_CASES_PER_LANGUAGE = 10
_LEAST_RUNS_PER_COMPILER = 8
# Cases of a language that may be skipped although it has compilers here: they need a newer one.
_MOST_SKIPPED_PER_LANGUAGE = 2

# Programs for the oldest standards, if the self-test's program needs a newer one.
_PLAIN = {"c": "int value;\n", "cpp": "int value;\n", "fortran": "end\n"}


def _offers(environments: Iterable[Environment]) -> list[Offer]:
    """Environments as a client gets them."""
    return [Offer.model_validate(item.model_dump(mode="json")) for item in environments]


def _request(folder: Path, run: Run, real: RealCompilers) -> CompileRequest:
    body = json.dumps(body_of(read_case(folder), folder.parent.name, run, real.catalog)).encode()
    return compile_request.resolve(compile_request.parse(body), real.catalog, real.toolchains.environments)


# The first test waits for the probe of all compilers.
@pytest.mark.timeout(400)
@pytest.mark.parametrize("folder", case_folders(), ids=lambda folder: f"{folder.parent.name}/{folder.name}")
def test_the_service_answers_a_case_as_expected_and_as_the_bare_compiler_does(
    folder: Path, tmp_path: Path
) -> None:
    """Verdict and diagnostics are those of the case; exit status and output are the bare compiler's."""
    real = real_compilers()
    case = read_case(folder)
    runs = list(runs_of(case, folder.parent.name, _offers(real.toolchains.environments)))
    if not runs:
        pytest.skip(f"no compiler here for {case.compilers} {case.standards} {case.targets}")

    def check(run: Run) -> list[str]:
        result = real.executor.compile(folder.name, _request(folder, run, real))
        problems = problems_of(case, run, result.model_dump(mode="json"))
        if result.verdict is Verdict.INCONCLUSIVE or in_tier(fast=True, full=False):
            return problems
        bare = run_bare(result, case.files, tmp_path)
        if bare.exit_code != result.exit_code:
            problems.append(f"{run}: exit status {result.exit_code}, the bare compiler has {bare.exit_code}")
        service = (same_names(result.stdout), same_names(result.stderr))
        if service != (bare.stdout, bare.stderr):
            problems.append(f"{run}: {service} is not {(bare.stdout, bare.stderr)}")
        return problems

    with ThreadPoolExecutor(_THREADS) as pool:
        problems = [problem for found in pool.map(check, runs) for problem in found]
    assert not problems, "\n".join(problems)


def test_there_are_cases_for_every_language_and_for_every_compiler_here() -> None:
    """Every language of the catalogue has its share of cases, and every compiler here has runs."""
    real = real_compilers()
    folders = case_folders()
    languages = Counter(folder.parent.name for folder in folders)
    print(dict(languages), languages.total())
    assert set(languages) == {language.id for language in real.catalog.languages}
    assert min(languages.values()) >= _LEAST_CASES_PER_LANGUAGE
    assert languages.total() >= _LEAST_CASES
    offers = _offers(real.toolchains.environments)
    runs = Counter(
        (folder.parent.name, run.compiler)
        for folder in folders
        for run in runs_of(read_case(folder), folder.parent.name, offers)
    )
    print(dict(runs), runs.total())
    assert set(runs) == {(offer.language, offer.id) for offer in offers}
    assert min(runs.values()) >= _LEAST_RUNS_PER_COMPILER


def test_few_cases_are_skipped() -> None:
    """On CI every language has compilers, and at most two of its cases need one that is missing."""
    real = real_compilers()
    offers = _offers(real.toolchains.environments)
    skipped = Counter(
        folder.parent.name
        for folder in case_folders()
        if not any(runs_of(read_case(folder), folder.parent.name, offers))
    )
    print(dict(skipped), skipped.total())
    here = {offer.language for offer in offers}
    if os.environ.get("CI") == "true":
        assert set(skipped) - here <= may_be_missing()
        assert all(count <= _MOST_SKIPPED_PER_LANGUAGE for name, count in skipped.items() if name in here)


# Two hundred compiles: a busy machine takes several times as long as a quiet one.
@pytest.mark.timeout(600)
def test_every_registered_standard_is_one_that_the_compiler_takes() -> None:
    """A plain program compiles in each standard of each compiler: no standard is only claimed."""
    real = real_compilers()

    def failure(environment: Environment, standard: str) -> str:
        language = real.catalog.language(environment.language)
        assert language is not None
        main = language.default_main
        source = _PLAIN.get(language.id, language.self_test.good)
        stage = environment.stages[0]
        request = real.request(environment, {main: source}, main, standard=standard, stage=stage)
        result = real.executor.compile("standard", request)
        return "" if result.compiled else f"{result.command}: {result.stdout}{result.stderr}"

    pairs = [(item, standard) for item in real.toolchains.environments for standard in item.standards]
    with ThreadPoolExecutor(_THREADS) as pool:
        failures = list(pool.map(lambda pair: failure(*pair), pairs))
    assert [failure for failure in failures if failure] == []


def test_the_default_standard_is_the_compilers_own(tmp_path: Path) -> None:
    """Without a standard in the request a source is compiled as the bare C or C++ compiler would do it."""
    real = real_compilers()
    macros = {"c": "__STDC_VERSION__", "cpp": "__cplusplus"}
    environments = [item for item in real.toolchains.environments if item.language in macros]
    assert {item.language for item in environments} == set(macros)
    for environment in environments:
        language = real.catalog.language(environment.language)
        assert language is not None
        entry = real.toolchains.entry(environment)
        printed = [
            subprocess.run(
                [
                    *bare_command(entry.command),
                    *standard,
                    *("-x", language.input_language, "-dM", "-E", "/dev/null"),
                ],
                env=bare_env(tmp_path),
                capture_output=True,
                encoding="utf-8",
                check=True,
                timeout=60,
            ).stdout
            for standard in ([], [f"-std={entry.default_standard}"])
        ]
        assert macros[environment.language] in printed[0]
        assert printed[0] == printed[1], f"{environment.language} {environment.id}"
