"""No limit is ever called a rejection, nor a success: each limit, for gcc and clang, from tight to wide.

A program that compiles without the limit is compiled under it. `test_verdicts.py` tests one value of each
limit; here each is swept over its whole range, because compilers notice the same limit in different places,
and word it in different ways, the further they get. In the docker sandbox a run takes most of a second, so a
few values of each limit have to do: too tight, in between, and wide enough.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import pytest

from chalicelib.models import Reason, Verdict
from runner.sandbox.base import Command, Limits, Sandbox, SandboxError
from runner.sandbox.limits import MIB, default_limits
from runner.workspace import Workspace
from tests.sandbox.hostile.programs import program
from tests.sandbox.support import can_start, judge, sandboxes_here
from tests.support.engine import Engine
from tests.support.tiers import in_tier

COMPILERS = ("g++", "clang++")
_HEAVY = '#include <regex>\nint main() { std::regex r("a+"); return 0; }\n'
_LIGHT = "#include <cstddef>\nint main() { return 0; }\n"
_LARGE = (
    "#include <vector>\n"
    + "".join(f"int f{n}(int x) {{ return x * {n}; }} std::vector<int> v{n};\n" for n in range(400))
    + "int main() { return f1(1); }\n"
)
_WARNINGS = "\n".join(f"#warning number {n}" for n in range(200)) + "\nint main() {}\n"


def _slow(constants: int) -> str:
    """A program of constants, each of which takes a compiler a tenth of a second."""
    return (
        "constexpr unsigned f(unsigned s) { for (unsigned i = 0; i < 300; ++i)"
        " for (unsigned j = 0; j < 300; ++j) s += i ^ j; return s; }\n"
        + "".join(f"constexpr unsigned c{n} = f({n});\n" for n in range(constants))
        + "int main() {}\n"
    )


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What the runner makes of one run; `detail` is for a message."""

    verdict: Verdict
    reason: Reason | None
    detail: str


def _compile(
    sandbox: Sandbox, compiler: str, arguments: Sequence[str], source: str, **changes: Any
) -> _Outcome:
    """Compile under the default limits with `changes`."""
    family = "clang" if compiler.startswith("clang") else "gcc"
    limits: Limits = replace(default_limits(), **changes)
    argv = [program(sandbox, compiler), *arguments, "main.cpp"]
    with Workspace.create({"main.cpp": source}) as workspace:
        try:
            run = sandbox.run(Command(argv), workspace, limits)
        except SandboxError as error:
            # As `JobExecutor` does.
            return _Outcome(Verdict.INCONCLUSIVE, Reason.INFRASTRUCTURE, f"{changes}: {error}")
    verdict, reason = judge(family, run)
    detail = f"{changes}: exit {run.exit_code}, signal {run.signal}, {run.limit_hit}: {run.stderr[:400]!r}"
    return _Outcome(verdict, reason, detail)


@dataclass(frozen=True, slots=True)
class Sweep:
    """A limit, from so tight that nothing works to so wide that it is never hit."""

    limit: str
    reason: Reason
    source: str
    low: int
    high: int
    steps: int
    stages: tuple[str, ...] = ("compile", "link")

    def values(self) -> list[int]:
        """`steps` whole numbers, the ends included; in the fast tier three."""
        steps = in_tier(fast=3, full=self.steps)
        return [self.low + (self.high - self.low) * step // (steps - 1) for step in range(steps)]


# At the highest value each compiler must succeed. It is not much above that, because every step that compiles
# costs a whole compile.
SWEEPS = (
    Sweep("memory_bytes", Reason.MEMORY, _HEAVY, 24 * MIB, 200 * MIB, 20, ("syntax",)),
    Sweep("memory_bytes", Reason.MEMORY, _HEAVY, 24 * MIB, 240 * MIB, 6, ("compile", "link")),
    Sweep("disk_bytes", Reason.DISK, _LARGE, 64 * 1024, 1400 * 1024, 12),
    Sweep("processes", Reason.PROCESSES, _LIGHT, 1, 6, 6),
    Sweep("flood_bytes", Reason.OUTPUT, _WARNINGS, 1, 40_000, 12, ("compile",)),
    Sweep("open_files", Reason.INFRASTRUCTURE, _LIGHT, 4, 20, 9),
)
_STAGES = {"syntax": ("-fsyntax-only",), "compile": ("-g", "-c"), "link": ("-g", "-omain")}


# For docker and setpriv: of each limit the sweep that goes furthest, to a program where one of them does. How
# compilers word a limit does not depend on the sandbox.
_SHORT_SWEEPS = {sweep.limit: replace(sweep, steps=3, stages=sweep.stages[-1:]) for sweep in SWEEPS}

_each_compiler = pytest.mark.parametrize("compiler", COMPILERS)
_each_time_limit = pytest.mark.parametrize("limit", ["cpu_seconds", "wall_seconds"])


def _check_sweep(sandbox: Sandbox, compiler: str, sweep: Sweep, stage: str) -> None:
    """Compile under each value of the sweep: the limit's own reason, or it compiles; both happen."""

    def at(value: int) -> _Outcome:
        return _compile(sandbox, compiler, _STAGES[stage], sweep.source, **{sweep.limit: value})

    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(at, sweep.values()))
    print(sweep.limit, compiler, stage, Counter(f"{each.verdict} {each.reason}" for each in outcomes))
    for value, outcome in zip(sweep.values(), outcomes, strict=True):
        if outcome.reason is Reason.INFRASTRUCTURE and sweep.reason is Reason.MEMORY:
            # Too little for the program loader even to start the compiler.
            assert not _can_start(sandbox, compiler, **{sweep.limit: value}), outcome
            continue
        expected = ((Verdict.COMPILES, None), (Verdict.INCONCLUSIVE, sweep.reason))
        assert (outcome.verdict, outcome.reason) in expected, outcome
    assert outcomes[0].verdict is Verdict.INCONCLUSIVE, outcomes[0]
    assert outcomes[-1].verdict is Verdict.COMPILES, outcomes[-1]
    assert any(outcome.reason is sweep.reason for outcome in outcomes), outcomes


