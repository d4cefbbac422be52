"""The catalogue: languages, standards and compilers as its files name them, and mistakes in these files.

The argument vectors that are built from them are in test_command.py.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from chalicelib.catalog import build_command, load_catalog, parse_catalog
from chalicelib.catalog.loader import catalog_texts
from tests.support.factories import make_request

# --- names ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["cpp", "C++", "c++", "CPP", "cxx", " c++ ", "cplusplus"])
def test_a_language_is_found_by_any_of_its_names(name: str) -> None:
    """Id, display name and aliases lead to the language, in any case of letters."""
    language = load_catalog().language(name)
    assert language is not None and language.id == "cpp"


@pytest.mark.parametrize("name", ["", "c+", "jav", "cpp\0", "C#"])
def test_an_unknown_language_is_not_found(name: str) -> None:
    """A name that no language has leads nowhere."""
    assert load_catalog().language(name) is None


@pytest.mark.parametrize(
    ("language", "name", "expected"),
    [
        ("cpp", "c++2a", "c++20"),
        ("cpp", "gnu++2a", "gnu++20"),
        ("cpp", "C++20", "c++20"),
        ("cpp", "c++03", "c++98"),
        ("cpp", "c++0x", "c++11"),
        ("cpp", "c++2c", "c++26"),
        ("c", "c2x", "c23"),
        ("c", "ansi", "c89"),
        ("c", "gnu18", "gnu17"),
        ("c", "iso9899:1999", "c99"),
    ],
)
def test_a_standard_is_found_by_its_draft_name(language: str, name: str, expected: str) -> None:
    """Aliases of a standard lead to its one canonical id."""
    found = load_catalog().language(language)
    assert found is not None
    standard = found.standard(name)
    assert standard is not None and standard.id == expected


def test_standards_of_one_language_are_not_found_in_the_other() -> None:
    """C does not know C++20, nor C++ C17."""
    c, cpp = load_catalog().language("c"), load_catalog().language("cpp")
    assert c is not None and cpp is not None
    assert c.standard("c++20") is None
    assert cpp.standard("c17") is None


def test_a_dialect_is_as_old_as_its_base() -> None:
    """gnu++20 and c++20 compare equal, and both are newer than C++17 and older than C++23."""
    cpp = load_catalog().language("cpp")
    assert cpp is not None
    order = {standard.id: standard.order for standard in cpp.standards}
    assert order["gnu++17"] < order["c++20"] == order["gnu++20"] < order["c++23"]


def test_c_and_cpp_have_the_same_compilers() -> None:
    """A compiler takes both languages, under the same id; README.md lists what the catalogue has."""
    c, cpp = load_catalog().language("c"), load_catalog().language("cpp")
    assert c is not None and cpp is not None
    assert [compiler.id for compiler in c.compilers] == [compiler.id for compiler in cpp.compilers]
    assert all(language.compilers for language in load_catalog().languages)


def test_an_older_compiler_offers_fewer_standards() -> None:
    """A compiler offers everything up to its newest standard, dialects included, and nothing newer."""
    cpp = load_catalog().language("cpp")
    assert cpp is not None
    old, new = cpp.compiler("clang-13"), cpp.compiler("clang-19")
    assert old is not None and new is not None
    assert "c++26" not in cpp.standards_of(old)
    assert {"c++98", "gnu++98", "c++23", "gnu++23"} <= set(cpp.standards_of(old))
    assert set(cpp.standards_of(new)) - set(cpp.standards_of(old)) == {"c++26", "gnu++26"}


def test_a_source_of_another_language_is_recognised() -> None:
    """A .cpp file in a C request would not be compiled, so it is detected; headers are not."""
    catalog = load_catalog()
    c, cpp = catalog.language("c"), catalog.language("cpp")
    assert c is not None and cpp is not None
    assert catalog.foreign_source(c, "util.cpp") is cpp
    assert catalog.foreign_source(cpp, "util.c") is None
    assert catalog.foreign_source(c, "util.h") is None
    assert catalog.foreign_source(c, "notes.txt") is None


def test_a_source_in_a_folder_is_compiled_or_named() -> None:
    """Go compiles folders only with a go.mod: without one, a source that would be skipped is detected."""
    catalog = load_catalog()
    go, cpp = catalog.language("go"), catalog.language("cpp")
    assert go is not None and cpp is not None
    assert catalog.uncompiled_source(go, ["main.go", "lib/a.go"]) == "lib/a.go"
    assert catalog.uncompiled_source(go, ["main.go", "lib/a.go", "go.mod"]) is None
    assert catalog.uncompiled_source(go, ["main.go", "lib/a_test.go", "lib/notes.txt"]) is None
    assert catalog.uncompiled_source(cpp, ["main.cpp", "lib/a.cpp"]) is None


# --- the files themselves ---------------------------------------------------------------


def test_the_catalogue_is_read_once() -> None:
    """Loading again gives the same object."""
    assert load_catalog() is load_catalog()


def test_the_catalogue_loads_from_a_plain_copy_of_the_folder(tmp_path: Path) -> None:
    """Unpacked elsewhere, as a Lambda zip is, the package finds its own files and nothing else is needed."""
    package = Path(__file__).resolve().parents[2] / "chalicelib"
    shutil.copytree(package, tmp_path / "chalicelib", ignore=shutil.ignore_patterns("__pycache__"))
    code = (
        "import chalicelib.catalog as c; "
        "print(c.__file__, [(l.id, len(l.compilers)) for l in c.load_catalog().languages])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
        check=True,
        timeout=60,
    )
    assert ran.stdout.startswith(str(tmp_path))
    expected = [(language.id, len(language.compilers)) for language in load_catalog().languages]
    assert ran.stdout.endswith(f"{expected}\n")


def test_a_new_language_is_one_file() -> None:
    """A further TOML text is a further language with a working command, without any code."""
    texts = catalog_texts()
    text = """
