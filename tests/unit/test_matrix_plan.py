"""The cells of a matrix: which combinations names and globs mean, what is omitted, and what is invalid."""

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.api.source_files import MAX_SOURCE_BYTES
from chalicelib.catalog import load_catalog
from chalicelib.errors import InvalidRequest, RequestError
from chalicelib.matrix import plan
from chalicelib.matrix.plan import MAX_CELLS, Plan
from chalicelib.models import Stage, Verdict
from tests.support.factories import make_environment

CATALOG = load_catalog()
MODERN = ("c++17", "gnu++17", "c++20", "gnu++20")
OFFERED = (
    make_environment(id="gcc-9", version="9.5.0", version_key=(9, 5, 0), standards=("c++11", *MODERN[:2])),
    make_environment(id="gcc-12", standards=("c++11", *MODERN)),
    make_environment(
        id="clang-16",
        family="clang",
        version_key=(16, 0, 6),
        standards=MODERN,
        targets=("x86_64-linux", "arm64-linux", "x86_64-windows"),
    ),
    make_environment(
        id="clang-14",
        family="clang",
        version_key=(14, 0, 6),
        standards=MODERN,
        stages=(Stage.SYNTAX, Stage.COMPILE),
    ),
    make_environment(language="c", id="gcc-12", standards=("c17",), default_standard="c17"),
)


def _plan(**fields: Any) -> Plan:
    body = {"source_code": "int x;", "language": "cpp"} | fields
    return plan.make_plan(plan.parse(json.dumps(body).encode()), CATALOG, OFFERED)


def _cells(**fields: Any) -> list[str]:
    return [f"{request.compiler} {request.standard} {request.target}" for request in _plan(**fields).requests]


def _omitted(**fields: Any) -> list[tuple[str, str | None, str | None]]:
    return [(omission.compiler, omission.standard, omission.target) for omission in _plan(**fields).omitted]


def _error(**fields: Any) -> tuple[str, str]:
    with pytest.raises(InvalidRequest) as caught:
        _plan(**fields)
    return caught.value.details[0].field, caught.value.message


# -- names and globs


def test_without_names_every_compiler_uses_its_defaults() -> None:
    """All compilers of the language, oldest first, each with its default standard and first target."""
    assert _cells() == [
        "gcc-9 c++17 x86_64-linux",
        "gcc-12 c++17 x86_64-linux",
        "clang-14 c++17 x86_64-linux",
        "clang-16 c++17 x86_64-linux",
    ]


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (["gcc-12"], ["gcc-12"]),
        ("gcc-12", ["gcc-12"]),
        (["gcc"], ["gcc-12"]),
        (["gcc-*"], ["gcc-9", "gcc-12"]),
        (["*"], ["gcc-9", "gcc-12", "clang-14", "clang-16"]),
        (["all"], ["gcc-9", "gcc-12", "clang-14", "clang-16"]),
        (["clang-1[0-5]", "gcc-?"], ["clang-14", "gcc-9"]),
        (["clang", "*", " CLANG-16 "], ["clang-16", "gcc-9", "gcc-12", "clang-14"]),
    ],
)
def test_compilers_are_chosen_by_id_family_or_glob(patterns: Any, expected: list[str]) -> None:
    """A family means its newest compiler, as in a compile request; each compiler comes once."""
    assert [cell.split()[0] for cell in _cells(compilers=patterns)] == expected


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (["c++17"], ["c++17"]),
        (["C++1z", "c++17"], ["c++17"]),
        (["c++*"], ["c++11", "c++17", "c++20"]),
        ("gnu++*", ["gnu++17", "gnu++20"]),
        (["*20", "c++11"], ["c++11", "c++20", "gnu++20"]),
        ("all", ["c++11", "c++17", "gnu++17", "c++20", "gnu++20"]),
    ],
)
def test_standards_are_chosen_by_name_alias_or_glob_and_come_oldest_first(
    patterns: Any, expected: list[str]
) -> None:
    """The order of the request does not matter, so that a minimum can be read off."""
    cells = _cells(compilers=["gcc-12"], standards=patterns)
    assert [cell.split()[1] for cell in cells] == expected


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (["x86_64-windows"], ["x86_64-windows"]),
        (["windows/x86_64", "amd64-Windows", "win32/x64"], ["x86_64-windows"]),
        (["linux/aarch64"], ["arm64-linux"]),
        (["*-linux"], ["x86_64-linux", "arm64-linux"]),
        (["linux/*"], ["x86_64-linux", "arm64-linux"]),
        ("all", ["x86_64-linux", "arm64-linux", "x86_64-windows"]),
    ],
)
def test_targets_are_chosen_by_name_in_both_orders_or_by_glob(patterns: Any, expected: list[str]) -> None:
    """`<architecture>-<os>` or `<os>/<architecture>`, also with the names that other tools use."""
    assert [cell.split()[2] for cell in _cells(compilers=["clang-16"], targets=patterns)] == expected


