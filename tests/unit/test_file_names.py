"""Which file names a request may use, and which are invalid."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.catalog import MAX_FILE_NAME_BYTES, MAX_FILE_NAME_LEVELS, check_file_name, check_file_names
from chalicelib.file_names import check_objects


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
        "my page.ts", "pages/[id].tsx", "routes/+page.ts", "übung.ts", "e\u0301.c", "$route.ts", "日本語.go",
        "node_modules/@types/lib/index.d.ts", "@file", "-o", "a/-o", ".hidden", "a/.config/x", "a:b.c",
        "a;b.c", "$(x).c", "*.c", "?.c", "a|b&c.c", "it's.c", 'say "hi".c', "50%.c", "a=b,c.c", "~/x.c",
        " x.c", "x.c ", "😀.c", "main.o", "sub/part.O", "x.gch", "...", "..a", ".outer/x.c", ".output",
        "a/a.out", "x/.out",
    ],
)  # fmt: skip
def test_any_printable_name_is_valid(name: str) -> None:
    """What real projects have: blanks, brackets, signs, letters of any language, a leading dot or minus."""
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
        "a/..",
        ".git/config",
        "a/.git/x",
        ".hg/hgrc",
        "a\\b.c",
        "C:\\main.c",
        "a\0.c",
        "a\n.c",
        "main.c\n",
        "a\x1b.c",
        "a\x85b.c",
        "a\xa0b.c",
        "a\xadb.c",
        "a\u200bb.c",
        "a\u200fb.c",
        "a\u2028b.c",
        "\u202egpj.c",
        "a\u2066b.c",
        "\ufeffa.c",
        "a\u034fb.c",
        "\u3164.c",
        "\u2800.c",
        "a\ufe0f.c",
        "a\U000e0101.c",
        "a\U000e0041.c",
        "\ue000.c",
        "\U0010ffff.c",
        "\ud800.c",
        "x" * 256,
        "/".join("abcdefghi"),
        "a.out",
        "a.out/x.c",
        ".out",
        ".out/x.c",
        ".out.rmeta",
    ],
)
def test_other_file_names_are_invalid_with_a_sentence(name: str) -> None:
    """Those that leave the workspace, hide what they are, or belong to a compiler or a repository."""
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


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["é.c", "e\u0301.c"], "two forms of Unicode"),
        (["é/a.c", "e\u0301/b.c"], "two forms of Unicode"),
        (["\u212b.h", "\u00c5.h"], "two forms of Unicode"),
        (["\uac00.c", "\u1100\u1161.c", "main.c"], "two forms of Unicode"),
    ],
)
def test_two_names_that_cannot_be_together_are_invalid(names: list[str], words: str) -> None:
    """One text in two forms of Unicode."""
    assert words in str(check_file_names(names))
    assert [name for name in names if check_file_names([name])] == []


def test_names_that_only_look_alike_may_be_together() -> None:
    """Case and other letters make different names."""
    assert check_file_names(["a.c", "A.c", "\u0430.c", "e\u0301.h", "e.h"]) is None


def test_no_file_is_where_an_object_is_written() -> None:
    """Neither a file nor a folder; other names that end like an object are as good as any."""
    assert "'main.o' cannot be beside 'main.c'" in str(check_objects(["main.c", "main.o"], ["main.c"]))
    assert "beside 'src/util.c'" in str(check_objects(["util.o"], ["src/util.c"]))
    assert "written to 'main.o'" in str(check_objects(["main.o/x.h"], ["main.c"]))
    assert "written to 'main.obj'" in str(check_objects(["main.obj"], ["main.c"]))
    assert check_objects(["sub/main.o", "util.o", "main.so", "main.O"], ["main.c"]) is None


@settings(deadline=None)  # how busy the machine is does not matter here
@given(st.text(max_size=60))
def test_a_valid_name_stays_inside_the_workspace(name: str) -> None:
    """Any valid name is relative and printable, and has no part that could lead elsewhere."""
    if check_file_name(name) is None:
        assert name.isprintable() and "\\" not in name
        assert all(part not in ("", ".", "..") for part in name.split("/"))
        assert name.encode().decode() == name
