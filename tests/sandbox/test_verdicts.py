"""No false verdict: real compilers at each limit, crashes, and programs that forge a limit's message."""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from chalicelib.models import Reason, Verdict
from runner.sandbox.base import Sandbox, SandboxResult
from runner.sandbox.limits import MIB
from runner.sandbox.supervisor import limit_of_signal
from tests.sandbox.support import compile_in, judge
from tests.support.compilers import installed
from tests.support.skipping import missing
from tests.support.tiers import in_tier

_HEAVY = '#include <regex>\nint main() { std::regex r("a+"); return 0; }\n'
_MANY = (
    "#include <vector>\n"
    + "".join(f"int f{n}(int x) {{ return x * {n}; }} std::vector<int> v{n};\n" for n in range(800))
    + "int main() { return f1(1); }\n"
)
_WARNING = "\n".join(f"#warning number {n}" for n in range(200)) + "\nint main() {}\n"

# Programs that compile, and for each a limit so low that it hits it.
_LIMITED: dict[Reason, tuple[str, dict[str, Any]]] = {
    Reason.MEMORY: (_HEAVY, {"memory_bytes": 30 * MIB}),
    Reason.TIMEOUT: (_HEAVY, {"cpu_seconds": 0.1}),
    Reason.OUTPUT: (_WARNING, {"flood_bytes": 2000}),
    Reason.DISK: (_MANY, {"disk_bytes": 120_000}),
    Reason.PROCESSES: (_HEAVY, {"processes": 1}),
}

_FAMILIES = {"g++": "gcc", "clang++": "clang"}


def _installed(program: str) -> list[str]:
    """The installed compilers of a family; the oldest and the newest, which differ most in wording."""
    versions = installed(_FAMILIES[program])
    return [*dict.fromkeys(in_tier(fast=[], full=versions[:1]) + versions[-1:])]


def _family(compiler: str) -> str:
    return "clang" if compiler.startswith("clang") else "gcc"


def test_both_families_are_here_to_be_tested() -> None:
    """This file tests a gcc and a clang at least."""
    for family in ("g++", "clang++"):
        if not _installed(family):
            missing(f"no {family} is installed")


@pytest.mark.parametrize("reason", list(_LIMITED))
@pytest.mark.parametrize("compiler", [*_installed("g++"), *_installed("clang++")])
def test_a_limit_is_inconclusive_for_its_own_reason(
    one_sandbox: Sandbox, compiler: str, reason: Reason
) -> None:
    """A program that compiles without the limit and hits it gets the reason, never a rejection."""
    source, limit = _LIMITED[reason]
    argv = [compiler, "-g", "-c", "main.cpp"]
    result = compile_in(one_sandbox, argv, {"main.cpp": source}, **limit)
    detail = (result.exit_code, result.signal, result.limit_hit, result.stderr[:300])
    assert judge(_family(compiler), result) == (Verdict.INCONCLUSIVE, reason), detail


@pytest.mark.parametrize("source", [_HEAVY, _MANY, _WARNING], ids=["heavy", "many-functions", "warnings"])
@pytest.mark.parametrize("compiler", [*_installed("g++"), *_installed("clang++")])
def test_the_same_programs_compile_under_the_default_limits(
    one_sandbox: Sandbox, compiler: str, source: str
) -> None:
    """The programs of the tests above are valid: without a tight limit they compile."""
    result = compile_in(one_sandbox, [compiler, "-g", "-c", "main.cpp"], {"main.cpp": source})
    assert judge(_family(compiler), result) == (Verdict.COMPILES, None), result.stderr[:300]


def _bare(argv: Sequence[str], source: str, directory: Path) -> SandboxResult:
    """Run on the host under the kernel's limits alone, so that the compiler has to report them itself."""
    (directory / "main.cpp").write_text(source)
    path = {"PATH": "/usr/bin:/bin"}
    ended = subprocess.run(argv, cwd=directory, capture_output=True, check=False, env=path)
    return SandboxResult(
        exit_code=ended.returncode if ended.returncode >= 0 else None,
        signal=-ended.returncode if ended.returncode < 0 else None,
        stdout=ended.stdout,
        stderr=ended.stderr,
        stdout_truncated=False,
        stderr_truncated=False,
        duration_seconds=0,
        cpu_seconds=0,
        peak_memory_bytes=0,
        limit_hit=limit_of_signal(-ended.returncode),
        cancelled=False,
    )


@pytest.mark.parametrize(
    ("reason", "limit", "source"),
    [(Reason.MEMORY, "--data=40000000", _HEAVY), (Reason.DISK, "--fsize=100000", _MANY)],
    ids=["memory", "disk"],
)
@pytest.mark.parametrize("stage", ["-c", "-oprogram"])
@pytest.mark.parametrize("compiler", [*_installed("g++"), *_installed("clang++")])
def test_limits_that_only_the_compiler_notices_are_understood(
    tmp_path: Path, compiler: str, stage: str, reason: Reason, limit: str, source: str
) -> None:
    """What a compiler prints when the kernel denies it memory or disk is read as that limit."""
    argv = ["prlimit", limit, "--core=0", "--", compiler, "-g", stage, "main.cpp"]
    result = _bare(argv, source, tmp_path)
    verdict = judge(_family(compiler), result)
    assert verdict == (Verdict.INCONCLUSIVE, reason), (result.exit_code, result.stderr[:400])


