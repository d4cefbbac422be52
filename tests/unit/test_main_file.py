"""Which file may be the main one, and that it is compiled: a file that is skipped would look like success."""

import json

import pytest

from chalicelib.api import compile_request
from chalicelib.catalog import CompilerEntry, Language, build_command, load_catalog
from chalicelib.errors import InvalidRequest
from tests.support.factories import make_environment, make_request


def _command(
    language: Language, entry: CompilerEntry, standard: str, files: dict[str, str], main: str
) -> tuple[str, ...]:
    request = make_request(language=language.id, compiler=entry.id, standard=standard, files=files, main=main)
    return build_command(load_catalog(), request, entry)


def test_the_package_of_the_main_file_is_named() -> None:
    """`./...` skips some folders and files, so the package of the main file is given as well."""
    main = "testdata/a/main.go"
    go = load_catalog().language("go")
    assert go is not None
    command = _command(go, go.compilers[-1], "go1.22", {"go.mod": "", main: ""}, main)
    assert command[-2:] == ("./...", "./testdata/a")


@pytest.mark.parametrize(
    ("language", "main"),
    [
        ("python", "main.pyi"),
        ("python", "main"),
        ("python", "main.PY"),
        ("fortran", "main.txt"),
        ("go", "main_test.go"),
        ("go", "go.mod"),
        ("java", "Main.txt"),
        ("typescript", "main.json"),
        ("zig", "main.zon"),
        ("rust", "main.txt"),
    ],
)
def test_a_main_file_that_its_compiler_would_skip_is_invalid(language: str, main: str) -> None:
    """Compilers that go by file names skip such a file and succeed, or reject it whatever its contents."""
    entry = load_catalog().language(language)
    assert entry is not None and not entry.can_be_main(main)
    with pytest.raises(InvalidRequest, match="is not the name of a"):
        _command(entry, entry.compilers[0], entry.standards[0].id, {main: ""}, main)


def test_a_header_can_be_compiled_by_itself_in_c_and_cpp() -> None:
    """Their compilers get the language as an option, so the name of the main file does not matter."""
    catalog = load_catalog()
    for language, names in {"c": ("a.h", "a", "a.txt"), "cpp": ("a.hpp", "a.cppm", "a.H")}.items():
        entry = catalog.language(language)
        assert entry is not None and all(entry.can_be_main(name) for name in names)


@pytest.mark.parametrize(
    ("files", "main", "field"),
    [
        ({"shop.pyi": "def f(: ..."}, None, "files"),
        ({"main.py": "", "shop.txt": "def f(: ..."}, "shop.txt", "main"),
    ],
)
def test_a_main_file_that_is_not_named_like_a_source_is_invalid(
    files: dict[str, str], main: str | None, field: str
) -> None:
    """Its compiler would skip it, and that would look like success."""
    body = {"language": "python", "files": files} | ({"main": main} if main else {})
    python = make_environment(id="python-3.13", language="python", family="python")
    with pytest.raises(
        InvalidRequest, match=r"is not named like a Python source: its name must end in \.py\."
    ) as caught:
        compile_request.resolve(compile_request.parse(json.dumps(body).encode()), load_catalog(), [python])
    assert caught.value.details[0].field == field
