"""What is kept of a stream: the beginning, the errors and the end, in bounded memory and linear time."""

import random
import re
import time
from dataclasses import replace

import pytest

from chalicelib.catalog import load_catalog
from runner.messages import notable_lines
from runner.sandbox.limits import MIB, default_limits
from runner.sandbox.output import OutputStream
from runner.verdict import ERROR_PATTERN

LIMITS = replace(default_limits(), output_bytes=1_000)
NOTABLE = re.compile(rb"\n(?:error: )")
WARNING = b"main.c:12:5: warning: unused variable 'x' [-Wunused-variable]\n"
FAMILIES = load_catalog().families


def _stream(*pieces: bytes, chunk_bytes: int = 65_536) -> OutputStream:
    stream = OutputStream(LIMITS, NOTABLE)
    text = b"".join(pieces)
    for start in range(0, len(text), chunk_bytes):
        stream.take(text[start : start + chunk_bytes])
    return stream


def test_output_within_the_limit_is_kept_as_it_is() -> None:
    """There is no rest, and nothing is lost."""
    stream = _stream(b"x" * 1_000)
    assert (bytes(stream.beginning), stream.truncated, stream.flooded) == (b"x" * 1_000, False, False)
    assert stream.rest() == (b"", False)


@pytest.mark.parametrize("chunk_bytes", [1, 7, 999, 1_000, 1_001, 65_536])
def test_a_little_more_is_kept_whole_from_the_line_that_was_cut_on(chunk_bytes: int) -> None:
    """However it arrives, the whole lines of the beginning and the rest are what was printed."""
    text = b"".join(b"line %d\n" % number for number in range(2_000))
    stream = _stream(text, chunk_bytes=chunk_bytes)
    beginning = bytes(stream.beginning)
    rest, lost = stream.rest()
    assert beginning == text[:1_000] and stream.truncated and not lost
    assert beginning[: beginning.rfind(b"\n") + 1] + rest == text


@pytest.mark.parametrize("before", [0, 1, 100, 5_000, 20_000])
@pytest.mark.parametrize("after", [0, 3, 100, 20_000])
@pytest.mark.parametrize("chunk_bytes", [1_001, 65_536])
def test_an_error_is_kept_wherever_it_is(before: int, after: int, chunk_bytes: int) -> None:
    """With the lines around it, which may be its place and the line that it is about."""
    around = b"".join(b"before %d\n" % number for number in range(5)) + b"error: no\n"
    around += b"".join(b"after %d\n" % number for number in range(3))
    stream = _stream(WARNING * before, around, WARNING * after, chunk_bytes=chunk_bytes)
    rest, _ = stream.rest()
    assert around in bytes(stream.beginning) + rest if before < 10 else around in rest


def test_the_end_is_kept() -> None:
    """That is where a compiler says why it gave up."""
    rest, lost = _stream(WARNING * 20_000, b"LLVM ERROR: out of memory\n").rest()
    assert lost and rest.endswith(b"LLVM ERROR: out of memory\n")
    assert rest.startswith(WARNING)  # not half of a line


@pytest.mark.parametrize("length", [10_000, 70_000, 300_000, 3_000_000])
@pytest.mark.parametrize("end", [b"", b"\nthe end\n"])
def test_a_very_long_line_keeps_its_start_and_its_end(length: int, end: bytes) -> None:
    """A message begins with the place and ends with the reason."""
    line = b"error: " + b"x" * length + b": Cannot allocate memory"
    rest, _ = _stream(WARNING * 10_000, line, end).rest()
    [kept] = [each for each in rest.splitlines() if each.startswith(b"error: ")][-1:]
    assert kept.endswith(b"xxx: Cannot allocate memory")
    assert rest.endswith(end)


def test_memory_is_bounded_whatever_is_printed() -> None:
    """A few hundred kilobytes are kept of 40 MB: lines of any length, errors in each of them or none."""
    chosen = random.Random(1)  # the same texts in each run
    for unit in (b"\n", b"x", b"error: x\n", b"error: " + b"x" * 200_000 + b"\n", WARNING):
        chunk = (unit * (65_536 // len(unit) + 1))[:65_536]
        stream = OutputStream(LIMITS, NOTABLE)
        for _ in range(640):
            stream.take(chunk[: chosen.randint(1, len(chunk))])
        rest, lost = stream.rest()
        assert lost and len(rest) < MIB, unit[:20]
        assert len(stream.beginning) == LIMITS.output_bytes


def test_a_flood_is_told_and_no_longer_kept() -> None:
    """Beyond the hard cap the run has to end; what comes until then costs nothing."""
    stream = OutputStream(replace(LIMITS, flood_bytes=100_000), NOTABLE)
    stream.take(b"x" * 100_000)
    assert stream.truncated and not stream.flooded
    stream.take(b"error: x\n")
    rest = stream.rest()
    for _ in range(1_000):
        stream.take(b"error: x\n" * 1_000)
    assert stream.rest() == rest
    assert stream.flooded is True


@pytest.mark.parametrize(
    "unit",
    [b"\n", b"a:1: \n", b":1" * 30_000 + b"\n", b"x", WARNING],
    ids=["empty", "places", "colons", "one-line", "warnings"],
)
@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_reading_takes_linear_time(family: str, unit: bytes) -> None:
    """Four times as much output takes about four times as long, in windows of milliseconds."""
    pattern = re.compile(FAMILIES[family].error_pattern or ERROR_PATTERN.pattern)
    notable = notable_lines(pattern, FAMILIES[family].message_format)
    chunk = (unit * (65_536 // len(unit) + 1))[:65_536]

    def seconds(count: int) -> float:
        stream = OutputStream(LIMITS, notable)
        started = time.thread_time()
        for _ in range(count):
            stream.take(chunk)
        return time.thread_time() - started

    long = seconds(32)
    if long > 0.05:  # shorter times cannot be compared
        assert long < 8 * max(seconds(8), seconds(8), 0.01)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_each_alternative_of_an_error_pattern_begins_with_a_line(family: str) -> None:
    """Only then a line break can be looked for first; and ASCII means the same in bytes and in text."""
    pattern = re.compile(FAMILIES[family].error_pattern or ERROR_PATTERN.pattern)
    assert pattern.pattern.isascii() and pattern.pattern.startswith("(?m)^")
    text = pattern.pattern.removeprefix("(?m)")
    depth, in_class, escaped, alternatives = 0, False, False, [""]
    for character in text:
        if not escaped and not in_class:
            depth += {"(": 1, ")": -1}.get(character, 0)
            in_class = character == "["
        elif not escaped and character == "]":
            in_class = False
        if character == "|" and not depth and not in_class and not escaped:
            alternatives.append("")
        else:
            alternatives[-1] += character
        escaped = character == "\\" and not escaped
    assert all(each.startswith("^") for each in alternatives), alternatives
