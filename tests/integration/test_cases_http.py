"""The acceptance cases of one compiler over HTTP, against the service as `make run` starts it."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from chalicelib.catalog import load_catalog
from tests.support.case_client import CaseClient
from tests.support.case_files import Case, Run, body_of, case_folders, problems_of, read_case, runs_of
from tests.support.compilers import real_compilers
from tests.support.processes import ApiProcess

# As many as the smallest machine that runs these tests has cores.
_THREADS = 2

# Testing one compiler takes two seconds; this is for a much busier machine.
_READY_SECONDS = 60


# The first test that needs the compilers waits for the probe of all of them.
@pytest.mark.timeout(400)
def test_the_cases_of_a_compiler_hold_over_http() -> None:
    """What the cases say of one gcc is what a client is answered."""
    gcc = next(
        each.id
        for each in real_compilers().toolchains.environments
        if (each.language, each.family) == ("c", "gcc")
    )
    with ApiProcess({"COMPILERS": f"c/{gcc}", "MAX_WORKERS": str(_THREADS)}) as api:
        api.wait_for(
            lambda: api.call("GET", "/ready").status == 200, "a runner", timeout_seconds=_READY_SECONDS
        )
        client = CaseClient(api)
        offers = client.offers()
        assert [(offer.language, offer.id) for offer in offers] == [("c", gcc)]
        cases = [read_case(folder) for folder in case_folders() if folder.parent.name == "c"]
        runs = [(case, run) for case in cases for run in runs_of(case, "c", offers)]

        def check(pair: tuple[Case, Run]) -> list[str]:
            case, run = pair
            return problems_of(case, run, client.answer(body_of(case, "c", run, load_catalog())))

        with ThreadPoolExecutor(_THREADS) as pool:
            problems = [problem for each in pool.map(check, runs) for problem in each]
    assert problems == []
    assert len(runs) >= len(cases) / 2
