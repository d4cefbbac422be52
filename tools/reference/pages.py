"""Which pages have generated parts, and how one is found in a page."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from tools.reference import env_example, tables

ROOT = Path(__file__).resolve().parents[2]

TABLES: Mapping[str, Callable[[], str]] = {
    "settings": tables.settings,
    "routes": tables.routes,
    "errors": tables.errors,
    "request limits": tables.request_limits,
    "sandbox limits": tables.sandbox_limits,
    "sandboxes": tables.sandboxes,
    "keys": tables.keys,
    "metrics": tables.metrics,
    "exit codes": tables.exit_codes,
    "languages": tables.languages,
    "files": tables.files,
}

_BLOCK = re.compile(r"(?ms)^<!-- generated: (?P<name>[^\n]+?) -->\n(?P<body>.*?)^<!-- end of (?P=name) -->$")


def pages() -> list[Path]:
    """The pages that may have generated parts."""
    return sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])


def names_in(text: str) -> list[str]:
    """The names of the generated parts of a page, in order."""
    return [match["name"] for match in _BLOCK.finditer(text)]


def filled(text: str) -> str:
    """A page with every generated part as the code has it now. A name that nobody makes is a `KeyError`."""

    def block(match: re.Match[str]) -> str:
        name = match["name"]
        return f"<!-- generated: {name} -->\n\n{TABLES[name]()}\n<!-- end of {name} -->"

    return _BLOCK.sub(block, text)


def stale() -> dict[Path, str]:
    """Each file that is not current → the text that it should have."""
    current = {page: filled(page.read_text(encoding="utf-8")) for page in pages()}
    current[ROOT / ".env.example"] = env_example.text()
    return {path: text for path, text in current.items() if path.read_text(encoding="utf-8") != text}
