"""The request model under arbitrary input: only `RequestError`s, and a fingerprint that can be trusted.

Hypothesis makes the requests. What a person should be told in each case is a table in
tests/integration/test_bad_input.py, which goes through HTTP.
"""

import base64
import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib import requests
from chalicelib.bodies import MAX_BODY_BYTES, MAX_DETAILS
from chalicelib.catalog import load_catalog
from chalicelib.errors import InvalidRequest, RequestError, SourceTooLarge
from chalicelib.models import CompileRequest, Expectation, Stage, Verdict
from chalicelib.sources import MAX_FILES, MAX_SOURCE_BYTES
from tests.factories import make_environment, make_request

CATALOG = load_catalog()
OFFERED = (
    make_environment(),
    make_environment(id="clang-16", family="clang", version="16.0.6", version_key=(16, 0, 6)),
    make_environment(language="c", standards=("c17",), default_standard="c17"),
)

# -- strategies

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
# What comes near to a request: the right names with any values, so that every branch is reached.
near_values: dict[str, st.SearchStrategy[Any]] = {
    "source_code": st.text(),
    "code": st.binary().map(lambda raw: base64.b64encode(raw).decode()) | st.text(),
    "files": st.dictionaries(
        st.sampled_from(["main.cpp", "a.hpp", "../x.cpp", "a", "a/b.c"]) | st.text(), st.text()
    ),
    "main": st.sampled_from(["main.cpp", "a.hpp"]) | st.text(),
    "language": st.sampled_from(["cpp", "c", "C++", "rust"]) | st.text(),
    "compiler": st.sampled_from(["gcc-12", "gcc", "clang-16", "msvc"]) | st.text(),
    "standard": st.sampled_from(["c++17", "c++20", "c17", "gnu++17"]) | st.text(),
    "architecture": st.sampled_from(["x86_64", "amd64", "arm64"]) | st.text(),
    "os": st.sampled_from(["linux", "windows"]) | st.text(),
    "stage": st.sampled_from(["syntax", "compile", "link", "run"]) | st.text(),
    "options": st.lists(st.sampled_from(["-Wall", "-O2", "@x", "-o/x"]) | st.text(), max_size=4),
    "cache": st.booleans(),
    "expect": st.fixed_dictionaries(
        {},
        optional={
            "verdict": st.sampled_from(["compiles", "rejected", "no"]) | json_values,
            "diagnostics": st.lists(
                st.fixed_dictionaries(
                    {}, optional={"line": st.integers(), "severity": st.text(), "message": json_values}
                ),
                max_size=3,
            )
            | json_values,
        },
    ),
}
near_requests = st.fixed_dictionaries(
    {}, optional={name: values | json_values for name, values in near_values.items()}
)

file_names = st.from_regex(r"[a-z]{1,8}(/[a-z]{1,8}){0,2}", fullmatch=True).map(lambda stem: f"{stem}.cpp")
# Everything that JSON in UTF-8 can carry: all of Unicode without lone surrogates.
sources = st.text(alphabet=st.characters(exclude_categories=["Cs"]))
valid_requests = st.fixed_dictionaries(
    {
        "files": st.dictionaries(file_names, sources, min_size=1, max_size=5),
        "language": st.sampled_from(["cpp", "c++", "CPP"]),
    },
    optional={
        "compiler": st.sampled_from(["gcc-12", "gcc", "clang-16", "clang"]),
        "standard": st.sampled_from(["c++17", "c++20", "C++2a"]),
        "architecture": st.sampled_from(["x86_64", "amd64", "X64"]),
        "os": st.sampled_from(["linux", "Linux"]),
        "stage": st.sampled_from(["syntax", "compile", "link"]),
        "options": st.lists(st.sampled_from(["-Wall", "-O2", "-DX=1", "-fno-rtti"]), max_size=3),
        "cache": st.booleans(),
    },
)
canonical_requests = st.builds(
    CompileRequest,
    files=st.dictionaries(file_names, sources, min_size=1, max_size=4),
    main=file_names,
    language=st.sampled_from(["c", "cpp"]),
    compiler=st.sampled_from(["gcc-12", "clang-16"]),
    standard=st.sampled_from(["c++17", "c17"]),
    architecture=st.sampled_from(["x86_64", "arm64"]),
    os=st.sampled_from(["linux", "windows"]),
    stage=st.sampled_from(Stage),
    options=st.lists(st.sampled_from(["-Wall", "-O2"]), max_size=3).map(tuple),
    cache=st.booleans(),
)


