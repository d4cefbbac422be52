"""What a request expects: which expectations are invalid, and when one is met."""

import itertools
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.api import compile_request, expectations, responses
from chalicelib.api.expectations import MAX_EXPECTED_DIAGNOSTICS, evaluate, unmatched
from chalicelib.catalog import load_catalog
from chalicelib.errors import InvalidRequest
from chalicelib.models import (
    Diagnostic,
    Expectation,
    ExpectedDiagnostic,
    Reason,
    Result,
    Severity,
    Verdict,
)
from tests.support.factories import make_environment, make_job, make_request, make_result

CATALOG = load_catalog()

STATIC_ASSERTION = Diagnostic(
    severity=Severity.ERROR, message="static assertion failed: no", file="main.cpp", line=3, column=15
)
UNUSED = Diagnostic(
    severity=Severity.WARNING, message="unused variable 'x'", code="-Wunused-variable", line=7, column=5
)
MISSING = Diagnostic(severity=Severity.FATAL, message="no.h: No such file or directory", line=1)


def _rejected(*diagnostics: Diagnostic, **changes: Any) -> Result:
    return make_result(
        "0" * 32, verdict=Verdict.REJECTED, compiled=False, exit_code=1, diagnostics=diagnostics, **changes
    )


def _resolve(expect: Any) -> Expectation | None:
    body = {"source_code": "int x;", "language": "cpp", "expect": expect}
    return compile_request.resolve(
        compile_request.parse(json.dumps(body).encode()), CATALOG, [make_environment()]
    ).expect


def _expect(*diagnostics: ExpectedDiagnostic, verdict: Verdict | None = None) -> Expectation:
    return Expectation(verdict=verdict, diagnostics=diagnostics)


# -- what may be expected


def test_an_expectation_is_kept_with_the_request() -> None:
    """Every field is stored; one that was not sent stays empty."""
    expect = {
        "verdict": "rejected",
        "diagnostics": [
            {
                "severity": "Error",
                "message": "static assertion",
                "code": "-Wx",
                "file": "main.cpp",
                "line": 3,
                "column": 1,
            },
            {"line": 4},
        ],
    }
    assert _resolve(expect) == Expectation(
        verdict=Verdict.REJECTED,
        diagnostics=(
            ExpectedDiagnostic(
                severity=Severity.ERROR,
                message="static assertion",
                code="-Wx",
                file="main.cpp",
                line=3,
                column=1,
            ),
            ExpectedDiagnostic(line=4),
        ),
    )
    assert _resolve(None) is None


@pytest.mark.parametrize(
    ("expect", "field", "words"),
    [
        ({}, "expect", "is empty"),
        ({"diagnostics": []}, "expect", "is empty"),
        ({"verdict": "fails"}, "expect.verdict", "compiles, rejected, inconclusive"),
        ({"verdict": 1}, "expect.verdict", "string"),
        ({"verdicts": "rejected"}, "expect.verdicts", "known fields are verdict, diagnostics"),
        ({"diagnostics": [{}]}, "expect.diagnostics.0", "severity, message, code, file, line, column"),
        ({"diagnostics": [{"line": 0}]}, "expect.diagnostics.0.line", "greater than or equal to 1"),
        ({"diagnostics": [{"line": "3"}]}, "expect.diagnostics.0.line", "integer"),
        ({"diagnostics": [{"column": 0}]}, "expect.diagnostics.0.column", "greater than or equal to 1"),
        ({"diagnostics": [{"message": ""}]}, "expect.diagnostics.0.message", "at least 1 character"),
        ({"diagnostics": [{"severity": "bad"}]}, "expect.diagnostics.0.severity", "fatal, error, warning"),
        ({"diagnostics": [{"text": "x"}]}, "expect.diagnostics.0.text", "known fields are severity, message"),
        ({"diagnostics": [{"line": 1}] * 33}, "expect.diagnostics", "at most 32"),
        (
            {"verdict": "compiles", "diagnostics": [{"line": 1}, {"severity": "error"}]},
            "expect.diagnostics.1.severity",
            "cannot be met",
        ),
        ("rejected", "expect", "JSON object"),
    ],
)
def test_an_expectation_that_is_empty_or_cannot_be_met_is_invalid(
    expect: Any, field: str, words: str
) -> None:
    """The error names the field and what is allowed."""
    with pytest.raises(InvalidRequest) as caught:
        _resolve(expect)
    [detail] = caught.value.details
    assert detail.field == field
    assert words in detail.message


