"""Whole requests and what must be answered: the lines of tests/cases/requests/*.jsonl.

A line is one case: ``{"id", "claim", "calls": [{"method", "path", "headers", "body", "expect"}]}``. A text
that would be long is written as ``{"repeat": [["text", 3], …]}``. What `expect` leaves out may be anything:

- ``status``: the HTTP statuses that are right; an answer that is not a 400 must have one of ``verdict``
- ``first``: file, line and column of the first error; ``files``: the files of all diagnostics
- ``compiled_files``: the translation units in order; ``not_in_stderr``: a text that must not be there
- ``region``: line and column (null: any) of the first result in SARIF; ``cells``: the verdicts of a matrix
- ``says``: words of the message of a 400, and ``field``: its field; ``says_anywhere``: words of any answer

A case that is added needs no code. `problems_of` compares one answer; it knows nothing about how it was sent.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.support.case_files import CASES

_FOLDER = CASES / "requests"
_ERRORS = ("error", "fatal")


@dataclass(frozen=True, slots=True)
class Call:
    """One request over HTTP and what is expected of its answer."""

    method: str
    path: str
    expect: Mapping[str, Any]
    body: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RequestCase:
    """A case: some calls about one thing."""

    id: str
    claim: str
    calls: tuple[Call, ...]


def request_cases() -> list[RequestCase]:
    """Every case, in the order of the files."""
    lines = [
        line for path in sorted(_FOLDER.glob("*.jsonl")) for line in path.read_text("utf-8").splitlines()
    ]
    return [_case(json.loads(line)) for line in lines]


def problems_of(expect: Mapping[str, Any], status: int, answer: Mapping[str, Any]) -> list[str]:
    """Sentences about everything in an answer that is not as expected."""
    text = json.dumps(answer, ensure_ascii=False)
    problems = list(_compare(expect, status, answer, text))
    return [f"{problem}: {status} {text[:3000]}" for problem in problems]


def _compare(expect: Mapping[str, Any], status: int, answer: Mapping[str, Any], text: str) -> Iterator[str]:
    if status not in expect["status"]:
        yield f"the status is not one of {expect['status']}"
    for words in expect.get("says_anywhere", ()):
        if words not in text:
            yield f"{words!r} is not in the answer"
    if status >= 400:
        message = answer.get("message", "")
        missing = [words for words in expect.get("says", ()) if words not in message]
        if missing:
            yield f"the message lacks {missing}"
        fields = [detail["field"] for detail in answer.get("details", ())]
        if "field" in expect and expect["field"] not in fields:
            yield f"the field is not {expect['field']}"
        return
    if "verdict" in expect and answer.get("verdict") not in expect["verdict"]:
        yield f"the verdict is not one of {expect['verdict']}"
    if "cells" in expect and {cell["verdict"] for cell in answer["cells"]} != set(expect["cells"]):
        yield f"the verdicts of the cells are not {expect['cells']}"
    if "compiled_files" in expect and answer["compiled_files"] != expect["compiled_files"]:
        yield f"`compiled_files` is not {expect['compiled_files']}"
    diagnostics = answer.get("diagnostics", ())
    if "first" in expect:
        first: Mapping[str, Any] = next((item for item in diagnostics if item["severity"] in _ERRORS), {})
        if any(first.get(name) != value for name, value in expect["first"].items()):
            yield f"the first error is not at {expect['first']}"
    if "files" in expect and {item["file"] for item in diagnostics} - set(expect["files"]):
        yield f"a diagnostic is in a file that is not one of {expect['files']}"
    if "not_in_stderr" in expect and expect["not_in_stderr"] in answer["stderr"]:
        yield f"{expect['not_in_stderr']!r} is in stderr"
    if "region" in expect:
        line, column = expect["region"]
        region = answer["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["region"]
        if region["startLine"] != line or column not in (None, region["startColumn"]):
            yield f"the first result is not at {expect['region']}"


def _case(fields: Mapping[str, Any]) -> RequestCase:
    calls = tuple(Call(**call | {"body": _written_out(call.get("body"))}) for call in fields["calls"])
    return RequestCase(fields["id"], fields["claim"], calls)


def _written_out(value: Any) -> Any:
    if isinstance(value, dict):
        if set(value) == {"repeat"}:
            return "".join(text * times for text, times in value["repeat"])
        return {name: _written_out(item) for name, item in value.items()}
    return value