# No deadline for one example: what else runs on the machine is not what is tested.
some_examples = settings(deadline=None)
many_examples = settings(deadline=None, max_examples=400)


def _try(body: bytes) -> CompileRequest | RequestError:
    """Both steps. Any other exception is what the tests look for."""
    try:
        return requests.resolve(requests.parse(body), CATALOG, OFFERED)
    except RequestError as error:
        return error


def _accept(body: bytes) -> CompileRequest | None:
    """Both steps; None when the request is refused, which must be in a sentence that can be sent."""
    outcome = _try(body)
    if isinstance(outcome, CompileRequest):
        return outcome
    assert outcome.message.endswith((".", ")", "…"))
    assert "\n" not in outcome.message
    assert len(outcome.details) <= MAX_DETAILS
    # A lone surrogate in a message could not be sent as UTF-8.
    json.dumps(outcome.to_json(), ensure_ascii=False).encode()
    return None


# -- nothing but a RequestError


@given(st.binary(max_size=200))
@some_examples
def test_any_bytes_are_refused_in_a_sentence(body: bytes) -> None:
    """A body of arbitrary bytes is a `RequestError`, whatever is in it."""
    assert _accept(body) is None


@given(json_values.map(lambda value: json.dumps(value).encode()))
@some_examples
def test_any_json_is_refused_in_a_sentence(body: bytes) -> None:
    """So is any JSON value, NaN, infinities and lone surrogates included."""
    assert _accept(body) is None


@given(near_requests.map(lambda value: json.dumps(value).encode()))
@many_examples
def test_what_comes_near_to_a_request_is_accepted_or_refused_and_never_breaks(body: bytes) -> None:
    """Any values under the right names; what is accepted is complete and can be stored."""
    request = _accept(body)
    if request is not None:
        assert request.main in request.files
        assert request.compiler in {item.id for item in OFFERED if item.language == request.language}
        stored = request.model_dump_json().encode()
        assert CompileRequest.model_validate_json(stored) == request


@given(st.sampled_from(sorted(near_values)), json_values)
@many_examples
def test_one_field_of_any_type_never_breaks_a_good_request(field: str, value: Any) -> None:
    """Each field alone may hold anything; a refusal names a field of the request."""
    good: dict[str, Any] = {"source_code": "int x;", "language": "cpp"}
    outcome = _try(json.dumps(good | {field: value}).encode())
    if isinstance(outcome, RequestError) and "not valid JSON" not in outcome.message:
        assert outcome.details
        assert outcome.details[0].field.split(".")[0] in {field, "source_code", "code", "files", "main"}


# -- what is accepted


@given(valid_requests)
@some_examples
def test_a_valid_request_says_the_same_after_it_was_accepted(fields: dict[str, Any]) -> None:
    """Sources come through byte for byte, and what was asked for is what is stored."""
    files = fields["files"]
    fields = fields | {"main": min(files)}
    request = requests.resolve(requests.parse(json.dumps(fields).encode()), CATALOG, OFFERED)
    assert (request.files, request.main) == (files, min(files))
    assert request.language == "cpp"
    assert request.stage.value == fields.get("stage", "compile")
    assert request.options == tuple(fields.get("options", ()))
    assert request.cache == fields.get("cache", True)
    assert request.standard == {"C++2a": "c++20"}.get(
        fields.get("standard", ""), fields.get("standard", "c++17")
    )
    assert (request.architecture, request.os) == ("x86_64", "linux")
    assert request.compiler.startswith(fields.get("compiler", "clang"))


@given(sources)
@some_examples
def test_base64_carries_the_same_source(source: str) -> None:
    """`code` is `source_code` in Base64 of UTF-8, for any text."""
    plain = {"source_code": source, "language": "cpp"}
    coded = {"code": base64.b64encode(source.encode()).decode(), "language": "cpp"}
    assert _accept(json.dumps(plain).encode()) == _accept(json.dumps(coded, ensure_ascii=False).encode())


