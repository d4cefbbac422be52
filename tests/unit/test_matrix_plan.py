"""A matrix's cells: which combinations names and globs mean, what is left out, and what is refused."""

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.catalog import load_catalog
from chalicelib.errors import InvalidRequest, RequestError, SourceTooLarge
from chalicelib.matrix import plan
from chalicelib.matrix.plan import MAX_CELLS, MAX_MATRIX_BYTES, Plan
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
    return plan.make(plan.parse(json.dumps(body).encode()), CATALOG, OFFERED)


def _cells(**fields: Any) -> list[str]:
    return [
        f"{each.compiler} {each.standard} {each.architecture}-{each.os}" for each in _plan(**fields).requests
    ]


def _omitted(**fields: Any) -> list[tuple[str, str | None, str | None]]:
    return [(each.compiler, each.standard, each.target) for each in _plan(**fields).omitted]


def _refusal(**fields: Any) -> tuple[str, str]:
    with pytest.raises(InvalidRequest) as caught:
        _plan(**fields)
    return caught.value.details[0].field, caught.value.message


# -- what is meant


def test_without_choices_every_compiler_uses_its_own() -> None:
    """All compilers of the language, oldest first; of each the default standard and the first target."""
    assert _cells() == [
        "gcc-9 c++17 x86_64-linux",
        "gcc-12 c++17 x86_64-linux",
        "clang-14 c++17 x86_64-linux",
        "clang-16 c++17 x86_64-linux",
    ]


@pytest.mark.parametrize(
    ("asked", "found"),
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
def test_compilers_are_meant_by_id_family_or_glob(asked: Any, found: list[str]) -> None:
    """A family is its newest, as in a compile request; each compiler comes once, in the order asked for."""
    assert [cell.split()[0] for cell in _cells(compilers=asked)] == found


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (["c++17"], ["c++17"]),
        (["C++1z", "c++17"], ["c++17"]),
        (["c++*"], ["c++11", "c++17", "c++20"]),
        ("gnu++*", ["gnu++17", "gnu++20"]),
        (["*20", "c++11"], ["c++11", "c++20", "gnu++20"]),
        ("all", ["c++11", "c++17", "gnu++17", "c++20", "gnu++20"]),
    ],
)
def test_standards_are_meant_by_name_alias_or_glob_and_come_oldest_first(
    asked: Any, found: list[str]
) -> None:
    """Whatever the order asked for: so that a minimum can be read off."""
    cells = _cells(compilers=["gcc-12"], standards=asked)
    assert [cell.split()[1] for cell in cells] == found


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (["x86_64-windows"], ["x86_64-windows"]),
        (["windows/x86_64", "amd64-Windows", "win32/x64"], ["x86_64-windows"]),
        (["linux/aarch64"], ["arm64-linux"]),
        (["*-linux"], ["x86_64-linux", "arm64-linux"]),
        (["linux/*"], ["x86_64-linux", "arm64-linux"]),
        ("all", ["x86_64-linux", "arm64-linux", "x86_64-windows"]),
    ],
)
def test_targets_are_meant_by_name_in_both_orders_or_by_glob(asked: Any, found: list[str]) -> None:
    """`<architecture>-<os>`, `<os>/<architecture>`, and what others call architectures and systems."""
    assert [cell.split()[2] for cell in _cells(compilers=["clang-16"], targets=asked)] == found


def test_every_cell_has_the_request_of_a_single_job() -> None:
    """Files, stage, options, cache and expectation are the matrix's own."""
    made = _plan(
        source_code=None,
        files={"a.cpp": "int a;", "b.hpp": ""},
        main="a.cpp",
        stage="syntax",
        options=["-Wall"],
        cache=False,
        expect={"verdict": "rejected"},
    )
    assert len(made.requests) == 4
    for request in made.requests:
        assert (request.files, request.main) == ({"a.cpp": "int a;", "b.hpp": ""}, "a.cpp")
        assert (request.stage, request.options, request.cache) == (Stage.SYNTAX, ("-Wall",), False)
        assert request.expect is not None and request.expect.verdict is Verdict.REJECTED
    assert (made.language.id, made.stage) == ("cpp", Stage.SYNTAX)


# -- what cannot be


def test_a_compiler_without_the_standard_is_left_out_and_told() -> None:
    """The others are compiled; the reason names compiler and standard."""
    asked: dict[str, Any] = {"compilers": ["gcc-*", "clang-16"], "standards": ["c++11", "c++20"]}
    assert _cells(**asked) == [
        "gcc-9 c++11 x86_64-linux",
        "gcc-12 c++11 x86_64-linux",
        "gcc-12 c++20 x86_64-linux",
        "clang-16 c++20 x86_64-linux",
    ]
    assert _omitted(**asked) == [("gcc-9", "c++20", None), ("clang-16", "c++11", None)]
    assert _plan(**asked).omitted[0].reason == "gcc-9 does not know the standard c++20."


def test_a_compiler_without_the_target_is_left_out_and_told() -> None:
    """One entry for the target, whatever the standards."""
    asked: dict[str, Any] = {"targets": ["x86_64-windows"], "standards": ["c++17", "c++20"]}
    assert _cells(**asked) == ["clang-16 c++17 x86_64-windows", "clang-16 c++20 x86_64-windows"]
    assert ("gcc-12", None, "x86_64-windows") in _omitted(**asked)
    assert "gcc-12 does not compile for x86_64-windows." in [each.reason for each in _plan(**asked).omitted]


