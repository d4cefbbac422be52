"""Compile requests under arbitrary input: only `RequestError`s are raised, and valid requests lose nothing.

Hypothesis makes the requests. The messages of single cases are in a table, tests/support/bad_input.py, which
tests/integration/test_bad_input.py sends through HTTP.
"""

import base64
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.api import compile_request
from chalicelib.api.json_body import MAX_BODY_BYTES, MAX_DETAILS
from chalicelib.api.source_files import MAX_FILES, MAX_SOURCE_BYTES
from chalicelib.catalog import load_catalog
from chalicelib.errors import InvalidRequest, RequestError, SourceTooLarge
from chalicelib.models import CompileRequest
from tests.support.factories import make_environment
from tests.support.request_strategies import (
    json_values,
    many_examples,
    near_requests,
    near_values,
    some_examples,
    sources,
    valid_requests,
)

CATALOG = load_catalog()
OFFERED = (
    make_environment(),
    make_environment(id="clang-16", family="clang", version="16.0.6", version_key=(16, 0, 6)),
    make_environment(language="c", standards=("c17",), default_standard="c17"),
)


def _try(body: bytes) -> CompileRequest | RequestError:
    """Both steps. The tests look for any other exception."""
    try:
        return compile_request.resolve(compile_request.parse(body), CATALOG, OFFERED)
    except RequestError as error:
        return error


def _accept(body: bytes) -> CompileRequest | None:
    """Both steps; None when the request is invalid, with a message that is a sentence and can be sent."""
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
def test_any_bytes_are_invalid_with_a_sentence(body: bytes) -> None:
    """A body of arbitrary bytes is a `RequestError`."""
    assert _accept(body) is None


@given(json_values.map(lambda value: json.dumps(value).encode()))
@some_examples
def test_any_json_is_invalid_with_a_sentence(body: bytes) -> None:
    """So is any JSON value, including NaN, infinities and lone surrogates."""
    assert _accept(body) is None


@given(near_requests.map(lambda value: json.dumps(value).encode()))
@many_examples
def test_an_almost_valid_request_is_valid_or_invalid_and_never_another_error(body: bytes) -> None:
    """Any values under the right names; a request that is valid is complete and can be stored."""
    request = _accept(body)
    if request is not None:
        assert request.main in request.files
        assert request.compiler in {item.id for item in OFFERED if item.language == request.language}
        stored = request.model_dump_json().encode()
        assert CompileRequest.model_validate_json(stored) == request


@given(st.sampled_from(sorted(near_values)), json_values)
@many_examples
def test_one_field_of_any_type_is_valid_or_named_in_the_error(field: str, value: Any) -> None:
    """Each single field of a valid request may be anything; the error names a field of the request."""
    good: dict[str, Any] = {"source_code": "int x;", "language": "cpp"}
    outcome = _try(json.dumps(good | {field: value}).encode())
    if isinstance(outcome, RequestError) and "not valid JSON" not in outcome.message:
        assert outcome.details
        assert outcome.details[0].field.split(".")[0] in {field, "source_code", "code", "files", "main"}


# -- valid requests


@given(valid_requests)
@some_examples
def test_a_valid_request_keeps_its_meaning(fields: dict[str, Any]) -> None:
    """Sources stay the same byte for byte, and the canonical request has what was sent."""
    files = fields["files"]
    fields = fields | {"main": min(files)}
    request = compile_request.resolve(compile_request.parse(json.dumps(fields).encode()), CATALOG, OFFERED)
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
def test_a_source_up_to_1_mib_is_valid_in_every_form(size: int) -> None:
    """The limit counts decoded bytes, so escapes and Base64 make no difference."""
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
        compile_request.resolve(
            compile_request.parse(json.dumps(sent | {"language": "cpp"}).encode()), CATALOG, OFFERED
        )


@pytest.mark.parametrize(
    "body",
    [
        b"{" + b",".join(b'"a%d":1' % number for number in range(500_000)) + b"}",
        b'{"language":"cpp","files":{' + b",".join(b'"a%d":1' % number for number in range(500_000)) + b"}}",
        b'{"language":"cpp","options":[' + b",".join([b"1"] * 3_000_000) + b"]}",
        b'{"language":' + b"9" * 6_000_000 + b"}",
        b'{"language":' + b"[" * 3_000_000,
        b'{"' + b"k" * 6_000_000 + b'":1}',
        b'{"source_code":"","language":"cpp"' + b',"os":null' * 600_000 + b"}",
    ],
    ids=["fields", "files", "options", "digits", "brackets", "name", "duplicates"],
)
def test_a_body_made_to_be_expensive_is_checked_quickly(body: bytes) -> None:
    """The largest body of the worst kind takes about a second; with an error for each part it took eight."""
    assert len(body) <= MAX_BODY_BYTES
    started = time.process_time()
    assert _accept(body) is None
    # Processor time, with a margin for a slow machine.
    assert time.process_time() - started < 3


def test_the_number_of_details_is_bounded() -> None:
    """A request with more mistakes than that shows the first twenty."""
    body = json.dumps({"language": "cpp", "files": {f"a{number}": number for number in range(MAX_FILES)}})
    with pytest.raises(InvalidRequest) as caught:
        compile_request.parse(body.encode())
    assert len(caught.value.details) == MAX_DETAILS
