"""Locations in SARIF: URIs instead of file names, and columns in code points instead of bytes.

Our columns count bytes of UTF-8, as compilers print them, and SARIF has no such unit. The text of the request
says how many characters those bytes are. A line that is not part of the request (of a system header, or
invented by `#line`) keeps its column: such lines are almost always ASCII.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from chalicelib.models import Diagnostic, Fix
from chalicelib.source_lines import LINE_ENDS, split_lines

COLUMN_KIND = "unicodeCodePoints"
# Stands for the folder with the request's files, wherever the reader of the document keeps them.
BASE = "SRCROOT"

# Columns count it neither in our diagnostics nor in SARIF.
_BYTE_ORDER_MARK = "\ufeff"

Json = dict[str, Any]


class Locations:
    """Locations and edits in the files of one request, for compilers with messages of that format."""

    def __init__(self, files: Mapping[str, str], message_format: str) -> None:
        self._files = files
        self._message_format = message_format
        self._numbers = {name: number for number, name in enumerate(files)}
        self._lines: dict[str, list[str]] = {}

    def newline_sequences(self) -> list[str]:
        """What ends a line: readers that split the files otherwise would find another line."""
        return list(LINE_ENDS[self._message_format])

    def artifacts(self) -> list[Json]:
        """The request's files; `index` in other places refers to this order."""
        return [
            {
                "location": {"uri": quote(name), "uriBaseId": BASE},
                "length": len(text.encode()),
                "roles": ["analysisTarget"],
                "encoding": "UTF-8",
            }
            for name, text in self._files.items()
        ]

    def artifact_location(self, name: str) -> Json:
        """The URI of a file: of the request, of the system, or with any name that a `#line` invented."""
        if name in self._numbers:
            return {"uri": quote(name), "uriBaseId": BASE, "index": self._numbers[name]}
        # Percent-encoded, so that a name can never read as a scheme or a host.
        return {"uri": f"file://{quote(name)}" if name.startswith("/") else quote(name, safe="/")}

    def physical_location(self, diagnostic: Diagnostic) -> Json | None:
        """Where a diagnostic is; None when it belongs to no real file, such as ``<command-line>``."""
        name = diagnostic.file
        if name is None or (name.startswith("<") and name.endswith(">")):
            return None
        location: Json = {"artifactLocation": self.artifact_location(name)}
        if diagnostic.line is not None:
            location["region"] = self._region(
                name, diagnostic.line, diagnostic.column, diagnostic.end_line, diagnostic.end_column
            )
        return location

    def replacement(self, fix: Fix) -> Json:
        """One edit; an insertion deletes an empty region."""
        region = self._region(fix.file, fix.line, fix.column, fix.end_line, fix.end_column)
        return {"deletedRegion": region, "insertedContent": {"text": fix.text}}

    def _region(
        self, name: str, line: int, column: int | None, end_line: int | None, end_column: int | None
    ) -> Json:
        region: Json = {"startLine": line}
        if column is None:
            return region
        region["startColumn"] = self.column_in_characters(name, line, column)
        if end_column is not None and (line, column) <= (end_line or line, end_column):
            region["endLine"] = end_line or line
            region["endColumn"] = self.column_in_characters(name, end_line or line, end_column)
        return region

    def column_in_characters(self, name: str, line: int, column: int) -> int:
        """A column in code points, from 1, for one in bytes; unchanged where the line's text is unknown."""
        text = self._line(name, line)
        if text is None or text.isascii():
            return column
        encoded = text.encode()
        before = encoded[: column - 1].decode(errors="replace")
        # Beyond the end of the line there is nothing to convert.
        return len(before) + 1 + max(0, column - 1 - len(encoded))

    def _line(self, name: str, number: int) -> str | None:
        if name not in self._files:
            return None
        if name not in self._lines:
            self._lines[name] = split_lines(
                self._files[name].removeprefix(_BYTE_ORDER_MARK), self._message_format
            )
        lines = self._lines[name]
        return lines[number - 1] if 0 < number <= len(lines) else None
