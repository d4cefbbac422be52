"""Which tests are in the fast tier, decided here and nowhere else.

`make test` runs the fast tier in minutes; `make test TIER=all`, which is what CI runs, takes everything. Both
find the same kinds of fault: what the fast tier leaves out is one more version, sandbox, server or repetition
of something that it does test, and each rule below says what finds the fault there.

- `RULES`: the tests that the fast tier leaves out, by pattern; tests/conftest.py applies them. A developer
  who names files, or uses -k or -m, gets everything that this selects.
- `in_tier(fast=…, full=…)`: a number inside a test, such as how many jobs it submits.
- `ends(…)`: of several versions the oldest and the newest, where the full tier takes all.

One more slow test: measure it (docs/testing.md), then add a rule. tests/unit/test_tiers.py checks that each
rule matches a test, and that tests of each kind stay in the fast tier.
"""

import os
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TypeVar

import pytest

T = TypeVar("T")

VARIABLE = "TIER"
FAST, ALL = "fast", "all"


@dataclass(frozen=True, slots=True)
class Rule:
    """Tests that the fast tier leaves out, and what finds their fault there.

    `pattern` is matched with path and name (`tests/faults/*::test_a*`), and with the parameters as well
    when it has a bracket (`[[]` is fnmatch's way to write one). With `marker`, only tests with that mark are
    meant. Of these the fast tier keeps those whose parameter `but[0]` is one of `but[1]` (a test without
    that parameter stays), or each `every`th; without both it keeps none.
    """

    pattern: str
    reason: str
    marker: str | None = None
    but: tuple[str, tuple[str, ...]] | None = None
    every: int | None = None

    def matches(self, item: pytest.Item) -> bool:
        """The rule is about this test."""
        name = item.nodeid if "[" in self.pattern else item.nodeid.partition("[")[0]
        return fnmatchcase(name, self.pattern) and (
            self.marker is None or item.get_closest_marker(self.marker) is not None
        )

    def keeps(self, item: pytest.Item, number: int) -> bool:
        """The fast tier keeps this test all the same; `number` counts the tests of one function from 0."""
        if self.every is not None:
            return number % self.every == 0
        if self.but is not None:
            value = parameter(item, self.but[0])
            return value is None or value in self.but[1]
        return False


