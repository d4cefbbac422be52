"""Which file names a request may use, and which are invalid."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.catalog import MAX_FILE_NAME_BYTES, MAX_FILE_NAME_LEVELS, check_file_name, check_file_names


@pytest.mark.parametrize(
    "name",
    ["main.cpp", "a", "A_b-1.2+3.hpp", "include/deep/er/x.h", "_x.c", "0.c", "main.c++", "a..b.c", "x" * 255],
)
def test_ordinary_file_names_are_valid(name: str) -> None:
    """Letters, digits, underscores, dots, plus and minus signs, also in folders."""
    assert check_file_name(name) is None


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "/",
        "/etc/passwd",
        "../x.c",
        "a/../b.c",
        "a/./b.c",
        "a//b.c",
        "a/",
        "-o",
        "a/-o",
        "@file",
        "a/@file",
        ".hidden",
        "a/.git/x",
        "a b.c",
        "a\\b.c",
        "a\0.c",
        "a\n.c",
        "main.c\n",
        "a\x1b.c",
        "a:b.c",
        "a;b.c",
        "$(x).c",
        "*.c",
        "é.c",
        "e\u0301.c",
        "\u202egpj.c",
        "\ud800.c",
        "+x.c",
        "x" * 256,
        "/".join("abcdefghi"),
        "main.o",
        "a.out",
        "a.out/x.c",
        "sub/part.O",
        "x.gch",
    ],
)
def test_other_file_names_are_invalid_with_a_sentence(name: str) -> None:
    """Those that leave the workspace, read as an option, are hidden, or belong to the compiler."""
    problem = check_file_name(name)
    assert problem is not None and problem.endswith(".")


def test_the_bounds_of_a_file_name_are_exact() -> None:
    """255 bytes and eight levels are valid; one more of either is not."""
    assert check_file_name("x" * MAX_FILE_NAME_BYTES) is None
    assert check_file_name("x" * (MAX_FILE_NAME_BYTES + 1)) is not None
    assert check_file_name("/".join(["x"] * MAX_FILE_NAME_LEVELS)) is None
    assert check_file_name("/".join(["x"] * (MAX_FILE_NAME_LEVELS + 1))) is not None


def test_a_file_is_not_also_a_folder() -> None:
    """Two names that cannot exist together are invalid together."""
    assert check_file_names(["a/b.c", "a.c", "ab/c.c"]) is None
    assert "'a'" in str(check_file_names(["a/b.c", "a"]))


@settings(deadline=None)  # how busy the machine is does not matter here
@given(st.text(max_size=60))
def test_a_valid_name_stays_inside_the_workspace(name: str) -> None:
    """Any valid name is relative, plain ASCII, and has no part that could lead elsewhere."""
    if check_file_name(name) is None:
        assert name.isascii() and name.isprintable() and " " not in name
        assert all(part and part[0] not in "-@." for part in name.split("/"))
