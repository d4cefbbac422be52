"""From a request to the argument vector and the variables of its compiler, by the catalogue."""

from typing import Any

import pytest

from chalicelib.catalog import MAX_OPTIONS, CompilerEntry, build_command, build_env, load_catalog
from chalicelib.errors import InvalidRequest
from chalicelib.models import CompileRequest, Stage, Target


def _entry(language: str, compiler: str) -> CompilerEntry:
    known = load_catalog().language(language) or load_catalog().languages[0]
    return known.compiler(compiler) or known.compilers[0]


def _build(*, entry: CompilerEntry | None = None, retry: bool = False, **changes: Any) -> tuple[str, ...]:
    """The command for a request with these changes; `entry` is the one of its compiler by default."""
    values: dict[str, Any] = {
        "language": "cpp",
        "compiler": "gcc-12",
        "standard": "c++20",
        "architecture": "x86_64",
        "os": "linux",
        "files": ("main.cpp",),
        "main": "main.cpp",
    } | changes
    if not isinstance(values["files"], dict):
        values["files"] = dict.fromkeys(values["files"], "")
    request = CompileRequest(**values)
    entry = entry or _entry(request.language, request.compiler)
    return build_command(load_catalog(), request, entry, retry=retry)


def test_a_command_is_what_a_person_would_type() -> None:
    """Executable, standard, no colours, stage, options, then the language and the files."""
    assert _build(options=("-Wall",)) == (
        "g++-12",
        "-std=c++20",
        "-fdiagnostics-color=never",
        "-fdiagnostics-column-unit=byte",
        "-fdiagnostics-parseable-fixits",
        "-c",
        "-Wall",
        "-iquote",
        ".",
        "-x",
        "c++",
        "main.cpp",
    )


def test_the_main_file_comes_first_and_headers_are_not_passed() -> None:
    """Translation units are the main file and the other sources by name; headers are only included."""
    files = ("z.cpp", "main.cpp", "a.cc", "a.hpp", "lib/b.cxx", "README.md", "data.inc")
    command = _build(files=files)
    assert command[command.index("c++") + 1 :] == ("main.cpp", "a.cc", "lib/b.cxx", "z.cpp")


def test_libraries_come_after_what_needs_them() -> None:
    """A library option comes after the file names, where a linker needs it; the other options before."""
    command = _build(options=("-lm", "-Wall"), stage=Stage.LINK)
    assert command[-2:] == ("main.cpp", "-lm")
    assert command.index("-Wall") < command.index("main.cpp")


def test_each_stage_has_its_own_argument() -> None:
    """Front end only, to objects, or to a program."""
    commands = {stage: _build(stage=stage) for stage in Stage}
    assert "-fsyntax-only" in commands[Stage.SYNTAX] and "-c" not in commands[Stage.SYNTAX]
    assert "-c" in commands[Stage.COMPILE] and "-fsyntax-only" not in commands[Stage.COMPILE]
    assert not {"-c", "-fsyntax-only"} & set(commands[Stage.LINK])


def test_a_standard_is_spelled_as_the_version_knows_it() -> None:
    """A compiler from before a standard was published gets the draft's name."""
    assert "-std=c++2b" in _build(compiler="clang-13", standard="c++23")
    assert "-std=c++23" in _build(compiler="clang-19", standard="c++23")
    c_command = _build(language="c", compiler="gcc-12", standard="gnu23", files=("main.c",), main="main.c")
    assert "-std=gnu2x" in c_command


@pytest.mark.parametrize(
    "changes",
    [
        {"language": "cobol"},
        {"standard": "c17"},
        {"standard": "c++2a"},  # canonical form only: aliases are resolved at the API
        {"compiler": "clang-13", "standard": "c++26"},
        {"options": ("-o", "x")},
        {"options": ("-Wall",) * (MAX_OPTIONS + 1)},
        {"files": ("other.cpp",)},
        {"files": ("main.cpp", "a\n.cpp")},
        {"files": ("main.cpp", "module.cppm")},
        {"files": ("main.cpp", "add.s"), "stage": Stage.SYNTAX},
        {"files": ("main.cpp", "../x.cpp")},
        {"files": ("@main.cpp",), "main": "@main.cpp"},
        {"files": ("main.cpp", "main.cpp/x.cpp")},
    ],
)
def test_a_command_is_not_built_from_what_was_not_allowed(changes: dict[str, Any]) -> None:
    """Names and options are checked again, whoever wrote the request into the store."""
    with pytest.raises(InvalidRequest):
        _build(**changes)


def test_each_target_has_its_own_arguments() -> None:
    """A target of the family adds its arguments and variables to the command; the host's own adds none."""
    assert "--target=aarch64-linux-gnu" in _build(compiler="clang-19", architecture="arm64")
    assert not any("target" in argument for argument in _build(compiler="clang-19", architecture="x"))
    entry = _entry("go", "go-1.24")
    env = build_env(load_catalog(), entry, Target("x86_64", "windows"))
    assert (env["GOOS"], env["GOARCH"]) == ("windows", "amd64")
    assert env["GOROOT"] == "/usr/lib/go-1.24" and env["GOPROXY"] == "off"
    assert "GOOS" not in build_env(load_catalog(), entry, Target("x86_64", "linux"))


