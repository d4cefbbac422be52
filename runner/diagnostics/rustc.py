"""Messages of rustc, run with ``--error-format=json``: one JSON object to a line of stderr.

Text that a job makes rustc print (`compile_error!`) is inside a JSON string, so it cannot pass for a
message. Two kinds of output are not diagnostics: summaries (`aborting due to 2 previous errors`,
`1 warning emitted`: they have the level of an error or a warning, but say nothing about the source), and
hints of the level `failure-note`.

Columns in the JSON count code points; ours count bytes, so they are converted with the source line. The
labels that rustc prints below a line of the source (`expected `u32`, found `&str``) become notes, and so
does the place where a macro was used. A suggestion with several alternatives becomes one child for each:
the edits of one child belong together.
"""

import json
import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from typing import Any, Final

from chalicelib.models import Diagnostic, Fix, Severity
from runner.diagnostics.collector import (
    MAX_MESSAGE_CHARACTERS,
    MAX_NUMBER,
    Collector,
    DiagnosticBuilder,
)
from runner.diagnostics.source_index import SourceIndex, byte_column
from runner.sanitize import clean_text

_SEVERITIES = {
    "error": Severity.ERROR,
    "warning": Severity.WARNING,
    "note": Severity.NOTE,
    "help": Severity.NOTE,
    "error: internal compiler error": Severity.FATAL,
}
_SUMMARY = re.compile(
    r"aborting due to (?:[0-9]+ )?previous errors?(?:; [0-9]+ warnings? emitted)?|[0-9]+ warnings? emitted"
)
# Printed by rustc before it knows the format of messages, and by LLVM.
_PLAIN = re.compile(r"(error: internal compiler error|error|warning|LLVM ERROR)(?:\[(E[0-9]{4})\])?: (.*)")
# An object that was cut off is not printed: the end of the text says that it is truncated.
_OBJECT: Final = '{"'
OWN_LINE: Final = _OBJECT.encode()
# A quotation mark within a string has a backslash before it, so that no text of a job looks like this.
ERROR_OBJECT: Final = r'^\{"[^\n]*"level":"error[:"]'
# An object quotes the lines of the source that its message is about, and the whole message again: one about
# a line of the longest source (1 MiB) fits.
KEEP_BYTES: Final = 4 * 1024 * 1024
# Macros within macros: rustc itself stops at 128 levels (`recursion_limit`).
_MAX_EXPANSIONS = 128


def parse(text: str, files: Mapping[str, str], folder: str) -> tuple[Diagnostic, ...]:
    """The diagnostics in `text`; see `runner.diagnostics.parse` for the arguments."""
    sources = SourceIndex(files, folder, "rustc")
    collector = Collector()
    for line, message in _messages(text):
        if collector.full:
            break
        diagnostic = _plain(line, sources) if message is None else _top_level(message, sources)
        if diagnostic is not None:
            collector.add(diagnostic, explains_previous=False)
    return collector.build()


def strip(text: str) -> str:
    """`text` as rustc prints it without ``--error-format=json``."""
    pieces: list[str] = []
    lines = text.split("\n")
    for index, (line, message) in enumerate(_messages(text)):
        if message is not None:
            # Cleaned here: control characters in `text` were hidden by JSON's escapes.
            rendered = message.get("rendered")
            pieces.append(_clean(rendered) if isinstance(rendered, str) else "")
        elif not line.startswith(_OBJECT):
            pieces.append(line + ("\n" if index + 1 < len(lines) else ""))
    return "".join(pieces)


def _messages(text: str) -> Iterator[tuple[str, dict[str, Any] | None]]:
    """Every line, with its JSON object if it is one."""
    for line in text.split("\n"):
        yield line, _decoded(line)


def _decoded(line: str) -> dict[str, Any] | None:
    # The cheap questions first: a text may have ten thousands of lines that are no object of rustc's.
    if not line.startswith(_OBJECT) or '"message"' not in line or not line.rstrip().endswith("}"):
        return None
    try:
        value = json.loads(line)
    # Nesting that is too deep is a RecursionError, a number of thousands of digits a ValueError.
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and isinstance(value.get("message"), str) else None


