"""The fast tier is a part of everything, and has something of each kind that the full tier has."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.support.servers.tools import ROOT
from tests.support.tiers import ALL, FAST, RULES, VARIABLE, fast_tier, parameter

# Collecting takes 10 s of a processor; a busy machine has less than one.
_COLLECT_SECONDS = 200

# Collects everything, and prints what the tests below look at. In a process of its own, because this one may
# have collected only a part.
_COLLECT = """
import json, pytest
from tests.unit.test_tiers import summary
class Plugin:
    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session):
        print("\\n" + json.dumps(summary(session.items)))
options = ["--collect-only", "-qq", "-p", "no:cacheprovider", "tests"]
raise SystemExit(pytest.main(options, plugins=[Plugin()]))
"""


def summary(items: list[pytest.Item]) -> dict[str, Any]:
    """The tests of each tier, what kinds of test they are, and the rules without an effect."""
    return {
        "all": [item.nodeid for item in items],
        "fast": [item.nodeid for item in fast_tier(items)],
        "kinds": {ALL: kinds(items), FAST: kinds(fast_tier(items))},
        "idle": [rule.pattern for rule in RULES if len(fast_tier(items, [rule])) == len(items)],
    }


def kinds(items: Iterable[pytest.Item]) -> list[str]:
    """Folders, and parameters that stand for a sandbox, a store, a compiler, a limit or a step."""
    seen = set()
    for item in items:
        seen.add(f"folder {item.nodeid.split('/')[1]}")
        for name in ("sandbox_name", "stores", "compiler", "reason", "step"):
            if value := parameter(item, name):
                seen.add(f"{name} {value.partition('(')[0]}")
    return sorted(seen)


@pytest.fixture(scope="module")
def collected() -> dict[str, Any]:
    """What pytest collects in this checkout."""
    ran = subprocess.run(
        [sys.executable, "-c", _COLLECT],
        cwd=ROOT,
        env={**os.environ, VARIABLE: ALL},
        capture_output=True,
        text=True,
        timeout=_COLLECT_SECONDS,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr[-2000:]
    found: dict[str, Any] = json.loads(ran.stdout.strip().splitlines()[-1])
    return found


@pytest.mark.timeout(_COLLECT_SECONDS)
def test_the_full_tier_is_everything(collected: dict[str, Any]) -> None:
    """TIER=all leaves nothing out, and the fast tier has no test of its own."""
    assert set(collected["fast"]) < set(collected["all"])
    assert len(collected["fast"]) > len(collected["all"]) / 2


@pytest.mark.timeout(_COLLECT_SECONDS)
def test_every_rule_leaves_something_out(collected: dict[str, Any]) -> None:
    """A rule whose tests were renamed or deleted goes: it would say something that is not so."""
    assert collected["idle"] == []


@pytest.mark.timeout(_COLLECT_SECONDS)
def test_some_test_of_each_kind_is_in_the_fast_tier(collected: dict[str, Any]) -> None:
    """Only other servers, and sandboxes in containers, have no test in the fast tier."""
    left_out = set(collected["kinds"][ALL]) - set(collected["kinds"][FAST])
    assert left_out == {
        "sandbox_name docker",
        "stores fakeredis",
        "stores tls",
        "stores sentinel",
        "stores cluster",
        "stores prefix",
        "stores serverless",
    }


def test_every_rule_says_what_finds_the_fault() -> None:
    """A reason that names a test names one that exists."""
    for rule in RULES:
        for word in rule.reason.replace(",", " ").replace(":", " ").replace(";", " ").split():
            if word.endswith(".py"):
                names = [ROOT / word, *ROOT.glob(f"tests/*/{word}")]
                assert any(path.exists() for path in names), (rule.pattern, word)


@pytest.mark.parametrize(
    ("tier", "number", "compilers"),
    [(FAST, 3, ["gcc-11", "gcc-14", "clang-19"]), (ALL, 30, ["gcc-11", "gcc-12", "gcc-14", "clang-19"])],
)
def test_a_test_can_do_less_in_the_fast_tier(tier: str, number: int, compilers: list[str]) -> None:
    """`in_tier` is a number for each tier; `ends` are the first and the last of each group."""
    code = (
        "from tests.support.tiers import ends, in_tier\n"
        "names = ['gcc-11', 'gcc-12', 'gcc-14', 'clang-19']\n"
        "print(in_tier(fast=3, full=30), ends(names, key=lambda name: name.split('-')[0]))\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={VARIABLE: tier},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout == f"{number} {compilers}\n"


_INTERRUPTED = """
import os, signal
def test_it():
    pid = os.posix_spawn("/bin/sleep", ["sleep", "60"], {})
    os.kill(pid, signal.SIGINT)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGINT
"""


def test_what_a_test_starts_can_be_interrupted_even_from_a_background_shell(tmp_path: Path) -> None:
    """A shell starts background jobs with SIGINT ignored; pytest gives its children the default back."""
    (tmp_path / "test_it.py").write_text(_INTERRUPTED)
    (tmp_path / "conftest.py").write_text("from tests.conftest import pytest_configure\n")
    pytest_command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(tmp_path),
    ]
    ran = subprocess.run(
        ["bash", "-c", 'trap "" INT; exec "$@"', "bash", *pytest_command, str(tmp_path)],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "1 passed" in ran.stdout, ran.stdout + ran.stderr
