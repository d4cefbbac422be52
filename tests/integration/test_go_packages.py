"""Go: a folder is a package; the verdict is that of `go build`, or the answer says what differs."""

import json
from typing import Any

import pytest

from chalicelib.api import compile_request
from chalicelib.models import Environment, Reason, Result, Verdict
from tests.support.compilers import RealCompilers, real_compilers
from tests.support.skipping import missing

_MODULE = "module example.org/shop\n\ngo 1.18\n"
_BROKEN = "package main\n\nfunc main() { undeclared(garbage }\n"
_PROGRAM = "package main\n\nfunc main() {}\n"
_GENERIC = "package main\n\nfunc same[T any](a T) T { return a }\n\nfunc main() { same(1) }\n"
_ASSEMBLY = '#include "textflag.h"\n\nTEXT ·add(SB), NOSPLIT, $0-24\n\tMOVQ $3, ret+16(FP)\n\tRET\n'
_CALLS_ASSEMBLY = "package main\n\nfunc add(a, b int64) int64\n\nfunc main() { println(add(1, 2)) }\n"
_EMBEDS = 'package main\n\nimport _ "embed"\n\nfunc main() {}\n\n'
_CGO = 'package main\n\n/*\nstatic int one(void) { return 1; }\n*/\nimport "C"\n\nfunc main() { C.one() }\n'


def _go(real: RealCompilers) -> Environment:
    """The newest Go of this machine."""
    installed = [each for each in real.toolchains.environments if each.language == "go"]
    if not installed:
        missing("no Go is installed")
    return max(installed, key=lambda each: each.version_key)


def _compile(files: dict[str, str], **fields: Any) -> Result:
    """The result for a request, as the API and a runner make it."""
    real = real_compilers()
    body = {"language": "go", "compiler": _go(real).id, "files": files, "main": "main.go", **fields}
    request = compile_request.resolve(
        compile_request.parse(json.dumps(body).encode()), real.catalog, real.toolchains.environments
    )
    return real.executor.compile("go", request)


_COMPILES: dict[str, dict[str, str]] = {
    "variants by constraint and by name": {
        "main.go": "package main\n\nfunc main() { println(separator()) }\n",
        "path_unix.go": '//go:build !windows\n\npackage main\n\nfunc separator() string { return "/" }\n',
        "path_windows.go": 'package main\n\nfunc separator() string { return "\\\\" }\n',
    },
    "variants by the older form of a constraint": {
        "main.go": "package main\n\nfunc main() { println(id) }\n",
        "a.go": "// +build linux darwin\n\npackage main\n\nconst id = 1\n",
        "b.go": "// +build plan9\n\npackage main\n\nconst id = 2\n",
    },
    "an example that is ignored": {"main.go": _PROGRAM, "gen.go": f"//go:build ignore\n\n{_BROKEN}"},
    "a file that starts with an underscore": {"main.go": _PROGRAM, "_draft.go": _BROKEN},
    "a test of another package": {"main.go": _PROGRAM, "main_test.go": "package main_test\n\nsyntax\n"},
    "an embedded file": {
        "main.go": f"{_EMBEDS}//go:embed page.txt\nvar page string\n",
        "page.txt": "text",
    },
    "an internal package": {
        "go.mod": _MODULE,
        "main.go": 'package main\n\nimport . "example.org/shop/internal/x"\n\nfunc main() { println(One) }\n',
        "internal/x/x.go": "package x\n\nconst One = 1\n",
    },
    "a vendored module": {
        "go.mod": f"{_MODULE}\nrequire example.org/tax v1.0.0\n",
        "main.go": 'package main\n\nimport "example.org/tax"\n\nfunc main() { println(tax.Rate) }\n',
        "vendor/modules.txt": "# example.org/tax v1.0.0\n## explicit\nexample.org/tax\n",
        "vendor/example.org/tax/tax.go": "package tax\n\nconst Rate = 7\n",
    },
    "a module that is replaced by a folder": {
        "go.mod": f"{_MODULE}\nrequire example.org/tax v1.0.0\n\nreplace example.org/tax => ./tax\n",
        "main.go": 'package main\n\nimport "example.org/tax"\n\nfunc main() { println(tax.Rate) }\n',
        "tax/go.mod": "module example.org/tax\n\ngo 1.18\n",
        "tax/tax.go": "package tax\n\nconst Rate = 7\n",
    },
}


