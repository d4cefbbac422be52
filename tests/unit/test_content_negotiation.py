"""In which form an answer is wanted: `format` first, then Accept with its qualities."""

import pytest

from chalicelib.api.content_negotiation import OutputFormat, wanted
from chalicelib.errors import InvalidRequest

SARIF = "application/sarif+json"


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        (None, OutputFormat.JSON),
        ("", OutputFormat.JSON),
        ("*/*", OutputFormat.JSON),
        ("application/*", OutputFormat.JSON),
        ("application/json", OutputFormat.JSON),
        ("application/json; charset=utf-8", OutputFormat.JSON),
        (SARIF, OutputFormat.SARIF),
        ("Application/SARIF+JSON", OutputFormat.SARIF),
        (f"{SARIF}; charset=utf-8", OutputFormat.SARIF),
        (f"{SARIF}; version=2.1.0; q=0.9", OutputFormat.SARIF),
        (f"{SARIF}, */*", OutputFormat.SARIF),
        (f"*/*;q=0.8, {SARIF};q=0.9", OutputFormat.SARIF),
        (f"application/json;q=0.5, {SARIF}", OutputFormat.SARIF),
        (f"application/json, {SARIF}", OutputFormat.JSON),
        (f"application/json, {SARIF};q=0.9", OutputFormat.JSON),
        (f"{SARIF};q=0, */*", OutputFormat.JSON),
        ("application/json;q=0, */*;q=0.1", OutputFormat.SARIF),
        (f"{SARIF};q=2, application/json;q=0.1", OutputFormat.JSON),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", OutputFormat.JSON),
        (" , ,application/json", OutputFormat.JSON),
        (f"{SARIF};Q=1", OutputFormat.SARIF),
    ],
)
def test_the_form_with_the_highest_quality_is_taken(accept: str | None, form: OutputFormat) -> None:
    """Between equals the one that is named more exactly, then JSON; parameters but `q` do not matter."""
    assert wanted([], accept) is form


@pytest.mark.parametrize(
    "accept",
    [
        "text/html",
        "application/xml, text/*",
        "application/json;q=0",
        f"{SARIF};q=nonsense",
        "*",
        ";",
        "x" * 9999,
    ],
)
def test_a_header_that_takes_none_of_our_forms_is_refused(accept: str) -> None:
    """The sentence names what there is."""
    with pytest.raises(InvalidRequest) as caught:
        wanted([], accept)
    [detail] = caught.value.details
    assert detail.field == "Accept"
    assert "application/json, application/sarif+json" in detail.message
    assert len(detail.message) < 200


@pytest.mark.parametrize(
    ("name", "form"),
    [("json", OutputFormat.JSON), ("sarif", OutputFormat.SARIF), (" SARIF ", OutputFormat.SARIF)],
)
@pytest.mark.parametrize("accept", [None, "application/json", SARIF, "text/html"])
def test_the_query_parameter_wins(name: str, form: OutputFormat, accept: str | None) -> None:
    """Who writes `format` means it; the header may be what a client sends with everything."""
    assert wanted([name], accept) is form


@pytest.mark.parametrize(
    ("names", "words"),
    [(["xml"], "json, sarif"), ([""], "json, sarif"), (["json", "json"], "more than once")],
)
def test_a_format_that_is_none_of_ours_is_refused(names: list[str], words: str) -> None:
    """And one that is given twice."""
    with pytest.raises(InvalidRequest, match=words):
        wanted(names, None)


def test_a_header_made_to_be_expensive_is_not_read_to_its_end() -> None:
    """The first ranges count."""
    assert wanted([], "application/json," + "*/*;q=0.5," * 100_000) is OutputFormat.JSON