def test_an_entry_without_a_version_gets_it_from_the_compiler() -> None:
    """Its id and newest standard follow from the installed version; one that is too old is an error."""
    rust = load_catalog().language("rust")
    entry = rust.compilers[0] if rust else None
    assert rust is not None and entry is not None
    assert rust.standards_of(entry) == ()
    new, old = entry.at((1, 85, 0)), entry.at((1, 63, 0))
    assert (new.id, old.id) == ("rustc-1.85", "rustc-1.63")
    assert set(rust.standards_of(new)) - set(rust.standards_of(old)) == {"2024"}
    with pytest.raises(ValueError, match="older than the catalogue knows"):
        entry.at((1, 40, 0))
    request: dict[str, Any] = {"language": "rust", "compiler": new.id, "standard": "2024", "main": "main.rs"}
    command = _build(entry=new, files=("main.rs", "a.rs"), **request)
    assert command[-1] == "main.rs" and "a.rs" not in command
    second = _build(entry=new, retry=True, files=("main.rs",), **request)
    assert second[second.index("--crate-type") + 1] == "lib"
    # Otherwise the source decides, as it does for the bare command.
    assert not {"--crate-type", "--crate-name"} & set(command)


def test_a_project_is_compiled_as_a_whole() -> None:
    """With a go.mod the packages of the module are compiled, without one the package in the top folder."""
    go: dict[str, Any] = {
        "language": "go", "compiler": "go-1.24", "standard": "go1.22", "main": "main.go",
    }  # fmt: skip
    alone = _build(files=("main.go", "b.go", "b_test.go"), **go)
    assert alone[-2:] == ("-gcflags=-e -lang=go1.22", ".")
    assert _build(files=("main.go", "go.mod", "lib/c.go"), **go)[-2:] == ("./...", ".")


def test_a_project_says_its_standard_where_none_is_requested() -> None:
    """An empty standard means that of go.mod; without a project it is not one of the compiler's."""
    go: dict[str, Any] = {"language": "go", "compiler": "go-1.24", "standard": "", "main": "main.go"}
    for file in ("go.mod", "go.work"):
        assert "-gcflags=-e" in _build(files=("main.go", file), **go)
    with pytest.raises(InvalidRequest, match="does not offer the standard ''"):
        _build(files=("main.go",), **go)


def test_a_workspace_is_compiled_module_by_module() -> None:
    """The folders that a go.work names and that are modules are compiled, then the main file's package."""
    go: dict[str, Any] = {
        "language": "go",
        "compiler": "go-1.24",
        "standard": "go1.22",
        "main": "app/x/main.go",
    }
    files = {
        "go.work": 'go 1.22\n\nuse (\n\t./app\n\t"./tax"\n)\nuse ./absent\n',
        "app/go.mod": "",
        "app/x/main.go": "",
        "tax/go.mod": "",
        "other/go.mod": "",
    }
    assert _build(files=files, **go)[-3:] == ("./app/...", "./tax/...", "./app/x")
    top = {**files, "go.work": "use .", "go.mod": ""}
    assert _build(files=top, **go)[-2:] == ("./...", "./app/x")


def test_fortran_files_come_after_the_modules_that_they_use() -> None:
    """Whatever the names: modules first, the main file last; files in a circle keep their order."""
    files = {
        "main.f90": "program p\n use b\n use, intrinsic :: iso_c_binding\nend program\n",
        "a.f90": "module one ! first\n use :: two\nend module one\n",
        "z.f90": "MODULE TWO\nend module\n",
        "b.f90": "module b\n use one, only: x\ncontains\n module procedure q\nend module\n",
        "s.f90": "submodule (b) s\nend submodule\n",
        "x.f90": "module x\n use y\nend module\n",
        "y.f90": "module y\n use x\nend module\n",
    }
    command = _build(
        language="fortran",
        compiler="gfortran-12",
        standard="gnu",
        files=files,
        main="main.f90",
    )
    order = [argument for argument in command if argument.endswith(".f90")]
    assert sorted(order) == sorted(files)
    position = {name: order.index(name) for name in files}
    assert position["z.f90"] < position["a.f90"] < position["b.f90"] < position["main.f90"]
    assert position["b.f90"] < position["s.f90"]


@pytest.mark.parametrize(
    ("workspace", "folders"),
    [
        ("use (\n./app\n./app/../lib // a comment\n)", ["./app/...", "./lib/..."]),
        ('use "./l b"', ["./l b/..."]),
        ('use "./l\\x69b"', ["./lib/..."]),
        ("use `./lib`", ["./lib/..."]),
        ("use ./app\n// later: ./lib", ["./app/..."]),
        ("use ./app\nreplace example.org/x => ./lib", ["./app/..."]),
        ("use ./app // ./lib", ["./app/..."]),
        ("use ./app // a comment\u2028use ./lib", ["./app/..."]),
        ("use ./app // a comment\x0cuse ./lib", ["./app/..."]),
        ("use (\r\n./app\r\n./lib\r\n)\r\n", ["./app/...", "./lib/..."]),
    ],
)
def test_a_workspace_has_the_modules_of_its_use_directives(workspace: str, folders: list[str]) -> None:
    """Comments and other directives name none; strings are read as Go reads them."""
    files = {f"{folder}/go.mod": "" for folder in ("app", "lib", "l b")}
    files |= {"app/main.go": "package main\nfunc main() {}\n", "go.work": workspace}
    command = _build(language="go", compiler="go-1.24", standard="go1.24", files=files, main="app/main.go")
    assert [word for word in command if word.endswith("/...")] == folders
