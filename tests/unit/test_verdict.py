"""The order of the rules for a verdict, and limit messages as real compilers printed them."""

import re

import pytest

from chalicelib.catalog import load_catalog
from chalicelib.models import Reason, Verdict
from runner.sandbox.base import LimitHit
from runner.verdict import LimitPattern, classify, limit_patterns
from tests.support.factories import make_run
from tests.unit.limit_words.loader import ERRORS, MESSAGES


def _patterns(family: str) -> tuple[LimitPattern, ...]:
    return limit_patterns(load_catalog().family(family).limit_messages)


def test_exit_status_zero_compiles() -> None:
    """A compiler that succeeded is believed, whatever it printed."""
    assert classify(make_run(stderr=b"LLVM ERROR: out of memory\n"), limit_patterns=_patterns("clang")) == (
        Verdict.COMPILES,
        None,
    )


def test_any_other_exit_status_is_a_rejection() -> None:
    """A failed compiler without a limit or a crash has rejected the program."""
    assert classify(make_run(exit_code=1), limit_patterns=_patterns("go")) == (Verdict.REJECTED, None)
    assert classify(make_run(exit_code=7), limit_patterns=()) == (Verdict.REJECTED, None)


@pytest.mark.parametrize("family", ["gcc", "clang", "gfortran", "javac", "rustc", "tsc", "zig-cc"])
@pytest.mark.parametrize("output", ["", "something unknown\n"])
def test_a_compiler_that_fails_without_an_error_about_the_source_has_crashed(
    family: str, output: str
) -> None:
    """Rejections of these families always contain an error in a known format; without one it is a crash."""
    assert _judge(family, output) == (Verdict.INCONCLUSIVE, Reason.COMPILER_CRASH)


@pytest.mark.parametrize(
    ("family", "output"),
    [
        ("gcc", "cc1: error: bad value ‘nosuch’ for ‘-march=’ switch"),
        ("gcc", "g++-12: error: unrecognized command-line option ‘-fnosuch’"),
        ("gcc", "cc1: fatal error: /etc/none: No such file or directory\ncompilation terminated."),
        ("gcc", "<command-line>: error: expected identifier before numeric constant"),
        ("gcc", "main.c:3:5: sorry, unimplemented: cannot inline this call"),
        ("gcc", "cc1: sorry, unimplemented: code model ‘large’ not supported yet"),
        ("gcc", "/tmp/a.s: Assembler messages:\n/tmp/a.s:4: Fatal error: .abort detected.  Abandoning ship."),
        (
            "gcc",
            "/tmp/a.s: Assembler messages:\n/tmp/a.s: Error: open CFI at the end of file",
        ),
        ("gcc", "/tmp/a.s: Assembler messages:\n/tmp/a.s:4: Error: out of memory"),
        ("gcc", "/usr/bin/ld: a.o: relocation truncated to fit\ncollect2: error: ld returned 1 exit status"),
        ("clang", "clang: error: unsupported option '-mfloat-abi=hard' for target 'x86_64-linux-gnu'"),
        ("clang", "error: unknown target CPU 'nosuch'"),
        (
            "clang",
            "fatal error: UTF-16 (LE) byte order mark detected in 'main.c', but encoding is not supported",
        ),
        (
            "zig-cc",
            "fatal error: UTF-16 (LE) byte order mark detected in 'main.c', but encoding is not supported",
        ),
        (
            "clang",
            "ld: a: b\nclang: error: linker command failed with exit code 1 (use -v to see invocation)",
        ),
        ("gfortran", "f951: Fatal Error: Argument to ‘-fcheck’ is not valid: x"),
        ("gfortran", "gfortran-12: error: unrecognized command-line option ‘-fnosuch’"),
    ],
)
def test_an_error_without_a_place_in_the_source_is_a_rejection(family: str, output: str) -> None:
    """Errors in options, in assembler text and from the linker name no line of the source."""
    assert _judge(family, f"{output}\n") == (Verdict.REJECTED, None)


@pytest.mark.parametrize(
    ("reason", "words"),
    [(Reason.INFRASTRUCTURE, "Input/output error"), (Reason.MEMORY, "Cannot allocate memory")],
)
def test_no_error_is_trusted_behind_a_header_that_gcc_could_not_read(reason: Reason, words: str) -> None:
    """gcc goes on, and misses what the header declares. The same words in a pragma do not count."""
    after = "main.c:3:23: error: ‘B’ undeclared (first use in this function)\n"
    output = f'main.c:2:10: error: b.h: {words}\n    2 | #include "b.h"\n      |          ^~~~~\n{after}'
    assert _judge("gcc", output) == (Verdict.INCONCLUSIVE, reason)
    assert _judge("gcc", output.replace("#include", "#pragma GCC error")) == (Verdict.REJECTED, None)


