"""Verdict, text and diagnostics of long output, of which only a part is kept."""

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from chalicelib.catalog import load_catalog
from chalicelib.models import Reason, Result, Severity, Verdict
from runner.diagnostics import PARSERS
from runner.executor import JobExecutor
from runner.sandbox.base import Command
from runner.sandbox.limits import default_limits
from runner.sandbox.output import OutputStream, output_fields
from runner.toolchains.model import Toolchains
from tests.support.factories import make_environment, make_request, make_run
from tests.support.fake_sandbox import FakeSandbox

CATALOG = load_catalog()
LIMITS = default_limits()

# For each format of messages: language, compiler, name of the file, a warning, an ordinary error.
_RUSTC: dict[str, Any] = {
    "$message_type": "diagnostic",
    "message": "m",
    "code": None,
    "spans": [],
    "children": [],
}
_FORMATS: dict[str, tuple[str, str, str, str, str]] = {
    "gcc": (
        "c", "gcc-12", "main.c",
        "main.c:1:2: warning: odd\n    1 | x\n      |  ^\n", "main.c:7:3: error: no\n",
    ),
    "clang": ("c", "clang-16", "main.c", "main.c:1:2: warning: odd\n x\n ^\n", "main.c:7:3: error: no\n"),
    "gfortran": (
        "fortran", "gfortran-12", "main.f90",
        "main.f90:1:2:\n\n    1 | x\n      |  1\nWarning: odd at (1)\n",
        "main.f90:7:3:\n\n    7 | x\n      |   1\nError: no\n",
    ),
    "go": ("go", "go-{version}", "main.go", "go: warning: odd\n", "./main.go:7:3: no\n"),
    "javac": (
        "java", "javac-{version}", "Main.java",
        "Main.java:1: warning: odd\nx\n ^\n", "Main.java:7: error: no\n xx\n  ^\n",
    ),
    "python": (
        "python", "python-{version}", "main.py", "main.py:1: SyntaxWarning: odd\n",
        "*** Error compiling 'main.py'...\n  File \"main.py\", line 7\n    xx\n      ^\nSyntaxError: no\n",
    ),
    "rustc": (
        "rust", "rustc-{version}", "main.rs",
        json.dumps(_RUSTC | {"level": "warning", "rendered": "warning: m\n\n"}, separators=(",", ":")) + "\n",
        json.dumps(
            _RUSTC
            | {
                "message": "no", "level": "error", "rendered": "error: no\n --> main.rs:7:3\n\n",
                "spans": [
                    {
                        "file_name": "main.rs", "line_start": 7, "line_end": 7, "column_start": 3,
                        "column_end": 4, "is_primary": True, "text": [],
                    }
                ],
            },
            separators=(",", ":"),
        ) + "\n",
    ),
    "tsc": (
        "typescript", "tsc-{version}", "main.ts",
        "main.ts(1,2): warning TS1: odd\n", "main.ts(7,3): error TS2: no\n",
    ),
    "zig": (
        "zig", "zig-{version}", "main.zig",
        "main.zig:1:2: warning: odd\n x\n ^\n", "main.zig:7:3: error: no\n",
    ),
    "zig-cc": (
        "c", "zig-cc-{version}", "main.c",
        "main.c:1:2: warning: odd\n x\n ^\n", "main.c:7:3: error: no\n",
    ),
}  # fmt: skip


