"""Which format the header Accept prefers, by its media ranges and their qualities."""

import pytest

from chalicelib.api.content_negotiation import OutputFormat, negotiate
from chalicelib.errors import InvalidRequest

SARIF = "application/sarif+json"


@pytest.mark.parametrize(
    ("accept", "output_format"),
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
def test_the_format_with_the_highest_quality_is_chosen(
    accept: str | None, output_format: OutputFormat
) -> None:
    """Among equals the one that is named more exactly, then JSON; of the parameters only `q` counts."""
    assert negotiate(accept) is output_format


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
def test_a_header_that_allows_no_available_format_is_invalid(accept: str) -> None:
    """The message names the available formats."""
    with pytest.raises(InvalidRequest) as caught:
        negotiate(accept)
    [detail] = caught.value.details
    assert detail.field == "Accept"
    assert "application/json, application/sarif+json" in detail.message
    assert len(detail.message) < 200


def test_a_header_made_to_be_expensive_is_not_read_to_its_end() -> None:
    """Only the first media ranges count."""
    assert negotiate("application/json," + "*/*;q=0.5," * 100_000) is OutputFormat.JSON
