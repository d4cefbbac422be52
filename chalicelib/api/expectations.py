"""What a request expects of its answer, and whether that was met: for authors who must show that code does
*not* compile, or that a warning comes.

Shapes from a client become an `Expectation` (`resolve`), which is stored with the request; `evaluate`
compares it with a result, each time that the answer is made. It never changes a verdict.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from chalicelib.api.validation import invalid, joined, quoted
from chalicelib.models import (
    Diagnostic,
    Expectation,
    ExpectedDiagnostic,
    Result,
    Severity,
    Verdict,
)

# A test of a header expects a handful; the bound keeps the comparison with 1000 diagnostics cheap.
MAX_EXPECTED_DIAGNOSTICS = 32

# A near miss is looked for among so many diagnostics: what it tells is worth no more time.
_NEAR = 100
# What is equal in these alone makes two diagnostics no neighbours.
_VAGUE = frozenset({"severity", "file"})

_ERRORS = (Severity.FATAL, Severity.ERROR)


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class ClientExpectedDiagnostic(_Shape):
    """One element of ``expect.diagnostics``."""

    severity: str | None = None
    message: str | None = Field(None, min_length=1)
    code: str | None = Field(None, min_length=1)
    file: str | None = Field(None, min_length=1)
    line: int | None = Field(None, ge=1)
    column: int | None = Field(None, ge=1)


class ClientExpectation(_Shape):
    """The field ``expect`` of a request."""

    verdict: str | None = None
    diagnostics: list[ClientExpectedDiagnostic] = Field(
        default_factory=list, max_length=MAX_EXPECTED_DIAGNOSTICS
    )


def resolve(given: ClientExpectation | None) -> Expectation | None:
    """The expectation of a request. `InvalidRequest` when nothing could ever meet it, or everything would."""
    if given is None:
        return None
    if given.verdict is None and not given.diagnostics:
        raise invalid("expect", "`expect` is empty: say which `verdict`, or which `diagnostics`, you expect.")
    verdict = None if given.verdict is None else _named(given.verdict, Verdict, "expect.verdict")
    diagnostics = tuple(_resolve_one(item, number) for number, item in enumerate(given.diagnostics))
    for number, item in enumerate(diagnostics):
        if verdict is Verdict.COMPILES and item.severity in _ERRORS:
            raise invalid(
                f"expect.diagnostics.{number}.severity",
                "`expect` cannot be met: what compiles has no errors, and an error is expected.",
            )
    return Expectation(verdict=verdict, diagnostics=diagnostics)


def _resolve_one(given: ClientExpectedDiagnostic, number: int) -> ExpectedDiagnostic:
    field = f"expect.diagnostics.{number}"
    values = given.model_dump(exclude_none=True)
    if not values:
        known = joined(ClientExpectedDiagnostic.model_fields)
        raise invalid(field, f"`{field}` is empty: every diagnostic would meet it; give one of {known}.")
    if given.severity is not None:
        values["severity"] = _named(given.severity, Severity, f"{field}.severity")
    return ExpectedDiagnostic.model_validate(values)


def _named(value: str, kind: Any, field: str) -> Any:
    try:
        return kind(value.strip().lower())
    except ValueError:
        allowed = joined(member.value for member in kind)
        what = kind.__name__.lower()
        raise invalid(field, f"{quoted(value)} is not a {what}; there are {allowed}.") from None


def evaluate(expectation: Expectation, result: Result) -> dict[str, Any]:
    """``{"met": bool, "differences": [sentence, …]}``: what differs, in sentences; none when it was met."""
    differences = _verdict_differences(expectation, result)
    actual = flattened(result.diagnostics)
    missing = unmatched(expectation.diagnostics, actual)
    for expected in missing:
        differences.append(_missing_sentence(expected, actual))
    if missing and result.truncated:
        differences.append("The output was cut at a limit, so what is missing may have been there.")
    return {"met": not differences, "differences": differences}


def _verdict_differences(expectation: Expectation, result: Result) -> list[str]:
    wanted = expectation.verdict
    if wanted in (None, result.verdict):
        return []
    if result.verdict is Verdict.INCONCLUSIVE and result.reason is not None:
        why = f" {result.error}" if result.error else ""
        return [f"Expected the verdict {wanted}; it is inconclusive (reason {result.reason}).{why}"]
    return [f"Expected the verdict {wanted}; it is {result.verdict}."]


def flattened(diagnostics: Sequence[Diagnostic]) -> list[Diagnostic]:
    """All diagnostics in order, each followed by its children."""
    return [each for item in diagnostics for each in (item, *flattened(item.children))]


def unmatched(
    expected: Sequence[ExpectedDiagnostic], actual: Sequence[Diagnostic]
) -> list[ExpectedDiagnostic]:
    """What is left of `expected` when as many as possible are met, each by a diagnostic of its own.

    A greedy choice would fail where a loose expectation takes what only a strict one could have, so
    this is a maximum matching, by augmenting paths.
    """
    # One that fits as many as there are expectations always finds one that is free: more need not be kept.
    fitting = [
        [position for position, diagnostic in enumerate(actual) if meets(item, diagnostic)][: len(expected)]
        for item in expected
    ]
    taken: dict[int, int] = {}

    def place(number: int, tried: set[int]) -> bool:
        for position in fitting[number]:
            if position not in tried:
                tried.add(position)
                if position not in taken or place(taken[position], tried):
                    taken[position] = number
                    return True
        return False

    return [item for number, item in enumerate(expected) if not place(number, set())]


def meets(expected: ExpectedDiagnostic, actual: Diagnostic) -> bool:
    """Whether a diagnostic is as expected: `message` is a part of it, everything else is equal.

    A fatal error is an error, too.
    """
    severities = _ERRORS if expected.severity is Severity.ERROR else (expected.severity,)
    return (
        (expected.severity is None or actual.severity in severities)
        and (expected.message is None or expected.message in actual.message)
        and expected.code in (None, actual.code)
        and expected.file in (None, actual.file)
        and expected.line in (None, actual.line)
        and expected.column in (None, actual.column)
    )


def _missing_sentence(expected: ExpectedDiagnostic, actual: Sequence[Diagnostic]) -> str:
    wanted = expected.model_dump(mode="json", exclude_none=True)
    description = ", ".join(
        f"message containing {quoted(value)}" if name == "message" else _told(name, value)
        for name, value in wanted.items()
    )
    if any(meets(expected, item) for item in actual):
        return f"Expected one more diagnostic with {description}; all that there are meet other expectations."
    return f"Expected a diagnostic with {description}; there is none.{_near_miss(wanted, actual)}"


def _near_miss(wanted: Mapping[str, Any], actual: Sequence[Diagnostic]) -> str:
    """A sentence on the diagnostic that lacks the least of what was wanted; empty when all lack too much."""
    singles = {name: ExpectedDiagnostic.model_validate({name: value}) for name, value in wanted.items()}
    lacks = [
        (diagnostic, [name for name, single in singles.items() if not meets(single, diagnostic)])
        for diagnostic in actual[:_NEAR]
    ]
    near = [(item, names) for item, names in lacks if singles.keys() - names - _VAGUE]
    if not near:
        return ""
    nearest, names = min(near, key=lambda each: len(each[1]))
    told = ", ".join(_told(name, getattr(nearest, name)) for name in names)
    return f" The nearest has {told}."


def _told(name: str, value: str | int | None) -> str:
    if value is None:
        return f"no {name}"
    return f"{name} {value}" if isinstance(value, int) or name == "severity" else f"{name} {quoted(value)}"