def _can_start(sandbox: Sandbox, compiler: str, **limits: Any) -> bool:
    return can_start(sandbox, [program(sandbox, compiler), "--version"], **limits)


def _check_time(
    sandbox: Sandbox, compiler: str, limit: str, tenths: Sequence[int], constants: int = 8
) -> None:
    """Compile in each of those tenths of a second: out of time, or it compiles; the first is too short."""
    arguments, source = ("-std=c++17", "-c"), _slow(constants)

    def at(tenth: int) -> _Outcome:
        return _compile(sandbox, compiler, arguments, source, **{limit: tenth * 0.1})

    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(at, tenths))
    print(limit, compiler, Counter(f"{each.verdict} {each.reason}" for each in outcomes))
    for outcome in outcomes:
        expected = ((Verdict.COMPILES, None), (Verdict.INCONCLUSIVE, Reason.TIMEOUT))
        assert (outcome.verdict, outcome.reason) in expected, outcome
    assert outcomes[0].verdict is Verdict.INCONCLUSIVE, outcomes[0]
    assert _compile(sandbox, compiler, arguments, source).verdict is Verdict.COMPILES


@pytest.mark.parametrize(
    ("sweep", "stage"),
    [
        (sweep, stage)
        for sweep in (SWEEPS if "bubblewrap" in sandboxes_here() else _SHORT_SWEEPS.values())
        for stage in sweep.stages
    ],
    ids=lambda value: value.limit if isinstance(value, Sweep) else value,
)
@_each_compiler
def test_a_limit_is_never_a_rejection_however_tight_it_is(
    one_sandbox: Sandbox, compiler: str, sweep: Sweep, stage: str
) -> None:
    """From far too tight to wide enough: inconclusive for the limit's own reason, then compiles."""
    _check_sweep(one_sandbox, compiler, sweep, stage)


@_each_time_limit
@_each_compiler
def test_time_is_never_a_rejection_however_short_it_is(
    one_sandbox: Sandbox, compiler: str, limit: str
) -> None:
    """From far too little to about enough: inconclusive for the time, or it compiles in time."""
    _check_time(one_sandbox, compiler, limit, range(1, 11, 2))


@_each_compiler
def test_a_wrong_program_is_rejected_under_the_same_limits(one_sandbox: Sandbox, compiler: str) -> None:
    """Far from every limit an error is a rejection: the caution about limits costs no verdict."""
    for source in ("int main() { return x; }\n", "#include <vector>\nint main() { vector<int> v; }\n"):
        outcome = _compile(one_sandbox, compiler, ("-c",), source, memory_bytes=128 * MIB)
        assert (outcome.verdict, outcome.reason) == (Verdict.REJECTED, None), outcome


@pytest.fixture(scope="module")
def docker(engine: Engine, make_sandbox: Callable[..., Sandbox]) -> Sandbox:
    """The docker sandbox, probed."""
    sandbox = make_sandbox("docker")
    sandbox.probe()
    return sandbox


@pytest.mark.parametrize("sweep", _SHORT_SWEEPS.values(), ids=_SHORT_SWEEPS)
@_each_compiler
def test_a_limit_of_a_container_is_never_a_rejection(docker: Sandbox, compiler: str, sweep: Sweep) -> None:
    """Too tight, in between and wide enough: inconclusive for the limit's own reason, then compiles."""
    _check_sweep(docker, compiler, sweep, sweep.stages[0])


@_each_time_limit
@_each_compiler
def test_too_little_time_in_a_container_is_never_a_rejection(
    docker: Sandbox, compiler: str, limit: str
) -> None:
    """Far too little and about enough: inconclusive for the time, or it compiles in time."""
    # An engine takes up to a second to answer a question, and the limits are looked at in between.
    _check_time(docker, compiler, limit, (1, 40), constants=60)