id = "objc"
name = "Objective-C"
default_main = "main.m"
source_extensions = [".m"]
input_language = "objective-c"
standards = [{ id = "gnu11", order = 2011, dialect = "gnu" }]
self_test = { good = "int x;", bad = "x", bad_line = 1 }
[[compilers]]
id = "clang-19"
family = "clang"
command = ["clang-19"]
default_standard = "gnu11"
newest_standard = "gnu11"
"""
    catalog = parse_catalog({**texts.languages, "objc.toml": text}, texts.families)
    language = catalog.language("Objective-C")
    assert language is not None
    request = make_request(
        language="objc", compiler="clang-19", standard="gnu11", files={"main.m": ""}, main="main.m"
    )
    command = build_command(catalog, request, language.compilers[0])
    assert command[0] == "clang-19"
    assert command[-3:] == ("-x", "objective-c", "main.m")


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('family = "gcc"', 'family = "gnat"', "unknown family"),
        ('default_standard = "gnu++17"', 'default_standard = "c17"', "default standard"),
        ('newest_standard = "c++23"', 'newest_standard = "c++99"', "unknown standards"),
        ('id = "gcc-12"', 'id = "gcc-11"', "listed twice"),
        ('id = "c++11", order = 2011', 'id = "c++11", order = 2031', "oldest first"),
        ('"c++0x"', '"c++98"', "unique"),
        ('aliases = ["cxx"', 'aliases = ["c"', "two languages"),
        ("default_main", "default_mian", "default_mian"),
        ('id = "cpp"', "id = cpp", "cpp.toml"),
    ],
)
def test_a_mistake_in_a_language_file_is_found_when_it_is_loaded(old: str, new: str, complaint: str) -> None:
    """A catalogue whose parts do not fit together does not load, and the error says where."""
    texts = catalog_texts()
    broken = texts.languages["cpp.toml"].replace(old, new)
    assert broken != texts.languages["cpp.toml"]
    with pytest.raises(ValueError, match=complaint):
        parse_catalog({**texts.languages, "cpp.toml": broken}, texts.families)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('"{sources}"', '"{source}"', "placeholders"),
        ('"{stage}"', '"x{stage}"', "placeholders"),
        ("'-w'", "'-w('", "pattern"),
        ('"{parser_arguments}", ', "", "no place"),
        ('message_format = "gnu"', 'message_format = "unknown"', "message_format"),
    ],
)
def test_a_mistake_in_a_family_file_is_found_when_it_is_loaded(old: str, new: str, complaint: str) -> None:
    """A family that could not be driven does not load."""
    texts = catalog_texts()
    broken = texts.families["gcc.toml"].replace(old, new)
    assert broken != texts.families["gcc.toml"]
    with pytest.raises(ValueError, match=complaint):
        parse_catalog(texts.languages, {**texts.families, "gcc.toml": broken})
