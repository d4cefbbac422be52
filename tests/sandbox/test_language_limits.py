"""No limit is ever called a rejection, nor a success: languages other than C and C++, and zig's C compiler.

As test_false_verdicts.py does for gcc and clang: a program that compiles is compiled under one limit after
another, from so tight that nothing works to so wide that it is never hit. Everything goes through the
runner's own `JobExecutor`, since each family decides what counts as an error of its compilers.

A language that the catalogue gains needs an entry in `_SWEEPS`. What its compiler prints at a limit belongs
into the file of its family.
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
from runner.sandbox.supervisor import SAMPLE_SECONDS
from runner.toolchains.model import native_target
from tests.sandbox.language_tools import LANGUAGES, expected_here, newest_here, probed
from tests.sandbox.support import can_start
from tests.support.skipping import missing

# Other reasons that a limit may be reported as. Compilers use the same words when a thread cannot be made for
# want of memory and for want of threads, and a program that is denied memory may as well crash.
_ALSO = {Reason.PROCESSES: (Reason.MEMORY,), Reason.MEMORY: (Reason.COMPILER_CRASH, Reason.PROCESSES)}

_GOOD = {language.id: language.self_test.good for language in load_catalog().languages}


@dataclass(frozen=True, slots=True)
class _Sweep:
    """One compiler, and the memory in MiB and the processes with which it surely works.

    With less than about `tightest_mib` its program loader fails. Memory and processes are limited in each of
    `stages`; `written_bytes` is what compiling writes at least, 0 when it writes nothing.
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

# Steps from tight to wide. The tight half fails at once, so most of the time is spent on the wide ones.
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
    """Under each of `values` it compiles, or the verdict is inconclusive for that reason."""
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda value: _compile(sandbox, sweep, stage, **value), values))
    counts = Counter(f"{each.verdict} {each.reason}" for each in results)
    print(sweep.language, sweep.family, stage, reason, counts)
    for value, result in zip(values, results, strict=True):
        detail = f"{value}: {result.verdict} {result.reason} exit {result.exit_code} {result.error}\n"
        detail += f"{result.stdout[:600]}\n{result.stderr[:1500]}"
        assert result.verdict is not Verdict.REJECTED, detail
        if result.reason is Reason.INFRASTRUCTURE and reason is Reason.MEMORY:
            # Too little for the program loader even to start the compiler.
            assert not can_start(sandbox, [*_executable(sandbox, sweep), "--version"], **value), detail
            continue
        assert result.reason in (None, reason, *_ALSO.get(reason, ())), detail
    if sandbox.name == "setpriv" and reason is Reason.DISK:
        return  # it measures the directories now and then (setpriv/run.py), and may miss a quick compiler
    usage = results[0].usage
    if reason is Reason.TIMEOUT and usage and usage.wall_seconds < 3 * SAMPLE_SECONDS:
        return  # it may end before the first sample is taken
    assert results[0].verdict is Verdict.INCONCLUSIVE, f"{values[0]} does not limit anything"
    assert any(result.reason is not Reason.INFRASTRUCTURE for result in results), counts


def _executable(sandbox: Sandbox, sweep: _Sweep) -> Sequence[str]:
    toolchains = probed(sandbox, sweep.language, sweep.family)
    [environment] = toolchains.environments
    return toolchains.entry(environment).command[:1]


def _name(value: "_Sweep | Stage") -> str:
    """A readable id: the language, or the family where a sweep is about one family of it."""
    if isinstance(value, Stage):
        return value.value
    return value.language if value.family == "*" else value.family


_each = pytest.mark.parametrize("sweep", _HERE, ids=_name)
_each_stage = pytest.mark.parametrize(
    ("sweep", "stage"),
    [(sweep, stage) for sweep in _HERE for stage in sweep.stages],
    ids=_name,
)


def test_every_language_is_swept() -> None:
    """Each language other than C and C++ has a sweep, and its compiler is on this host."""
    assert {sweep.language for sweep in _SWEEPS} == {"c", *LANGUAGES}
    if absent := [sweep.language for sweep in _HERE if newest_here(sweep.language, sweep.family) is None]:
        missing(f"no compiler for {absent}")


