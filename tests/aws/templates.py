"""Reads the templates with cfn-lint, intrinsic functions included, and lists the metrics that they may use.

A rule inside a condition counts as a rule.
"""

import functools
import json
from collections.abc import Iterator
from typing import Any

import cfnlint.decode  # type: ignore[import-untyped]  # it has no types

from infra.stage import STACKS, TEMPLATES

# The metrics that the scheduled function publishes, all with the one dimension `Stage`.
NAMESPACE = "WillItCompile"
METRICS = {
    "QueuedJobs",
    "ProcessingJobs",
    "Backlog",
    "OldestQueuedSeconds",
    "Runners",
    "BacklogPerTask",
    "EndedJobs",
}


@functools.cache
def template(part: str) -> dict[str, Any]:
    """A template as plain data."""
    document, problems = cfnlint.decode.decode(str(TEMPLATES / f"{part}.yml"))
    assert problems == []
    plain: dict[str, Any] = json.loads(json.dumps(document, default=str))
    return plain


def resources(kind: str) -> dict[str, dict[str, Any]]:
    """Name → properties of every resource of a type in all templates."""
    return {
        name: item.get("Properties", {})
        for part in STACKS
        for name, item in template(part)["Resources"].items()
        if item["Type"] == kind
    }


def walk(value: Any) -> Iterator[Any]:
    """A value and everything in it."""
    yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from walk(item)
