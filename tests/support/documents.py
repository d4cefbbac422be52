"""Reads the documents for tests: a page, its tables, what it quotes.

A table is found by the first two columns of its head, so these must be unique on a page.
"""

import re

from tests.support.servers.tools import ROOT

# Every page that is written for readers of this repository.
DOCUMENTS = (
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*.md")),
)


def text_of(document: str) -> str:
    """The document as it is."""
    return (ROOT / document).read_text(encoding="utf-8")


def table(document: str, first: str, second: str) -> list[list[str]]:
    """The rows of the one table whose head begins with these two columns, as cells."""
    blocks = re.findall(r"(?:^\|.*\n)+", text_of(document), re.MULTILINE)
    tables = [[cells(line) for line in block.splitlines()] for block in blocks]
    matching = [rows for rows in tables if rows[0][:2] == [first, second]]
    assert len(matching) == 1, f"{document} has {len(matching)} tables with the head | {first} | {second} |"
    return matching[0][2:]


def cells(line: str) -> list[str]:
    """The cells of a line of a table."""
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def quoted(text: str) -> list[str]:
    """What is in single backticks, outside fenced blocks."""
    without_blocks = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"`([^`\n]+)`", without_blocks)


def names_in(rows: list[list[str]]) -> set[str]:
    """All quoted names of the first column."""
    return {name for row in rows for name in quoted(row[0])}
