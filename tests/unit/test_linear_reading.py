"""Nothing that reads a job's output takes more than linear time, whatever the job made a compiler print.

`re` holds the whole process while it searches: a pattern that is quadratic freezes every other job, the
leases and the health check. So each pattern's shape is checked, and each pattern and each parser is given
long texts made of its own words.
"""

import functools
import importlib
import itertools
import pkgutil
import random
import re
import time
from collections.abc import Callable, Iterator, Sequence

import pytest

import runner.diagnostics
from chalicelib.catalog import load_catalog
from chalicelib.sarif.document import message_text
from runner.diagnostics import PARSERS, parse, without_parser_output
from runner.sanitize import clean_text
from runner.verdict import classify, limit_patterns
from tests.support.factories import make_run
from tests.support.pattern_shape import AmbiguousPattern, check_linear, words

_FAMILIES = load_catalog().families
# The default limit on a job's output is 512 KiB for both streams.
_LONG, _SHORT, _FIRST = 262_144, 65_536, 8_192
# Four times as long a text may take so much longer: linear is 4, quadratic is 16.
_GROWTH_AT_MOST = 8
# Seconds of a processor that are too short to compare.
_NOISE_SECONDS = 0.05
# For the long text. On an idle machine patterns need 0.05 and parsers 0.25; a busy one is several times
# slower.
_AT_MOST_SECONDS = 2

_MODULES = [
    *(f"runner.diagnostics.{module.name}" for module in pkgutil.iter_modules(runner.diagnostics.__path__)),
    "runner.sanitize",
]

# What each parser looks for, as whole lines and as parts of them.
_GNU = (
    "main.x:1:1: error: x", "main.x:1:1:   required from here", "    1 | int x;", "      | ^~~", "ld: ",
    "ld-ld-", "main.o:(.text+0x9): x", 'fix-it:"main.x":{1:1-1:2}:"x"', "    inlined from 'f' at main.x:1:1:",
    "/tmp/x.o: ", "+0x1", "\\",
)  # fmt: skip
_WORDS = {
    "clang": _GNU,
    "gnu": _GNU,
    "gfortran": (
        "main.x:1:1:", "main.x:1:1-2:", "    1 | x", "      | 1 2", "Error: x", "......", "f951: x", " ",
    ),
    "go": (
        "main.x:1:1: x", "# x", "warning: x", "\tmain.x:1:1: x", "`", "`'`'`", '"`', "panic: ",
        ": internal compiler error: ",
    ),
    "javac": ("main.x:1: error: x", "  detail", "     ^", "error: [a.b] x", "Note: x"),
    "python": (
        "*** Error compiling 'main.x'...", '  File "main.x", line 1', "    ^^", "SyntaxError: x", ", line 1)",
        " (", "main.x:1: SyntaxWarning: x",
        "*** Error compiling 'main.x'...\nSorry: SyntaxError: " + " (, line 1" * 900 + "x",
    ),
    "rustc": (
        '{"message":"m","level":"error","spans":[{"file_name":"main.x","is_primary":true}],"rendered":"r"}',
        '{"', '{"message"}', "error: x", "error: aborting due to ", '{"a":', "[",
    ),
    "tsc": ("main.x(1,1): error TS1: x", "error TS1: `'`'`", "  detail", "(1,1"),
    "zig": ("main.x:1:1: error: x", "referenced by:", "    f: main.x:1:1", "    f: f: ", "~^~", " note: x"),
}  # fmt: skip
_FILES = {"main.x": "int x;\n" * 50, "a/b.x": "x" * 30_000}


def _catalogue_patterns() -> Iterator[tuple[str, str]]:
    """Each pattern of the catalogue that reads output, once, with its family."""
    known: set[str] = set()
    for family in _FAMILIES.values():
        limits = [text for message in family.limit_messages for text in (message.pattern, message.explains)]
        for pattern in (family.error_pattern, *limits):
            if pattern and pattern not in known:
                known.add(pattern)
                yield family.id, pattern


def test_each_pattern_of_the_catalogue_has_a_linear_shape() -> None:
    """No pattern has two stretches in one line whose ends and beginnings are both open."""
    for family, pattern in _catalogue_patterns():
        try:
            check_linear(re.compile(pattern))
        except AmbiguousPattern as error:
            pytest.fail(f"{family}: {error}: {pattern}")


@pytest.mark.parametrize("name", _MODULES)
def test_each_pattern_of_a_parser_has_a_linear_shape(name: str) -> None:
    """The parsers' patterns are linear from where they are tried: the start of a line, or of a word."""
    for pattern in vars(importlib.import_module(name)).values():
        if isinstance(pattern, re.Pattern):
            text = pattern.pattern if isinstance(pattern.pattern, str) else pattern.pattern.decode()
            check_linear(re.compile(text, pattern.flags & ~re.UNICODE), searched=False)


