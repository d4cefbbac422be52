"""Where headers of a request are searched for, and the options that name folders."""

import json
from collections.abc import Mapping

import pytest

from chalicelib.api import compile_request
from chalicelib.catalog import load_catalog
from chalicelib.catalog.header_search import folders_of, header_search
from chalicelib.catalog.options import as_passed
from chalicelib.errors import InvalidRequest
from chalicelib.models import CompileRequest
from tests.support.factories import make_environment

_OFFERED = (
    make_environment(language="c", standards=("c17",), default_standard="c17"),
    make_environment(id="python-3.11", language="python", family="python", standards=(), default_standard=""),
)
_PREFIXES = ("-iquote", "-isystem", "-idirafter", "-I")
_QUOTES = ["-iquote", "."]
_AFTER = ["-idirafter", "."]


def _resolve(body: Mapping[str, object]) -> CompileRequest:
    return compile_request.resolve(compile_request.parse(json.dumps(body).encode()), load_catalog(), _OFFERED)


@pytest.mark.parametrize(
    ("files", "options", "expected"),
    [
        ({"main.c": '#include "a.h"', "a.h": ""}, (), _QUOTES),
        ({"main.c": "#include <stdio.h>", "a.h": ""}, (), _QUOTES),
        ({"main.c": "#include <a.h>", "a.h": ""}, (), _QUOTES + _AFTER),
        ({"main.c": "#include <lib/../a.h>", "a.h": "", "lib/b.h": ""}, (), _QUOTES + _AFTER),
        ({"main.c": "#if __has_include(<a.h>)\n#include <a.h>\n#endif", "a.h": ""}, (), _QUOTES),
        (
            {"main.c": "#if __has_include(<a.h>)\n#endif\n#include <b.h>", "a.h": "", "b.h": ""},
            (),
            _QUOTES + _AFTER,
        ),
        ({"a/main.c": "", "cpuid.h": ""}, (), _AFTER),
        ({"a/main.c": "", "avx2intrin.h": ""}, (), _AFTER),
        ({"a/main.c": "", "net/if.h": ""}, (), _AFTER),
        ({"a/main.c": "", "net/own.h": ""}, (), _QUOTES),
        ({"main.c": "# include NAME", "a.h": ""}, (), _QUOTES + _AFTER),
        ({"main.c": "#include NAME", "a.h": ""}, ("-DNAME=<a.h>",), _QUOTES + _AFTER),
        ({"src/main.c": "", "time.h": ""}, (), _AFTER),
        ({"src/main.c": "", "sys/own.h": ""}, (), _AFTER),
        ({"src/main.c": "", "include/time.h": ""}, (), _QUOTES),
        ({"main.c": "#include <a.h>", "a.h": ""}, ("-iquote.",), []),
        ({"main.c": "", "a.h": ""}, ("-Iinclude",), _QUOTES),
        ({"main.c": "", "include/a.h": ""}, ("-Iinclude",), _QUOTES),
        ({"main.c": "", "a.h": "", "include/a.h": ""}, ("-Iinclude",), _AFTER),
        ({"main.c": "", "a.h": "", "include/a.h": ""}, ("-iquoteinclude",), _QUOTES),
        ({"main.c": "", "x/a.h": "", "include/x/a.h": ""}, ("-isysteminclude",), _AFTER),
    ],
)
def test_the_top_folder_is_served_without_hiding_what_the_bare_command_finds(
    files: dict[str, str], options: tuple[str, ...], expected: list[str]
) -> None:
    """In quotes, unless it would hide another file; after the system for angle brackets."""
    assert header_search(files, options, _PREFIXES) == expected


def test_the_folders_of_a_request_are_those_on_the_way_to_its_files() -> None:
    """Every folder above a file counts, and the top folder always does."""
    assert folders_of(["main.c", "a/b/c.h", "a/d.h"]) == {".", "a", "a/b"}


_FILES = ["src/main.c", "include/api.h", "my headers/b.h", "=x/c.h", "-y/d.h"]


@pytest.mark.parametrize("family", ["clang", "gcc", "zig-cc"])
@pytest.mark.parametrize(
    ("option", "passed"),
    [
        ("-Iinclude", "-Iinclude"),
        ("-I./include/", "-Iinclude"),
        ("-I.", "-I."),
        ("-iquotesrc", "-iquotesrc"),
        ("-isysteminclude", "-isysteminclude"),
        ("-idirafterinclude", "-idirafterinclude"),
        ("-Imy headers", "-Imy headers"),
        ("-I=x", "-I./=x"),
        ("-I-y", "-I./-y"),
    ],
)
def test_an_option_may_name_a_folder_of_the_request(family: str, option: str, passed: str) -> None:
    """It reaches the compiler in a form that can be nothing but that folder."""
    catalog = load_catalog()
    assert catalog.why_forbidden(family, option, folders_of(_FILES)) is None
    assert as_passed(catalog.family(family), option) == passed


@pytest.mark.parametrize("family", ["clang", "gcc", "zig-cc", "gfortran"])
@pytest.mark.parametrize(
    "option",
    [
        "-I",
        "-I/etc",
        "-I..",
        "-I../x",
        "-Iinclude/../..",
        "-Isrc/main.c",
        "-Iother",
        "-Iinclude -O2",
        "-I include",
    ],
)
def test_an_option_cannot_name_anything_else(family: str, option: str) -> None:
    """Paths outside of the request, files, unknown folders and second options are forbidden."""
    problem = load_catalog().why_forbidden(family, option, folders_of(_FILES))
    assert problem is not None
    assert "folder" in problem or "own element" in problem


def test_include_folders_are_the_first_options() -> None:
    """`include_dirs` means what -I means, in the same order."""
    body = {
        "language": "c",
        "main": "src/main.c",
        "files": {"src/main.c": "", "include/a.h": "", "more/b.h": ""},
        "include_dirs": ["include", "more"],
        "options": ["-Wall"],
    }
    assert _resolve(body).options == ("-Iinclude", "-Imore", "-Wall")


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"include_dirs": ["nothing"]}, "include_dirs.0", "not a folder of the request"),
        ({"include_dirs": ["include", "/usr/include"]}, "include_dirs.1", "not a folder of the request"),
        ({"include_dirs": [".."]}, "include_dirs.0", "not a folder of the request"),
        ({"include_dirs": [""]}, "include_dirs.0", "not a folder of the request"),
        ({"include_dirs": ["include"] * 20, "options": ["-O2"] * 20}, "include_dirs", "At most 32"),
        ({"options": ["-Inothing"]}, "options.0", "does not name a folder of the request"),
    ],
)
def test_an_include_folder_that_does_not_exist_is_a_400_that_names_the_field(
    changes: dict[str, object], field: str, words: str
) -> None:
    """A misspelt folder would make the compiler reject the source for a header that was sent."""
    body = {"language": "c", "files": {"main.c": "", "include/a.h": ""}, **changes}
    with pytest.raises(InvalidRequest) as error:
        _resolve(body)
    assert words in error.value.message
    assert [detail.field for detail in error.value.details] == [field]


def test_include_folders_of_a_language_without_them_are_a_400() -> None:
    """They are not ignored without a word."""
    with pytest.raises(InvalidRequest, match="takes no include folders"):
        _resolve({"language": "python", "files": {"main.py": "", "lib/a.py": ""}, "include_dirs": ["lib"]})