@_each_stage
def test_memory_is_never_a_rejection_however_little_there_is(
    one_sandbox: Sandbox, sweep: _Sweep, stage: Stage
) -> None:
    """From about what the program loader needs to enough: inconclusive for memory, then it compiles."""
    ratio = sweep.enough_mib / sweep.tightest_mib
    sizes = [sweep.tightest_mib * ratio ** (step / (_MEMORY_STEPS - 1)) for step in range(_MEMORY_STEPS)]
    values: list[dict[str, Any]] = [{"memory_bytes": int(size * MIB)} for size in sizes]
    _check(one_sandbox, sweep, stage, Reason.MEMORY, values[:-1])
    assert _compile(one_sandbox, sweep, stage, **values[-1]).verdict is Verdict.COMPILES, values[-1]


@_each_stage
def test_processes_are_never_a_rejection_however_few_there_are(
    one_sandbox: Sandbox, sweep: _Sweep, stage: Stage
) -> None:
    """From a single one to enough: inconclusive for that reason, then it compiles."""
    values = [{"processes": count} for count in _PROCESSES if count < sweep.enough_processes]
    _check(one_sandbox, sweep, stage, Reason.PROCESSES, values)
    enough = _compile(one_sandbox, sweep, stage, processes=sweep.enough_processes)
    assert enough.verdict is Verdict.COMPILES, enough


@_each_stage
def test_open_files_are_never_a_rejection_however_few_there_are(
    one_sandbox: Sandbox, sweep: _Sweep, stage: Stage
) -> None:
    """From what the sandbox itself needs: inconclusive and our own failure, or it compiles."""
    # bubblewrap needs few; Landlock opens every directory that it allows.
    few = (12, 14, 17, 18) if one_sandbox.name == "bubblewrap" else ()
    results = [_compile(one_sandbox, sweep, stage, open_files=count) for count in (*few, *_OPEN_FILES)]
    for result in results:
        detail = f"{result.verdict} {result.reason} {result.stdout[:300]}{result.stderr[:900]}"
        assert (result.verdict, result.reason) in (
            (Verdict.COMPILES, None),
            (Verdict.INCONCLUSIVE, Reason.INFRASTRUCTURE),
        ), detail
    assert results[-1].verdict is Verdict.COMPILES


@pytest.mark.parametrize(
    "sweep", [sweep for sweep in _HERE if sweep.written_bytes], ids=lambda sweep: sweep.language
)
def test_disk_is_never_a_rejection_however_little_there_is(one_sandbox: Sandbox, sweep: _Sweep) -> None:
    """From just the source to all that is written: inconclusive for the disk, or it compiles."""
    # Whole pages, the source among them, and the folders.
    least = (len(sweep.source) // 4096 + 3) * 4096
    values = [{"disk_bytes": least + sweep.written_bytes * part // 4} for part in range(4)]
    _check(one_sandbox, sweep, Stage.COMPILE, Reason.DISK, values)


@_each
def test_time_is_never_a_rejection_however_short_it_is(one_sandbox: Sandbox, sweep: _Sweep) -> None:
    """From far too little on: inconclusive for the time, or it compiles in time."""
    stage = sweep.stages[-1]
    _check(one_sandbox, sweep, stage, Reason.TIMEOUT, [{"cpu_seconds": seconds} for seconds in _CPU_SECONDS])
    _check(one_sandbox, sweep, stage, Reason.TIMEOUT, [{"wall_seconds": 0.02}])


@_each
def test_a_wrong_program_is_rejected_far_from_every_limit(one_sandbox: Sandbox, sweep: _Sweep) -> None:
    """An error is a rejection: the caution about limits costs no verdict."""
    language = load_catalog().language(sweep.language)
    assert language is not None
    result = _compile(one_sandbox, sweep, sweep.stages[0], language.self_test.bad)
    assert (result.verdict, result.reason) == (Verdict.REJECTED, None), result
