"""No limit is ever called a rejection, nor a success: the languages besides C and C++, and zig's C compiler.

As test_false_verdicts.py does for gcc and clang: a program that compiles is compiled under one limit after
the other, from so tight that nothing works to so wide that it is never met. Everything goes through the
runner's own `JobExecutor`, since what counts as a compiler's error is the family's affair.

A language that the catalogue gains needs an entry in `_SWEEPS`; what its compiler says then belongs into
the file of its family.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import pytest

from chalicelib.catalog import load_catalog
from chalicelib.models import CompileRequest, Reason, Result, Stage, Verdict
from runner.executor import JobExecutor
from runner.sandbox.base import Sandbox
from runner.sandbox.limits import MIB, OPEN_FILES, default_limits
from runner.toolchains.model import native_target
from tests.sandbox.language_tools import LANGUAGES, expected_here, newest_here, probed
from tests.sandbox.support import missing

# What a limit may be called besides its own name. A thread that cannot be made is told in the same words
# for want of memory and of threads, and a program that is refused memory may just as well crash.
_ALSO = {Reason.PROCESSES: (Reason.MEMORY,), Reason.MEMORY: (Reason.COMPILER_CRASH, Reason.PROCESSES)}

_GOOD = {language.id: language.self_test.good for language in load_catalog().languages}


@dataclass(frozen=True, slots=True)
class _Sweep:
    """One compiler: the memory in MiB and the processes with which it surely works, and what it can do wrong.

    `tightest_mib` is where it starts at all: below, the program loader itself fails. `stages` are compiled
    with memory and processes limited; `written` are bytes that compiling writes at least, 0 for none.
    """

    language: str
    tightest_mib: int
    enough_mib: int
    enough_processes: int
    family: str = "*"
    stages: tuple[Stage, ...] = (Stage.COMPILE,)
    source: str = ""
    written_bytes: int = 0


_FUNCTIONS = range(300)
_SWEEPS = (
    _Sweep(
        "fortran",
        4,
        128,
        5,
        stages=(Stage.COMPILE, Stage.LINK),
        source="module big\nimplicit none\ncontains\n"
        + "".join(
            f"integer function f{n}(x)\ninteger :: x\nf{n} = x * {n}\nend function\n" for n in _FUNCTIONS
        )
        + "end module\nprogram main\nuse big\nprint *, f1(2)\nend program\n",
        written_bytes=64 * 1024,
    ),
    _Sweep("go", 4, 384, 48),
    _Sweep("java", 4, 512, 48),
    _Sweep(
        "python",
        4,
        64,
        4,
        source="".join(f"def f{n}(x):\n    return x * {n}\n" for n in _FUNCTIONS),
        written_bytes=32 * 1024,
    ),
    _Sweep("rust", 16, 256, 24, stages=(Stage.COMPILE, Stage.LINK)),
    _Sweep(
        "typescript",
        4,
        256,
        32,
        source="".join(f"export function f{n}(x: number) {{ return x * {n}; }}\n" for n in _FUNCTIONS),
        written_bytes=12 * 1024,
    ),
    _Sweep("zig", 8, 512, 16),
    _Sweep("c", 8, 256, 8, family="zig-cc"),
)
_HERE = [sweep for sweep in _SWEEPS if sweep.language in ("c", *expected_here())]

# Steps from tight to wide: the tight half fails at once, so most of the time goes to the wide ones.
_MEMORY_STEPS = 7
_PROCESSES = (1, 2, 3, 4, 5, 7, 9, 12)
_OPEN_FILES = (24, 25, 27, 30, 34, 40, 48, 57, 64, 128, OPEN_FILES)
_CPU_SECONDS = (0.02, 0.1, 0.2)


def _compile(sandbox: Sandbox, sweep: _Sweep, stage: Stage, source: str = "", **changes: Any) -> Result:
    """Compile the sweep's program, or another one, with those changes to the default limits."""
    toolchains = probed(sandbox, sweep.language, sweep.family)
    [environment] = toolchains.environments
    language = load_catalog().language(sweep.language)
    assert language is not None
    architecture, system = native_target()
    request = CompileRequest(
        files={language.default_main: source or sweep.source or _GOOD[sweep.language]},
        main=language.default_main,
        language=sweep.language,
        compiler=environment.id,
        standard=environment.default_standard,
        architecture=architecture,
        os=system,
        stage=stage,
        options=(),
    )
    limits = replace(default_limits(), **changes)
    return JobExecutor(sandbox, load_catalog(), toolchains, limits).compile("limited", request)


def _check(
    sandbox: Sandbox, sweep: _Sweep, stage: Stage, reason: Reason, values: Sequence[Mapping[str, Any]]
) -> None:
    """Under each of `values` it compiles, or the verdict is open for that reason."""
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda value: _compile(sandbox, sweep, stage, **value), values))
    counts = Counter(f"{each.verdict} {each.reason}" for each in found)
    print(sweep.language, sweep.family, stage, reason, counts)
    for value, result in zip(values, found, strict=True):
        told = f"{value}: {result.verdict} {result.reason} exit {result.exit_code} {result.error}\n"
        told += f"{result.stdout[:600]}\n{result.stderr[:1500]}"
        assert result.verdict is not Verdict.REJECTED, told
        assert result.reason in (None, reason, *_ALSO.get(reason, ())), told
    if sandbox.name == "setpriv" and reason is Reason.DISK:
        return  # it looks at the directories now and then (setpriv_run.py): who is quick is not seen
    assert found[0].verdict is Verdict.INCONCLUSIVE, f"{values[0]} is no limit"


