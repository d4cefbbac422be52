"""What compilers were seen to print for a limit, a crash and an error: a table for each family of compilers.

    error = "main.c:1:2: error: {}"     # optional: an error about the source, with a text of the source's own
    [[seen]]
    reason = "memory"                   # the reason that these words must be given
    said = "cc1: out of memory"         # as a real compiler printed them

A table is named as its family. To add words, add an entry: no code.
"""

import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from chalicelib.models import Reason


class _Words(BaseModel):
    model_config = ConfigDict(extra="forbid")

    reason: Reason
    said: str


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid")

    error: str | None = None
    seen: tuple[_Words, ...]


_TABLES = {
    path.stem: _Table.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    for path in sorted(Path(__file__).parent.glob("*.toml"))
}

# Family, reason and words of everything that was seen.
SEEN = [(family, words.reason, words.said) for family, table in _TABLES.items() for words in table.seen]

# An error about the source as compilers print it, by family; {} stands for a text of the source's own.
ERRORS = {family: table.error for family, table in _TABLES.items() if table.error is not None}
