"""What the go command leaves out and why, and what a run then says about a request."""

import time
from collections.abc import Callable

import pytest

from runner.go_packages import (
    Build,
    constraints,
    doubt,
    imports,
    missing_modules,
    needs_cgo,
    units_of_one_file,
    why_left_out,
)
from tests.support.factories import make_request

_LINUX = Build("linux", "amd64", (1, 19, 8))
_CGO = 'package main\n\nimport "C"\n'


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ('package a\nimport "fmt"\nimport x "os"\nimport . `io`\n', ["fmt", "os", "io"]),
        ('package a\nimport (\n\t"fmt"; x "os"\n)\nvar s = "no"\n', ["fmt", "os"]),
        ('package a\n/* import "no" */\n// import "no"\nimport "C"\nfunc f() {}\n', ["C"]),
        ('package a\nimport /* why */ "fmt"\n', ["fmt"]),
        ('package a\nconst c = "x"\nimport "late"\n', []),
        ('package a\nimport "open\n', []),
        ("package a\nimport `open", []),
        ("package a\n/* open", []),
        ("", []),
    ],
)
def test_the_imports_of_a_file_are_read(text: str, paths: list[str]) -> None:
    """In every form, without those in comments, up to the first declaration."""
    assert imports(text) == paths


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("//go:build linux\n\npackage a\n", ["//go:build linux"]),
        ("\ufeff// Text.\r\n\r\n//go:build linux\r\npackage a\r\n", ["//go:build linux"]),
        ("// +build a\n// +build b\n\npackage x\n", ["// +build a", "// +build b"]),
        ("// +build a\npackage x\n", []),
        ("/*\n//go:build linux\n*/\npackage a\n", []),
        ("package a\n//go:build linux\n", []),
    ],
)
def test_the_constraints_of_a_file_are_read(text: str, lines: list[str]) -> None:
    """Only those above the package clause; the older form needs an empty line below."""
    assert constraints(text) == lines


@pytest.mark.parametrize(
    ("name", "text", "because"),
    [
        ("main.go", "package main\n", None),
        ("main_linux.go", "package main\n", None),
        ("lib/main_windows.go", "package main\n", "for another target than linux/amd64"),
        ("_main.go", "package main\n", "starts with '_'"),
        ("main_test.go", "package main\n", "ends in _test.go"),
        ("main.go", "//go:build ignore\n\npackage main\n", "`//go:build ignore` is not true for linux/amd64"),
        ("main.go", "//go:build ((\n\npackage main\n", None),
        ("main.go", _CGO, 'uses cgo (`import "C"`)'),
        ("add_arm64.s", "", "for another target"),
        ("add.s", "", None),
    ],
)
def test_the_reason_for_leaving_out_a_file_is_a_sentence(name: str, text: str, because: str | None) -> None:
    """Name, constraint or cgo; None for a file that is compiled."""
    answer = why_left_out(name, text, _LINUX)
    assert answer is None if because is None else answer is not None and because in answer


def test_cgo_is_the_reason_only_where_nothing_else_is() -> None:
    """A file for another system would be left out with cgo, too."""
    assert needs_cgo("main.go", _CGO, _LINUX)
    assert needs_cgo("main.go", "//go:build cgo && linux\n\npackage main\n", _LINUX)
    assert not needs_cgo("main_windows.go", _CGO, _LINUX)
    assert not needs_cgo("main.go", "//go:build cgo && windows\n\npackage main\n", _LINUX)


def _doubt(files: dict[str, str], units: list[str], *, compiled: bool = True, native: bool = True) -> str:
    request = make_request(language="go", files=files, main="main.go", architecture="x86_64", os="linux")
    return doubt(request, (1, 19, 8), units, compiled=compiled, native=native)


def test_a_success_without_the_main_file_is_in_doubt() -> None:
    """A rejection is not: it stands with or without the main file."""
    files = {"main.go": "//go:build ignore\n\npackage main\n", "b.go": "package main\n"}
    assert _doubt(files, ["b.go"]) == (
        "The main file main.go was not compiled: go leaves it out, "
        "because its line `//go:build ignore` is not true for linux/amd64."
    )
    assert _doubt(files, ["b.go"], compiled=False) == ""
    assert _doubt(files, ["main.go", "b.go"]) == ""


def test_cgo_puts_a_package_in_doubt_that_go_builds_here() -> None:
    """Beside the main file, in folders of the module, and not in those that go passes over."""
    files = {"main.go": "package main\n", "one.go": _CGO}
    assert "one.go was not compiled: it uses cgo" in _doubt(files, ["main.go"])
    assert _doubt(files, ["main.go"], native=False) == ""
    for name in ("testdata/one.go", "_x/one.go", "vendor/a/one.go"):
        assert _doubt({"main.go": "package main\n", "go.mod": "module a\n", name: _CGO}, ["main.go"]) == ""
    nested = {"main.go": "package main\n", "tax/go.mod": "module b\n", "tax/one.go": _CGO}
    assert _doubt(nested, ["main.go"]) == ""
    assert "tax/one.go was not compiled" in _doubt({**nested, "tax/b.go": ""}, ["main.go", "tax/b.go"])


