"""The formats in which a job or a matrix can be sent, and which of them the header Accept prefers.

To add a format: a member of `OutputFormat` with its media type, and the code that makes the document
(`chalicelib/sarif` for SARIF).
"""

import re
from enum import StrEnum

from chalicelib.api.validation import invalid, joined, quoted


class OutputFormat(StrEnum):
    """A format by its name in the query parameter `format`. The first is used where a client has no wish."""

    JSON = "json"
    SARIF = "sarif"

    @property
    def media_type(self) -> str:
        """Its name in the headers Accept and Content-Type."""
        return _MEDIA_TYPES[self]


_MEDIA_TYPES = {OutputFormat.JSON: "application/json", OutputFormat.SARIF: "application/sarif+json"}
_QUALITY = re.compile(r"[01](\.[0-9]{0,3})?")
# Browsers send about ten; the rest of a longer header is ignored.
_MAX_RANGES = 32


def negotiate(accept: str | None) -> OutputFormat:
    """The format that the header Accept prefers; `InvalidRequest` when it allows none of them."""
    if accept is None or not accept.strip():
        return OutputFormat.JSON
    ranges = [_parse_range(text) for text in accept.split(",", _MAX_RANGES)[:_MAX_RANGES]]
    # For each format the most specific media range counts (RFC 9110, 12.5.1). The format with the highest
    # quality wins; among equals the one that was named more exactly, then the first of `OutputFormat`.
    ranks = {format_: max(_rank(format_, *range_) for range_ in ranges) for format_ in OutputFormat}
    best = max(OutputFormat, key=lambda format_: (ranks[format_][1], ranks[format_][0]))
    if ranks[best][1] <= 0:
        available = joined(format_.media_type for format_ in OutputFormat)
        raise invalid(
            "Accept", f"The Accept header {quoted(accept)} allows none of the available formats: {available}."
        )
    return best


def _parse_range(text: str) -> tuple[str, float]:
    """A media range without its parameters, and its quality: 0 when the quality cannot be read."""
    name, *parameters = (part.strip().lower() for part in text.split(";"))
    quality = 1.0
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip() == "q":
            quality = float(value.strip()) if _QUALITY.fullmatch(value.strip()) else 0.0
    return name, min(quality, 1.0)


def _rank(output_format: OutputFormat, name: str, quality: float) -> tuple[int, float]:
    """How exactly a media range names a format (0: not at all), and the quality that it gives it."""
    names = ("*/*", "application/*", output_format.media_type)
    return (names.index(name) + 1, quality) if name in names else (0, 0.0)