@pytest.mark.parametrize("kind", _COMPILES)
def test_a_folder_compiles_as_go_build_compiles_it(kind: str) -> None:
    """What `go build` leaves out does not reject the package, and what it takes is found."""
    result = _compile(_COMPILES[kind])
    assert result.verdict is Verdict.COMPILES, (result.error, result.stderr)


@pytest.mark.parametrize("module", [{}, {"go.mod": _MODULE}], ids=["without go.mod", "with go.mod"])
def test_assembly_of_the_package_is_assembled(module: dict[str, str]) -> None:
    """A function may have its body in a .s file for the target, and the errors of that file count."""
    real = real_compilers()
    if real.architecture != "x86_64":
        pytest.skip("the assembly is for x86_64")
    files = {**module, "main.go": _CALLS_ASSEMBLY, "add_amd64.s": _ASSEMBLY}
    assert _compile(files).verdict is Verdict.COMPILES
    broken = _compile({**files, "add_amd64.s": _ASSEMBLY.replace("MOVQ", "MOVE")})
    assert broken.verdict is Verdict.REJECTED
    assert [(item.file, item.line) for item in broken.diagnostics][:1] == [("add_amd64.s", 4)]
    assert _compile({**files, "add_amd64.s": "", "add_arm64.s": _ASSEMBLY}).verdict is Verdict.REJECTED


@pytest.mark.parametrize("line", ["go 1.17\n", ""], ids=["go 1.17", "no go line"])
def test_the_language_version_is_that_of_go_mod_unless_one_is_requested(line: str) -> None:
    """Type parameters need go 1.18 in go.mod; without a line it is 1.16; a requested standard wins."""
    files = {"go.mod": f"module example.org/max\n\n{line}", "main.go": _GENERIC}
    result = _compile(files)
    assert result.verdict is Verdict.REJECTED
    assert [item.line for item in result.diagnostics][:1] == [3]
    assert any("1.18" in item.message for item in result.diagnostics)
    assert not any("-lang" in word for word in result.command)
    assert _compile(files, standard="go1.18").verdict is Verdict.COMPILES
    assert _compile({"main.go": _GENERIC}, standard="go1.17").verdict is Verdict.REJECTED


_OTHER = {"other.go": _PROGRAM}
_LEFT_OUT = {
    "a constraint": ("main.go", f"//go:build ignore\n\n{_BROKEN}", "`//go:build ignore` is not true for"),
    "an older constraint": ("main.go", f"// +build plan9\n\n{_BROKEN}", "`// +build plan9` is not true"),
    "another system in its name": ("main_plan9.go", _BROKEN, "its name says that it is for another target"),
    "an underscore": ("_main.go", _BROKEN, "its name starts with '_'"),
    "cgo": ("main.go", _BROKEN.replace("\n\n", '\n\nimport "C"\n\n', 1), 'it uses cgo (`import "C"`)'),
}


@pytest.mark.parametrize("module", [{}, {"go.mod": _MODULE}], ids=["without go.mod", "with go.mod"])
@pytest.mark.parametrize("kind", _LEFT_OUT)
def test_compiles_means_that_the_main_file_was_compiled(kind: str, module: dict[str, str]) -> None:
    """A main file that go leaves out of its package has no verdict, and the answer says why."""
    main, text, sentence = _LEFT_OUT[kind]
    result = _compile({**module, **_OTHER, main: text}, main=main)
    assert (result.verdict, result.reason) == (Verdict.INCONCLUSIVE, Reason.INFRASTRUCTURE), result.stderr
    assert f"{main} was not compiled" in result.error
    assert sentence in result.error
    assert not result.compiled and not result.success