@pytest.mark.parametrize(
    ("module", "what"),
    [
        ("module a\n\ngo 1.20\n", "go.mod asks for Go 1.20, and this compiler is Go 1.19.8"),
        ("module a\r\n\r\ngo 1.21.3 // why\r\n", "go.mod asks for Go 1.21.3"),
        ("module a\ngo 1.19\ntoolchain go1.21.0\n", "go.mod has a `toolchain` line"),
        ("module a\ngo 1.19\ntool (\n\texample.org/x\n)\n", "go.mod has a `tool` line"),
        ("module a\n\ngo 1.19\n", ""),
        ("module a\n\ngo 1.18\n// go 1.99\n", ""),
        ("module a\n\nnonsense\n", ""),
    ],
)
def test_a_go_mod_for_a_newer_go_puts_any_verdict_in_doubt(module: str, what: str) -> None:
    """A success, too: releases before 1.21 try the source in their own, older language."""
    files = {"go.mod": module, "main.go": "package main\n"}
    sentence = _doubt(files, ["main.go"], compiled=False)
    assert sentence.startswith(what) if what else sentence == ""
    assert _doubt(files, ["main.go"]) == sentence


def test_missing_modules_are_named() -> None:
    """Those that go.mod requires, that a file imports, and that are not in the vendor folder."""
    files = {
        "go.mod": "module a\n\nrequire example.org/x v1.0.0\n\nrequire (\n\texample.org/y/v2 v2.1.0\n)\n",
        "main.go": 'package main\n\nimport (\n\t"example.org/x/sub"\n\t"example.org/y/v2"\n)\n',
    }
    assert "modules (example.org/x, example.org/y/v2)" in missing_modules(files)
    vendored = {**files, "vendor/example.org/x/sub/a.go": "package sub\n"}
    assert "the module example.org/y/v2 that was not sent" in missing_modules(vendored)
    assert "needs a module that was not sent" in missing_modules({"main.go": "package main\n"})


def test_one_file_needs_no_list() -> None:
    """Go rejects a package of which it compiles nothing, so success says that the only file was compiled."""

    def units(files: dict[str, str], *, compiled: bool) -> tuple[str, ...] | None:
        request = make_request(language="go", files=files, main="main.go", architecture="x86_64", os="linux")
        return units_of_one_file(request, (1, 19, 8), compiled=compiled)

    one = {"go.mod": "module a\n", "main.go": "package main\n", "page.txt": ""}
    assert units(one, compiled=True) == units(one, compiled=False) == ("main.go",)
    assert units({"main.go": "//go:build ignore\n\npackage main\n"}, compiled=False) == ()
    assert units({**one, "a.s": ""}, compiled=True) is None
    assert units({**one, "a_test.go": ""}, compiled=True) is None


@pytest.mark.parametrize(
    "piece",
    [
        '"\\',
        '\\"',
        '"',
        "`",
        "/*",
        "/**/",
        "//",
        "import(",
        'import "a"\n',
        "// +build a\n\n",
        "(",
        "a\n",
        "é",
    ],
)
@pytest.mark.parametrize("read", [imports, constraints, lambda text: needs_cgo("a.go", text, _LINUX)])
def test_hostile_files_are_read_in_linear_time(read: Callable[[str], object], piece: str) -> None:
    """Four times the text takes at most about four times as long, whatever it consists of."""

    def seconds(length: int) -> float:
        text = piece * (length // len(piece))
        started = time.process_time()
        read(text)
        return time.process_time() - started

    short = min(seconds(64 * 1024) for _ in range(3))
    # Below this a clock is not exact enough to compare.
    assert min(seconds(256 * 1024) for _ in range(3)) <= 8 * short + 0.02


def test_a_hostile_constraint_is_not_evaluated_for_long() -> None:
    """Any number of parentheses and signs ends quickly and without an exception."""
    for line in ("(" * 9_000, "!" * 9_000, "a||" * 3_000, ") && (", "&& a", "a b", ""):
        assert why_left_out("main.go", f"//go:build {line}\n\npackage main\n", _LINUX) is None


def test_modules_are_looked_for_in_linear_time() -> None:
    """A long line of blanks in a go.mod, and many modules with many imports."""

    def seconds(count: int) -> float:
        files = {
            "t/go.mod": "require" + " " * count + "!",
            "go.mod": "\n".join(f"require example.com/m{number} v1.0.0" for number in range(count // 50)),
            "main.go": "package main\n"
            + "\n".join(f'import _ "example.org/x{number}"' for number in range(count // 50)),
        }
        started = time.thread_time()
        missing_modules(files)
        return time.thread_time() - started

    seconds(1_000)
    # Quadratic would be 64 times as long.
    assert seconds(80_000) < 24 * max(seconds(10_000), 0.02)


@pytest.mark.parametrize("end", ["\u2028", "\x0c", "\x85"])
def test_a_comment_of_a_go_mod_ends_at_a_line_feed(end: str) -> None:
    """What Go takes for a part of a comment is no directive."""
    go_mod = f"module a // x{end}go 1.99\n"
    request = make_request(
        language="go", files={"main.go": "package main\nfunc main() {}\n", "go.mod": go_mod}, main="main.go"
    )
    assert doubt(request, (1, 19, 8), ("main.go",), compiled=True, native=True) == ""
