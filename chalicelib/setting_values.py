"""The text of a setting → its value, by kinds of values.

Every function here, or the one that it returns, takes a text without spaces around it and raises `ValueError`
for what is not allowed; settings.py says which variable has which kind, and words the refusal.
"""

import math
import os.path
import re
from collections.abc import Callable

Address = tuple[str, int]


def boolean(text: str) -> bool:
    """True or false, in the words of `.env` files; an empty text is false."""
    lowered = text.lower()
    if lowered in ("true", "1", "yes", "on"):
        return True
    if lowered in ("false", "0", "no", "off", ""):
        return False
    raise ValueError


def _digits(text: str) -> str:
    # int() and float() also take "1_000" and the digits of other writing systems.
    if "_" in text or not text.isascii():
        raise ValueError
    return text


def whole(low: int, high: int) -> Callable[[str], int]:
    """Reads whole numbers from `low` to `high`, both included."""

    def parse(text: str) -> int:
        value = int(_digits(text))
        if not low <= value <= high:
            raise ValueError
        return value

    return parse


def number(low: float, high: float) -> Callable[[str], float]:
    """Reads finite numbers from `low` to `high`, both included."""

    def parse(text: str) -> float:
        value = float(_digits(text))
        if not math.isfinite(value) or not low <= value <= high:
            raise ValueError
        return value

    return parse


def choice(*allowed: str) -> Callable[[str], str]:
    """Reads one of some words, in any case of letters."""

    def parse(text: str) -> str:
        lowered = text.lower()
        if lowered not in allowed:
            raise ValueError
        return lowered

    return parse


def free_text(text: str) -> str:
    """Any text."""
    return text


def plain_name(text: str) -> str:
    """Up to 64 letters, digits, dots, underscores and hyphens, the first a letter or digit."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", text):
        raise ValueError
    return text


def file_or_empty(text: str) -> str:
    """The path of a file that is there, or nothing."""
    if text and not os.path.isfile(text):
        raise ValueError
    return text


def image_name(text: str) -> str:
    """The name of a container image, or nothing."""
    # The engine decides what is a name; this keeps options and spaces out.
    if text and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_./:@-]{0,254}", text):
        raise ValueError
    return text


def patterns(text: str) -> tuple[str, ...]:
    """``pattern[,pattern…]`` over ``id`` or ``language/id``."""
    parts = tuple(part.strip() for part in text.split(","))
    if not all(re.fullmatch(r"[a-z0-9*?][a-z0-9.*?/-]{0,63}", part) for part in parts):
        raise ValueError
    return parts


def addresses(text: str) -> tuple[Address, ...]:
    """``host:port[,host:port…]``; an IPv6 host stands in brackets."""
    found = []
    for part in text.split(","):
        # Not a URL: what stands before an @ there is a password, and addresses are logged.
        match = re.fullmatch(r"([A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})", part.strip())
        if match is None or not 0 < int(match[2]) < 65536:
            raise ValueError
        found.append((match[1].strip("[]"), int(match[2])))
    return tuple(found)