def _plain(line: str, sources: SourceIndex) -> DiagnosticBuilder | None:
    match = _PLAIN.match(line[:MAX_MESSAGE_CHARACTERS])
    if match is None or _SUMMARY.fullmatch(match[3]):
        return None
    severity = _SEVERITIES.get(match[1], Severity.FATAL)
    return DiagnosticBuilder(severity=severity, message=sources.without_folder(match[3]), code=match[2])


def _top_level(message: Mapping[str, Any], sources: SourceIndex) -> DiagnosticBuilder | None:
    """The diagnostic of a top-level message, with its children."""
    diagnostic = _located(message, sources)
    if diagnostic is None or (not message.get("spans") and _SUMMARY.fullmatch(diagnostic.message)):
        return None
    diagnostic.fixes = next(iter(_suggestions(message, sources)), [])
    diagnostic.children = [*_labels(message, sources), *_invocations(message, sources)]
    for child in _list(message, "children"):
        diagnostic.children += _children(child, sources)
    return diagnostic


def _labels(message: Mapping[str, Any], sources: SourceIndex) -> Iterator[DiagnosticBuilder]:
    """The labels of a message, one at each of its places."""
    for span in _list(message, "spans"):
        label = span.get("label") if isinstance(span, dict) else None
        if isinstance(label, str) and label:
            yield _at(_users_own(span, sources), label, sources)


def _invocations(message: Mapping[str, Any], sources: SourceIndex) -> Iterator[DiagnosticBuilder]:
    """The places in the request's files where the macros around a message were used."""
    primary = _primary(message)
    place = _users_own(primary, sources)
    for at in _expansions(primary):
        if at is not place and sources.known(sources.rename(str(at.get("file_name")))):
            yield _at(at, "in this macro invocation", sources)


def _at(span: Any, text: str, sources: SourceIndex) -> DiagnosticBuilder:
    """A note at a span; without a location if the span has none."""
    diagnostic = DiagnosticBuilder(severity=Severity.NOTE, message=sources.without_folder(_clean(text)))
    _locate(diagnostic, span, sources)
    return diagnostic


def _children(message: Any, sources: SourceIndex) -> Iterator[DiagnosticBuilder]:
    """A note or a help, once for each alternative that it suggests."""
    if not isinstance(message, dict):
        return
    for fixes in _suggestions(message, sources) or [[]]:
        diagnostic = _located(message, sources)
        if diagnostic is not None:
            diagnostic.fixes = fixes
            yield diagnostic


def _located(message: Mapping[str, Any], sources: SourceIndex) -> DiagnosticBuilder | None:
    """Severity, text, code and location of a message; None for a hint about rustc itself."""
    severity = _SEVERITIES.get(str(message.get("level")))
    text = message.get("message")
    if severity is None or not isinstance(text, str):
        return None
    diagnostic = DiagnosticBuilder(severity=severity, message=sources.without_folder(_clean(text)))
    code = message.get("code")
    if isinstance(code, dict) and isinstance(code.get("code"), str):
        diagnostic.code = _clean(code["code"])
    _locate(diagnostic, _users_own(_primary(message), sources), sources)
    return diagnostic


def _primary(message: Mapping[str, Any]) -> Any:
    """The first span that says where a message is, or None."""
    spans = (span for span in _list(message, "spans") if isinstance(span, dict))
    return next((span for span in spans if span.get("is_primary")), None)


def _locate(diagnostic: DiagnosticBuilder, span: Any, sources: SourceIndex) -> None:
    """Sets the location of `diagnostic` to a span, as exactly as it is known."""
    place = _place(span, sources)
    if place is not None:
        diagnostic.file, diagnostic.line, diagnostic.column, diagnostic.end_line, diagnostic.end_column = (
            place
        )
    elif isinstance(span, dict) and isinstance(span.get("file_name"), str):
        diagnostic.file = sources.rename(_clean(span["file_name"]))
        diagnostic.line = _number(span, "line_start") or None


