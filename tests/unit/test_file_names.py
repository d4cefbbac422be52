"""Which file names a request may use."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.catalog import MAX_FILE_NAME_BYTES, MAX_FILE_NAME_LEVELS, check_file_name, check_file_names


@pytest.mark.parametrize(
    "name",
    ["main.cpp", "a", "A_b-1.2+3.hpp", "include/deep/er/x.h", "_x.c", "0.c", "main.c++", "a..b.c", "x" * 255],
)
def test_ordinary_file_names_are_fine(name: str) -> None:
    """Letters, digits, underscore, dot, plus and minus, in folders."""
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
def test_other_file_names_are_refused_with_a_sentence(name: str) -> None:
    """What leaves the workspace, reads as an option, is hidden, or is the compiler's own does not pass."""
    problem = check_file_name(name)
    assert problem is not None and problem.endswith(".")


def test_the_bounds_of_a_file_name_are_exact() -> None:
    """255 bytes and eight levels pass; one more of either does not."""
    assert check_file_name("x" * MAX_FILE_NAME_BYTES) is None
    assert check_file_name("x" * (MAX_FILE_NAME_BYTES + 1)) is not None
    assert check_file_name("/".join(["x"] * MAX_FILE_NAME_LEVELS)) is None
    assert check_file_name("/".join(["x"] * (MAX_FILE_NAME_LEVELS + 1))) is not None


def test_a_file_is_not_also_a_folder() -> None:
    """Two names that cannot exist together are refused together."""
    assert check_file_names(["a/b.c", "a.c", "ab/c.c"]) is None
    assert "'a'" in str(check_file_names(["a/b.c", "a"]))


@settings(deadline=None)  # a busy machine is no failure
@given(st.text(max_size=60))
def test_a_name_that_passes_stays_inside(name: str) -> None:
    """Whatever passes is relative, plain ASCII, and has no part that could lead elsewhere."""
    if check_file_name(name) is None:
        assert name.isascii() and name.isprintable() and " " not in name
        assert all(part and part[0] not in "-@." for part in name.split("/"))