def test_every_cell_has_the_request_of_a_single_job() -> None:
    """Files, stage, options, cache and expectation are those of the matrix."""
    matrix_plan = _plan(
        source_code=None,
        files={"a.cpp": "int a;", "b.hpp": ""},
        main="a.cpp",
        stage="syntax",
        options=["-Wall"],
        cache=False,
        expect={"verdict": "rejected"},
    )
    assert len(matrix_plan.requests) == 4
    for request in matrix_plan.requests:
        assert (request.files, request.main) == ({"a.cpp": "int a;", "b.hpp": ""}, "a.cpp")
        assert (request.stage, request.options, request.cache) == (Stage.SYNTAX, ("-Wall",), False)
        assert request.expect is not None and request.expect.verdict is Verdict.REJECTED
    assert (matrix_plan.language.id, matrix_plan.stage) == ("cpp", Stage.SYNTAX)


# -- what is omitted


def test_a_compiler_without_the_standard_is_omitted_with_the_reason() -> None:
    """The other combinations are compiled; the reason names compiler and standard."""
    fields: dict[str, Any] = {"compilers": ["gcc-*", "clang-16"], "standards": ["c++11", "c++20"]}
    assert _cells(**fields) == [
        "gcc-9 c++11 x86_64-linux",
        "gcc-12 c++11 x86_64-linux",
        "gcc-12 c++20 x86_64-linux",
        "clang-16 c++20 x86_64-linux",
    ]
    assert _omitted(**fields) == [("gcc-9", "c++20", None), ("clang-16", "c++11", None)]
    assert _plan(**fields).omitted[0].reason == "gcc-9 does not know the standard c++20."


def test_a_compiler_without_the_target_is_omitted_with_the_reason() -> None:
    """One entry for the target, however many standards there are."""
    fields: dict[str, Any] = {"targets": ["x86_64-windows"], "standards": ["c++17", "c++20"]}
    assert _cells(**fields) == ["clang-16 c++17 x86_64-windows", "clang-16 c++20 x86_64-windows"]
    assert ("gcc-12", None, "x86_64-windows") in _omitted(**fields)
    assert "gcc-12 does not compile for x86_64-windows." in [
        omission.reason for omission in _plan(**fields).omitted
    ]


def test_a_compiler_without_the_stage_is_omitted_with_the_reason() -> None:
    """The reason names the stages that it has."""
    matrix_plan = _plan(stage="link", compilers=["clang-*"])
    assert [request.compiler for request in matrix_plan.requests] == ["clang-16"]
    [omission] = matrix_plan.omitted
    assert (omission.compiler, omission.standard, omission.target) == ("clang-14", None, None)
    assert "syntax, compile" in omission.reason


def test_a_compiler_for_which_an_option_is_forbidden_is_omitted_with_the_reason() -> None:
    """An option that one family forbids may be allowed in another."""
    matrix_plan = _plan(options=["-Weverything", "-fblocks"])
    assert {request.compiler for request in matrix_plan.requests} == {"clang-14", "clang-16"}
    assert [omission.compiler for omission in matrix_plan.omitted] == ["gcc-9", "gcc-12"]
    assert "-fblocks" in matrix_plan.omitted[0].reason


