"""What becomes of each file of a request by its name: compiled, read, or invalid. None is passed over."""

import json
import re
from typing import Any

import pytest

from chalicelib.api import compile_request
from chalicelib.catalog import CompilerEntry, Language, build_command, load_catalog, translation_units
from chalicelib.errors import InvalidRequest
from chalicelib.matrix import plan
from chalicelib.models import CompileRequest
from tests.support.factories import make_environment
from tests.support.file_kinds import TAKEN, extensions

CATALOG = load_catalog()


def _language(name: str) -> Language:
    language = CATALOG.language(name)
    assert language is not None
    return language


def _newest(language: Language) -> CompilerEntry:
    """The last entry, as if its compiler had reported a version newer than any."""
    return language.compilers[-1].at((99,))


def _resolve(language: str, files: dict[str, str], **fields: Any) -> CompileRequest:
    entry = _language(language)
    compiler = _newest(entry)
    offered = make_environment(
        id=compiler.id,
        language=language,
        family=compiler.family,
        standards=entry.standards_of(compiler),
        default_standard=compiler.default_standard,
        stages=tuple(CATALOG.family(compiler.family).stages),
    )
    body = {"language": language, "files": files, "main": entry.default_main} | fields
    return compile_request.resolve(compile_request.parse(json.dumps(body).encode()), CATALOG, [offered])


def test_every_language_has_its_list_of_what_its_tools_take() -> None:
    """A language that is added says what becomes of every file, too; no name is of two kinds."""
    assert set(TAKEN) == {language.id for language in CATALOG.languages}
    for kinds in TAKEN.values():
        names = " ".join(kinds.values()).split()
        assert len(names) == len(set(names))


@pytest.mark.parametrize("language", TAKEN)
def test_every_source_is_compiled(language: str) -> None:
    """It is in the command by its name or its folder; where only the main file is, it can be that."""
    entry = _language(language)
    for end in extensions(language, "compiled"):
        name = f"extra{end}"
        if entry.sources == "main":
            request = _resolve(language, {name: ""}, main=name)
        else:
            request = _resolve(language, {entry.default_main: "", name: ""})
        units = translation_units(entry, request.files, request.main)
        command = build_command(CATALOG, request, _newest(entry))
        if entry.sources == "folder":
            assert "." in command  # the compiler finds it there
        else:
            assert name in units and name in command, (name, command)


@pytest.mark.parametrize("language", TAKEN)
def test_every_source_that_is_not_compiled_is_invalid(language: str) -> None:
    """The answer names the file and says what to do; the runner does not compile such a request either."""
    entry = _language(language)
    for end in extensions(language, "invalid"):
        name = f"extra{end}"
        with pytest.raises(InvalidRequest) as caught:
            _resolve(language, {entry.default_main: "", name: ""})
        message = caught.value.message
        assert name in message and ": " in message and message.endswith("."), message
        assert caught.value.details[0].field == "files"
        request = _resolve(language, {entry.default_main: ""})
        request = request.model_copy(update={"files": {entry.default_main: "", name: ""}})
        with pytest.raises(InvalidRequest, match=re.escape(name)):
            build_command(CATALOG, request, _newest(entry))


@pytest.mark.parametrize("language", TAKEN)
def test_every_other_file_is_there_to_be_read(language: str) -> None:
    """It is neither invalid nor in the command."""
    entry = _language(language)
    others = {f"extra{end}": "" for end in extensions(language, "read")}
    request = _resolve(language, {entry.default_main: ""} | others)
    assert not set(others) & set(build_command(CATALOG, request, _newest(entry)))
    assert translation_units(entry, request.files, request.main) == (entry.default_main,)


def test_assembly_is_told_apart_in_the_command() -> None:
    """`-x` changes between files of different kinds only; the main file comes first, assembly last."""
    files = dict.fromkeys(["main.c", "b.S", "a.s", "z.C", "c.sx", "y.s", "pre.i"], "")
    request = _resolve("c", files)
    command = build_command(CATALOG, request, _newest(_language("c")))
    assert " ".join(command).endswith(
        "-x c main.c pre.i z.C -x assembler a.s y.s -x assembler-with-cpp b.S c.sx"
    )
    units = translation_units(_language("c"), files, "main.c")
    assert units == ("main.c", "pre.i", "z.C", "a.s", "y.s", "b.S", "c.sx")


