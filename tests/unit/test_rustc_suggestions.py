"""Suggestions of rustc: parts that belong together are one edit, and alternatives are separate edits."""

import json
from typing import Any

from chalicelib.models import Fix
from runner.diagnostics import collector, parse

_LINE = "fn longest(x: &str, y: &str) -> &str { x }"


def _span(column: int, end: int, text: str, line: int = 1) -> dict[str, Any]:
    place = {"line_start": line, "line_end": line, "column_start": column, "column_end": end}
    return {"file_name": "main.rs", "is_primary": True, "suggested_replacement": text, **place}


def _edits(*spans: dict[str, Any]) -> list[list[tuple[int, int, str]]]:
    """The edits in a help with these spans, each as columns and text."""
    child = {"message": "consider", "level": "help", "spans": list(spans), "children": []}
    message = {"message": "wrong", "level": "error", "spans": [], "children": [child]}
    (diagnostic,) = parse("rustc", json.dumps(message) + "\n", {"main.rs": f"{_LINE}\n{_LINE}\n"}, "/work")
    return [[_brief(fix) for fix in each.fixes] for each in diagnostic.children]


def _brief(fix: Fix) -> tuple[int, int, str]:
    return fix.column, fix.end_column, fix.text


def test_parts_in_any_order_are_one_edit() -> None:
    """rustc 1.95 lists the part of a lifetime at the end before the parts in the middle."""
    edits = _edits(_span(11, 11, "<'a>"), _span(34, 34, "'a "), _span(16, 16, "'a "), _span(25, 25, "'a "))
    assert edits == [[(11, 11, "<'a>"), (16, 16, "'a "), (25, 25, "'a "), (34, 34, "'a ")]]


def test_two_changes_of_one_place_are_two_edits() -> None:
    """Each alternative is a separate child."""
    assert _edits(_span(4, 11, "short"), _span(4, 11, "long")) == [[(4, 11, "short")], [(4, 11, "long")]]
    one, other = [_span(4, 6, "a"), _span(20, 21, "b")], [_span(4, 6, "c"), _span(20, 21, "d")]
    assert _edits(*one, *other) == [[(4, 6, "a"), (20, 21, "b")], [(4, 6, "c"), (20, 21, "d")]]


def test_overlapping_parts_are_two_edits() -> None:
    """They may overlap from either side; parts that only touch are one edit."""
    assert _edits(_span(4, 8, "a"), _span(6, 9, "b")) == [[(4, 8, "a")], [(6, 9, "b")]]
    assert _edits(_span(6, 9, "b"), _span(4, 8, "a")) == [[(6, 9, "b")], [(4, 8, "a")]]
    assert _edits(_span(6, 9, "b"), _span(4, 6, "a")) == [[(4, 6, "a"), (6, 9, "b")]]


def test_an_edit_beyond_the_limit_is_dropped_completely() -> None:
    """A truncated edit would be wrong."""
    columns = range(1, len(_LINE))
    help_spans = [_span(column, column, "x", line) for line in (1, 2) for column in columns]
    child = {"message": "consider", "level": "help", "spans": help_spans, "children": []}
    message = {"message": "wrong", "level": "error", "spans": [], "children": [child]}
    count = collector.MAX_FIXES // len(help_spans) + 1
    text = (json.dumps(message) + "\n") * count
    diagnostics = parse("rustc", text, {"main.rs": f"{_LINE}\n{_LINE}\n"}, "/work")
    assert [len(each.children[0].fixes) for each in diagnostics] == [len(help_spans)] * (count - 1) + [0]
