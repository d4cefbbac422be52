"""The fingerprint of a request: the same for requests that mean the same, and for no others."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.api import compile_request
from chalicelib.models import CompileRequest, Expectation, Stage, Verdict
from tests.support.factories import make_request
from tests.support.request_strategies import canonical_requests, some_examples


@given(canonical_requests, st.randoms())
@some_examples
def test_equal_requests_have_equal_fingerprints(request: CompileRequest, random: Any) -> None:
    """The order of the files, `cache`, and being stored and read again make no difference."""
    shuffled = list(request.files.items())
    random.shuffle(shuffled)
    twin = request.model_copy(update={"files": dict(shuffled), "cache": not request.cache})
    stored = CompileRequest.model_validate_json(request.model_dump_json())
    assert len({compile_request.fingerprint(item) for item in (request, twin, stored)}) == 1


@given(canonical_requests, canonical_requests)
@some_examples
def test_requests_that_differ_have_different_fingerprints(
    first: CompileRequest, second: CompileRequest
) -> None:
    """Two fingerprints are equal only when everything except `cache` and `expect` is."""
    ignored = {"cache", "expect"}
    same = first.model_dump(exclude=ignored) == second.model_dump(exclude=ignored)
    assert (compile_request.fingerprint(first) == compile_request.fingerprint(second)) == same


CHANGES: dict[str, Any] = {
    "files": {"main.cpp": "int main() { return 1; }"},
    "main": "other.cpp",
    "language": "c",
    "compiler": "gcc-13",
    "standard": "c++20",
    "architecture": "arm64",
    "os": "windows",
    "stage": Stage.LINK,
    "options": ("-Wall",),
    "cache": False,
    "expect": Expectation(verdict=Verdict.REJECTED),
}


def test_every_field_of_a_request_is_in_the_table_of_changes() -> None:
    """So a new field cannot be forgotten in this test."""
    assert list(CHANGES) == list(CompileRequest.model_fields)


@pytest.mark.parametrize("field", CHANGES)
def test_every_field_but_cache_and_expect_changes_the_fingerprint(field: str) -> None:
    """All other fields could change the verdict."""
    before = compile_request.fingerprint(make_request())
    after = compile_request.fingerprint(make_request(**{field: CHANGES[field]}))
    assert (before == after) == (field in ("cache", "expect"))


def test_moving_text_between_neighbouring_parts_changes_the_fingerprint() -> None:
    """Text that moves from one file, name or option into the next makes another request."""
    prints = [
        compile_request.fingerprint(make_request(**changes))
        for changes in (
            {"files": {"a.cpp": "xy", "b.cpp": "z"}},
            {"files": {"a.cpp": "x", "b.cpp": "yz"}},
            {"files": {"a.cpp": "xy", "b.cppz": ""}},
            {"options": ("-Wall", "-O2")},
            {"options": ("-O2", "-Wall")},
            {"options": ("-Wall-O2",)},
        )
    ]
    assert len(set(prints)) == len(prints)
