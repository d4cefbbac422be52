"""What a request expects of its result, and whether the result meets it: for authors who must show that
code does *not* compile, or that it draws a warning.

`resolve` turns what a client sent into an `Expectation`, which is stored with the request. `evaluate`
compares it with a result whenever a response is made. An expectation never changes a verdict.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field

from chalicelib.api.validation import ClientModel, Name, invalid, joined, quoted
from chalicelib.models import (
    Diagnostic,
    Expectation,
    ExpectedDiagnostic,
    Result,
    Severity,
    Verdict,
)

# A test of a header expects a handful; the bound keeps the comparison with 1,000 diagnostics cheap.
MAX_EXPECTED_DIAGNOSTICS = 32
# No diagnostic has more: see `MAX_MESSAGE_CHARACTERS` in runner/diagnostics/collector.py.
MAX_EXPECTED_CHARACTERS = 8_192
# Two kilobytes for each diagnostic. It is stored with every job, and with every cell of a matrix.
MAX_EXPECT_BYTES = 64 * 1024
# Compilers count lines and columns in 32 bits, with a sign.
MAX_POSITION = 2**31 - 1

# At most this many diagnostics are searched for a near miss: the hint is worth no more time.
_NEAR_MISS_CANDIDATES = 100
# Matching only on these is too weak to call a diagnostic a near miss.
_WEAK_FIELDS = frozenset({"severity", "file"})

_ERRORS = (Severity.FATAL, Severity.ERROR)


_Text = Annotated[str, Field(min_length=1, max_length=MAX_EXPECTED_CHARACTERS)]
_Position = Annotated[int, Field(ge=1, le=MAX_POSITION)]


class ClientExpectedDiagnostic(ClientModel):
    """One element of ``expect.diagnostics``."""

    severity: Name | None = None
    message: _Text | None = None
    code: _Text | None = None
    file: _Text | None = None
    line: _Position | None = None
    column: _Position | None = None


class ClientExpectation(ClientModel):
    """The field ``expect`` of a request."""

    verdict: Name | None = None
    diagnostics: list[ClientExpectedDiagnostic] = Field(
        default_factory=list, max_length=MAX_EXPECTED_DIAGNOSTICS
    )


def resolve(expect: ClientExpectation | None) -> Expectation | None:
    """The expectation of a request. `InvalidRequest` when no result, or every result, would meet it."""
    if expect is None:
        return None
    if expect.verdict is None and not expect.diagnostics:
        raise invalid("expect", "`expect` is empty: say which `verdict`, or which `diagnostics`, you expect.")
    verdict = None if expect.verdict is None else _parse_name(expect.verdict, Verdict, "expect.verdict")
    diagnostics = tuple(_resolve_diagnostic(item, number) for number, item in enumerate(expect.diagnostics))
    for number, item in enumerate(diagnostics):
        if verdict is Verdict.COMPILES and item.severity in _ERRORS:
            raise invalid(
                f"expect.diagnostics.{number}.severity",
                "`expect` cannot be met: it expects an error, and code that compiles has none.",
            )
    expectation = Expectation(verdict=verdict, diagnostics=diagnostics)
    size_bytes = len(expectation.model_dump_json().encode())
    if size_bytes > MAX_EXPECT_BYTES:
        raise invalid(
            "expect",
            f"`expect` has {size_bytes} bytes as JSON; at most {MAX_EXPECT_BYTES} are allowed: "
            "a part of each message is enough.",
        )
    return expectation


def _resolve_diagnostic(expected: ClientExpectedDiagnostic, number: int) -> ExpectedDiagnostic:
    field = f"expect.diagnostics.{number}"
    values = expected.model_dump(exclude_none=True)
    if not values:
        known = joined(ClientExpectedDiagnostic.model_fields)
        raise invalid(
            field, f"`{field}` is empty, so every diagnostic would match it; give at least one of {known}."
        )
    if expected.severity is not None:
        values["severity"] = _parse_name(expected.severity, Severity, f"{field}.severity")
    return ExpectedDiagnostic.model_validate(values)


def _parse_name(value: str, kind: Any, field: str) -> Any:
    """The member of the enum `kind` with that value."""
    try:
        return kind(value.strip().lower())
    except ValueError:
        allowed = joined(member.value for member in kind)
        what = kind.__name__.lower()
        raise invalid(field, f"{quoted(value)} is not a {what}; choose one of {allowed}.") from None


def evaluate(expectation: Expectation, result: Result) -> dict[str, Any]:
    """``{"met": bool, "differences": [sentence, …]}``; no differences when the expectation is met."""
    differences = _verdict_differences(expectation, result)
    actual = flattened(result.diagnostics)
    missing = unmatched(expectation.diagnostics, actual)
    for expected in missing:
        differences.append(_missing_sentence(expected, actual))
    if missing and result.truncated:
        differences.append(
            "The output was cut off at a limit, so a missing diagnostic may have been in the rest."
        )
    return {"met": not differences, "differences": differences}


def _verdict_differences(expectation: Expectation, result: Result) -> list[str]:
    if expectation.verdict in (None, result.verdict):
        return []
    expected = f"Expected the verdict {expectation.verdict}"
    if result.verdict is Verdict.INCONCLUSIVE and result.reason is not None:
        why = f" {result.error}" if result.error else ""
        return [f"{expected}, but it is inconclusive (reason {result.reason}).{why}"]
    return [f"{expected}, but it is {result.verdict}."]


def flattened(diagnostics: Sequence[Diagnostic]) -> list[Diagnostic]:
    """All diagnostics in order, each followed by its children."""
    return [each for item in diagnostics for each in (item, *flattened(item.children))]


def unmatched(
    expected: Sequence[ExpectedDiagnostic], actual: Sequence[Diagnostic]
) -> list[ExpectedDiagnostic]:
    """What remains of `expected` when as many as possible are matched, each by a diagnostic of its own.

    This is a maximum bipartite matching by augmenting paths. A greedy choice would be wrong where a loose
    expectation takes the only diagnostic that a strict one could have.
    """
    # An expectation with as many candidates as there are expectations always gets one: more are not needed.
    candidates = [
        [position for position, diagnostic in enumerate(actual) if matches(item, diagnostic)][: len(expected)]
        for item in expected
    ]
    owner: dict[int, int] = {}

    def assign(number: int, tried: set[int]) -> bool:
        """Gives expectation `number` a diagnostic, moving others to another one where that is needed."""
        for position in candidates[number]:
            if position not in tried:
                tried.add(position)
                if position not in owner or assign(owner[position], tried):
                    owner[position] = number
                    return True
        return False

    return [item for number, item in enumerate(expected) if not assign(number, set())]


def matches(expected: ExpectedDiagnostic, actual: Diagnostic) -> bool:
    """Whether a diagnostic is the expected one.

    `message` is a case-sensitive substring, all other fields must be equal; a fatal error counts as an error.
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
    values = expected.model_dump(mode="json", exclude_none=True)
    description = ", ".join(
        f"message containing {quoted(value)}" if name == "message" else _field_text(name, value)
        for name, value in values.items()
    )
    if any(matches(expected, diagnostic) for diagnostic in actual):
        return (
            f"Expected one more diagnostic with {description}: "
            "every one that matches already meets another expectation."
        )
    return f"Expected a diagnostic with {description}, but no diagnostic matches.{_near_miss(values, actual)}"


def _near_miss(expected: Mapping[str, Any], actual: Sequence[Diagnostic]) -> str:
    """A sentence about the diagnostic that differs in the fewest fields; empty when none is close."""
    single_fields = {
        name: ExpectedDiagnostic.model_validate({name: value}) for name, value in expected.items()
    }
    mismatches = [
        (diagnostic, [name for name, single in single_fields.items() if not matches(single, diagnostic)])
        for diagnostic in actual[:_NEAR_MISS_CANDIDATES]
    ]
    close = [
        (diagnostic, names) for diagnostic, names in mismatches if expected.keys() - names - _WEAK_FIELDS
    ]
    if not close:
        return ""
    closest, names = min(close, key=lambda mismatch: len(mismatch[1]))
    return f" The closest has {', '.join(_field_text(name, getattr(closest, name)) for name in names)}."


def _field_text(name: str, value: str | int | None) -> str:
    if value is None:
        return f"no {name}"
    return f"{name} {value}" if isinstance(value, int) or name == "severity" else f"{name} {quoted(value)}"
