"""Folders with Go files as people have them: variants for targets, modules, assembly, line ends.

Each is made by chance from a seed, so they are the same on every machine. What go does with them is not
written anywhere: it is asked.
"""

import random
import zlib
from dataclasses import dataclass

_NAMES = (
    "where.go where_linux.go where_windows.go where_amd64.go where_linux_arm64.go where_linux_amd64.go "
    "where_unix.go where_test.go _where.go where.x_windows.go linux.go windows_amd64.go where_plan9_test.go "
    "where_js.go where_wasip1.go where_darwin_.go"
)
_HEADERS = (
    "",
    "//go:build linux\n\n",
    "//go:build !linux\n\n",
    "//go:build ignore\n\n",
    "//go:build linux && (amd64 || arm64)\n\n",
    "//go:build !(linux || darwin) || custom\n\n",
    "//go:build unix && gc\n\n",
    "//go:build go1.18 && !go1.99\n\n",
    "//go:build !go1.18\n\n",
    "  //go:build windows\n",
    "//go:build\twindows || linux \n\n",
    "// +build linux,amd64 darwin\n\n",
    "// +build windows\n// +build amd64\n\n",
    "// +build !linux\n",
    "// +build custom\n\n//go:build linux\n\n",
    "//go:build windows\n// +build linux\n\n",
    "// A comment.\n\n//go:build linux\n\n// Package main is one.\n",
    "/* A comment\n//go:build windows\n*/\n\n",
    "/**/ //go:build windows\n\n",
    "//go:buildx windows\n\n",
    "// go:build windows\n\n",
)
# Names and heads with which a file is part of a package for linux/amd64, and with which it is not.
_TAKEN = ("where.go", "where_linux.go", "where_amd64.go", "where_unix.go", "linux.go", "where_linux_amd64.go")
_NOT_TAKEN = ("where_windows.go", "_where.go", "where_test.go", "where_linux_arm64.go", "where_js.go")
_TRUE = ("", "", "//go:build !windows\n\n", "// +build linux\n\n", "//go:build unix || windows\n\n")
_FALSE = ("//go:build ignore\n\n", "//go:build !linux\n\n", "// +build windows\n\n")
_GO_LINES = ("\ngo 1.17\n", "\ngo 1.18\n", "\ngo 1.19\n", "")
_GENERIC = "func same[T any](value T) T { return value }\n"
_ASSEMBLY = "TEXT ·body(SB), 4, $0-0\n\tRET\n"
_GOOD = ("", "type point struct{ x, y int }\n", "//go:noinline\nfunc quiet() {}\n")
_BAD = ("var spare int = true\n", "func broken() { return 1 }\n", "func f( {\n", 'import "no/such"\n')


@dataclass(frozen=True, slots=True)
class Folder:
    """One folder: its files, the name of the main one, and options of the request."""

    files: dict[str, str]
    main: str
    options: tuple[str, ...]


def left_out(seed: int, count: int = 12) -> dict[str, str]:
    """Files of one package, of which go takes some: names and heads of all kinds, put together by chance."""
    chance = random.Random(zlib.crc32(f"left out {seed}".encode()))
    names = chance.sample(_NAMES.split(), count)
    files = {name: f"{chance.choice(_HEADERS)}package main\n" for name in names}
    return {name: _ends(text, chance) for name, text in files.items()}


def folder(seed: int) -> Folder:
    """A package or a module that compiles or not."""
    chance = random.Random(zlib.crc32(f"folder {seed}".encode()))
    files: dict[str, str] = {}
    if chance.random() < 0.7:
        files["go.mod"] = f"module example.org/a\n{chance.choice(_GO_LINES)}"
    calls, more, imports = ["where()"], "", ""
    for name, head in _variants(chance):
        files[name] = f"{head}package main\n\nfunc where() {{}}\n"
    if chance.random() < 0.2:
        more += f"\n{_GENERIC}"
        calls.append("same(1)")
    if chance.random() < 0.25:
        more += "\nfunc body()\n"
        calls.append("body()")
        files[chance.choice(["body.s", "body_amd64.s", "body_amd64.s", "body_windows.s"])] = _ASSEMBLY
    if "go.mod" in files:
        imports = _packages(files, calls, chance)
    lines = "".join(f"\t{call}\n" for call in calls)
    head = chance.choice(_HEADERS) if chance.random() < 0.15 else ""
    files["main.go"] = f"{head}package main\n\n{imports}{more}\nfunc main() {{\n{lines}}}\n"
    if chance.random() < 0.4:
        files["extra.go"] = f"{chance.choice((*_TRUE, *_FALSE))}package main\n\n{_body(chance)}"
    files = {name: _ends(text, chance) for name, text in files.items()}
    return Folder(files, "main.go", ("-tags=custom",) if chance.random() < 0.3 else ())


def _variants(chance: random.Random) -> list[tuple[str, str]]:
    """Names and heads of files that define the same function: mostly one of them is for this target."""
    if chance.random() < 0.3:
        names = chance.sample(_NAMES.split(), chance.choice([1, 2, 3]))
        return [(name, chance.choice(_HEADERS)) for name in names]
    first, second = chance.sample(_TAKEN, 2)
    others = [(chance.choice(_NOT_TAKEN), chance.choice(_TRUE)), (second, chance.choice(_FALSE))]
    return [(first, chance.choice(_TRUE)), *others[: chance.choice([0, 1, 2])]]


def _body(chance: random.Random) -> str:
    return chance.choice(_BAD if chance.random() < 0.25 else _GOOD)


def _packages(files: dict[str, str], calls: list[str], chance: random.Random) -> str:
    """Adds packages in folders to `files`, some of them used by `calls`; returns the imports of main."""
    imports = ""
    for name in chance.sample(["internal/price", "tax", "testdata", "_draft", "sub/testdata/deep"], 2):
        if chance.random() < 0.3:
            continue
        package = name.rpartition("/")[2].strip("_")
        end = chance.choice(["", "", "", "_linux", "_windows"])
        files[f"{name}/{package}{end}.go"] = f"package {package}\n\n{_body(chance)}\nfunc Do() {{}}\n"
        if name in ("internal/price", "tax") and chance.random() < 0.7:
            imports += f'import "example.org/a/{name}"\n'
            calls.append(f"{package}.Do()")
    return imports


def _ends(text: str, chance: random.Random) -> str:
    """`text` with other line ends, or a byte order mark, now and then."""
    if chance.random() < 0.15:
        text = text.replace("\n", "\r\n")
    return f"\ufeff{text}" if chance.random() < 0.1 else text
