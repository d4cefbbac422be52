"""What the checks of a request share: the base of models that clients send, and how errors are worded.

Every error about a field is one sentence that names the field, what was sent and what is allowed.
"""

from collections.abc import Iterable
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from chalicelib.errors import ErrorDetail, InvalidRequest

# Our own names are shorter: of languages, compilers, standards, targets and stages. To compare a longer one,
# or to match a longer glob, would only cost time.
MAX_NAME_CHARACTERS = 64

_MAX_QUOTED_CHARACTERS = 60

# What a client sends to choose something by its name.
Name = Annotated[str, Field(max_length=MAX_NAME_CHARACTERS)]


class ClientModel(BaseModel):
    """Base of everything that a client sends: unknown fields are invalid, and types are not converted."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def invalid(field: str, message: str) -> InvalidRequest:
    """The error about one field; `field` is a dotted path such as ``options.0``."""
    return InvalidRequest(message, [ErrorDetail(field, message)])


def quoted(value: object, *, quote: bool = True) -> str:
    """A client's value as part of a message: printable, and cut to the length of a line."""
    text = repr(value) if quote else str(value).encode("unicode_escape").decode()
    return text if len(text) <= _MAX_QUOTED_CHARACTERS else f"{text[:_MAX_QUOTED_CHARACTERS]}…"


def joined(names: Iterable[str]) -> str:
    """A list of names as part of a message, in the given order."""
    return ", ".join(names) or "none"
