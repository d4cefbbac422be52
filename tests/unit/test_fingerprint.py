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
    """Neither the order of the files nor `cache` makes a difference, nor a way through Redis."""
    shuffled = list(request.files.items())
    random.shuffle(shuffled)
    twin = request.model_copy(update={"files": dict(shuffled), "cache": not request.cache})
    stored = CompileRequest.model_validate_json(request.model_dump_json())
    assert len({compile_request.fingerprint(each) for each in (request, twin, stored)}) == 1


@given(canonical_requests, canonical_requests)
@some_examples
def test_requests_that_differ_have_different_fingerprints(
    first: CompileRequest, second: CompileRequest
) -> None:
    """Two fingerprints are equal when everything but `cache` and `expect` is."""
    besides = {"cache", "expect"}
    same = first.model_dump(exclude=besides) == second.model_dump(exclude=besides)
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
    """A new field cannot be forgotten in the fingerprint's test."""
    assert list(CHANGES) == list(CompileRequest.model_fields)


@pytest.mark.parametrize("field", CHANGES)
def test_every_field_but_cache_and_expect_changes_the_fingerprint(field: str) -> None:
    """Whatever could change the verdict does; `cache` and `expect` cannot."""
    before = compile_request.fingerprint(make_request())
    after = compile_request.fingerprint(make_request(**{field: CHANGES[field]}))
    assert (before == after) == (field in ("cache", "expect"))


def test_neighbouring_parts_do_not_run_into_each_other() -> None:
    """What moves from one file, name or option into the next is another request."""
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