@pytest.mark.parametrize("limit_hit", list(LimitHit))
@pytest.mark.parametrize("exit_code", [0, 1, None])
def test_a_limit_counts_more_than_the_exit_status(limit_hit: LimitHit, exit_code: int | None) -> None:
    """A limit that the sandbox reports decides alone, even with exit status 0, and is the reason."""
    result = make_run(exit_code=exit_code, signal=9 if exit_code is None else None, limit_hit=limit_hit)
    assert classify(result, limit_patterns=()) == (Verdict.INCONCLUSIVE, Reason(limit_hit.value))


def test_cancelling_counts_more_than_everything_else() -> None:
    """A cancelled run is reported as cancelled, whatever else happened."""
    result = make_run(exit_code=None, signal=9, cancelled=True)
    assert classify(result, limit_patterns=()) == (Verdict.INCONCLUSIVE, Reason.CANCELLED)


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
    result = make_run(exit_code=None, signal=number)
    assert classify(result, limit_patterns=()) == (Verdict.INCONCLUSIVE, reason)


def _error(family: str, text: str = "no") -> str:
    return ERRORS.get(family, "main.c:1:2: error: #error {}\n").format(text)


def _judge(family: str, output: str) -> tuple[Verdict, Reason | None]:
    error_pattern = load_catalog().family(family).error_pattern
    return classify(
        make_run(exit_code=1),
        limit_patterns=_patterns(family),
        error_pattern=re.compile(error_pattern) if error_pattern else None,
        output=output,
    )


@pytest.mark.parametrize(("family", "reason", "output"), MESSAGES)
def test_a_limit_in_the_compilers_own_words_counts(family: str, reason: Reason, output: str) -> None:
    """Each message of a compiler about a limit or crash, with an ordinary exit status, gives that reason."""
    assert _judge(family, f"{output}\n") == (Verdict.INCONCLUSIVE, reason)


@pytest.mark.parametrize(("family", "reason", "output"), MESSAGES)
def test_the_same_words_beside_an_error_in_the_source_do_not(
    family: str, reason: Reason, output: str
) -> None:
    """A compiler that reports an error about the source has rejected it, whatever else it prints."""
    for text in (f"{_error(family)}{output}\n", f"{output}\n{_error(family)}"):
        if family == "rustc" and "panicked at" in output and text.endswith(f"{output}\n"):
            continue  # a panic after an error: it would have gone on to find more of them, or none
        assert _judge(family, text) == (Verdict.REJECTED, None)


@pytest.mark.parametrize("package", ["slices", "crypto/sha3", "nosuch/fmt", "internal/nosuch"])
def test_a_package_that_a_version_of_go_does_not_have_is_an_error_in_the_source(package: str) -> None:
    """The message is the one for too many open files, but this package may really be missing."""
    output = f"main.go:3:8: package {package} is not in GOROOT (/usr/lib/go-1.19/src/{package})\n"
    assert _judge("go", output) == (Verdict.REJECTED, None)


@pytest.mark.parametrize(
    "words", ["out of memory", "final link failed: No space left on device", "cannot find -lomp"]
)
@pytest.mark.parametrize(
    ("family", "end"),
    [
        ("gcc", "collect2: error: ld returned 1 exit status"),
        ("gfortran", "collect2: error: ld returned 1 exit status"),
        ("clang", "clang-19: error: linker command failed with exit code 1 (use -v to see invocation)"),
    ],
)
@pytest.mark.parametrize("place", ["main.c:(.text+0x10):", "/usr/bin/ld: main.c:7:"])
def test_a_limit_in_the_name_of_a_symbol_does_not_count(
    words: str, family: str, end: str, place: str
) -> None:
    """An assembler label may contain any line, and the linker prints an undefined one unchanged."""
    function = "/usr/bin/ld: /tmp/main-305590.o: in function `main':"
    for name in (f"x\n/usr/bin/ld: {words}", f"x\n/usr/bin/ld: {words}\ny"):
        output = f"{function}\n{place} undefined reference to `{name}'\n{end}\n"
        assert _judge(family, output) == (Verdict.REJECTED, None)