def _compile(family: str, printed: bytes, *, limits: Any = LIMITS, **changes: Any) -> Result:
    """The result of a run that printed that much where the family prints its messages."""
    language, compiler, main, _, _ = _FORMATS[family]
    [described] = [item for item in CATALOG.languages if item.id == language]
    entry = next(each for each in described.compilers if each.family == family).at((99,))
    environment = make_environment(id=compiler, language=language, family=family)
    sandbox = FakeSandbox()

    def outcome(command: Command, _: Any) -> Any:
        empty, stream = (OutputStream(sandbox.limits[-1], command.notable) for _ in range(2))
        for start in range(0, len(printed), 65_536):
            stream.take(printed[start : start + 65_536])
        on_stdout = CATALOG.family(family).prints_to != "stderr"
        streams = (stream, empty) if on_stdout else (empty, stream)
        return make_run(**{"exit_code": 1} | changes | output_fields(*streams))

    sandbox = FakeSandbox(outcome)
    toolchains = Toolchains((environment,), entries={(language, compiler): entry})
    executor = JobExecutor(sandbox, CATALOG, toolchains, limits)
    request = make_request(
        files={main: "\n\n\n\n\n\n\n\n"},
        main=main,
        language=language,
        compiler=compiler,
        standard=next(iter(described.standards_of(entry))),
    )
    return executor.compile("job", request)


