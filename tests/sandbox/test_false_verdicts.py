"""No limit is ever called a rejection, nor a success: each limit, for gcc and clang, from tight to wide.

A program that compiles without the limit is compiled under it. `test_verdicts.py` asks whether one value
of each limit is named rightly; here each is swept over its whole range, because compilers notice the same
limit at other places, and word it in other ways, the further they get. test_false_verdicts_docker.py takes a
few values of each.
"""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import pytest

from chalicelib.models import Reason, Verdict
from runner.sandbox.base import Limits, Sandbox, SandboxError
from runner.sandbox.limits import MIB, default_limits
from runner.workspace import Workspace
from tests.sandbox.hostile.programs import program
from tests.sandbox.support import judge

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


def _verdict(
    sandbox: Sandbox, compiler: str, arguments: Sequence[str], source: str, **changes: Any
) -> tuple[Verdict, Reason | None, str]:
    """As the runner judges a run, with what the compiler said; `changes` are to the default limits."""
    family = "clang" if compiler.startswith("clang") else "gcc"
    limits: Limits = replace(default_limits(), **changes)
    with Workspace.create({"main.cpp": source}) as workspace:
        try:
            run = sandbox.run([program(sandbox, compiler), *arguments, "main.cpp"], workspace, limits)
        except SandboxError as error:
            # `Compiler` makes this of it.
            return Verdict.INCONCLUSIVE, Reason.INFRASTRUCTURE, str(error)
    verdict, reason = judge(family, run)
    told = f"{changes}: exit {run.exit_code}, signal {run.signal}, {run.limit_hit}: {run.stderr[:400]!r}"
    return verdict, reason, told


@dataclass(frozen=True, slots=True)
class Sweep:
    """A limit, from so tight that nothing works to so wide that it is never met."""

    limit: str
    reason: Reason
    source: str
    low: int
    high: int
    steps: int
    stages: tuple[str, ...] = ("compile", "link")

    def values(self) -> list[int]:
        """`steps` whole numbers, the ends included."""
        return [self.low + (self.high - self.low) * step // (self.steps - 1) for step in range(self.steps)]


# The highest value is where each compiler succeeds, which the test holds; not much above that, because
# every step that compiles costs a whole compile.
SWEEPS = (
    Sweep("memory_bytes", Reason.MEMORY, _HEAVY, 24 * MIB, 200 * MIB, 20, ("syntax",)),
    Sweep("memory_bytes", Reason.MEMORY, _HEAVY, 24 * MIB, 240 * MIB, 6, ("compile", "link")),
    Sweep("disk_bytes", Reason.DISK, _LARGE, 64 * 1024, 1400 * 1024, 12),
    Sweep("processes", Reason.PROCESSES, _LIGHT, 1, 6, 6),
    Sweep("output_bytes", Reason.OUTPUT, _WARNINGS, 1, 40_000, 12, ("compile",)),
    Sweep("open_files", Reason.INFRASTRUCTURE, _LIGHT, 4, 20, 9),
)
_STAGES = {"syntax": ("-fsyntax-only",), "compile": ("-g", "-c"), "link": ("-g", "-omain")}


def check_sweep(sandbox: Sandbox, compiler: str, sweep: Sweep, stage: str) -> None:
    """Compile under each value of the sweep: the limit's own reason, or it compiles; both happen."""

    def at(value: int) -> tuple[Verdict, Reason | None, str]:
        return _verdict(sandbox, compiler, _STAGES[stage], sweep.source, **{sweep.limit: value})

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(at, sweep.values()))
    print(sweep.limit, compiler, stage, Counter(f"{verdict} {why}" for verdict, why, _ in found))
    for verdict, why, told in found:
        assert (verdict, why) in ((Verdict.COMPILES, None), (Verdict.INCONCLUSIVE, sweep.reason)), told
    assert found[0][0] is Verdict.INCONCLUSIVE and found[-1][0] is Verdict.COMPILES, (found[0], found[-1])


def check_time(
    sandbox: Sandbox, compiler: str, limit: str, tenths: Sequence[int], constants: int = 8
) -> None:
    """Compile in each of those tenths of a second: out of time, or it compiles; the first is too short."""
    arguments, source = ("-std=c++17", "-c"), _slow(constants)

    def at(tenth: int) -> tuple[Verdict, Reason | None, str]:
        return _verdict(sandbox, compiler, arguments, source, **{limit: tenth * 0.1})

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(at, tenths))
    print(limit, compiler, Counter(f"{verdict} {why}" for verdict, why, _ in found))
    for verdict, why, told in found:
        assert (verdict, why) in ((Verdict.COMPILES, None), (Verdict.INCONCLUSIVE, Reason.TIMEOUT)), told
    assert found[0][0] is Verdict.INCONCLUSIVE, found[0]
    assert _verdict(sandbox, compiler, arguments, source)[0] is Verdict.COMPILES


@pytest.mark.parametrize(
    ("sweep", "stage"),
    [(sweep, stage) for sweep in SWEEPS for stage in sweep.stages],
    ids=lambda value: value.limit if isinstance(value, Sweep) else value,
)
@pytest.mark.parametrize("compiler", COMPILERS)
def test_a_limit_is_never_a_rejection_however_tight_it_is(
    sandbox: Sandbox, compiler: str, sweep: Sweep, stage: str
) -> None:
    """From far too tight to wide enough: inconclusive for the limit's own reason, then compiles."""
    check_sweep(sandbox, compiler, sweep, stage)


@pytest.mark.parametrize("limit", ["cpu_seconds", "wall_seconds"])
@pytest.mark.parametrize("compiler", COMPILERS)
def test_time_is_never_a_rejection_however_short_it_is(sandbox: Sandbox, compiler: str, limit: str) -> None:
    """From far too little to about enough: inconclusive for the time, or it compiles in time."""
    check_time(sandbox, compiler, limit, range(1, 11, 2))


@pytest.mark.parametrize("compiler", COMPILERS)
def test_a_wrong_program_is_rejected_under_the_same_limits(sandbox: Sandbox, compiler: str) -> None:
    """Far from every limit an error is a rejection: the caution above costs no verdict."""
    for source in ("int main() { return x; }\n", "#include <vector>\nint main() { vector<int> v; }\n"):
        verdict, reason, told = _verdict(sandbox, compiler, ("-c",), source, memory_bytes=128 * MIB)
        assert (verdict, reason) == (Verdict.REJECTED, None), told
