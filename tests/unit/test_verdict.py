"""The order in which a verdict is found, and messages as compilers were seen to print them."""

import re
from typing import Any

import pytest

from chalicelib.catalog import load_catalog
from chalicelib.models import Reason, Verdict
from runner.sandbox.base import LimitHit, SandboxResult
from runner.verdict import LimitPattern, classify


def _result(**changes: Any) -> SandboxResult:
    fields: dict[str, Any] = {
        "exit_code": 0,
        "signal": None,
        "stdout": b"",
        "stderr": b"",
        "stdout_truncated": False,
        "stderr_truncated": False,
        "duration_seconds": 0.1,
        "cpu_seconds": 0.1,
        "peak_memory_bytes": 1,
        "limit_hit": None,
        "cancelled": False,
    }
    return SandboxResult(**(fields | changes))


def _patterns(family: str) -> list[LimitPattern]:
    return [LimitPattern(m.reason, re.compile(m.pattern)) for m in load_catalog().limit_messages(family)]


def test_exit_status_zero_compiles() -> None:
    """A compiler that succeeded is believed, whatever it printed."""
    assert classify(_result(stderr=b"LLVM ERROR: out of memory\n"), patterns=_patterns("clang")) == (
        Verdict.COMPILES,
        None,
    )


def test_any_other_exit_status_is_a_rejection() -> None:
    """A failed compiler without a limit or a crash has rejected the program."""
    assert classify(_result(exit_code=1), patterns=_patterns("gcc")) == (Verdict.REJECTED, None)
    assert classify(_result(exit_code=7), patterns=()) == (Verdict.REJECTED, None)


@pytest.mark.parametrize("limit_hit", list(LimitHit))
@pytest.mark.parametrize("exit_code", [0, 1, None])
def test_a_limit_goes_before_the_exit_status(limit_hit: LimitHit, exit_code: int | None) -> None:
    """A limit that the sandbox saw decides alone, even over exit status 0, and keeps its name."""
    result = _result(exit_code=exit_code, signal=9 if exit_code is None else None, limit_hit=limit_hit)
    assert classify(result, patterns=()) == (Verdict.INCONCLUSIVE, Reason(limit_hit.value))


def test_cancelling_goes_before_everything() -> None:
    """A cancelled run says so, whatever else happened on the way."""
    result = _result(exit_code=None, signal=9, cancelled=True)
    assert classify(result, patterns=()) == (Verdict.INCONCLUSIVE, Reason.CANCELLED)


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (11, Reason.COMPILER_CRASH),
        (6, Reason.COMPILER_CRASH),
        (9, Reason.MEMORY),
        (40, Reason.COMPILER_CRASH),
    ],
)
def test_a_signal_is_a_crash_and_sigkill_is_the_kernels_memory(number: int, reason: Reason) -> None:
    """A compiler that a signal ended crashed; only the kernel, out of memory, sends it SIGKILL."""
    result = _result(exit_code=None, signal=number)
    assert classify(result, patterns=()) == (Verdict.INCONCLUSIVE, reason)


_GCC = [
    (Reason.MEMORY, "cc1plus: out of memory allocating 65536 bytes after a total of 17354752 bytes"),
    (Reason.MEMORY, "cc1: out of memory allocating 4064 bytes"),
    (Reason.MEMORY, "virtual memory exhausted: Cannot allocate memory"),
    (Reason.MEMORY, "g++-12: fatal error: Killed signal terminated program cc1plus\ncompilation terminated."),
    (Reason.MEMORY, "collect2: fatal error: ld terminated with signal 9 [Killed]\ncompilation terminated."),
    (
        Reason.PROCESSES,
        "g++-12: fatal error: cannot execute ‘/usr/lib/gcc/x86_64-linux-gnu/12/cc1plus’: "
        "vfork: Resource temporarily unavailable\ncompilation terminated.",
    ),
    (Reason.PROCESSES, "collect2: fatal error: vfork: Resource temporarily unavailable"),
    (
        Reason.PROCESSES,
        "gcc-14: fatal error: cannot execute ‘/usr/libexec/gcc/x86_64-linux-gnu/14/cc1’: "
        "posix_spawn: Resource temporarily unavailable\ncompilation terminated.",
    ),
    (
        Reason.PROCESSES,
        "gcc-14: fatal error: cannot execute ‘as’: posix_spawnp: Resource temporarily unavailable",
    ),
    (Reason.MEMORY, "gcc-14: fatal error: cannot execute ‘as’: posix_spawnp: Cannot allocate memory"),
    (
        Reason.DISK,
        "big.cpp:1502:12: fatal error: error writing to /tmp/ccDuWn1x.s: No space left on device\n"
        " 1502 | int main(){}\n      |            ^\ncompilation terminated.",
    ),
    (
        Reason.DISK,
        "/tmp/cc0a5FlH.s: Assembler messages:\n"
        "/tmp/cc0a5FlH.s: Fatal error: can't write 3885 bytes to section .text of big.o: "
        "'No space left on device'\n"
        "/tmp/cc0a5FlH.s: Fatal error: big.o: No such file or directory",
    ),
    (
        Reason.DISK,
        "/usr/bin/ld: final link failed: No space left on device\ncollect2: error: ld returned 1 exit status",
    ),
    (
        Reason.DISK,
        "g++-12: internal compiler error: File size limit exceeded signal terminated program cc1plus\n"
        "Please submit a full bug report, with preprocessed source (by using -freport-bug).",
    ),
    (
        Reason.TIMEOUT,
        "g++-12: internal compiler error: CPU time limit exceeded signal terminated program cc1plus",
    ),
    (Reason.COMPILER_CRASH, "big.cpp:1185:51: internal compiler error: Aborted\n 1185 | int f();"),
    (Reason.COMPILER_CRASH, "main.c:3: internal compiler error: in foo, at bar.c:12"),
    (Reason.COMPILER_CRASH, "gcc: internal compiler error: Segmentation fault signal terminated program cc1"),
    (Reason.COMPILER_CRASH, "gcc: fatal error: Terminated signal terminated program cc1"),
    (
        Reason.COMPILER_CRASH,
        "/tmp/ccl8jY71.s: Internal error (Segmentation fault).\nPlease report this bug.",
    ),
    (
        Reason.INFRASTRUCTURE,
        "cc1plus: fatal error: /usr/include/c++/12/tbb/tbb.h: Too many open files\ncompilation terminated.",
    ),
    (
        Reason.INFRASTRUCTURE,
        "/usr/bin/ld: cannot find -lstdc++: Too many open files\n"
        "/usr/bin/ld: cannot find -lm: Too many open files\ncollect2: error: ld returned 1 exit status",
    ),
]