@pytest.mark.parametrize("size", [MAX_SOURCE_BYTES - 1, MAX_SOURCE_BYTES])
def test_a_source_up_to_1_mib_is_taken_in_every_form(size: int) -> None:
    """The limit is on decoded bytes, so that escapes and Base64 do not count against it."""
    source = "x" * size
    for sent in (
        {"source_code": source},
        {"code": base64.b64encode(source.encode()).decode()},
        {"files": {"main.cpp": source[: size // 2], "b.cpp": source[size // 2 :]}},
    ):
        assert _accept(json.dumps(sent | {"language": "cpp"}).encode()) is not None
    escaped = b'{"language": "cpp", "source_code": "' + b"\\u0078" * size + b'"}'
    assert len(escaped) <= MAX_BODY_BYTES
    assert _accept(escaped) is not None


@pytest.mark.parametrize(
    "sent",
    [
        {"source_code": "x" * (MAX_SOURCE_BYTES + 1)},
        {"source_code": "é" * (MAX_SOURCE_BYTES // 2 + 1)},
        {"code": base64.b64encode(b"x" * (MAX_SOURCE_BYTES + 1)).decode()},
        {"files": {"main.cpp": "x" * MAX_SOURCE_BYTES, "b.cpp": "x"}},
    ],
    ids=["plain", "two bytes a letter", "Base64", "files together"],
)
def test_one_byte_more_is_too_large(sent: dict[str, Any]) -> None:
    """Sizes are bytes of UTF-8 over all files."""
    with pytest.raises(SourceTooLarge, match="1 MiB"):
        requests.resolve(requests.parse(json.dumps(sent | {"language": "cpp"}).encode()), CATALOG, OFFERED)


@pytest.mark.parametrize(
    "body",
    [
        b"{" + b",".join(b'"a%d":1' % number for number in range(500_000)) + b"}",
        b'{"language":"cpp","files":{' + b",".join(b'"a%d":1' % number for number in range(500_000)) + b"}}",
        b'{"language":"cpp","options":[' + b",".join([b"1"] * 3_000_000) + b"]}",
        b'{"language":' + b"9" * 6_000_000 + b"}",
        b'{"language":' + b"[" * 3_000_000,
        b'{"' + b"k" * 6_000_000 + b'":1}',
    ],
    ids=["fields", "files", "options", "digits", "brackets", "name"],
)
def test_a_body_made_to_be_expensive_is_refused_quickly(body: bytes) -> None:
    """A full body of the worst kind takes about a second; with an error for each part it took eight."""
    assert len(body) <= MAX_BODY_BYTES
    started = time.process_time()
    assert _accept(body) is None
    # Room for a slow machine.
    assert time.process_time() - started < 3


def test_errors_are_shown_up_to_a_bound() -> None:
    """A request with a hundred mistakes shows the first twenty."""
    body = json.dumps({"language": "cpp", "files": {f"a{number}": number for number in range(MAX_FILES)}})
    with pytest.raises(InvalidRequest) as caught:
        requests.parse(body.encode())
    assert len(caught.value.details) == MAX_DETAILS


# -- the fingerprint


@given(canonical_requests, st.randoms())
@some_examples
def test_equal_requests_have_equal_fingerprints(request: CompileRequest, random: Any) -> None:
    """Neither the order of the files nor `cache` makes a difference, nor a way through Redis."""
    shuffled = list(request.files.items())
    random.shuffle(shuffled)
    twin = request.model_copy(update={"files": dict(shuffled), "cache": not request.cache})
    stored = CompileRequest.model_validate_json(request.model_dump_json())
    assert len({requests.fingerprint(each) for each in (request, twin, stored)}) == 1


@given(canonical_requests, canonical_requests)
@some_examples
def test_requests_that_differ_have_different_fingerprints(
    first: CompileRequest, second: CompileRequest
) -> None:
    """Two fingerprints are equal when everything but `cache` and `expect` is."""
    besides = {"cache", "expect"}
    same = first.model_dump(exclude=besides) == second.model_dump(exclude=besides)
    assert (requests.fingerprint(first) == requests.fingerprint(second)) == same


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
    before = requests.fingerprint(make_request())
    after = requests.fingerprint(make_request(**{field: CHANGES[field]}))
    assert (before == after) == (field in ("cache", "expect"))


def test_neighbouring_parts_do_not_run_into_each_other() -> None:
    """What moves from one file, name or option into the next is another request."""
    prints = [
        requests.fingerprint(make_request(**changes))
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