# -- what is invalid


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"compilers": ["gcc-12", "rust-*"]}, "compilers.1", "matches no compiler for C++ here; available"),
        ({"compilers": ["msvc"]}, "compilers.0", "available are clang-14, clang-16, gcc-12, gcc-9"),
        ({"compilers": []}, "compilers", "is empty"),
        ({"compilers": 5}, "compilers", "list"),
        ({"compilers": [5]}, "compilers.0", "string"),
        ({"compilers": ["x"] * 65}, "compilers", "at most 64"),
        ({"compilers": ["*x" * 32]}, "compilers.0", "matches no compiler"),
        ({"compilers": ["*" * 65]}, "compilers.0", "at most 64 characters"),
        ({"standards": ["c17"]}, "standards.0", "'c17' is not a standard for C++ here; available are c++11"),
        ({"standards": ["c++20", "rust*"]}, "standards.1", "matches no standard"),
        ({"standards": ["c++98"]}, "standards.0", "available are c++11"),
        ({"standards": []}, "standards", "is empty"),
        ({"targets": ["mips-linux"]}, "targets.0", "available are x86_64-linux, arm64-linux, x86_64-windows"),
        ({"targets": ["*-macos"]}, "targets.0", "matches no target"),
        ({"targets": ["x86_64"]}, "targets.0", "is not a target"),
        ({"stage": "run"}, "stage", "'run' is not a stage"),
        ({"options": ["-o/x"]}, "options.0", "-o"),
        ({"compiler": "gcc-12"}, "compiler", "known fields are source_code"),
        ({"language": "rust"}, "language", "rust"),
        ({"expect": {}}, "expect", "is empty"),
        (
            {"compilers": ["gcc-9"], "standards": ["c++20"]},
            "compilers",
            "gcc-9 does not know the standard c++20",
        ),
    ],
)
def test_a_name_that_matches_nothing_is_invalid_and_the_message_lists_what_is_available(
    fields: dict[str, Any], field: str, words: str
) -> None:
    """Names, globs, types, and a matrix without a possible cell."""
    path, message = _error(**fields)
    assert path == field
    assert words in message


def test_too_many_cells_are_invalid_and_the_message_has_their_number() -> None:
    """It says how many cells the matrix would have."""
    offered = [make_environment(id=f"gcc-{number}", standards=MODERN) for number in range(17)]
    body = {"source_code": "int x;", "language": "cpp", "standards": "all"}
    with pytest.raises(InvalidRequest, match="would have 68 cells; at most 64 are allowed"):
        plan.make_plan(plan.parse(json.dumps(body).encode()), CATALOG, offered)
    matrix_plan = plan.make_plan(plan.parse(json.dumps(body).encode()), CATALOG, offered[:16])
    assert len(matrix_plan.requests) == MAX_CELLS


def test_the_longest_source_may_be_compiled_by_the_most_cells() -> None:
    """It is stored once, so the number of cells does not count."""
    offered = [make_environment(id=f"gcc-{number}", standards=MODERN) for number in range(16)]
    body = {"source_code": "x" * MAX_SOURCE_BYTES, "language": "cpp", "standards": "all"}
    requests = plan.make_plan(plan.parse(json.dumps(body).encode()), CATALOG, offered).requests
    assert len(requests) == MAX_CELLS


_patterns = st.text(alphabet="gc+-*?[]!0123456789nu/x_ ", max_size=70)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            name: st.lists(_patterns | st.sampled_from(["all", "gcc-*"]), max_size=4)
            | _patterns
            | st.integers()
            for name in ("compilers", "standards", "targets")
        },
    )
)
@settings(deadline=None, max_examples=300)
def test_any_patterns_give_possible_cells_or_an_error(fields: dict[str, Any]) -> None:
    """Every cell is one that its compiler registered; none comes twice; only our own errors are raised."""
    try:
        matrix_plan = _plan(**fields)
    except RequestError:
        return
    registered = {item.id: item for item in OFFERED if item.language == "cpp"}
    seen = set()
    for request in matrix_plan.requests:
        environment = registered[request.compiler]
        assert request.standard in environment.standards
        assert str(request.target) in environment.targets
        seen.add((request.compiler, request.standard, request.architecture, request.os))
    assert len(seen) == len(matrix_plan.requests) <= MAX_CELLS


def test_a_glob_matrix_plan_to_be_expensive_costs_nothing() -> None:
    """Many stars that could match in many ways, in every field, in the largest allowed number of patterns."""
    started = time.process_time()
    for field in ("compilers", "standards", "targets"):
        with pytest.raises(InvalidRequest):
            _plan(**{field: ["*c" * 31 + "!"] * 64})
    assert time.process_time() - started < 2
