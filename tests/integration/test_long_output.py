"""Output beyond its limit changes no verdict: the exit status decides, with the compilers of this machine."""

import json
from typing import Any

import pytest

from chalicelib.api import compile_request
from chalicelib.models import Diagnostic, Result, Severity, Verdict
from runner.diagnostics import collector
from tests.support.compilers import RealCompilers, real_compilers

_LIMIT_BYTES = 256 * 1024
_WARNINGS = "void %s(void) {\n" + "".join(f"  int x{number};\n" for number in range(6_000)) + "}\n"
_LONG = "1, " * 53_000  # in one line of 160,000 characters

# One error in a line of 160,000 characters, for each language: before and behind it.
_ONE_LINE = {
    "c": f"int a[] = {{{_LONG}missing}};\n",
    "cpp": f"int a[] = {{{_LONG}missing}};\n",
    "go": f"package main\n\nvar a = []int{{{_LONG}missing}}\n\nfunc main() {{}}\n",
    # The Java virtual machine takes no more than 64 KiB of code for one array.
    "java": "class Main {{ String s = {0} + missing + {0} + missing + {0} + missing; }}\n".format(
        f'"{"x" * 53_000}"'
    ),
    "python": f"a = [{_LONG}(];\n",
    "rust": f"pub fn f() {{ let _a = [{_LONG}missing]; }}\n",
    "typescript": f"export const a = [{_LONG}missing];\n",
    "zig": f"export fn f() i32 {{ const a = [_]i32{{{_LONG}missing}}; return a[0]; }}\n",
}

# A template error with each candidate, forty times: more than 256 KiB with gcc.
_EXPLOSION = (
    "#include <iostream>\nstruct Point { int x; };\nint main() {\n  Point p{1};\n"
    + "  std::cout << p << std::endl;\n" * 40
    + "}\n"
)


def _compile(real: RealCompilers, **fields: Any) -> Result:
    request = compile_request.resolve(
        compile_request.parse(json.dumps(fields).encode()), real.catalog, real.toolchains.environments
    )
    result = real.executor.compile("job", request)
    # The marker, and escapes of control characters, come on top.
    assert max(len(result.stdout.encode()), len(result.stderr.encode())) <= _LIMIT_BYTES + 100
    assert collector.count(result.diagnostics) <= collector.MAX_DIAGNOSTICS
    return result


def _errors(result: Result) -> list[Diagnostic]:
    return [item for item in result.diagnostics if item.severity in (Severity.ERROR, Severity.FATAL)]


def _newest(real: RealCompilers, language: str) -> list[str]:
    """One compiler of each family of that language."""
    families = {each.family: each.id for each in real.toolchains.environments if each.language == language}
    return list(families.values())


@pytest.mark.timeout(400)
@pytest.mark.parametrize("language", ["c", "cpp"])
def test_six_thousand_warnings_compile(language: str) -> None:
    """They are some 900 KB, of which a quarter is kept."""
    real = real_compilers()
    for compiler in _newest(real, language):
        result = _compile(
            real, language=language, compiler=compiler, source_code=_WARNINGS % "f", options=["-Wall"]
        )
        assert (result.verdict, result.truncated) == (Verdict.COMPILES, True), (compiler, result.error)
        assert result.stderr.endswith("\n[output truncated]\n")
        assert {item.severity for item in result.diagnostics} == {Severity.WARNING}


@pytest.mark.timeout(400)
@pytest.mark.parametrize("after", [0, 1], ids=["at-the-end", "in-the-middle"])
@pytest.mark.parametrize("language", ["c", "cpp"])
def test_one_error_behind_six_thousand_warnings_is_a_rejection(language: str, after: int) -> None:
    """The error is among the diagnostics, although its text is dropped, with its place."""
    real = real_compilers()
    source = _WARNINGS % "f" + "int e = nowhere;\n" + (_WARNINGS % "g") * after
    for compiler in _newest(real, language):
        result = _compile(real, language=language, compiler=compiler, source_code=source, options=["-Wall"])
        assert (result.verdict, result.truncated) == (Verdict.REJECTED, True), (compiler, result.error)
        [error] = _errors(result)
        assert "nowhere" in error.message and (error.line, error.column) == (6_003, 9), compiler


@pytest.mark.timeout(400)
@pytest.mark.parametrize("language", list(_ONE_LINE))
def test_an_error_in_a_line_of_160_000_characters_is_a_rejection(language: str) -> None:
    """With its first diagnostic, whatever part of the line the compiler quotes."""
    real = real_compilers()
    source = _ONE_LINE[language]
    compilers = _newest(real, language)
    if not compilers:
        pytest.skip(f"no compiler for {language} here")
    for compiler in compilers:
        result = _compile(real, language=language, compiler=compiler, source_code=source)
        assert result.verdict is Verdict.REJECTED, (compiler, result.reason, result.error)
        error = _errors(result)[0]
        assert error.line == (3 if language == "go" else 1), compiler
        # gcc stops counting columns in such a line, and CPython quotes only a part of it.
        start = source.split("\n")[error.line - 1].find("missing") + 1
        assert error.column in (None, start), compiler


@pytest.mark.timeout(400)
def test_an_explosion_of_candidates_is_a_rejection() -> None:
    """An ordinary mistake of a beginner, for which gcc prints more than it may."""
    real = real_compilers()
    for compiler in _newest(real, "cpp"):
        result = _compile(real, language="cpp", compiler=compiler, source_code=_EXPLOSION)
        assert result.verdict is Verdict.REJECTED, (compiler, result.reason, result.error)
        assert (_errors(result)[0].file, _errors(result)[0].line) == ("main.cpp", 5)
