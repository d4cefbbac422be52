"""With real compilers: an error in any file that is a source is reported, under the file's own name.

A file that is passed over would be a verdict about less than what was sent; a name that a parser takes apart
would be a diagnostic that no client can place.
"""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from chalicelib.api import compile_request
from chalicelib.models import Environment, Result, Severity, Verdict
from tests.support.compilers import RealCompilers, real_compilers
from tests.support.file_kinds import TAKEN, extensions
from tests.support.native_run import bare_command, bare_env
from tests.support.tiers import in_tier

# What each compiler rejects in line 2, and nothing else; {n} makes names of classes differ.
_BROKEN = {
    "c": "int ok{n};\nint bad{n} = missing;\n",
    "cpp": "int ok{n};\nint bad{n} = missing;\n",
    "fortran": "      end\n      x = = 1\n",
    "go": "package main\nvar bad{n} int = missing\n",
    "java": "class A{n} {{\n  int x = missing;\n}}\n",
    "typescript": "export const ok = 1;\nexport const bad: number = '';\n",
    "python": "ok = 1\nbad = = 2\n",
    "rust": "fn main() {\n  missing\n}\n",
    "zig": "const ok = 1;\nexport fn bad() void { missing; }\n",
}
_BROKEN_ASSEMBLY = "    .text\n    this is not assembly\n"
_GOOD_MAIN = {
    "c": "int main(void) { return 0; }\n",
    "cpp": "int main() { return 0; }\n",
    "fortran": "      end\n",
    "go": "package main\n\nfunc main() {}\n",
    "java": "class Main { }\n",
    "typescript": "export const main = 1;\n",
    "python": "main = 1\n",
}
# Beginnings of names that a parser could take for something else, or a program for an option.
_ODD = (
    "my file", "a@b", "[id]", "+page", "$route", "übung", "e\u0301", ".hidden", "-x", "--help", "a:b",
    "a:1:2", "a(1,2)", "a(1,2): error TS1: b", "a:3:1: error: b", "it's", 'say "hi"', "50%", "a,b;c",
    "~tilde", "日本語", "a  b", " lead", "trail ", "#hash", "{x}", "a&b|c", "*?", "`x`",
    "folder with blank/a b", "@folder/x",
)  # fmt: skip


def _environments(language: str) -> list[Environment]:
    """The newest compiler of each family that is here."""
    real = real_compilers()
    newest: dict[str, Environment] = {}
    offered = (item for item in real.toolchains.environments if item.language == language)
    for item in sorted(offered, key=lambda environment: environment.version_key):
        newest[item.family] = item
    if not newest:
        pytest.skip(f"no compiler for {language} is here")
    return list(newest.values())


def _compile(real: RealCompilers, environment: Environment, files: dict[str, str], **fields: Any) -> Result:
    body = {"language": environment.language, "compiler": environment.id, "files": files} | fields
    request = compile_request.resolve(
        compile_request.parse(json.dumps(body).encode()), real.catalog, real.toolchains.environments
    )
    return real.executor.compile("file", request)


def _places(result: Result) -> dict[str | None, int | None]:
    """The line of the first error in each file."""
    errors = [item for item in result.diagnostics if item.severity in (Severity.ERROR, Severity.FATAL)]
    return {item.file: item.line for item in reversed(errors)}


# The first test waits for the probe of all compilers.
@pytest.mark.timeout(400)
@pytest.mark.parametrize("language", TAKEN)
def test_an_error_in_a_file_of_every_extension_is_reported(language: str) -> None:
    """Each extension that a compiler takes by its name, one file of it at a time beside a good main file."""
    real = real_compilers()
    entry = real.catalog.language(language)
    assert entry is not None
    for environment in _environments(language):
        for number, end in enumerate(extensions(language, "compiled")):
            name = f"extra{number}{end}"
            assembly = end in (".s", ".S", ".sx")
            text = _BROKEN_ASSEMBLY if assembly else _broken(language, number, end)
            if entry.sources == "main":
                result = _compile(real, environment, {name: text})
            else:
                files = {entry.default_main: _GOOD_MAIN[language], name: text}
                result = _compile(real, environment, files, main=entry.default_main)
            assert result.verdict is Verdict.REJECTED, (environment.id, name, result)
            assert _places(result) == {name: 2}, (environment.id, result)
            assert name in result.compiled_files


def _broken(language: str, number: int, end: str) -> str:
    if end.startswith(".d."):
        return "export declare const ok: 1;\nexport declare const bad: missing;\n"
    if language in ("c", "cpp", "java", "go"):
        return _BROKEN[language].format(n=number)
    return _BROKEN[language]