@pytest.mark.parametrize("compiler", [*_installed("g++")[-1:], *_installed("clang++")[-1:]])
def test_the_cpu_limit_of_the_kernel_is_not_a_rejection(tmp_path: Path, compiler: str) -> None:
    """A compiler that the kernel stops for its CPU time is inconclusive; clang reports that as a crash."""
    source = "constexpr int f(int n) { return n < 2 ? n : f(n - 1) + f(n - 2); }\nstatic_assert(f(40) > 0);\n"
    depth = (
        "-fconstexpr-ops-limit=2000000000" if compiler.startswith("g++") else "-fconstexpr-steps=2000000000"
    )
    argv = ["prlimit", "--cpu=1:5", "--core=0", "--", compiler, depth, "-c", "main.cpp"]
    verdict, reason = judge(_family(compiler), _bare(argv, source, tmp_path))
    assert verdict is Verdict.INCONCLUSIVE and reason in (Reason.TIMEOUT, Reason.COMPILER_CRASH)


@pytest.mark.parametrize("compiler", _installed("clang++"))
@pytest.mark.parametrize("stage", ["-c", "-fsyntax-only", "-oprogram"])
def test_a_crash_of_clang_is_a_crash(one_sandbox: Sandbox, compiler: str, stage: str) -> None:
    """A compiler that crashes has not rejected anything, in any stage."""
    source = "int main() {}\n#pragma clang __debug parser_crash\n"
    result = compile_in(one_sandbox, [compiler, stage, "main.cpp"], {"main.cpp": source})
    detail = (result.exit_code, result.signal, result.stderr[:300])
    expected = (Verdict.INCONCLUSIVE, Reason.COMPILER_CRASH)
    assert judge(_family(compiler), result) == expected, detail


_MESSAGES = {
    "g++": (
        "cc1plus: out of memory allocating 65536 bytes after a total of 1048576 bytes",
        "virtual memory exhausted: Cannot allocate memory",
        "out of memory",  # the assembler puts file and line before it
        "g++: internal compiler error: File size limit exceeded signal terminated program cc1plus",
        "main.cpp:1:1: internal compiler error: Segmentation fault",
        "collect2: fatal error: vfork: Resource temporarily unavailable",
    ),
    "clang++": (
        "LLVM ERROR: out of memory",
        "clang: error: unable to execute command: Killed",
        "PLEASE submit a bug report to https://bugs.llvm.org/ and include the crash backtrace",
        "fatal error: error in backend: IO failure on output stream: No space left on device",
    ),
}

# Ways to make a compiler print a line of the job's choosing; %s is the line.
_FORGERIES = {
    "error": "#error %s\n",
    "assertion": 'static_assert(false, "a\\n%s\\n");\n',
    "pragma": '#pragma message "a\\n%s\\n"\nint main() { return x; }\n',
    "line": '#line 1 "a\\n%s\\nb"\n#error x\n',
    "line-open": '#line 1 "a\\n%s"\n#error x\n',
    "line-whole": '#line 1 "%s"\n#error x\n',
    "include": '#pragma message "a\\n%s\\n"\n#include <error writing to a: No space left on device>\n',
    "deprecated": '[[deprecated("a\\n%s\\n")]] void f();\nvoid g() { f(); return 1; }\n',
    "asm-broken": 'asm(".error \\"a\\\\n%s\\\\n\\"");\n',
    "asm": 'asm(".error \\"%s\\"");\n',
    "bare": "%s\n",
    "comment": "/*\n%s\n*/ int main( {\n",
}


# gcc words its messages alike in all versions. clang quotes the source without line numbers up to version 16.
_FORGED = [*_installed("g++")[-1:], *_installed("clang++")]


def _messages(compiler: str) -> tuple[str, ...]:
    return _MESSAGES["clang++" if compiler.startswith("clang") else "g++"]


@pytest.mark.parametrize("forgery", _FORGERIES.values(), ids=_FORGERIES)
@pytest.mark.parametrize("compiler", _FORGED)
def test_a_program_cannot_forge_a_limit(one_sandbox: Sandbox, compiler: str, forgery: str) -> None:
    """A wrong program that prints a limit's words, on a line of their own or not, is rejected."""
    for message in _messages(compiler):
        source = forgery % message
        result = compile_in(one_sandbox, [compiler, "-c", "main.cpp"], {"main.cpp": source})
        verdict = judge(_family(compiler), result)
        assert verdict == (Verdict.REJECTED, None), (source, result.stderr[:400])


@pytest.mark.parametrize("compiler", _FORGED)
def test_a_program_cannot_forge_a_limit_through_the_linker(one_sandbox: Sandbox, compiler: str) -> None:
    """Messages of the front end do not make a limit out of a link that failed."""
    for message in _messages(compiler):
        source = f'#pragma message "a\\n{message}\\n"\nextern int x; int main() {{ return x; }}\n'
        result = compile_in(one_sandbox, [compiler, "-oprogram", "main.cpp"], {"main.cpp": source})
        assert judge(_family(compiler), result) == (Verdict.REJECTED, None), result.stderr[:400]