def test_a_compiler_without_the_stage_is_left_out_and_told() -> None:
    """The reason names the stages that it has."""
    made = _plan(stage="link", compilers=["clang-*"])
    assert [request.compiler for request in made.requests] == ["clang-16"]
    [omission] = made.omitted
    assert (omission.compiler, omission.standard, omission.target) == ("clang-14", None, None)
    assert "syntax, compile" in omission.reason


def test_a_compiler_that_does_not_take_the_options_is_left_out_and_told() -> None:
    """What one family refuses, another may take."""
    made = _plan(options=["-Weverything", "-fblocks"])
    assert {request.compiler for request in made.requests} == {"clang-14", "clang-16"}
    assert [omission.compiler for omission in made.omitted] == ["gcc-9", "gcc-12"]
    assert "-fblocks" in made.omitted[0].reason


# -- what is refused


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"compilers": ["gcc-12", "rust-*"]}, "compilers.1", "matches no compiler for C++ here; available"),
        ({"compilers": ["msvc"]}, "compilers.0", "available are clang-14, clang-16, gcc-12, gcc-9"),
        ({"compilers": []}, "compilers", "is empty"),
        ({"compilers": 5}, "compilers", "list"),
        ({"compilers": [5]}, "compilers.0", "string"),
        ({"compilers": ["x"] * 65}, "compilers", "at most 64"),
        ({"compilers": ["*" * 100]}, "compilers.0", "matches no compiler"),
        ({"standards": ["c17"]}, "standards.0", "'c17' is not a standard for C++ here; available are c++11"),
        ({"standards": ["c++20", "rust*"]}, "standards.1", "matches no standard"),
        ({"standards": ["c++98"]}, "standards.0", "available are c++11"),
        ({"standards": []}, "standards", "is empty"),
        ({"targets": ["mips-linux"]}, "targets.0", "available are x86_64-linux, arm64-linux, x86_64-windows"),
        ({"targets": ["*-macos"]}, "targets.0", "matches no target"),
        ({"targets": ["x86_64"]}, "targets.0", "is not a target"),
        ({"stage": "run"}, "stage", "'run' is not a stage"),
        ({"options": ["-o/x"]}, "options.0", "-o"),
        ({"compiler": "gcc-12"}, "compiler", "known are source_code"),
        ({"language": "rust"}, "language", "rust"),
        ({"expect": {}}, "expect", "is empty"),
        (
            {"compilers": ["gcc-9"], "standards": ["c++20"]},
            "compilers",
            "gcc-9 does not know the standard c++20",
        ),
    ],
)
def test_what_means_nothing_here_is_refused_with_what_is_there(
    fields: dict[str, Any], field: str, words: str
) -> None:
    """Names, globs, shapes, and a matrix of which nothing would be left."""
    where, message = _refusal(**fields)
    assert where == field
    assert words in message


def test_more_cells_than_a_matrix_has_are_refused_with_their_number() -> None:
    """The sentence says how many there would be."""
    offered = [make_environment(id=f"gcc-{number}", standards=MODERN) for number in range(17)]
    body = {"source_code": "int x;", "language": "cpp", "standards": "all"}
    with pytest.raises(InvalidRequest, match=r"There would be 68 cells, and a matrix has at most 64"):
        plan.make(plan.parse(json.dumps(body).encode()), CATALOG, offered)
    made = plan.make(plan.parse(json.dumps(body).encode()), CATALOG, offered[:16])
    assert len(made.requests) == MAX_CELLS


def test_a_source_that_is_too_long_for_so_many_cells_is_refused() -> None:
    """Every cell keeps its own copy, so their sum counts."""
    offered = [make_environment(id=f"gcc-{number}", standards=MODERN) for number in range(16)]

    def make(size: int) -> Plan:
        body = {"source_code": "x" * size, "language": "cpp", "standards": "all"}
        return plan.make(plan.parse(json.dumps(body).encode()), CATALOG, offered)

    assert len(make(MAX_MATRIX_BYTES // 64).requests) == 64
    with pytest.raises(SourceTooLarge, match="each of 64 cells"):
        make(MAX_MATRIX_BYTES // 64 + 1)


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
def test_any_patterns_give_possible_cells_or_a_refusal(fields: dict[str, Any]) -> None:
    """Every cell is one that its compiler registered, none comes twice, and nothing else is raised."""
    try:
        made = _plan(**fields)
    except RequestError:
        return
    registered = {each.id: each for each in OFFERED if each.language == "cpp"}
    seen = set()
    for request in made.requests:
        environment = registered[request.compiler]
        assert request.standard in environment.standards
        assert f"{request.architecture}-{request.os}" in environment.targets
        seen.add((request.compiler, request.standard, request.architecture, request.os))
    assert len(seen) == len(made.requests) <= MAX_CELLS


def test_a_glob_made_to_be_expensive_costs_nothing() -> None:
    """Stars that could match in many ways, in every field, as often as there may be patterns."""
    started = time.process_time()
    for field in ("compilers", "standards", "targets"):
        with pytest.raises(InvalidRequest):
            _plan(**{field: ["*c" * 31 + "!"] * 64})
    assert time.process_time() - started < 2
