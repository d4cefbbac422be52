"""Which target a request gets when half of it is left out, and a compiler without standards."""

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
    """The compiler's default target comes first; the names of other tools are understood."""
    assert _cross(compiler="zig-cc-0.15", **fields).target == target


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        (
            {"compiler": "gcc-12", "os": "windows"},
            "os",
            "gcc-12 has no target for os 'windows'; it has x86_64-linux; "
            "compilers that have one: zig-cc-0.15.",
        ),
        (
            {"compiler": "gcc-12", "architecture": "wasm32"},
            "architecture",
            "gcc-12 has no target for architecture 'wasm32'; it has x86_64-linux; "
            "compilers that have one: zig-cc-0.15.",
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
def test_an_unavailable_target_is_invalid_and_the_message_lists_what_is_available(
    fields: dict[str, str], field: str, words: str
) -> None:
    """The targets of the compiler, and other compilers with that target."""
    with pytest.raises(InvalidRequest) as caught:
        _cross(**fields)
    [detail] = caught.value.details
    assert detail.field == field
    assert words in detail.message


@pytest.mark.parametrize(("standard", "valid"), [(None, True), ("c++17", False)])
def test_a_compiler_without_standards_cannot_be_given_one(standard: str | None, valid: bool) -> None:
    """Without a standard in the request it compiles as it does by default."""
    offered = [make_environment(standards=(), default_standard="")]
    body = json.dumps({"source_code": "int x;", "language": "cpp", "standard": standard}).encode()
    if valid:
        assert compile_request.resolve(compile_request.parse(body), CATALOG, offered).standard == ""
    else:
        with pytest.raises(InvalidRequest, match="gcc-12 has none to choose from"):
            compile_request.resolve(compile_request.parse(body), CATALOG, offered)
