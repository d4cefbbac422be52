"""Ids of jobs and matrices. Text of another form never becomes part of a key in Redis."""

import re
import uuid

_ID = re.compile(r"[0-9a-f]{32}")


def new_id() -> str:
    """A new id. It cannot be guessed: 122 random bits."""
    return uuid.uuid4().hex


def is_id(text: str) -> bool:
    """Whether `text` has the form of an id."""
    return _ID.fullmatch(text) is not None
