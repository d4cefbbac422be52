"""The hostile corpus in languages other than C and C++, checked as those are.

Each language is attacked through its newest compiler: that of this host, or of the image when this runs in a
container (test_setpriv.py). A language that the catalogue gains needs a table in `hostile/cases`.
"""

import pytest

from chalicelib.catalog import load_catalog
from runner.sandbox.base import Sandbox
from tests.sandbox.hostile.corpus import Case, load_corpus
from tests.sandbox.hostile.secrets import Secrets
from tests.sandbox.language_tools import LANGUAGES, expected_here, languages_here, probed
from tests.sandbox.test_hostile import check_case
from tests.support.skipping import missing

_CORPUS = load_corpus(others=True)

# Each language has at least this many cases.
_CASES = 6


@pytest.mark.parametrize(
    "case", [case for case in _CORPUS if case.language in languages_here()], ids=lambda case: case.id
)
def test_a_hostile_job_in_any_language_gets_its_verdict_and_nothing_else(
    case: Case, one_sandbox: Sandbox, hidden: Secrets
) -> None:
    """Verdict and reason are the table's; no secret, nothing that acts, and no trace of the job is left."""
    toolchains = probed(one_sandbox, case.language)
    compilers = [environment.id for environment in toolchains.environments]
    check_case(case, one_sandbox, toolchains, hidden, compilers)


def test_every_language_has_cases_and_a_compiler_here() -> None:
    """No language of the catalogue is without a table, and none is left out on this host unnoticed."""
    assert {language.id for language in load_catalog().languages} == {"c", "cpp", *LANGUAGES}
    for language in LANGUAGES:
        names = [case.id for case in _CORPUS if case.language == language]
        assert len(set(names)) == len(names) >= _CASES, language
    if absent := set(expected_here()) - set(languages_here()):
        missing(f"no compiler for {sorted(absent)}")