def _many(warning: str, size_bytes: int) -> bytes:
    return warning.encode() * (size_bytes // len(warning))


def _too_many(family: str, line: str = "") -> bytes:
    """Warnings, or copies of `line`, of which some are lost because they are too long together."""
    parser = PARSERS[CATALOG.family(family).message_format]
    return _many(line or _FORMATS[family][3], max(LIMITS.output_bytes, parser.keep_bytes) + 400_000)


def test_every_family_is_here() -> None:
    """Each format of messages has an example of a warning and an error: one that is added needs them."""
    assert set(_FORMATS) <= set(CATALOG.families)
    formats = {CATALOG.families[name].message_format for name in _FORMATS}
    assert formats == {family.message_format for family in CATALOG.families.values()}


@pytest.mark.parametrize("family", sorted(_FORMATS))
@pytest.mark.parametrize("before", ["nothing", "little", "much"])
@pytest.mark.parametrize("after", ["nothing", "much"])
def test_an_error_anywhere_in_long_output_is_a_rejection(family: str, before: str, after: str) -> None:
    """And it is among the diagnostics, with its place."""
    _, _, main, warning, error = _FORMATS[family]
    texts = {"nothing": b"", "little": _many(warning, 1_000), "much": _too_many(family)}
    result = _compile(family, texts[before] + error.encode() + texts[after])
    assert (result.verdict, result.reason) == (Verdict.REJECTED, None), result.error
    assert result.truncated == ("much" in (before, after))
    [found] = [item for item in result.diagnostics if item.severity is Severity.ERROR]
    assert (found.file, found.line, found.message) == (main, 7, "no")
    assert found.column == 3 or family == "python"  # which is behind the end of the line of blanks


@pytest.mark.parametrize("family", sorted(_FORMATS))
def test_long_output_without_an_error_compiles(family: str) -> None:
    """The exit status decides, and nothing of the rest becomes an error."""
    result = _compile(family, _too_many(family), exit_code=0)
    assert (result.verdict, result.truncated) == (Verdict.COMPILES, True)
    assert not [item for item in result.diagnostics if item.severity is Severity.ERROR]


# The last words of a compiler, and what they mean.
_LAST_WORDS = [
    ("clang", "LLVM ERROR: out of memory\n", Reason.MEMORY),
    ("gcc", "cc1: out of memory allocating 65536 bytes after a total of 1 bytes\n", Reason.MEMORY),
    ("gcc", "gcc: fatal error: Killed signal terminated program cc1\ncompilation terminated.\n",
     Reason.MEMORY),
    ("javac", "The system is out of resources.\nConsult the following stack trace for details.\n"
     "java.lang.OutOfMemoryError: Java heap space\n", Reason.MEMORY),
    ("go", "fatal error: runtime: out of memory\n", Reason.MEMORY),
]  # fmt: skip


@pytest.mark.parametrize(("family", "words", "reason"), _LAST_WORDS)
@pytest.mark.parametrize("size_bytes", [1_000, 250_000, 300_000, 700_000])
def test_a_limit_at_the_end_of_long_output_is_that_limit(
    family: str, words: str, reason: Reason, size_bytes: int
) -> None:
    """However much came before."""
    warning = _FORMATS[family][3]
    if family == "go":
        warning = "# example.org/x\n"
    result = _compile(family, _many(warning, size_bytes) + words.encode())
    assert (result.verdict, result.reason) == (Verdict.INCONCLUSIVE, reason), result.error
    rejected = _compile(
        family,
        _many(warning, size_bytes)
        + _FORMATS[family][4].encode()
        + _many(warning, size_bytes)
        + words.encode(),
    )
    assert rejected.verdict is Verdict.REJECTED


@pytest.mark.parametrize("family", sorted(_FORMATS))
def test_a_failure_without_an_error_in_what_is_kept_is_no_verdict(family: str) -> None:
    """The words of a limit may have been in the lost part: that is never a rejection."""
    result = _compile(family, _too_many(family, "nothing in particular\n"))
    assert result.verdict is Verdict.INCONCLUSIVE
    assert result.reason in (Reason.OUTPUT, Reason.COMPILER_CRASH)
    assert result.error.endswith(".")


def test_a_signal_behind_long_output_is_a_crash() -> None:
    """The signal says so, not the text."""
    result = _compile("gcc", _too_many("gcc"), exit_code=None, signal=11)
    assert (result.verdict, result.reason) == (Verdict.INCONCLUSIVE, Reason.COMPILER_CRASH)


def _cut(family: str, text: str, at: str, padding: str) -> Result:
    """The result of a text that is cut in front of `at`, and followed by so much that the rest is lost."""
    limits = replace(LIMITS, output_bytes=text.index(at))
    return _compile(family, text.encode() + _many(padding, 600_000), limits=limits)


@pytest.mark.parametrize(
    ("family", "forged"),
    [
        ("clang", "main.c:9:1: error: forged"),
        ("zig-cc", "main.c:9:1: error: forged"),
        ("javac", "Main.java:9: error: forged"),
        ("zig", "main.zig:9:1: error: forged"),
    ],
)
@pytest.mark.parametrize("at", ["^", "  ^", "ged"])
def test_a_line_of_the_source_at_the_cut_is_no_message(family: str, forged: str, at: str) -> None:
    """What tells it from one is the line below, which is beyond the cut."""
    error = _FORMATS[family][4].splitlines()[0]
    padding = _FORMATS[family][3]
    result = _cut(family, f"{error}\n{forged}\n    ^\n", at, padding)
    messages = [item.message for item in result.diagnostics if item.severity is Severity.ERROR]
    assert messages == ["no"] or (messages == [] and at != "ged")


@pytest.mark.parametrize("family", ["gcc", "clang", "zig-cc"])
@pytest.mark.parametrize("at", ['fix-it:"', '-it:"', '"main.c":', '"return"'])
def test_an_edit_that_was_cut_is_not_shown(family: str, at: str) -> None:
    """The client did not ask for these lines."""
    text = _FORMATS[family][4] + 'fix-it:"main.c":{1:1-1:2}:"return"\n' + "x\n" * 10
    result = _cut(family, text, at, _FORMATS[family][3])
    assert "fix" not in result.stderr and result.stderr.endswith("error: no\n[output truncated]\n")


def test_an_object_of_rustc_is_read_although_it_is_longer_than_the_limit() -> None:
    """It quotes a long line several times; the client sees the beginning of what rustc would print."""
    long = "x" * 400_000
    error = json.loads(_FORMATS["rustc"][4])
    error["rendered"] = f"error: no\n{long}\n"
    error["spans"][0]["text"] = [{"text": long, "highlight_start": 1, "highlight_end": 2}]
    printed = json.dumps(error, separators=(",", ":")).encode() + b"\n"
    result = _compile("rustc", printed)
    assert (result.verdict, result.truncated) == (Verdict.REJECTED, True)
    [found] = result.diagnostics
    assert (found.file, found.line, found.column, found.message) == ("main.rs", 7, 3, "no")
    assert re.fullmatch(r"error: no\nx+\n\[output truncated\]\n", result.stderr)
    assert len(result.stderr) == LIMITS.output_bytes + len("\n[output truncated]\n")