def test_assembly_as_the_main_file_is_assembly() -> None:
    """What the compiler is told about it follows from its name, also when it is the only file."""
    command = build_command(CATALOG, _resolve("c", {"add.S": ""}, main="add.S"), _newest(_language("c")))
    assert command[-3:] == ("-x", "assembler-with-cpp", "add.S")


def test_assembly_goes_by_its_name_where_no_language_is_told() -> None:
    """gfortran gets no `-x`; the main program is the last of the Fortran sources, as before."""
    command = build_command(
        CATALOG,
        _resolve("fortran", {"main.f90": "", "a.f": "", "add.s": ""}),
        _newest(_language("fortran")),
    )
    assert "-x" not in command and set(command[-3:]) == {"main.f90", "a.f", "add.s"}


@pytest.mark.parametrize("language", ["c", "cpp", "fortran"])
def test_assembly_in_the_front_end_alone_is_invalid(language: str) -> None:
    """clang's driver passes it over in stage `syntax`, so no job has it there; nor has a cell of a matrix."""
    main = _language(language).default_main
    files = {main: "", "add.s": ""}
    offered = make_environment(language=language, family="gfortran" if language == "fortran" else "gcc")
    body = {"language": language, "files": files, "main": main, "stage": "syntax"}
    with pytest.raises(InvalidRequest, match=r"'add\.s' is not checked in stage `syntax`: use `compile`"):
        compile_request.resolve(compile_request.parse(json.dumps(body).encode()), CATALOG, [offered])
    request = plan.parse(json.dumps(body).encode())
    with pytest.raises(InvalidRequest, match="not checked"):
        plan.make_plan(request, CATALOG, [offered])
    assert len(plan.make_plan(request.model_copy(update={"stage": "link"}), CATALOG, [offered]).requests) == 1


@pytest.mark.parametrize("name", ["-o.c", "@list/x.c", " x.c", "--help.c"])
def test_a_name_cannot_read_as_an_option(name: str) -> None:
    """It is passed with its folder; all other names are passed as they are."""
    request = _resolve("c", {"main.c": "", name: "", "a b.c": "", "$x.c": ""})
    command = build_command(CATALOG, request, _newest(_language("c")))
    assert f"./{name}" in command and name not in command
    assert {"main.c", "a b.c", "$x.c"} <= set(command)
    assert name in translation_units(_language("c"), request.files, request.main)


@pytest.mark.parametrize("language", ["c", "cpp", "fortran"])
@pytest.mark.parametrize("name", ["@x{}", "src/@x{}", "@x.h"])
def test_a_name_that_is_a_list_of_options_for_the_compilers_own_programs_is_invalid(
    language: str, name: str
) -> None:
    """gcc and clang hand on the last part of a source's name, and their programs read options from `x`."""
    entry = _language(language)
    name = name.format(entry.source_extensions[0])
    with pytest.raises(InvalidRequest, match="read options from another file: rename it"):
        _resolve(language, {entry.default_main: "", name: "", "x.c": "-fplugin=x.so"})


@pytest.mark.parametrize("language", ["typescript", "java", "python", "rust", "zig"])
def test_such_a_name_is_valid_where_the_compiler_is_one_program(language: str) -> None:
    """Its only reader of `@x` is the command line, which gets `./@x`."""
    entry = _language(language)
    name = f"@x{entry.source_extensions[0]}"
    request = _resolve(language, {name: ""}, main=name)
    assert build_command(CATALOG, request, _newest(entry))[-1] == f"./{name}"


def test_a_project_names_its_main_file() -> None:
    """What `go build` reads is not known before it runs."""
    go = _language("go")
    assert translation_units(go, {"go.mod": "", "main.go": "", "a.go": ""}, "main.go") == ("main.go",)
