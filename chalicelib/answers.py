"""What a use case gives back to whoever asked over HTTP."""

from dataclasses import dataclass
from typing import Any

from chalicelib.api.content_negotiation import Format


@dataclass(frozen=True, slots=True)
class Answer:
    """A body, and whether the job or matrix of that id has ended. What has not is told as JSON only."""

    id: str
    body: dict[str, Any]
    ended: bool
    form: Format = Format.JSON