@pytest.mark.parametrize(("family", "reason", "output"), MESSAGES)
def test_the_same_words_inside_a_message_do_not_count(family: str, reason: Reason, output: str) -> None:
    """A message about the source that quotes the words of a limit is an ordinary error."""
    first = output.strip("#\n ").partition("\n")[0]
    texts = [_error(family, first)]
    if family not in ERRORS:
        texts.append(f"{first}:1:2: error: #error x\n")
    for text in texts:
        assert _judge(family, text) == (Verdict.REJECTED, None)


@pytest.mark.parametrize("family", sorted(load_catalog().families))
def test_an_error_alone_is_a_rejection(family: str) -> None:
    """For every family: its error pattern matches its ordinary error, and no limit message does."""
    assert _judge(family, _error(family)) == (Verdict.REJECTED, None)


def test_forged_lines_of_each_language_do_not_count() -> None:
    """Texts of a source that real compilers printed with their line breaks."""
    for family, text in (
        # rustc does not indent the lines of a label.
        (
            "rustc",
            "error[E0277]: a\n --> main.rs:4:15\n  |\n4 | fn main() { f(1); }\n  |             - ^ b\n"
            "thread 'rustc' panicked at /usr/src/x.rs:1:1:\nmemory allocation of 5 bytes failed\n"
            "error: x: No space left on device (os error 28)\n\nerror: aborting due to 1 previous error\n",
        ),
        ("rustc", _error("rustc", "internal compiler error: x")),
        ("rustc", _error("rustc", "x: No space left on device (os error 28)")),
        # go prints a raw literal unchanged.
        (
            "go",
            "# command-line-arguments\n./main.go:2:27: cannot use `\ninternal compiler error: x\n"
            "main.go:1:1: internal compiler error: x\nfatal error: out of memory\n` (untyped string)\n",
        ),
        # zig indents what follows the first line of an import's name, but not the name before the place.
        (
            "zig",
            "foo.zig': OutOfMemory\nfoo.zig:1:1: error: unable to load 'foo.zig': OutOfMemory\n"
            "                  foo.zig': FileNotFound\nmain.zig:1:19: note: file imported here\n",
        ),
        ("go", "go: malformed module path \"a: resource temporarily unavailable\": invalid char ':'\n"),
    ):
        assert _judge(family, text) == (Verdict.REJECTED, None), (family, text)


def test_the_signal_says_more_than_that_it_crashed() -> None:
    """If every failure of a compiler counts as a crash, SIGKILL from the kernel still means memory."""
    for number, reason in ((9, Reason.MEMORY), (11, Reason.COMPILER_CRASH)):
        ended = make_run(exit_code=None, signal=number)
        assert classify(ended, limit_patterns=_patterns("javac")) == (Verdict.INCONCLUSIVE, reason)


@pytest.mark.parametrize("length", [4_000, 8_192, 20_000])
def test_a_limit_counts_in_a_line_of_any_length(length: int) -> None:
    """Only the start and the end of a very long line are read: the words of a limit are there."""
    name = "a" * length
    for output in (
        f"cc1: error: {name}: Cannot allocate memory\n",
        f"/usr/bin/ld: {name}: Cannot allocate memory\ncollect2: error: ld returned 1 exit status\n",
    ):
        assert _judge("gcc", output) == (Verdict.INCONCLUSIVE, Reason.MEMORY)
    assert _judge("gcc", f"main.c:1:2: error: {name}\n") == (Verdict.REJECTED, None)


def test_long_hostile_lines_are_matched_quickly() -> None:
    """No pattern needs minutes of backtracking, even for a line made for that."""
    for line in (
        "a:1" * 80_000,
        ":1" * 120_000,
        "clang: error: " * 18_000,
        "/usr/bin/ld: " * 20_000,
        "x.s: " * 50_000,
        "/usr/bin/ld: a: Too many open files\n" * 7_000,
        "a.s: Internal error a: No space left on device\n" * 5_000,
        "thread 'a' panicked at \n" * 10_000,
        "error: linking with `\n" + "  \n" * 80_000,
        "error: linking with `\n  \n" * 10_000,
        "error[E0080]: a\n --> a\n  |\n1 | a\n" * 7_000,
        "a.zig:1:1: error: unable to load 'a.zig': OutOfMemory\n" * 4_000,
        "go: error obtaining buildID for go tool a: fork/exec /" + "a" * 200_000,
        "fatal error: " * 18_000,
    ):
        for family in load_catalog().families:
            assert _judge(family, line)[0] is not Verdict.COMPILES
