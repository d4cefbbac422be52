"""How a refused field is worded: one sentence that names the field, what was sent, and what is allowed."""

from collections.abc import Iterable

from chalicelib.errors import ErrorDetail, InvalidRequest

_SHOWN_CHARACTERS = 60


def invalid(field: str, message: str) -> InvalidRequest:
    """The error about one field, given as a dotted path."""
    return InvalidRequest(message, [ErrorDetail(field, message)])


def quoted(value: object, *, quote: bool = True) -> str:
    """A value from a client for a message: printable, and not longer than a line."""
    text = repr(value) if quote else str(value).encode("unicode_escape").decode()
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"


def joined(names: Iterable[str]) -> str:
    """Names for a message, in the order given."""
    return ", ".join(names) or "none"
