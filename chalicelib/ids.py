"""Ids of jobs and matrices: ours alone, so that nothing else ever becomes a part of a key."""

import re
import uuid

_ID = re.compile(r"[0-9a-f]{32}")


def new_id() -> str:
    """An id that nobody has, and that cannot be guessed: 122 random bits."""
    return uuid.uuid4().hex


def is_id(text: str) -> bool:
    """Whether this can be one of our ids."""
    return _ID.fullmatch(text) is not None
