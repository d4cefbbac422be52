"""Where something is, as SARIF says it: URIs instead of names, code points instead of bytes.

Our columns count bytes of UTF-8, as compilers print them, and SARIF has no such unit. The request's own
text tells how many characters those bytes are. A line that is not in it (a system header, or what a
`#line` made up) keeps its numbers: such lines are ASCII, if they are anything.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from chalicelib.models import Diagnostic, Fix

COLUMN_KIND = "unicodeCodePoints"
# The folder that holds the request's files, wherever the reader keeps them.
BASE = "SRCROOT"

# Neither compilers' columns nor those of SARIF count it.
_BYTE_ORDER_MARK = "\ufeff"

Json = dict[str, Any]


class Places:
    """Locations and edits in the files of one request."""

    def __init__(self, files: Mapping[str, str]) -> None:
        self._files = files
        self._numbers = {name: number for number, name in enumerate(files)}
        self._lines: dict[str, list[str]] = {}

    def artifacts(self) -> list[Json]:
        """The request's files, in the order to which `index` refers."""
        return [
            {
                "location": {"uri": quote(name), "uriBaseId": BASE},
                "length": len(text.encode()),
                "roles": ["analysisTarget"],
                "encoding": "UTF-8",
            }
            for name, text in self._files.items()
        ]

    def artifact(self, name: str) -> Json:
        """A file by its name: one of the request's, one of the system, or whatever the source says it is."""
        if name in self._numbers:
            return {"uri": quote(name), "uriBaseId": BASE, "index": self._numbers[name]}
        # Quoted, so that no name becomes another scheme or host.
        return {"uri": f"file://{quote(name)}" if name.startswith("/") else quote(name, safe="/")}

    def location(self, diagnostic: Diagnostic) -> Json | None:
        """A diagnostic's ``physicalLocation``; None when it is about no file, such as ``<command-line>``."""
        name = diagnostic.file
        if name is None or (name.startswith("<") and name.endswith(">")):
            return None
        found: Json = {"artifactLocation": self.artifact(name)}
        if diagnostic.line is not None:
            found["region"] = self._region(
                name, diagnostic.line, diagnostic.column, diagnostic.end_line, diagnostic.end_column
            )
        return found

    def replacement(self, fix: Fix) -> Json:
        """One edit; an insertion deletes a region without length."""
        region = self._region(fix.file, fix.line, fix.column, fix.end_line, fix.end_column)
        return {"deletedRegion": region, "insertedContent": {"text": fix.text}}

    def _region(
        self, name: str, line: int, column: int | None, end_line: int | None, end_column: int | None
    ) -> Json:
        region: Json = {"startLine": line}
        if column is None:
            return region
        region["startColumn"] = self.character(name, line, column)
        if end_column is not None and (line, column) <= (end_line or line, end_column):
            region["endLine"] = end_line or line
            region["endColumn"] = self.character(name, end_line or line, end_column)
        return region

    def character(self, name: str, line: int, column: int) -> int:
        """The column in code points, from 1, for one in bytes; the same where the line is not known."""
        text = self._line(name, line)
        if text is None or text.isascii():
            return column
        encoded = text.encode()
        before = encoded[: column - 1].decode(errors="replace")
        # Behind the end of the line nothing is left to convert.
        return len(before) + 1 + max(0, column - 1 - len(encoded))

    def _line(self, name: str, number: int) -> str | None:
        if name not in self._files:
            return None
        if name not in self._lines:
            self._lines[name] = self._files[name].removeprefix(_BYTE_ORDER_MARK).split("\n")
        lines = self._lines[name]
        return lines[number - 1] if 0 < number <= len(lines) else None
