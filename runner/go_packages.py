"""What the go command leaves out of a package and why, and when a run of it is no verdict on the source.

The go command compiles the files of a package that belong to the target, and says nothing about the others.
Which files it took is asked of it (`Family.listing`). What is here says why one is missing, in the rules of
Go's package go/build: the file's name, its `//go:build` line, its folder, or cgo, which is off here. A test
compares them with the go command (tests/differential/test_go_folders.py). `doubt` finds what makes a run
`inconclusive`; nothing here makes a source compile or be rejected.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from chalicelib.models import CompileRequest, Target

_OS_NAMES = {"macos": "darwin", "wasi": "wasip1"}
_ARCHITECTURE_NAMES = {"x86_64": "amd64", "wasm32": "wasm"}

# The words that a file name may end in, with the release that knew the younger ones first.
_KNOWN_OS = re.compile(
    "aix|android|darwin|dragonfly|freebsd|hurd|illumos|ios|js|linux|nacl|netbsd|openbsd|plan9|solaris|windows"
    "|zos|wasip1"
)
_KNOWN_ARCHITECTURE = re.compile(
    "386|amd64|amd64p32|arm|armbe|arm64|arm64be|loong64|mips|mipsle|mips64|mips64le|mips64p32|mips64p32le|ppc"
    "|ppc64|ppc64le|riscv|riscv64|s390|s390x|sparc|sparc64|wasm"
)
_KNOWN_SINCE = {"wasip1": (1, 21)}
_UNIX = frozenset({"linux", "darwin"})

_BUILD_LINE = re.compile(r"//go:build(?:[ \t]+(.*))?")
_PLUS_BUILD_LINE = re.compile(r"//[ \t]*\+build(?:[ \t]+(.*))?")
_WORD = re.compile(r"&&|\|\||[!()]|[^\s!()&|]+")
_START = re.compile(r"//|/\*|[`\"()]|[\w.]+")
_STRING = re.compile(r"\"(?:\\.|[^\"\\\n])*\"")
# What starts and ends a comment or a string of several lines.
_ENDS = {"//": "\n", "/*": "*/", "`": "`"}
# Far more than the imports of a file and its comments are made of: a hostile one is not read to its end.
_MAX_IMPORT_WORDS = 20_000
# More than any module proxy serves.
_MAX_IMPORT_PATH = 500
# A licence and a constraint have room in it; what is below is not explained.
_HEAD_CHARACTERS = 16 * 1024
# More than a constraint of a person has; a longer one is not explained.
_MAX_WORDS = 200
# Directives of go.mod, and the first release that knows each.
_DIRECTIVES = {"toolchain": (1, 21), "godebug": (1, 23), "tool": (1, 24), "ignore": (1, 25)}
_GO_LINE = re.compile(r"[ \t]*go[ \t]+([0-9]{1,4}(?:\.[0-9]{1,4}){1,2})")
_REQUIRED = re.compile(r"[ \t]*(?:require(?:[ \t]*\([ \t]*|[ \t]+))?\"?([\w.~/-]+)\"?[ \t]+v[0-9]")


@dataclass(frozen=True, slots=True)
class Build:
    """For what the go command compiles: the words that are true in a constraint, and its own version."""

    system: str
    architecture: str
    version: tuple[int, ...]
    tags: frozenset[str] = frozenset()
    cgo: bool = False

    @classmethod
    def of(cls, request: CompileRequest, version: tuple[int, ...]) -> "Build":
        """That of a request, by its target and options."""
        target: Target = request.target
        tags = [word for each in request.options if each.startswith("-tags=") for word in each[6:].split(",")]
        return cls(
            system=_OS_NAMES.get(target.os, target.os),
            architecture=_ARCHITECTURE_NAMES.get(target.architecture, target.architecture),
            version=version,
            tags=frozenset(tags),
        )

    def has(self, tag: str) -> bool:
        """Whether a word of a constraint is true."""
        release = re.fullmatch(r"go1\.([0-9]{1,4})", tag)
        return (
            tag in (self.system, self.architecture, "gc")
            or tag in self.tags
            or (tag == "cgo" and self.cgo)
            or (tag == "unix" and self.system in _UNIX)
            or (release is not None and 1 <= int(release[1]) <= self.version[1])
        )


def why_left_out(name: str, text: str, build: Build) -> str | None:
    """Why the go command does not compile that file for that build, or None if it is compiled.

    The answer completes a sentence: ``go leaves out main.go, because …``.
    """
    file = name.rpartition("/")[2]
    if file.startswith(("_", ".")):
        return f"its name starts with {file[0]!r}"
    if file.endswith("_test.go"):
        return "its name ends in _test.go, and tests are not part of a package"
    target = f"{build.system}/{build.architecture}"
    if not _name_fits(file, build):
        return f"its name says that it is for another target than {target}"
    line = next((each for each in constraints(text) if not _holds(each, build)), None)
    if line is not None:
        return f"its line `{line}` is not true for {target}"
    if file.endswith(".go") and not build.cgo and "C" in imports(text):
        return 'it uses cgo (`import "C"`)'
    return None


def needs_cgo(name: str, text: str, build: Build) -> bool:
    """Whether that file is left out for no other reason than that cgo is switched off."""
    with_cgo = Build(build.system, build.architecture, build.version, build.tags, cgo=True)
    return why_left_out(name, text, build) is not None and why_left_out(name, text, with_cgo) is None


def units_of_one_file(
    request: CompileRequest, version: tuple[int, ...], *, compiled: bool
) -> tuple[str, ...] | None:
    """What was compiled of a request with one file that can be compiled, or None if it has more.

    The package of the main file is named, and go rejects a package of which it compiles nothing. So its
    success is the proof, and the question which files it took need not be asked.
    """
    if any(name != request.main and name.endswith((".go", ".s")) for name in request.files):
        return None
    build = Build.of(request, version)
    taken = compiled or why_left_out(request.main, request.files[request.main], build) is None
    return (request.main,) if taken else ()


def doubt(
    request: CompileRequest, version: tuple[int, ...], units: Collection[str], *, compiled: bool, native: bool
) -> str:
    """A sentence that says why a run has no verdict on all that was sent, or an empty text.

    `units` are the files that the go command compiled, `compiled` says that it succeeded, and `native` that
    the target is the host: only there does the go command use cgo by itself.
    """
    build = Build.of(request, version)
    # Since 1.21 go refuses such a module; before, it tried, and a success was one in an older language.
    if newer := _newer(request.files, version):
        return newer
    if native:
        for name in sorted(request.files, key=lambda each: (each != request.main, each)):
            known = name in units or not name.endswith(".go") or _is_passed_over(name, request, units)
            if not known and needs_cgo(name, request.files[name], build):
                because = why_left_out(name, request.files[name], build)
                return (
                    f"{name} was not compiled: {because}, and cgo is switched off here, "
                    "so that nothing is known about this package."
                )
    if compiled and request.main not in units:
        because = why_left_out(request.main, request.files[request.main], build)
        reason = f", because {because}" if because else ""
        return f"The main file {request.main} was not compiled: go leaves it out{reason}."
    return ""


def lacks_modules(output: str) -> bool:
    """Whether the go command had to download a module, by what it printed."""
    return "missing go.sum entry" in output or "lookup disabled by GOPROXY=off" in output


def missing_modules(files: Mapping[str, str]) -> str:
    """A sentence about the modules that a go.mod requires and that were not sent."""
    required = {
        match[1]
        for name, text in files.items()
        if name.rpartition("/")[2] == "go.mod"
        for line in text.split("\n")
        if (match := _REQUIRED.match(line)) and "." in match[1].split("/")[0]
    }
    used = {
        folder
        for name, text in files.items()
        if name.endswith(".go")
        for path in imports(text)
        if len(path) <= _MAX_IMPORT_PATH
        for folder in _with_parents(path)
    }
    sent = {folder for name in files for folder in _with_parents(name)}
    missing = sorted(module for module in required & used if f"vendor/{module}" not in sent)
    which = f"the module {missing[0]}" if len(missing) == 1 else f"modules ({', '.join(missing[:10])})"
    return (
        f"The source needs {which if missing else 'a module'} that was not sent, and nothing is downloaded "
        "here: send it in a folder `vendor` (`go mod vendor`), or leave out what imports it."
    )


def _with_parents(path: str) -> Iterator[str]:
    yield path
    yield from (path[:end] for end in range(len(path)) if path[end] == "/")


def constraints(text: str) -> list[str]:
    """The lines at the head of a file that say for which targets it is: one `//go:build`, or `// +build`."""
    plus: list[str] = []
    waiting: list[str] = []
    in_comment, only_lines = False, True
    for whole_line in text[:_HEAD_CHARACTERS].removeprefix("\ufeff").split("\n"):
        line = whole_line.strip()
        if not line and only_lines:
            # Lines of the older form count only with an empty line below them.
            plus, waiting = [*plus, *waiting], []
            continue
        only_lines = only_lines and line.startswith("//")
        if not in_comment and _BUILD_LINE.fullmatch(line):
            return [line]
        if only_lines and _PLUS_BUILD_LINE.fullmatch(line):
            waiting.append(line)
        while line:
            if in_comment:
                _, ends, rest = line.partition("*/")
                in_comment, line = not ends, rest.strip()
            elif line.startswith("//"):
                break
            elif line.startswith("/*"):
                in_comment, line = True, line[2:].strip()
            else:
                return plus
    return plus


def imports(text: str) -> list[str]:
    """The paths that a Go file imports, as far as it can be read."""
    paths: list[str] = []
    in_imports = in_group = False
    for word in _words(text):
        if word == "import":
            in_imports = True
        elif word in ("func", "type", "var", "const"):
            break
        elif word in ("(", ")"):
            in_imports = in_group = word == "(" and in_imports
        elif word[0] in '`"' and in_imports:
            paths.append(word[1:-1])
            in_imports = in_group
    return paths


def _words(text: str) -> Iterator[str]:
    """Words, strings and parentheses of a Go file without its comments, up to what cannot be Go."""
    at = 0
    for _ in range(_MAX_IMPORT_WORDS):
        match = _START.search(text, at)
        if match is None:
            return
        if match[0] in _ENDS:
            at = text.find(_ENDS[match[0]], match.end()) + 1
            if at == 0:
                return
            if match[0] == "`":
                yield text[match.start() : at]
        elif match[0] == '"':
            string = _STRING.match(text, match.start())
            if string is None:
                return
            at = string.end()
            yield string[0]
        else:
            at = match.end()
            yield match[0]


def _name_fits(file: str, build: Build) -> bool:
    """Whether the system and architecture at the end of a file name are those of the build."""
    _, underscore, rest = file.partition(".")[0].partition("_")
    parts = rest.split("_") if underscore else []
    if parts and parts[-1] == "test":
        parts.pop()
    architecture = parts[-1] if parts else ""
    if _KNOWN_ARCHITECTURE.fullmatch(architecture):
        system = parts[-2] if len(parts) > 1 and _is_system(parts[-2], build) else ""
        return build.has(architecture) and (not system or build.has(system))
    return not _is_system(architecture, build) or build.has(architecture)


def _is_system(word: str, build: Build) -> bool:
    return bool(_KNOWN_OS.fullmatch(word)) and build.version >= _KNOWN_SINCE.get(word, ())


def _holds(line: str, build: Build) -> bool:
    """Whether a constraint is true; one that cannot be read counts as true."""
    go_build = _BUILD_LINE.fullmatch(line)
    if go_build:
        return _expression(_WORD.findall(go_build[1] or ""), build)
    plus_build = _PLUS_BUILD_LINE.fullmatch(line)
    options = (plus_build[1] or "").split() if plus_build else []
    return any(
        all(build.has(word.lstrip("!")) is not word.startswith("!") for word in option.split(","))
        for option in options
    )


def _expression(words: list[str], build: Build) -> bool:
    """The value of a `//go:build` expression: `!` binds closer than `&&`, which binds closer than `||`."""
    if not 0 < len(words) <= _MAX_WORDS:
        return True
    values: list[bool] = []
    operators: list[str] = []
    strength = {"(": 0, "||": 1, "&&": 2, "!": 3}

    def apply() -> None:
        operator = operators.pop()
        right = values.pop()
        values.append(not right if operator == "!" else _joined(operator, values.pop(), right))

    try:
        for word in words:
            if word in ("!", "("):
                operators.append(word)
            elif word == ")":
                while operators[-1] != "(":
                    apply()
                operators.pop()
            elif word in strength:
                while operators and strength[operators[-1]] >= strength[word]:
                    apply()
                operators.append(word)
            else:
                values.append(build.has(word))
        while operators:
            apply()
        [value] = values
    except (IndexError, ValueError):
        return True
    return value


def _joined(operator: str, left: bool, right: bool) -> bool:
    return (left and right) if operator == "&&" else (left or right)


def _is_passed_over(name: str, request: CompileRequest, units: Collection[str]) -> bool:
    """Whether a file is in a folder that is only compiled if something imports it, and nothing does."""
    folder = name.rpartition("/")[0]
    if folder in {each.rpartition("/")[0] for each in (*units, request.main)}:
        return False
    parts = folder.split("/") if folder else []
    own_module = any(f"{'/'.join(parts[:end])}/go.mod" in request.files for end in range(1, len(parts) + 1))
    return own_module or any(part in ("testdata", "vendor") or part[0] in "_." for part in parts)


def _newer(files: Mapping[str, str], version: tuple[int, ...]) -> str:
    """A sentence about a go.mod or go.work for a newer Go than `version`, or an empty text."""
    for name in sorted(files):
        if name.rpartition("/")[2] not in ("go.mod", "go.work"):
            continue
        for line in files[name].split("\n"):  # for Go only a line feed ends a line
            match = _GO_LINE.match(line)
            word = line.split(maxsplit=1)[0] if line.strip() else ""
            if match and tuple(map(int, match[1].split("."))) > version:
                what = f"asks for Go {match[1]}"
            elif _DIRECTIVES.get(word.rstrip("("), version) > version:
                what = f"has a `{word}` line, which is for a newer Go"
            else:
                continue
            here = ".".join(map(str, version))
            return f"{name} {what}, and this compiler is Go {here}: what it says is not about the source."
    return ""
