"""The acceptance cases of tests/support/case_files.py against every compiler that this machine has.

They go in as the body of a request, are resolved as the API does it, and each answer is also compared with
the bare compiler's.
"""

import json
import subprocess
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from chalicelib.api import compile_request
from chalicelib.models import CompileRequest, Environment, Verdict
from tests.support.case_files import Offer, Run, body_of, case_folders, problems_of, read_case, runs_of
from tests.support.compilers import RealCompilers, real_compilers
from tests.support.native_run import bare_command, bare_environment, run_bare, same_names
from tests.support.tiers import in_tier

# As many as the smallest machine that runs these tests has cores.
_THREADS = 2

# Each case costs a run per compiler: below these there is a hole, above them no promise.
_LEAST_CASES = 150
_LEAST_CASES_PER_LANGUAGE = 10
_LEAST_RUNS_PER_COMPILER = 8

# Programs for the oldest standard too, where that of the self-test needs a newer one.
_PLAIN = {"c": "int value;\n", "cpp": "int value;\n", "fortran": "end\n"}


def offers_of(real: RealCompilers) -> list[Offer]:
    """What this machine offers, as a client would be told."""
    return [Offer.model_validate(each.model_dump(mode="json")) for each in real.toolchains.environments]


def _request(folder: Path, run: Run, real: RealCompilers) -> CompileRequest:
    body = json.dumps(body_of(read_case(folder), folder.parent.name, run, real.catalog)).encode()
    return compile_request.resolve(compile_request.parse(body), real.catalog, real.toolchains.environments)


# The first of them waits for the probe of all compilers.
@pytest.mark.timeout(400)
@pytest.mark.parametrize("folder", case_folders(), ids=lambda folder: f"{folder.parent.name}/{folder.name}")
def test_the_service_answers_a_case_as_expected_and_as_the_bare_compiler_does(
    folder: Path, tmp_path: Path
) -> None:
    """Verdict, diagnostics, exit status and messages are what the case and the compiler itself say."""
    real = real_compilers()
    case = read_case(folder)
    runs = list(runs_of(case, folder.parent.name, offers_of(real)))
    if not runs:
        # None of its compilers is here; that each compiler here has its cases is the next test's claim.
        pytest.skip(f"nothing here compiles it: {case.compilers} {case.standards} {case.targets}")

    def check(run: Run) -> list[str]:
        result = real.compiler.compile(folder.name, _request(folder, run, real))
        problems = problems_of(case, run, result.model_dump(mode="json"))
        if result.verdict is Verdict.INCONCLUSIVE or in_tier(fast=True, full=False):
            return problems
        bare = run_bare(result, case.files, tmp_path)
        if bare.exit_code != result.exit_code:
            problems.append(f"{run}: exit status {result.exit_code}, the bare compiler's is {bare.exit_code}")
        service = (same_names(result.stdout), same_names(result.stderr))
        if service != (bare.stdout, bare.stderr):
            problems.append(f"{run}: {service} is not {(bare.stdout, bare.stderr)}")
        return problems

    with ThreadPoolExecutor(_THREADS) as pool:
        problems = [problem for each in pool.map(check, runs) for problem in each]
    assert not problems, "\n".join(problems)


def test_there_are_cases_for_every_language_and_for_every_compiler_here() -> None:
    """No language of the catalogue is without its share of cases, and no compiler here without runs."""
    real = real_compilers()
    folders = case_folders()
    languages = Counter(folder.parent.name for folder in folders)
    print(dict(languages), languages.total())
    assert set(languages) == {language.id for language in real.catalog.languages}
    assert min(languages.values()) >= _LEAST_CASES_PER_LANGUAGE
    assert languages.total() >= _LEAST_CASES
    offers = offers_of(real)
    runs = Counter(
        (folder.parent.name, run.compiler)
        for folder in folders
        for run in runs_of(read_case(folder), folder.parent.name, offers)
    )
    print(dict(runs), runs.total())
    assert set(runs) == {(offer.language, offer.id) for offer in offers}
    assert min(runs.values()) >= _LEAST_RUNS_PER_COMPILER


# Two hundred compilations: a busy machine takes several times what a quiet one does.
@pytest.mark.timeout(600)
def test_every_registered_standard_is_one_that_the_compiler_takes() -> None:
    """A plain program compiles in each standard of each compiler: no standard is only claimed."""
    real = real_compilers()

    def refusal(environment: Environment, standard: str) -> str:
        language = real.catalog.language(environment.language)
        assert language is not None
        main = language.default_main
        source = _PLAIN.get(language.id, language.self_test.good)
        request = CompileRequest(
            files={main: source},
            main=main,
            language=language.id,
            compiler=environment.id,
            standard=standard,
            architecture=real.architecture,
            os=real.os,
            stage=environment.stages[0],
        )
        result = real.compiler.compile("standard", request)
        return "" if result.compiled else f"{result.command}: {result.stdout}{result.stderr}"

    pairs = [(each, standard) for each in real.toolchains.environments for standard in each.standards]
    with ThreadPoolExecutor(_THREADS) as pool:
        refusals = list(pool.map(lambda pair: refusal(*pair), pairs))
    assert [refusal for refusal in refusals if refusal] == []


def test_the_default_standard_is_the_compilers_own(tmp_path: Path) -> None:
    """What is compiled without naming a standard is what the bare C or C++ compiler would compile it as."""
    real = real_compilers()
    macros = {"c": "__STDC_VERSION__", "cpp": "__cplusplus"}
    asked = [each for each in real.toolchains.environments if each.language in macros]
    assert {each.language for each in asked} == set(macros)
    for environment in asked:
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
                env=bare_environment(tmp_path),
                capture_output=True,
                encoding="utf-8",
                check=True,
                timeout=60,
            ).stdout
            for standard in ([], [f"-std={entry.default_standard}"])
        ]
        assert macros[environment.language] in printed[0]
        assert printed[0] == printed[1], f"{environment.language} {environment.id}"
