"""Which target a request gets, and which standard where a compiler has none: half of it may be left out."""

import json
from typing import Any

import pytest

from chalicelib.api import compile_request
from chalicelib.catalog import load_catalog
from chalicelib.errors import InvalidRequest
from chalicelib.models import CompileRequest
from tests.support.factories import make_environment

CATALOG = load_catalog()
CROSS = (
    make_environment(),
    make_environment(
        id="zig-cc-0.15",
        family="zig-cc",
        version_key=(0, 15),
        targets=("x86_64-linux", "arm64-linux", "x86_64-windows", "arm64-macos", "wasm32-wasi"),
    ),
)


def _cross(**fields: Any) -> CompileRequest:
    body = {"source_code": "int x;", "language": "cpp"} | fields
    return compile_request.resolve(compile_request.parse(json.dumps(body).encode()), CATALOG, CROSS)


@pytest.mark.parametrize(
    ("fields", "target"),
    [
        ({}, ("x86_64", "linux")),
        ({"architecture": "arm64"}, ("arm64", "linux")),
        ({"architecture": " AARCH64 "}, ("arm64", "linux")),
        ({"os": "windows"}, ("x86_64", "windows")),
        ({"os": "darwin"}, ("arm64", "macos")),
        ({"os": "Win32", "architecture": "amd64"}, ("x86_64", "windows")),
        ({"architecture": "wasm32"}, ("wasm32", "wasi")),
    ],
)
def test_half_a_target_stands_for_the_first_that_has_it(
    fields: dict[str, str], target: tuple[str, str]
) -> None:
    """The compiler's own target comes first; names from elsewhere are understood."""
    request = _cross(compiler="zig-cc-0.15", **fields)
    assert (request.architecture, request.os) == target


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        (
            {"compiler": "gcc-12", "os": "windows"},
            "os",
            "gcc-12 has no target for os 'windows'; it has x86_64-linux; zig-cc-0.15 would do it.",
        ),
        (
            {"compiler": "gcc-12", "architecture": "wasm32"},
            "architecture",
            "gcc-12 has no target for architecture 'wasm32'; it has x86_64-linux; zig-cc-0.15 would do it.",
        ),
        (
            {"compiler": "zig-cc", "architecture": "x86_64", "os": "macos"},
            "os",
            "no target for architecture 'x86_64' with os 'macos'; it has x86_64-linux, arm64-linux",
        ),
        ({"architecture": "vax"}, "architecture", "it has x86_64-linux."),
        ({"architecture": ""}, "architecture", "no target for architecture ''"),
    ],
)
def test_a_target_that_there_is_not_is_refused_with_those_that_there_are(
    fields: dict[str, str], field: str, words: str
) -> None:
    """The compiler's own, and who else would do it."""
    with pytest.raises(InvalidRequest) as caught:
        _cross(**fields)
    [detail] = caught.value.details
    assert detail.field == field
    assert words in detail.message


@pytest.mark.parametrize(("standard", "accepted"), [(None, True), ("c++17", False)])
def test_a_compiler_without_standards_takes_none(standard: str | None, accepted: bool) -> None:
    """Its own, whatever that is called, is used; another cannot be chosen."""
    offered = [make_environment(standards=(), default_standard="")]
    body = json.dumps({"source_code": "int x;", "language": "cpp", "standard": standard}).encode()
    if accepted:
        assert compile_request.resolve(compile_request.parse(body), CATALOG, offered).standard == ""
    else:
        with pytest.raises(InvalidRequest, match="gcc-12 has none to choose"):
            compile_request.resolve(compile_request.parse(body), CATALOG, offered)
