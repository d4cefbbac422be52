"""The templates as cfn-lint reads them, intrinsic functions included, and the metrics that they speak of.

A rule that hides in a condition counts as one.
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
    read, problems = cfnlint.decode.decode(str(TEMPLATES / f"{part}.yml"))
    assert problems == []
    plain: dict[str, Any] = json.loads(json.dumps(read, default=str))
    return plain


def resources(kind: str) -> dict[str, dict[str, Any]]:
    """Name → properties of every resource of a type, over all templates."""
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