def _suggestions(message: Mapping[str, Any], sources: SourceIndex) -> list[list[Fix]]:
    """The edits that a message proposes, grouped: a group is applied as a whole, groups exclude each other.

    rustc lists the parts of all alternatives one after the other. Parts of one alternative never overlap,
    in whatever order they are; different alternatives change the same place. A group has source order.
    """
    groups: list[list[Fix]] = []
    for span in _list(message, "spans"):
        if not isinstance(span, dict) or not isinstance(span.get("suggested_replacement"), str):
            continue
        place = _place(span, sources)
        if place is None:
            continue
        file, line, column, end_line, end_column = place
        text = _clean(span["suggested_replacement"])[:MAX_MESSAGE_CHARACTERS]
        fix = Fix(file=file, line=line, column=column, end_line=end_line, end_column=end_column, text=text)
        if not groups or not _insert(groups[-1], fix):
            groups.append([fix])
    return groups


def _insert(group: list[Fix], fix: Fix) -> bool:
    """Adds a part to those of one edit, in source order. False if it overlaps with one of them."""
    at = bisect_left(group, _start(fix), key=_start)
    if at and _end(group[at - 1]) > _start(fix):
        return False
    if at < len(group) and (_start(group[at]) == _start(fix) or _start(group[at]) < _end(fix)):
        return False
    group.insert(at, fix)
    return True


def _start(fix: Fix) -> tuple[str, int, int]:
    return fix.file, fix.line, fix.column


def _end(fix: Fix) -> tuple[str, int, int]:
    return fix.file, fix.end_line, fix.end_column


def _users_own(span: Any, sources: SourceIndex) -> Any:
    """`span`, or the place in the request's files where the macro that led to it was used."""
    for at in (span, *_expansions(span)):
        if isinstance(at, dict) and sources.known(sources.rename(str(at.get("file_name")))):
            return at
    return span


def _expansions(span: Any) -> Iterator[dict[str, Any]]:
    """The places where the macros around `span` were used, from the inside out."""
    at = span
    for _ in range(_MAX_EXPANSIONS):
        expansion = at.get("expansion") if isinstance(at, dict) else None
        at = expansion.get("span") if isinstance(expansion, dict) else None
        if not isinstance(at, dict):
            return
        yield at


def _place(span: Any, sources: SourceIndex) -> tuple[str, int, int, int, int] | None:
    """File, line, column, end line and end column (exclusive) of a span, columns in bytes."""
    if not isinstance(span, dict) or not isinstance(span.get("file_name"), str):
        return None
    name = sources.rename(_clean(span["file_name"]))
    line, column = _number(span, "line_start"), _number(span, "column_start")
    end_line, end_column = _number(span, "line_end"), _number(span, "column_end")
    if not line or not column or not end_line or not end_column:
        return None
    texts = [item.get("text") if isinstance(item, dict) else None for item in _list(span, "text")]
    start = _byte_column(sources.line(name, line), texts[:1], column)
    end = _byte_column(sources.line(name, end_line), texts[-1:], end_column)
    return None if start is None or end is None else (name, line, start, end_line, end)


def _byte_column(source: str | None, quoted: list[Any], column: int) -> int | None:
    line = source if source is not None else next((text for text in quoted if isinstance(text, str)), None)
    return column if line is None else byte_column(line, column - 1)


def _number(span: Mapping[str, Any], key: str) -> int:
    """A line or column; 0 if there is no sensible one."""
    value = span.get(key)
    return value if type(value) is int and 1 <= value <= MAX_NUMBER else 0


def _list(message: Mapping[str, Any], key: str) -> list[Any]:
    value = message.get(key)
    return value if isinstance(value, list) else []


def _clean(text: str) -> str:
    return clean_text(text.encode("utf-8", "backslashreplace"))