_CLANG = [
    (Reason.MEMORY, "LLVM ERROR: out of memory\nAllocation failed\nPLEASE submit a bug report to https://a"),
    (
        Reason.MEMORY,
        "terminate called after throwing an instance of 'std::bad_alloc'\n  what():  std::bad_alloc",
    ),
    (
        Reason.MEMORY,
        "clang: error: unable to execute command: Killed\n"
        "clang: error: clang frontend command failed due to signal (use -v to see invocation)",
    ),
    (
        Reason.PROCESSES,
        "clang++-19: error: unable to execute command: posix_spawn failed: Resource temporarily unavailable",
    ),
    (Reason.DISK, "fatal error: error in backend: IO failure on output stream: No space left on device"),
    (
        Reason.DISK,
        "error: unable to open output file 'main.o': 'No space left on device'\n1 error generated.",
    ),
    (
        Reason.DISK,
        "/usr/bin/ld: final link failed: No space left on device\n"
        "clang: error: linker command failed with exit code 1 (use -v to see invocation)",
    ),
    (Reason.COMPILER_CRASH, "PLEASE submit a bug report to https://bugs.llvm.org/ and include the backtrace"),
    (
        Reason.COMPILER_CRASH,
        "clang: error: clang frontend command failed with exit code 139 (use -v to see invocation)",
    ),
    (Reason.COMPILER_CRASH, "fatal error: error in backend: Cannot select: intrinsic %llvm.foo"),
    (Reason.INFRASTRUCTURE, "error: unable to open output file '/tmp/main-3ddd78.o': 'Too many open files'"),
    (
        Reason.INFRASTRUCTURE,
        "/usr/bin/ld: cannot open linker script file /lib/x86_64-linux-gnu/libm.so: Too many open files\n"
        "clang: error: linker command failed with exit code 1 (use -v to see invocation)",
    ),
]

_SEEN = [("gcc", *case) for case in _GCC] + [("clang", *case) for case in _CLANG]


@pytest.mark.parametrize(("family", "reason", "stderr"), _SEEN)
def test_a_limit_in_the_compilers_own_words_counts(family: str, reason: Reason, stderr: str) -> None:
    """What each compiler prints for a limit or crash, with an ordinary exit status, is that reason."""
    result = _result(exit_code=1, stderr=f"{stderr}\n".encode())
    assert classify(result, patterns=_patterns(family)) == (Verdict.INCONCLUSIVE, reason)


@pytest.mark.parametrize(("family", "reason", "stderr"), _SEEN)
def test_the_same_words_beside_an_error_in_the_source_do_not(
    family: str, reason: Reason, stderr: str
) -> None:
    """A compiler that located an error has rejected the program, whatever else is printed."""
    for text in (f"main.c:1:2: error: no\n{stderr}\n", f"{stderr}\nmain.c:1:2: error: no\n"):
        result = _result(exit_code=1, stderr=text.encode())
        assert classify(result, patterns=_patterns(family)) == (Verdict.REJECTED, None)


@pytest.mark.parametrize(("family", "reason", "stderr"), _SEEN)
def test_the_same_words_inside_a_message_do_not_count(family: str, reason: Reason, stderr: str) -> None:
    """A message that quotes a limit on its own line is that message."""
    first = stderr.partition("\n")[0]
    for text in (f"main.c:1:2: error: #error {first}\n", f"{first}:1:2: error: #error x\n"):
        result = _result(exit_code=1, stderr=text.encode())
        assert classify(result, patterns=_patterns(family)) == (Verdict.REJECTED, None)


def test_long_hostile_lines_are_matched_quickly() -> None:
    """No pattern backtracks its way into minutes on a line made for that."""
    for line in (
        "a:1" * 80_000,
        ":1" * 120_000,
        "clang: error: " * 18_000,
        "/usr/bin/ld: " * 20_000,
        "x.s: " * 50_000,
        "/usr/bin/ld: a: Too many open files\n" * 7_000,
        "a.s: Internal error a: No space left on device\n" * 5_000,
    ):
        for family in ("gcc", "clang"):
            result = _result(exit_code=1, stderr=line.encode())
            assert classify(result, patterns=_patterns(family))[0] is not Verdict.COMPILES
