"""Corrects the columns of compilers that count a byte order mark.

A file may begin with that mark: three bytes that no editor shows. gcc, gfortran, rustc and tsc start to
count behind it, clang, go and zig before it. Our columns never count it, so that a column means the same
for all compilers.
"""

from collections.abc import Mapping, Sequence

from chalicelib.models import Diagnostic, Fix
from runner.diagnostics.source_index import BYTE_ORDER_MARK

_BYTES = len(BYTE_ORDER_MARK.encode())


def without_mark(diagnostics: Sequence[Diagnostic], files: Mapping[str, str]) -> tuple[Diagnostic, ...]:
    """`diagnostics` with the columns in first lines as they are without the mark."""
    marked = frozenset(name for name, text in files.items() if text.startswith(BYTE_ORDER_MARK))
    return tuple(_moved(diagnostic, marked) for diagnostic in diagnostics) if marked else tuple(diagnostics)


def _moved(diagnostic: Diagnostic, marked: frozenset[str]) -> Diagnostic:
    update: dict[str, object] = {
        "fixes": tuple(_moved_fix(fix, marked) for fix in diagnostic.fixes),
        "children": tuple(_moved(child, marked) for child in diagnostic.children),
    }
    if diagnostic.file in marked:
        update["column"] = _column(diagnostic.line, diagnostic.column)
        update["end_column"] = _column(diagnostic.end_line, diagnostic.end_column)
    return diagnostic.model_copy(update=update)


def _moved_fix(fix: Fix, marked: frozenset[str]) -> Fix:
    if fix.file not in marked:
        return fix
    columns = {
        "column": _column(fix.line, fix.column),
        "end_column": _column(fix.end_line, fix.end_column),
    }
    return fix.model_copy(update=columns)


def _column(line: int | None, column: int | None) -> int | None:
    """A column inside of the mark itself becomes the start of the line."""
    return max(1, column - _BYTES) if line == 1 and column is not None else column
