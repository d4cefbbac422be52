"""The query parameters `wait`, `after` and `format`: what is allowed, and what the error says otherwise."""

import pytest

from chalicelib.api.content_negotiation import OutputFormat
from chalicelib.api.query import MAX_WAIT_SECONDS, parse_after, parse_format, parse_wait
from chalicelib.errors import InvalidRequest
from chalicelib.matrix.plan import MAX_CELLS


@pytest.mark.parametrize(
    ("values", "seconds"),
    [
        ((), 0.0),
        (("0",), 0.0),
        (("25",), 25.0),
        (("025",), 25.0),
        (("0.5",), 0.5),
        (("24.999999",), 24.999999),
    ],
)
def test_a_wait_is_a_number_of_seconds(values: tuple[str, ...], seconds: float) -> None:
    """0 when it is not given, and at most 25."""
    assert parse_wait(values) == seconds
    assert seconds <= MAX_WAIT_SECONDS


@pytest.mark.parametrize(
    "text",
    ["", " 1", "-1", "+1", "26", "25.000001", "1e1", "nan", "inf", "0x1", "1,5", "1.", ".5", "٣", "1\n"],
)
def test_any_other_wait_is_invalid(text: str) -> None:
    """The message says which numbers are allowed."""
    with pytest.raises(InvalidRequest, match="number of seconds from 0 to 25"):
        parse_wait((text,))


def test_a_wait_that_is_given_twice_is_invalid() -> None:
    """Nobody has to guess which of the two counts."""
    with pytest.raises(InvalidRequest, match="more than once"):
        parse_wait(("1", "2"))


@pytest.mark.parametrize(("values", "after"), [([], None), (["0"], 0), (["63"], 63)])
def test_after_is_a_number_of_cells(values: list[str], after: int | None) -> None:
    """A number below that of the cells; None when it is not given."""
    assert parse_after(values, MAX_CELLS) == after


@pytest.mark.parametrize("values", [["-1"], ["64"], ["1.5"], [""], ["x"], ["1", "2"], ["٣"], ["100"]])
def test_any_other_after_is_invalid(values: list[str]) -> None:
    """The message says which numbers are allowed."""
    with pytest.raises(InvalidRequest, match="from 0 to 63"):
        parse_after(values, MAX_CELLS)


@pytest.mark.parametrize(
    ("name", "output_format"),
    [("json", OutputFormat.JSON), ("sarif", OutputFormat.SARIF), (" SARIF ", OutputFormat.SARIF)],
)
@pytest.mark.parametrize("accept", [None, "application/json", "application/sarif+json", "text/html"])
def test_format_wins_over_the_header_accept(
    name: str, output_format: OutputFormat, accept: str | None
) -> None:
    """`format` is written on purpose; Accept may be what a client sends with every request."""
    assert parse_format([name], accept) is output_format


@pytest.mark.parametrize(
    ("names", "words"),
    [(["xml"], "json, sarif"), ([""], "json, sarif"), (["json", "json"], "more than once")],
)
def test_an_unknown_format_is_invalid(names: list[str], words: str) -> None:
    """So is a format that is given twice."""
    with pytest.raises(InvalidRequest, match=words):
        parse_format(names, None)


def test_without_format_the_header_accept_decides() -> None:
    """What it prefers is in test_content_negotiation.py."""
    assert parse_format([], "application/sarif+json") is OutputFormat.SARIF
    assert parse_format([], None) is OutputFormat.JSON