def test_cgo_is_named_where_it_is_the_cause() -> None:
    """A package that needs cgo is not called wrong: nothing is known about it here."""
    alone = _compile({"main.go": _CGO})
    assert (alone.verdict, alone.reason) == (Verdict.INCONCLUSIVE, Reason.INFRASTRUCTURE)
    assert 'main.go was not compiled: it uses cgo (`import "C"`)' in alone.error
    one = 'package main\n\nimport "C"\n\nfunc one() {}\n'
    caller = "package main\n\nfunc main() { one() }\n"
    assert "one.go was not compiled: it uses cgo" in _compile({"main.go": caller, "one.go": one}).error
    tagged = f"//go:build cgo\n\n{one.replace('import', '//')}"
    assert "`//go:build cgo`" in _compile({"main.go": caller, "one.go": tagged}).error
    # For another system the file would not be compiled with cgo either.
    other = {"main.go": _PROGRAM, "one_windows.go": one}
    assert _compile(other).verdict is Verdict.COMPILES


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("go.mod", "module example.org/app\n\ngo 1.99\n"),
        ("go.mod", "module example.org/app\n\ngo 1.99.3\n"),
        ("go.mod", "module example.org/app\n\ngo 1.19\n\nignore ./x\n"),
        ("go.work", "go 1.99\n\nuse ./\n"),
    ],
)
def test_a_go_mod_for_a_newer_go_is_inconclusive(name: str, text: str) -> None:
    """What this compiler says then is not about the source; the sentence names file and version."""
    module = {"go.mod": _MODULE} if name == "go.work" else {}
    for source in (_PROGRAM, "package main\n\nfunc main() { spare := 1 }\n"):
        result = _compile({**module, name: text, "main.go": source})
        assert (result.verdict, result.reason) == (Verdict.INCONCLUSIVE, Reason.INFRASTRUCTURE)
        assert result.error.startswith(f"{name} ")
        assert "newer" in result.error or "asks for Go 1.99" in result.error
        assert "downloading" not in result.stderr


@pytest.mark.parametrize("sums", ["", "example.org/tax v1.2.3 h1:x\nexample.org/tax v1.2.3/go.mod h1:x\n"])
def test_a_module_that_was_not_sent_is_named(sums: str) -> None:
    """A required module cannot be downloaded here, which says nothing about the source."""
    source = 'package main\n\nimport "example.org/tax/rate"\n\nfunc main() { println(rate.Now) }\n'
    files = {"go.mod": f"{_MODULE}\nrequire (\n\texample.org/tax v1.2.3 // indirect\n)\n", "main.go": source}
    result = _compile({**files, **({"go.sum": sums} if sums else {})})
    assert (result.verdict, result.reason) == (Verdict.INCONCLUSIVE, Reason.INFRASTRUCTURE), result.stderr
    assert "needs the module example.org/tax that was not sent" in result.error
    # One that go.mod does not require is an error of the author, with and without a network.
    rejected = _compile({**files, "go.mod": _MODULE})
    assert rejected.verdict is Verdict.REJECTED
    assert (rejected.diagnostics[0].file, rejected.diagnostics[0].line) == ("main.go", 3)


def test_the_modules_of_a_workspace_are_compiled() -> None:
    """A go.work in the top folder names modules: all of them are compiled, and find each other."""
    files = {
        "go.work": "go 1.18\n\nuse (\n\t./app\n\t./tax // ours\n)\n",
        "app/go.mod": "module example.org/app\n\ngo 1.18\n",
        "app/main.go": 'package main\n\nimport "example.org/tax"\n\nfunc main() { println(tax.Rate) }\n',
        "tax/go.mod": "module example.org/tax\n\ngo 1.18\n",
        "tax/tax.go": "package tax\n\nconst Rate = 7\n",
        "tax/other/other.go": "package other\n\nconst One = 1\n",
    }
    result = _compile(files, main="app/main.go")
    assert result.verdict is Verdict.COMPILES, (result.error, result.stderr)
    broken = _compile(
        {**files, "tax/other/other.go": "package other\n\nvar x int = true\n"}, main="app/main.go"
    )
    assert [(item.file, item.line) for item in broken.diagnostics] == [("tax/other/other.go", 3)]


def test_errors_without_a_place_become_one_diagnostic_each() -> None:
    """Those of the go command itself: a pattern, a vendor folder, a go.mod."""
    unembedded = _compile(
        {"main.go": 'package main\n\nimport _ "embed"\n\n//go:embed no.txt\nvar x string\n\nfunc main() {}\n'}
    )
    assert [(item.file, item.line) for item in unembedded.diagnostics] == [("main.go", 5)]
    bad = _compile({"go.mod": "module example.org/a\n\nfoo bar\n\nreplace x\n", "main.go": _PROGRAM})
    assert bad.verdict is Verdict.REJECTED
    assert [(item.file, item.line) for item in bad.diagnostics] == [("go.mod", 3), ("go.mod", 5)]
    vendored = _compile(
        {
            "go.mod": f"{_MODULE}\nrequire example.org/tax v1.0.0\n",
            "main.go": _PROGRAM,
            "vendor/modules.txt": "# example.org/other v1.0.0\n",
        }
    )
    assert vendored.verdict is Verdict.REJECTED
    assert len(vendored.diagnostics) == 1 and "inconsistent vendoring" in vendored.diagnostics[0].message