_each = pytest.mark.parametrize("sweep", _HERE, ids=lambda sweep: f"{sweep.language}-{sweep.family}")
_each_stage = pytest.mark.parametrize(
    ("sweep", "stage"),
    [(sweep, stage) for sweep in _HERE for stage in sweep.stages],
    ids=lambda value: f"{value.language}-{value.family}" if isinstance(value, _Sweep) else value.value,
)


def test_every_language_is_swept() -> None:
    """Each language besides C and C++ has a sweep, and its compiler is on this host."""
    assert {sweep.language for sweep in _SWEEPS} == {"c", *LANGUAGES}
    if absent := [sweep.language for sweep in _HERE if newest_here(sweep.language, sweep.family) is None]:
        missing(f"no compiler for {absent}")


@_each_stage
def test_memory_is_never_a_rejection_however_little_there_is(
    sandbox: Sandbox, sweep: _Sweep, stage: Stage
) -> None:
    """From what the program loader needs to enough: inconclusive for memory, then it compiles."""
    ratio = sweep.enough_mib / sweep.tightest_mib
    sizes = [sweep.tightest_mib * ratio ** (step / (_MEMORY_STEPS - 1)) for step in range(_MEMORY_STEPS)]
    values: list[dict[str, Any]] = [{"memory_bytes": int(size * MIB)} for size in sizes]
    _check(sandbox, sweep, stage, Reason.MEMORY, values[:-1])
    assert _compile(sandbox, sweep, stage, **values[-1]).verdict is Verdict.COMPILES, values[-1]


@_each_stage
def test_processes_are_never_a_rejection_however_few_there_are(
    sandbox: Sandbox, sweep: _Sweep, stage: Stage
) -> None:
    """From a single one to enough: inconclusive for that reason, then it compiles."""
    values = [{"processes": count} for count in _PROCESSES if count < sweep.enough_processes]
    _check(sandbox, sweep, stage, Reason.PROCESSES, values)
    enough = _compile(sandbox, sweep, stage, processes=sweep.enough_processes)
    assert enough.verdict is Verdict.COMPILES, enough


@_each_stage
def test_open_files_are_never_a_rejection_however_few_there_are(
    sandbox: Sandbox, sweep: _Sweep, stage: Stage
) -> None:
    """Those that the sandbox needs, and a few more: inconclusive for the runner's sake, or it compiles."""
    # bubblewrap needs few, Landlock opens every place that it allows.
    few = (12, 14, 17, 18) if sandbox.name == "bubblewrap" else ()
    results = [_compile(sandbox, sweep, stage, open_files=count) for count in (*few, *_OPEN_FILES)]
    for result in results:
        told = f"{result.verdict} {result.reason} {result.stdout[:300]}{result.stderr[:900]}"
        assert (result.verdict, result.reason) in (
            (Verdict.COMPILES, None),
            (Verdict.INCONCLUSIVE, Reason.INFRASTRUCTURE),
        ), told
    assert results[-1].verdict is Verdict.COMPILES


@pytest.mark.parametrize(
    "sweep", [sweep for sweep in _HERE if sweep.written_bytes], ids=lambda sweep: sweep.language
)
def test_disk_is_never_a_rejection_however_little_there_is(sandbox: Sandbox, sweep: _Sweep) -> None:
    """From just the source to all that is written: inconclusive for the disk, or it compiles."""
    # Whole pages, the source among them, and the folders.
    least = (len(sweep.source) // 4096 + 3) * 4096
    values = [{"disk_bytes": least + sweep.written_bytes * part // 4} for part in range(4)]
    _check(sandbox, sweep, Stage.COMPILE, Reason.DISK, values)


@_each
def test_time_is_never_a_rejection_however_short_it_is(sandbox: Sandbox, sweep: _Sweep) -> None:
    """From far too little on: inconclusive for the time, or it compiles in time."""
    stage = sweep.stages[-1]
    _check(sandbox, sweep, stage, Reason.TIMEOUT, [{"cpu_seconds": seconds} for seconds in _CPU_SECONDS])
    _check(sandbox, sweep, stage, Reason.TIMEOUT, [{"wall_seconds": 0.02}])


@_each
def test_a_wrong_program_is_rejected_far_from_every_limit(sandbox: Sandbox, sweep: _Sweep) -> None:
    """An error is a rejection: the caution above costs no verdict."""
    language = load_catalog().language(sweep.language)
    assert language is not None
    result = _compile(sandbox, sweep, sweep.stages[0], language.self_test.bad)
    assert (result.verdict, result.reason) == (Verdict.REJECTED, None), result
