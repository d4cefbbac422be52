"""Dangerous compiler options: the table options.toml, whose head explains the fields."""

import tomllib

from pydantic import BaseModel, ConfigDict

from chalicelib.models import Stage
from runner.sandbox.base import LimitHit
from tests.sandbox.hostile.corpus import COMPILERS, FOLDER


class Option(BaseModel):
    """One entry of the table."""

    model_config = ConfigDict(extra="forbid")

    id: str
    options: tuple[str, ...]
    compilers: tuple[str, ...] = COMPILERS
    stage: Stage = Stage.COMPILE
    allowed: tuple[str, ...] = ()
    says: str = ""
    limit: LimitHit | None = None
    # Another limit, which may come first: many processes need much memory.
    or_limit: LimitHit | None = None
    programs: tuple[str, ...] = ()
    files: dict[str, str] = {}


def load_options() -> tuple[Option, ...]:
    """The whole table; a field that it does not know is an error."""
    table = tomllib.loads((FOLDER / "options.toml").read_text(encoding="utf-8"))["options"]
    return tuple(Option.model_validate(entry) for entry in table)