# -- whether it is met


@pytest.mark.parametrize(
    "expected",
    [
        ExpectedDiagnostic(line=3, severity=Severity.ERROR, message="static assertion"),
        ExpectedDiagnostic(file="main.cpp", column=15),
        ExpectedDiagnostic(code="-Wunused-variable"),
        ExpectedDiagnostic(severity=Severity.ERROR, line=1),
        ExpectedDiagnostic(severity=Severity.FATAL),
    ],
)
def test_an_expected_diagnostic_needs_one_with_all_of_its_fields(expected: ExpectedDiagnostic) -> None:
    """`message` is a substring, the other fields are equal; a fatal error counts as an error."""
    result = _rejected(STATIC_ASSERTION, UNUSED, MISSING)
    assert evaluate(_expect(expected, verdict=Verdict.REJECTED), result) == {"met": True, "differences": []}


@pytest.mark.parametrize(
    ("expected", "ending"),
    [
        (ExpectedDiagnostic(line=4), "a diagnostic with line 4, but no diagnostic matches."),
        (
            ExpectedDiagnostic(message="Static"),
            "a diagnostic with message containing 'Static', but no diagnostic matches.",
        ),
        (
            ExpectedDiagnostic(severity=Severity.NOTE, file="a.hpp"),
            "a diagnostic with severity note, file 'a.hpp', but no diagnostic matches.",
        ),
        (
            ExpectedDiagnostic(severity=Severity.FATAL, line=3),
            "severity fatal, line 3, but no diagnostic matches. The closest has severity error.",
        ),
        (
            ExpectedDiagnostic(severity=Severity.ERROR, message="assertion", line=4, column=15),
            "line 4, column 15, but no diagnostic matches. The closest has line 3.",
        ),
        (
            ExpectedDiagnostic(code="-Wunused-variable", file="main.cpp", line=7),
            "line 7, but no diagnostic matches. The closest has no file.",
        ),
        (
            ExpectedDiagnostic(message="unused", code="-Wunused"),
            "code '-Wunused', but no diagnostic matches. The closest has code '-Wunused-variable'.",
        ),
        (
            ExpectedDiagnostic(severity=Severity.ERROR, file="main.cpp", line=99),
            "line 99, but no diagnostic matches.",
        ),
        (ExpectedDiagnostic(code="-Wunused"), "code '-Wunused', but no diagnostic matches."),
    ],
)
def test_a_missing_diagnostic_is_described_in_a_sentence(expected: ExpectedDiagnostic, ending: str) -> None:
    """Case matters in messages, a code must be complete, and an ordinary error is not fatal."""
    evaluation = evaluate(_expect(expected), _rejected(STATIC_ASSERTION, UNUSED))
    assert not evaluation["met"]
    [sentence] = evaluation["differences"]
    assert sentence.startswith("Expected ")
    assert sentence.endswith(ending)


def test_a_note_below_an_error_counts() -> None:
    """Children are diagnostics like any other, at any depth."""
    deep = Diagnostic(severity=Severity.NOTE, message="declared here", line=1)
    middle = Diagnostic(severity=Severity.NOTE, message="in expansion", children=(deep,))
    parent = STATIC_ASSERTION.model_copy(update={"children": (middle,)})
    assert evaluate(_expect(ExpectedDiagnostic(message="declared here")), _rejected(parent))["met"]


def test_each_expectation_needs_a_diagnostic_of_its_own() -> None:
    """Two equal expectations are not met by one diagnostic."""
    twice = _expect(*[ExpectedDiagnostic(message="static")] * 2)
    evaluation = evaluate(twice, _rejected(STATIC_ASSERTION, UNUSED))
    assert evaluation == {
        "met": False,
        "differences": [
            "Expected one more diagnostic with message containing 'static': "
            "every one that matches already meets another expectation."
        ],
    }
    assert evaluate(twice, _rejected(STATIC_ASSERTION, STATIC_ASSERTION))["met"]


