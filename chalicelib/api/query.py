"""The query parameters of the HTTP API as checked values: `wait`, `after` and `format`.

Each function gets all values of its parameter: one that is given twice is invalid, because choosing
between them would be a guess. To add a parameter: a function here, its use in `app.py`, and a row in
`docs/api.md`.
"""

import re
from collections.abc import Sequence

from chalicelib.api.content_negotiation import OutputFormat, negotiate
from chalicelib.api.validation import invalid, joined, quoted

# API Gateway ends a request after 29 s; the remaining 4 s are for a slow Redis and for sending the response.
MAX_WAIT_SECONDS = 25.0


def parse_wait(values: Sequence[str]) -> float:
    """`wait` in seconds; 0 when it is not given. Raises `InvalidRequest`."""
    if not values:
        return 0.0
    if len(values) > 1:
        raise invalid("wait", "`wait` is given more than once: give one number of seconds.")
    text = values[0]
    # Digits only: float() would also accept "nan", "1e1" and the digits of other writing systems.
    if re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,6})?", text) and float(text) <= MAX_WAIT_SECONDS:
        return float(text)
    raise invalid(
        "wait", f"`wait` must be a number of seconds from 0 to {MAX_WAIT_SECONDS:g}, not {quoted(text)}."
    )


def parse_after(values: Sequence[str], max_cells: int) -> int | None:
    """`after`, a number of ended cells below `max_cells`; None when it is not given.

    Raises `InvalidRequest`.
    """
    if not values:
        return None
    text = values[-1]
    if len(values) == 1 and re.fullmatch(r"[0-9]{1,2}", text) and int(text) < max_cells:
        return int(text)
    raise invalid(
        "after", f"`after` must be one number of cells from 0 to {max_cells - 1}, not {quoted(text)}."
    )


def parse_format(values: Sequence[str], accept: str | None) -> OutputFormat:
    """The format that `format` names; without it, what the header Accept prefers. Raises `InvalidRequest`."""
    if not values:
        return negotiate(accept)
    if len(values) > 1:
        raise invalid("format", "`format` is given more than once: give one.")
    name = values[0].strip().lower()
    if name not in tuple(OutputFormat):
        raise invalid("format", f"{quoted(values[0])} is not a format; choose one of {joined(OutputFormat)}.")
    return OutputFormat(name)
