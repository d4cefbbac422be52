"""Messages that real compilers printed about a limit, a crash or an error: one table for each family.

    error = "main.c:1:2: error: {}"     # optional: an error about the source, {} is a text of the source
    [[printed]]
    reason = "memory"                   # the reason that this text must give
    text = "cc1: out of memory"         # as a real compiler printed it

A table has the name of its family. To add a message, add an entry: no code.
"""

import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from chalicelib.models import Reason


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid")

    reason: Reason
    text: str


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid")

    error: str | None = None
    printed: tuple[_Message, ...]


_TABLES = {
    path.stem: _Table.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    for path in sorted(Path(__file__).parent.glob("*.toml"))
}

# Family, reason and text of all messages.
MESSAGES = [
    (family, message.reason, message.text) for family, table in _TABLES.items() for message in table.printed
]

# An error about the source as compilers print it, by family; {} is a text of the source.
ERRORS = {family: table.error for family, table in _TABLES.items() if table.error is not None}