def test_a_loose_expectation_does_not_take_what_a_strict_one_needs() -> None:
    """The order in which they are written makes no difference."""
    loose, strict = ExpectedDiagnostic(severity=Severity.ERROR), ExpectedDiagnostic(line=3)
    both = [STATIC_ASSERTION, STATIC_ASSERTION.model_copy(update={"line": 9})]
    for expected, actual in itertools.product(
        itertools.permutations([loose, strict]), itertools.permutations(both)
    ):
        assert unmatched(expected, actual) == []


@given(
    st.lists(
        st.builds(ExpectedDiagnostic, line=st.none() | st.integers(1, 3), column=st.integers(1, 2)),
        max_size=5,
    ),
    st.lists(
        st.builds(
            Diagnostic,
            severity=st.just(Severity.ERROR),
            message=st.just("m"),
            line=st.integers(1, 3),
            column=st.integers(1, 2),
        ),
        max_size=5,
    ),
)
@settings(deadline=None)  # how busy the machine is does not matter here
def test_as_many_as_possible_are_met(expected: list[ExpectedDiagnostic], actual: list[Diagnostic]) -> None:
    """The result is as good as trying every assignment."""

    def best(rest: list[ExpectedDiagnostic], free: frozenset[int]) -> int:
        if not rest:
            return 0
        with_first = [
            1 + best(rest[1:], free - {position})
            for position in free
            if expectations.matches(rest[0], actual[position])
        ]
        return max([best(rest[1:], free), *with_first])

    met = len(expected) - len(unmatched(expected, actual))
    assert met == best(expected, frozenset(range(len(actual))))


def test_another_verdict_is_a_difference() -> None:
    """The sentence has the expected and the actual verdict."""
    evaluation = evaluate(_expect(verdict=Verdict.REJECTED), make_result("0" * 32))
    assert evaluation == {"met": False, "differences": ["Expected the verdict rejected, but it is compiles."]}


@pytest.mark.parametrize("verdict", [Verdict.REJECTED, Verdict.COMPILES])
def test_an_inconclusive_result_meets_neither_verdict(verdict: Verdict) -> None:
    """A limit that was hit is not a rejection; the sentence says which limit and why."""
    result = Result.inconclusive("0" * 32, Reason.MEMORY, "gcc-12 needed more than the limit of 512 MiB.")
    assert evaluate(_expect(verdict=verdict), result) == {
        "met": False,
        "differences": [
            f"Expected the verdict {verdict.value}, but it is inconclusive (reason memory). "
            "gcc-12 needed more than the limit of 512 MiB."
        ],
    }


def test_cut_output_is_mentioned_where_something_is_missing() -> None:
    """A missing diagnostic may have been in the rest; if none is missing the cut does not matter."""
    cut = _rejected(STATIC_ASSERTION, truncated=True)
    assert "cut off at a limit" in evaluate(_expect(ExpectedDiagnostic(line=4)), cut)["differences"][-1]
    assert evaluate(_expect(ExpectedDiagnostic(line=3)), cut)["met"]


def test_many_expectations_over_many_diagnostics_are_quick() -> None:
    """The most that a request may expect, against the most that a result may hold."""
    actual = [STATIC_ASSERTION.model_copy(update={"line": number}) for number in range(1000)]
    expected = [ExpectedDiagnostic(message="static")] * MAX_EXPECTED_DIAGNOSTICS
    assert unmatched(expected, actual) == []


def test_an_ended_job_says_whether_its_expectation_was_met() -> None:
    """`expectation` is null when the request expected nothing."""
    result = _rejected(STATIC_ASSERTION)
    expecting = make_job(request=make_request(expect=_expect(verdict=Verdict.REJECTED)))
    assert responses.ended_job(expecting, result)["expectation"] == {"met": True, "differences": []}
    assert responses.ended_job(make_job(), result)["expectation"] is None