RULES = (
    # Containers
    Rule(
        "*",
        "the docker and setpriv sandboxes pass the same contract and corpus as bubblewrap, and the images "
        "hold the same code",
        marker="engine",
    ),
    # Stores and servers
    *(
        Rule(
            f"tests/contract/*[[]*store-{name}*",
            "the contract over memory and one real Redis; topologies differ in how keys are routed, not in "
            "what a step does",
        )
        for name in ("fakeredis", "tls", "sentinel", "cluster", "prefix", "serverless")
    ),
    Rule("tests/integration/test_servers.py::*sentinel*", "only tests of the full tier need this server"),
    Rule("tests/integration/test_servers.py::*cluster*", "only tests of the full tier need this server"),
    Rule(
        "tests/integration/test_outage.py::test_*runner_says*",
        "tests/unit/test_redis_client.py: what the client makes of each error",
    ),
    Rule(
        "tests/integration/test_outage.py::test_unreachable_sentinels*",
        "the same test with one Redis that hangs",
    ),
    Rule("tests/integration/test_sharing.py::test_one_worker*", "the contract: jobs are claimed in order"),
    Rule("tests/integration/test_sharing.py::test_a_full_queue*", "the contract: a full queue is an error"),
    Rule("tests/integration/test_sharing.py::test_a_stopped*", "the contract: a released job is queued"),
    # Faults
    Rule(
        "tests/faults/test_poison.py::test_poison_is*[[]cluster*",
        "the same poison in one server: a cluster differs in how keys are routed and named",
    ),
    Rule(
        "tests/faults/test_redis_killed.py::test_jobs_survive*",
        "the stricter of the two ways to write to the disk, where no job may be lost",
        but=("fsync", ("always",)),
    ),
    Rule(
        "tests/faults/test_redis_killed.py::*failover*",
        "the killed Redis that comes back: the same errors for the client",
    ),
    Rule(
        "tests/faults/test_bounded.py::*", "tests/faults/test_lost_keys.py: each kind of leftover is removed"
    ),
    Rule(
        "tests/faults/test_states.py::test_the_model*",
        "it tests the model, which changes rarely; the model itself runs",
    ),
    Rule(
        "tests/faults/test_poison.py::test_poison_is_one_jobs_end",
        "each fifth pair of a key and what is wrong with it",
        every=5,
    ),
    Rule("tests/faults/test_memory.py::test_under_eviction*", "the full Redis that refuses writes"),
    # Compilers
    Rule(
        "tests/integration/test_cases.py::test_the_service_answers*[[][!c]*",
        "every case of C and C++, and each fourth of the other languages",
        every=4,
    ),
    Rule("tests/integration/test_cases.py::test_few_cases*", "it counts what only the full tier compiles"),
    Rule("tests/integration/test_cases.py::test_every_*standard*", "the cases, which use many standards"),
    Rule(
        "tests/differential/*::test_the_service_says*",
        "each tenth file of C and C++; the text of every other compiler is in tests/unit/diagnostics",
        but=("language", ("c", "cpp")),
    ),
    Rule("tests/differential/*::test_the_corpus_is_large*", "it counts what only the full tier compiles"),
    Rule(
        "tests/integration/test_matrix.py::test_*sarif*",
        "tests/unit/test_sarif.py; the validator of the format comes with npm",
    ),
    Rule(
        "tests/unit/test_sarif_golden.py::*valid*",
        "the golden files themselves are compared; the validator comes with npm",
    ),
    Rule("tests/unit/test_sarif_golden.py::test_the_schema*", "it tests the validator, which comes with npm"),
    # Sandboxes
    Rule(
        "tests/sandbox/test_language_limits.py::*",
        "test_contract.py finds each limit, test_false_verdicts.py reads the words of gcc and clang, "
        "tests/unit/limit_words those of the other compilers",
    ),
    Rule(
        "tests/sandbox/test_hostile_languages.py::*",
        "the corpus in C and C++: what a process may do does not depend on the language that it compiles",
    ),
    Rule(
        "tests/sandbox/test_limit_attacks.py::test_memory_of_the_kernel*",
        "what processes and their network namespace show; pipes and mappings take longer to be taken",
        but=("word", ("page-tables", "socket-buffers")),
    ),
    Rule(
        "tests/sandbox/test_limit_attacks.py::test_processor_time*",
        "test_contract.py: the time of children that vanish counts",
    ),
    Rule(
        "tests/sandbox/test_false_verdicts.py::test_a_limit_is_never*",
        "one stage of each limit, with fewer values",
        but=("stage", ("compile",)),
    ),
    Rule(
        "tests/sandbox/test_false_verdicts.py::test_a_limit_is_never*[[]*open_files*",
        "test_contract.py finds the limit; a compiler without files may compute until its time is over",
    ),
    Rule(
        "tests/sandbox/test_bubblewrap.py::*dies_while_it_starts*",
        "test_contract.py: no process is left of a run that ended or was cancelled",
    ),
    Rule("tests/sandbox/test_between_jobs.py::test_two_hundred*", "each hostile case looks for what it left"),
    Rule(
        "tests/sandbox/test_between_jobs.py::test_an_honest_job*",
        "the neighbour that takes most: forty processes that compute",
        but=("hostile", ("spinning children",)),
    ),
    Rule("tests/sandbox/test_between_jobs.py::test_no_other*", "the neighbour that takes most"),
    Rule("tests/sandbox/test_overload.py::*", "test_between_jobs.py: an honest job beside a hostile one"),
    # AWS
    Rule(
        "tests/aws/test_deploy.py::test_deploy_twice*",
        "one way through the stacks, with the defaults",
        every=4,
    ),
    Rule("tests/aws/test_unfinished.py::*", "the deployment that runs twice; tests/unit/test_infra.py"),
    Rule("tests/aws/test_faults.py::*", "tests/unit/test_deploy_errors.py: each error has its message"),
    Rule("tests/aws/test_function.py::*", "tests/integration/test_package.py runs the same zip"),
    Rule("tests/aws/test_metrics.py::*", "tests/unit/test_cloudwatch_metrics.py"),
    Rule("tests/aws/test_zones.py::*", "the deployment that chooses its zones"),
    Rule("tests/aws/test_destroy.py::test_the_role*", "the deployment that is destroyed"),
    Rule("tests/aws/test_checkov.py::*", "cfn-lint, and test_rights.py for the rules that we chose"),
    # What users type
    Rule("tests/e2e/test_recipes.py::test_a_recipe*", "each fourth recipe", every=4),
    Rule("tests/e2e/test_recipes.py::test_all_recipes*", "the recipes one by one"),
    Rule("tests/e2e/test_readme.py::test_make_test*", "`make test` itself is running"),
    Rule("tests/e2e/test_locks.py::test_locking*", "tests/unit/test_locks.py compares them offline"),
    Rule("tests/e2e/test_readme.py::test_the_check*", "tests/unit/test_start_up.py"),
    Rule("tests/e2e/test_readme.py::test_ctrl_c*", "tests/integration/test_processes.py: a signal ends it"),
)


def parameter(item: pytest.Item, name: str) -> str | None:
    """A parameter of a test as text, by its own name if it has one; None without that parameter."""
    if not isinstance(item, pytest.Function) or not hasattr(item, "callspec"):
        return None
    if name not in item.callspec.params:
        return None
    value = item.callspec.params[name]
    return str(getattr(value, "name", value))


def fast_tier(items: Iterable[pytest.Item], rules: Sequence[Rule] = RULES) -> list[pytest.Item]:
    """The tests of the fast tier, in the order that they have."""
    numbers: Counter[tuple[Rule, str]] = Counter()
    kept: list[pytest.Item] = []
    for item in items:
        stays = True
        for rule in rules:
            if rule.matches(item):
                key = (rule, item.nodeid.partition("[")[0])
                stays = rule.keeps(item, numbers[key]) and stays
                numbers[key] += 1
        if stays:
            kept.append(item)
    return kept


def tier() -> str:
    """The tier of this run. Outside of a run, and inside a container, everything."""
    return os.environ.get(VARIABLE, ALL)


def in_tier(*, fast: T, full: T) -> T:
    """A value for each tier."""
    return fast if tier() == FAST else full


def ends(values: Sequence[T], key: Callable[[T], Hashable] = lambda _: None) -> list[T]:
    """In the fast tier the first and the last of each group with the same `key`, otherwise all of them."""
    if tier() != FAST:
        return list(values)
    groups: dict[Hashable, list[int]] = {}
    for index, value in enumerate(values):
        groups.setdefault(key(value), []).append(index)
    chosen = {index for indices in groups.values() for index in (indices[0], indices[-1])}
    return [value for index, value in enumerate(values) if index in chosen]