@pytest.mark.parametrize(
    "pattern",
    [
        r"(?m)^ld: [^\n]*: (?:out of memory)[^\n]*\ncollect2: error$",
        r"(?m)^error: error reading [^\n]*[:;] (?:[^\n]*\()?Cannot allocate memory\)?$",
        r'(?m)^error: [^\n]*: memory(?: at path "[^\n]*")?$(?!\n +--> )',
        r"(?m)^<[a-z ]+>:\d+:?\d*: error$",
        r"(?ms)\A.*^thread 'main' panicked at .*\Z",
        r"(?ms)^error.*x",
        r"(?m)^(?:a+)+$",
        r"(?m)^(?:[ab]c|ad?)*e",
        r"(?m)^(?:a*b?)*c",
        r"(?m)^[^\n]*x(?=[^\n]*y)",
        r"[a-z]*b",
        r"(.*) \((.*), line ([0-9]{1,9})\)",
    ],
)
def test_a_pattern_that_may_be_quadratic_is_refused(pattern: str) -> None:
    """The check finds the shapes that the catalogue and the parsers once had, and their like."""
    with pytest.raises(AmbiguousPattern):
        check_linear(re.compile(pattern))


def _texts(parts: Sequence[str]) -> Iterator[str]:
    """What long texts are made of, again and again: the parts, what may stand between them, and mixtures."""
    yield from ("a", " ", "1", "\n", "((", '"', "'", "`", ":", ": ", "a:1:", "a/", "/a-", "é", "\\")
    chosen = random.Random(1)  # the same texts in each run
    for part in parts:
        yield from (part + between for between in ("\n", "", " ", ": ", "(", '"', "1"))
    pairs = list(itertools.permutations(parts, 2))
    for first, second in chosen.sample(pairs, min(len(pairs), 12)):
        yield f"{first}\n{second}\n"
    if len(parts) > 1:
        yield parts[0] + "\n" + parts[-1] * 2_000 + "\n"
        # A first line that matches, and then one that never ends.
        yield parts[0] + parts[1] * 4_000


def _seconds(read: Callable[[str], object], unit: str, length: int, times: int = 1) -> float:
    """The processor time of reading a text of that length, the best of a few times."""
    text = unit * (length // len(unit) + 1)
    best = float("inf")
    for _ in range(times):
        started = time.thread_time()
        read(text)
        best = min(best, time.thread_time() - started)
    return best


def _check(read: Callable[[str], object], units: Sequence[str]) -> None:
    """Reading the worst texts takes at most linear time; which ones are the worst, a short text shows."""
    by_time = sorted(units, key=lambda unit: -_seconds(read, unit, _FIRST))
    for unit in by_time[:2]:
        long = _seconds(read, unit, _LONG, times=2)
        if long > _NOISE_SECONDS:
            # One more of the unit: with an odd number of quotation marks a text may be read differently.
            short = max(_seconds(read, unit, length, times=2) for length in (_SHORT, _SHORT + len(unit)))
            assert long <= _GROWTH_AT_MOST * max(short, _NOISE_SECONDS / _GROWTH_AT_MOST), unit[:200]
        assert long < _AT_MOST_SECONDS, unit[:200]


@pytest.mark.parametrize("family", sorted({family for family, _ in _catalogue_patterns()}))
def test_a_pattern_reads_text_of_its_own_words_in_linear_time(family: str) -> None:
    """Every pattern of a family, with 256 KB that are made of what it looks for."""
    for name, text in _catalogue_patterns():
        pattern = re.compile(text)
        if name == family and (found := words(pattern)):
            _check(functools.partial(pattern.sub, ""), list(_texts(found[:4])))


@pytest.mark.parametrize("message_format", list(PARSERS))
def test_a_parser_reads_text_of_its_own_words_in_linear_time(message_format: str) -> None:
    """Every parser, and what removes its own arguments' output, with 256 KB of the lines it looks for."""

    def read(text: str) -> None:
        # Edits are only looked for in a text that has one.
        text += '\nfix-it:"main.x":{1:1-1:2}:"x"\n'
        parse(message_format, text, _FILES, "/work")
        without_parser_output(message_format, text)

    _check(read, list(_texts(_WORDS[message_format])))


@pytest.mark.parametrize("read", [lambda text: clean_text(text.encode()), message_text])
def test_text_is_cleaned_and_escaped_in_linear_time(read: Callable[[str], str]) -> None:
    """The text of a stream, and of a SARIF message, in which brackets and braces have a meaning."""
    _check(read, list(_texts(["[", "](", "[a](", "{", "\x1b", "\u202e", "\r\n"])))


@pytest.mark.parametrize("family", ["javac", "gcc", "gfortran", "clang", "zig-cc"])
def test_a_verdict_on_text_made_to_freeze_a_runner_takes_linear_time(family: str) -> None:
    """Two programs of less than a kilobyte printed such text; for a quarter of a megabyte it took minutes."""
    limits = limit_patterns(_FAMILIES[family].limit_messages)
    error_pattern = _FAMILIES[family].error_pattern

    def judge(text: str) -> None:
        for first in (
            "Main.java:2: error: cannot find symbol\nerror: error while reading */ int x = undeclared; /* ",
            "main.cpp:3:15: error: static assertion failed: \nld: ",
        ):
            classify(
                make_run(exit_code=1),
                limit_patterns=limits,
                error_pattern=re.compile(error_pattern) if error_pattern else None,
                output=f"{first}{text}x\n",
            )

    _check(judge, ["; (((", ": out of memory: out of memory"])
