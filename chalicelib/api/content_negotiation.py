"""In which form an answer is wanted: by the query parameter `format`, else by the header Accept.

One more form: a member of `OutputFormat`, and the one who makes it (`sarif/log.py` for SARIF).
"""

import re
from collections.abc import Sequence
from enum import StrEnum

from chalicelib.api.validation import invalid, joined, quoted


class OutputFormat(StrEnum):
    """A form, by its name in `format`. The first is ours, and taken where the client has no preference."""

    JSON = "json"
    SARIF = "sarif"

    @property
    def media_type(self) -> str:
        """Its name in Accept and Content-Type."""
        return _MEDIA_TYPES[self]


_MEDIA_TYPES = {OutputFormat.JSON: "application/json", OutputFormat.SARIF: "application/sarif+json"}
_QUALITY = re.compile(r"[01](\.[0-9]{0,3})?")
# Browsers send about ten; the rest of a longer header is not read.
_MOST_RANGES = 32


def wanted(names: Sequence[str], accept: str | None) -> OutputFormat:
    """The form for all values of `format` and the header Accept; `InvalidRequest` when it is none of ours."""
    if len(names) > 1:
        raise invalid("format", "`format` is given more than once: give one.")
    if names:
        name = names[0].strip().lower()
        if name not in tuple(OutputFormat):
            raise invalid("format", f"{quoted(names[0])} is not a format; there are {joined(OutputFormat)}.")
        return OutputFormat(name)
    if accept is None or not accept.strip():
        return OutputFormat.JSON
    ranges = [_parsed(text) for text in accept.split(",", _MOST_RANGES)[:_MOST_RANGES]]
    # The most specific range that fits a form is about it (RFC 9110, 12.5.1); a higher quality wins, then
    # the form that was named more exactly, then ours.
    liked = {each: max(_rank(each, *named) for named in ranges) for each in OutputFormat}
    best = max(OutputFormat, key=lambda each: (liked[each][1], liked[each][0]))
    if liked[best][1] <= 0:
        allowed = joined(each.media_type for each in OutputFormat)
        raise invalid("Accept", f"The Accept header {quoted(accept)} takes none of our formats: {allowed}.")
    return best


def _parsed(text: str) -> tuple[str, float]:
    """A media range without parameters, and its quality; one that cannot be read is not wanted."""
    name, *parameters = (part.strip().lower() for part in text.split(";"))
    quality = 1.0
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip() == "q":
            quality = float(value.strip()) if _QUALITY.fullmatch(value.strip()) else 0.0
    return name, min(quality, 1.0)


def _rank(form: OutputFormat, name: str, quality: float) -> tuple[int, float]:
    """How exactly a range names a form (0: not at all), and its quality for it."""
    names = ("*/*", "application/*", form.media_type)
    return (names.index(name) + 1, quality) if name in names else (0, 0.0)