@pytest.mark.timeout(400)
@pytest.mark.parametrize("language", [name for name in TAKEN if name != "go"])
def test_an_error_in_a_file_of_any_name_is_reported_under_that_name(language: str) -> None:
    """With blanks, colons, brackets and quotes, and names that look like options or like messages."""
    real = real_compilers()
    entry = real.catalog.language(language)
    assert entry is not None
    end = entry.source_extensions[0]
    broken = {f"{start}{end}": _broken(language, number, end) for number, start in enumerate(_ODD)}
    for environment in _environments(language):
        if environment.family in ("rustc", "zig", "zig-cc"):
            # They take one file, or stop at the first that has an error.
            for name in list(broken)[:: in_tier(fast=6, full=1)]:
                result = _compile(real, environment, {name: broken[name]})
                assert (result.verdict, _places(result)) == (Verdict.REJECTED, {name: 2}), result
            continue
        files = {entry.default_main: _GOOD_MAIN[language]} | broken
        result = _compile(real, environment, files, main=entry.default_main)
        assert result.verdict is Verdict.REJECTED, result
        assert _places(result) == dict.fromkeys(broken, 2), (environment.id, result.stdout, result.stderr)
        assert set(result.compiled_files) == set(files)


def test_go_files_of_names_that_go_takes_are_reported_under_their_names() -> None:
    """The go command itself forbids names that begin with a sign; blanks and signs inside are fine."""
    real = real_compilers()
    for environment in _environments("go"):
        for name in ("my file.go", "übung.go", "a@b.go", "a(1).go", "it's.go"):
            files = {"main.go": _GOOD_MAIN["go"], name: _broken("go", 1, ".go")}
            result = _compile(real, environment, files, main="main.go")
            assert (result.verdict, _places(result)) == (Verdict.REJECTED, {name: 2}), result


@pytest.mark.parametrize("language", ["c", "cpp", "fortran"])
def test_a_linker_names_a_file_of_any_name(language: str) -> None:
    """A symbol that is nowhere is reported in the file that uses it, whatever the file is called."""
    real = real_compilers()
    call = {
        "c": "void f(void);\nint main(void) { f(); }\n",
        "cpp": "void f();\nint main() { f(); }\n",
        "fortran": "      call f\n      end\n",
    }[language]
    entry = real.catalog.language(language)
    assert entry is not None
    for environment in _environments(language):
        if "link" not in environment.stages:
            continue
        for start in ("my file", "src/a b", "[id]", "übung", "a;b"):
            name = f"{start}{entry.source_extensions[0]}"
            result = _compile(real, environment, {name: call}, stage="link")
            assert result.verdict is Verdict.REJECTED, result
            assert name in {item.file for item in result.diagnostics}, (environment.id, result.stderr)


def test_assembly_is_linked_with_the_sources_that_call_it() -> None:
    """A program of a C, C++ or Fortran source and one in assembly links, and does not without the latter."""
    real = real_compilers()
    if real.architecture != "x86_64":
        pytest.skip("the assembly is for x86_64")
    mains = {
        "c": ("main.c", "long add(long, long);\nint main(void) { return (int)add(1, 2); }\n"),
        "cpp": ("main.cpp", 'extern "C" long add(long, long);\nint main() { return (int)add(1, 2); }\n'),
        "fortran": ("main.f90", "interface\nsubroutine add() bind(c)\nend\nend interface\ncall add()\nend\n"),
    }
    add = '.text\n.globl add\nadd:\nlea (%rdi,%rsi), %rax\nret\n.section .note.GNU-stack,"",@progbits\n'
    for language, (main, text) in mains.items():
        for environment in _environments(language):
            if "link" not in environment.stages:
                continue
            for end in (".s", ".S", ".sx"):
                files = {main: text, f"add{end}": add}
                result = _compile(real, environment, files, main=main, stage="link")
                assert result.verdict is Verdict.COMPILES, result
                assert result.compiled_files[-1] in (f"add{end}", main)
            assert _compile(real, environment, {main: text}, stage="link").verdict is Verdict.REJECTED


@pytest.mark.parametrize("language", ["c", "cpp", "fortran"])
def test_what_a_driver_takes_for_a_source_is_never_only_read(language: str, tmp_path: Path) -> None:
    """Each driver here is asked about every ending of the lists: what it would compile is not passed over."""
    real = real_compilers()
    read = set(extensions(language, "read"))
    ends = {end for kinds in TAKEN.values() for names in kinds.values() for end in names.split()}
    # Headers become precompiled headers where they are named; nobody does in a build.
    ends -= {".h", ".hh", ".H", ".hp", ".hxx", ".hpp", ".HPP", ".h++", ".tcc"}
    for environment in _environments(language):
        if environment.family not in ("gcc", "clang", "gfortran"):
            continue
        driver = bare_command(real.toolchains.entry(environment).command)
        for end in sorted(ends & read):
            (tmp_path / f"file{end}").write_text("")
            ran = subprocess.run(
                [*driver, "-###", "-c", f"file{end}"],
                cwd=tmp_path,
                env={**bare_env(tmp_path), "PATH": os.environ["PATH"]},
                capture_output=True,
                encoding="utf-8",
                check=False,
                timeout=60,
            )
            unused = "linker input file unused" in ran.stderr or "'linker' input unused" in ran.stderr
            assert unused, (environment.id, end, ran.stderr)
