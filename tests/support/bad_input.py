"""The invalid requests of tests/integration/test_bad_input.py: body, status, and words of the message.

The words name the field or what is allowed. The compilers that are registered in these cases are `OFFERED` of
`tests/support/api.py`. To add a case: a row in the table where it belongs.
"""

import base64
import json
from dataclasses import dataclass, field
from typing import Any

from chalicelib.api.json_body import MAX_BODY_BYTES
from chalicelib.api.source_files import MAX_SOURCE_BYTES

GOOD: dict[str, Any] = {"source_code": "int main() { return 0; }", "language": "cpp"}


@dataclass(frozen=True)
class Case:
    """One request, and the response that it must get."""

    body: bytes
    # All of them must be in the message.
    words: tuple[str, ...]
    status: int = 400
    query: str = ""
    headers: dict[str, str] = field(default_factory=dict)


def _sent(*words: str, status: int = 400, **fields: Any) -> Case:
    """The valid request with other fields."""
    return Case(json.dumps(GOOD | fields).encode(), words, status)


def _with(name: str, value: object, *words: str) -> Case:
    """The valid request with one more field, whose name need not be an identifier in Python."""
    return Case(json.dumps(GOOD | {name: value}).encode(), words)


def _only(*words: str, status: int = 400, **fields: Any) -> Case:
    """Exactly these fields."""
    return Case(json.dumps(fields).encode(), words, status)


def _raw(body: bytes, *words: str, status: int = 400, **headers: str) -> Case:
    return Case(
        body, words, status, headers={name.replace("_", "-"): value for name, value in headers.items()}
    )


def _files(*words: str, main: str | None = "main.cpp", **more: Any) -> Case:
    """Several files instead of one source."""
    fields: dict[str, Any] = {"language": "cpp", "files": {"main.cpp": "int x;"} | more}
    return _only(*words, **fields | ({} if main is None else {"main": main}))


def _named(name: str, *words: str) -> Case:
    """A file of that name next to a valid one."""
    return _files(*words, **{name: "int y;"})


def _option(option: Any, *words: str) -> Case:
    return _sent(*words, options=[option])


def _expected(*words: str, **diagnostic: Any) -> Case:
    return _sent(*words, expect={"diagnostics": [diagnostic]})


def _waiting(query: str, *words: str) -> Case:
    return Case(json.dumps(GOOD).encode(), words, query=query)


BODIES = {
    "no body at all": _raw(b"", "The body is empty", "source_code"),
    "only blanks": _raw(b" \r\n\t ", "The body is empty"),
    "not JSON": _raw(b"int main() {}", "not valid JSON"),
    "a form": _raw(b"source_code=x&language=cpp", "not valid JSON"),
    "JSON that ends early": _raw(b'{"language": "cpp"', "not valid JSON", "EOF"),
    "two JSON values": _raw(json.dumps(GOOD).encode() * 2, "not valid JSON", "trailing"),
    "comments": _raw(b'{/* x */ "language": "cpp"}', "not valid JSON"),
    "single quotes": _raw(b"{'language': 'cpp'}", "not valid JSON"),
    "a list": _raw(json.dumps([GOOD]).encode(), "must be a JSON object"),
    "a string": _raw(b'"int main() {}"', "must be a JSON object"),
    "a number": _raw(b"17", "must be a JSON object"),
    "null": _raw(b"null", "must be a JSON object"),
    "NaN": _raw(b"NaN", "must be a JSON object"),
    "an object without fields": _raw(b"{}", "`language` is missing"),
    "100,000 brackets": _raw(b"[" * 100_000, "not valid JSON", "recursion"),
    "100,000 objects": _raw(b'{"files":' * 100_000 + b"1" + b"}" * 100_000, "not valid JSON", "recursion"),
    "deep in a field": _raw(b'{"language":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "recursion"),
    "over the body limit": _raw(b" " * (MAX_BODY_BYTES + 1), str(MAX_BODY_BYTES), status=413),
    "half a million fields": _raw(
        b'{"language":"cpp",' + b",".join(b'"f%d":1' % number for number in range(500_000)) + b"}", "`f0`"
    ),
}  # fmt: skip

ENCODINGS = {
    "invalid UTF-8": _raw(b'{"language": "cpp", "source_code": "\xff\xfe"}', "UTF-8"),
    "Latin-1": _raw('{"language": "cpp", "source_code": "é"}'.encode("latin-1"), "UTF-8"),
    "cut in the middle of a letter": _raw(b'{"language": "cpp\xc3"}', "UTF-8"),
    "overlong UTF-8": _raw(b'{"language": "cpp\xc0\xaf"}', "UTF-8"),
    "a surrogate in UTF-8": _raw(b'{"language": "cpp\xed\xa0\x80"}', "UTF-8"),
    "UTF-16 with its mark": _raw(json.dumps(GOOD).encode("utf-16"), "byte order mark", "UTF-8"),
    "UTF-16 without": _raw(json.dumps(GOOD).encode("utf-16-le"), "UTF-8"),
    "UTF-32": _raw(json.dumps(GOOD).encode("utf-32"), "UTF-8"),
    "UTF-8 with a mark": _raw(b"\xef\xbb\xbf" + json.dumps(GOOD).encode(), "byte order mark"),
    "a lone high surrogate": _raw(b'{"language": "cpp", "source_code": "\\ud800"}', "JSON", "escape"),
    "a lone low surrogate": _raw(b'{"language": "cpp", "source_code": "\\udc00 x"}', "not valid JSON"),
    "a lone surrogate in a name": _raw(b'{"language": "cpp", "\\ud800": ""}', "not valid JSON"),
    "a raw NUL": _raw(b'{"language": "cpp\x00"}', "not valid JSON", "control character"),
    "a raw line feed": _raw(b'{"language": "cpp", "source_code": "a\nb"}', "control character"),
    "compressed": _raw(b"\x1f\x8b\x08\x00\x00\x00\x00\x00", "UTF-8", Content_Encoding="gzip"),
}  # fmt: skip

CONTENT_TYPES = {
    kind or "none": _raw(json.dumps(GOOD).encode(), "application/json", status=415, Content_Type=kind)
    for kind in (
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/octet-stream",
        "multipart/form-data; boundary=x",
        "application/jsonx",
        "json",
        "",
    )
}

TYPES = {
    f"{name} is {json.dumps(value)[:16]}": _with(name, value, f"`{name}`")
    for name, values in {
        "source_code": (1, True, ["int x;"], {"main.cpp": ""}, 1e300),
        "code": (1, ["aW50IHg7"], {}),
        "files": ("main.cpp", ["main.cpp"], 1, True),
        "main": (1, ["main.cpp"], False),
        "language": (None, 1, ["cpp"], {}, True),
        "compiler": (12, ["gcc-12"], {}, False),
        "standard": (17, ["c++17"], {}),
        "architecture": (64, ["x86_64"]),
        "os": (0, {"linux": True}),
        "stage": (None, 1, ["compile"]),
        "options": (None, "-Wall", {"-Wall": True}, 1),
        "cache": (None, "true", 1, 0, []),
    }.items()
    for value in values
} | {
    "a number in options": _option(1, "`options.0`", "string"),
    "null in options": _option(None, "`options.0`"),
    "a list in options": _option(["-Wall"], "`options.0`"),
    "a number in files": _only("`files.main.cpp`", "string", language="cpp", files={"main.cpp": 1}),
    "null in files": _only("`files.main.cpp`", language="cpp", files={"main.cpp": None}),
    "a field is NaN": _raw(b'{"language": NaN}', "`language`", "string"),
    "a field is Infinity": _raw(b'{"language": "cpp", "cache": -Infinity}', "`cache`"),
    "a huge integer": _raw(b'{"language": "cpp", "cache": 1' + b"0" * 4000 + b"}", "`cache`"),
    "a huger integer": _raw(b'{"language": "cpp", "cache": 1' + b"0" * 100_000 + b"}", "number out of range"),
    "a huge exponent": _raw(b'{"language": "cpp", "cache": 1e999999999}', "`cache`"),
}  # fmt: skip

FIELDS = {
    "language is missing": _only("`language` is missing", '"cpp"', source_code="int x;"),
    "the source is missing": _only("`source_code` is missing", "`code`", "`files`", language="cpp"),
    "an unknown field": _sent("`sourcecode` is not a field", "source_code", "language", sourcecode=""),
    "a field in capitals": _sent("`Compiler` is not a field", Compiler="gcc-12"),
    "a NUL in a field's name": _with("a\x00b", 1, "is not a field", r"\x00"),
    "a line feed in a field's name": _with("a\nb", 1, "is not a field", r"a\nb"),
    "an empty name": _with("", 1, "is not a field"),
    "a name of 100,000 letters": _with("k" * 100_000, 1, "is not a field", "…"),
    "__proto__": _with("__proto__", {}, "`__proto__` is not a field"),
    "two sources": _sent("`source_code`", "`code`", code="aW50IHg7"),
    "source and files": _sent("`source_code`", "`files`", files={"main.cpp": ""}),
    "three sources": _sent("Send one of", code="aW50IHg7", files={"main.cpp": ""}),
    "main without files": _sent("`main`", "`files`", main="main.cpp"),
}

SIZES = {
    "source over 1 MiB": _sent("1 MiB", status=413, source_code="x" * (MAX_SOURCE_BYTES + 1)),
    "source over 1 MiB in bytes": _sent("1 MiB", status=413, source_code="é" * (MAX_SOURCE_BYTES // 2 + 1)),
    "Base64 over 1 MiB": _only(
        "1 MiB", status=413, language="cpp", code=base64.b64encode(b"x" * (MAX_SOURCE_BYTES + 1)).decode()
    ),
    "files over 1 MiB": _only(
        "1 MiB",
        status=413,
        language="cpp",
        main="a.cpp",
        files={"a.cpp": "x" * MAX_SOURCE_BYTES, "b.cpp": "x"},
    ),
    "too many files": _files("65 files", "at most 64", **{f"f{number}.cpp": "" for number in range(64)}),
    "too many options": _sent("`options`", "at most 32", options=["-Wall"] * 33),
    "a long option": _option("-D" + "X" * 300, "256 characters"),
    "a long file name": _named("a" * 300 + ".cpp", "255 bytes"),
    "a deep file name": _named("a/" * 9 + "x.cpp", "at most 8 parts"),
    "a long language": _sent("is not a language", "…", "cpp", language="x" * 64),
    "a longer language": _sent("`language` is too long", "64 characters", language="x" * 100_000),
    "a long compiler": _sent("`compiler`", "64 characters", compiler="x" * 65),
    "a long standard": _sent("`standard`", "64 characters", standard="x" * 65),
    "a long stage": _sent("`stage`", "64 characters", stage="x" * 65),
    "a long main": _files("`main`", "255 characters", main="x" * 256),
    "many control characters": _sent("16384", "control characters", status=413, source_code="\x00" * 16385),
    "a long expectation": _expected("`expect.diagnostics.0.message`", "8192 characters", message="x" * 8193),
    "a long code": _expected("`expect.diagnostics.0.code`", "8192 characters", code="x" * 8193),
    "a long file": _expected("`expect.diagnostics.0.file`", "8192 characters", file="x" * 8193),
    "a line beyond all": _expected("`expect.diagnostics.0.line`", "2147483647", line=10**30),
    "many expectations": _sent(
        "`expect.diagnostics`", "at most 32", expect={"diagnostics": [{"line": 1}] * 33}
    ),
    "long expectations": _sent(
        "`expect`", "at most 65536", expect={"diagnostics": [{"message": "x" * 8192}] * 9}
    ),
}

DUPLICATES = {
    "language twice": _raw(b'{"language":"c","language":"cpp","source_code":""}', "`language`", "twice"),
    "the same value twice": _raw(b'{"language":"c","language":"c","source_code":""}', "`language`", "twice"),
    "twice, once with an escape": _raw(
        b'{"language":"c","l\\u0061nguage":"cpp","source_code":""}', "`language`", "twice"
    ),
    "source twice": _raw(b'{"source_code":"a","language":"c","source_code":"b"}', "`source_code`", "twice"),
    "first null": _raw(b'{"language":"c","source_code":null,"source_code":""}', "`source_code`", "twice"),
    "a file twice": _raw(
        b'{"language":"cpp","files":{"main.cpp":"a","x.h":"","main.cpp":"b"}}', "`main.cpp`", "twice"
    ),
    "a verdict twice": _raw(
        b'{"language":"c","source_code":"","expect":{"verdict":"compiles","verdict":"rejected"}}',
        "`verdict`",
        "twice",
    ),
    "in a list": _raw(
        b'{"language":"c","source_code":"","expect":{"diagnostics":[{"line":1},{"line":1,"line":2}]}}',
        "`line`",
        "twice",
    ),
    "100,000 times": _raw(
        b'{"source_code":"",' + b'"language":"c",' * 100_000 + b'"language":"cpp"}', "`language`", "twice"
    ),
}  # fmt: skip

BASE64 = {
    "not Base64": _only("`code` is not valid Base64", language="cpp", code="int main() {}"),
    "Base64 without padding": _only("`code` is not valid Base64", "padding", language="cpp", code="aW50"[:3]),
    "Base64 of the URL alphabet": _only("`code` is not valid Base64", language="cpp", code="__--"),
    "Base64 with line feeds and no padding": _only(
        "`code` is not valid Base64", "line breaks are allowed", language="cpp", code="aW50\nIHg"
    ),
    "Base64 beyond ASCII": _only("`code` is not valid Base64", language="cpp", code="aW5é"),
    "Base64 of Latin-1": _only("`code` is not UTF-8", "0xe9", language="cpp", code="6Q=="),
    "Base64 of UTF-16": _only(
        "not UTF-8", language="cpp", code=base64.b64encode("int".encode("utf-16")).decode()
    ),
    "Base64 of a surrogate": _only(
        "not UTF-8", language="cpp", code=base64.b64encode(b"\xed\xa0\x80").decode()
    ),
}

CATALOGUE = {
    "an unknown language": _sent("is not a language", "c, cpp", language="brainfuck"),
    "an empty language": _sent("is not a language", "c, cpp", language=""),
    "a NUL in a language": _sent("is not a language", r"cpp\x00", language="cpp\x00"),
    "an unknown compiler": _sent("'msvc'", "clang-16, gcc-12", compiler="msvc"),
    "an empty compiler": _sent("is not a compiler", "clang-16, gcc-12", compiler=""),
    "a version that is not here": _sent("'gcc-13'", "clang-16, gcc-12", compiler="gcc-13"),
    "a compiler of another language": _sent("'clang-16'", "gcc-12", language="c", compiler="clang-16"),
    "a compiler as a path": _sent("is not a compiler", compiler="/usr/bin/g++"),
    "a compiler as a command": _sent("is not a compiler", compiler="gcc-12; id"),
    "a line feed in a compiler": _sent("is not a compiler", r"gcc-\n12", compiler="gcc-\n12"),
    "a standard of C for C++": _sent("'c17'", "standard of C++", "c++17, c++20", standard="c17"),
    "a standard of C++ for C": _sent(
        "'c++17'", "standard of C;", "c17, gnu17", language="c", standard="c++17"
    ),
    "an unknown standard": _sent("'c++99'", "c++17, c++20", standard="c++99"),
    "a standard this compiler lacks": _sent("'c++23'", "that clang-16 knows", standard="c++23"),
    "a standard as an option": _sent("'-std=c++17'", "c++17, c++20", standard="-std=c++17"),
    "an empty standard": _sent("''", "c++17, c++20", standard=""),
    "an unknown stage": _sent("'run' is not a stage", "syntax, compile, link", stage="run"),
    "an empty stage": _sent("is not a stage", "syntax, compile, link", stage=""),
    "an unknown architecture": _sent("no target", "'sparc'", "x86_64-linux", architecture="sparc"),
    "an architecture that is not here": _sent("no target", "x86_64-linux", architecture="arm64"),
    "an unknown system": _sent("no target", "'windows'", "x86_64-linux", os="windows"),
    "an empty system": _sent("no target", "x86_64-linux", os=""),
}

FILES = {
    **{
        f"a file called {name!r}": _named(name, "file name")
        for name in (
            "../x.cpp", "/etc/passwd", "a/../b.cpp", "./x.cpp", "a//b.cpp", "a/", "/", ".", "..", "",
            "a\nb.cpp", "a\x00.cpp", "C:\\x.cpp", "a\\b.cpp", "a\u202eb.cpp", "a\u200bb.cpp", "a\xa0b.cpp",
            ".git/config", "a.out", ".out/y.cpp",
        )
    },
    "a list of options": _named("@x.cpp", "read options from another file", "rename it"),
    "a module unit": _named("shapes.cppm", "modules are not supported"),
    "a precompiled header": _named("x.gch", "precompiled"),
    "a file where an object goes": _named("main.o", "its object is written to"),
    "a folder where an object goes": _named("main.o/y.cpp", "its object is written to"),
    "one name in two forms": _files("two forms of Unicode", **{"é.h": "", "e\u0301.h": ""}),
    "a source in other case": _named("util.Cpp", "whose case matters", ".cpp"),
    "assembly in the front end": _sent(
        "'add.s' is not checked in stage `syntax`", stage="syntax", source_code=None, main="main.cpp",
        files={"main.cpp": "", "add.s": ""},
    ),
    "no files": _only("`files` is empty", language="cpp", files={}),
    "main is not one of them": _files("`main`", "'other.cpp'", main="other.cpp"),
    "main is a path out": _files("`main`", main="../main.cpp"),
    "main is empty": _files("`main`", main=""),
    "main cannot be guessed": _only(
        "`main` is missing", "main.cpp", language="cpp", files={"a.cpp": "", "b.cpp": ""}
    ),
    "file and folder of one name": _only(
        "both a file and a folder", language="cpp", main="a", files={"a": "", "a/b.cpp": ""}
    ),
    "a C++ source in C": _only("C++ source", language="c", main="m.c", files={"m.c": "", "x.cpp": ""}),
}  # fmt: skip

OPTIONS = {
    option: _option(option, "option")
    for option in (
        "-fplugin=x.so", "@file", "-o/x", "-o", "-Wl,-rpath,x", "-Wa,x", "-Wp,-MD,x", "-I/etc", "-I",
        "-include", "-include/etc/passwd", "-imacros", "-isystem", "-iquote/x", "-specs=/x", "-B/tmp",
        "-wrapper", "-wrapper=sh", "-save-temps", "-MF", "-MD", "-MMD", "-dumpbase", "-aux-info",
        "-fdump-tree-all", "-E", "-S", "-c", "-x", "-xc", "-std=c++17", "--std=c++17", "-ansi", "--version",
        "-v", "-###", "--help", "-Xlinker", "-Xclang", "-mllvm", "-fuse-ld=/x", "-T/x", "-L/x", "-lfoo",
        "-D", "-U", "-m32", "-march=native", "--target=arm", "-target", "--sysroot=/", "-fprofile-use=/x",
        "-fmodules", "-fdiagnostics-format=json", "-fno-diagnostics-show-caret", "-ftime-report", "-", "--",
        "", " ", "main.cpp", "/etc/passwd", "-Wall -o x", "-DX=\n", "-DX=\x00", "-Owhat", "-Ofast2",
        "-Wall;id", "$(id)", "`id`", "-f", "-W", "–Wall",
    )
}  # fmt: skip

WAITS = {
    f"wait {query or 'nothing'}": _waiting(query, "`wait`", words)
    for query, words in {
        "wait=-1": "from 0 to 25",
        "wait=26": "from 0 to 25",
        "wait=25.1": "from 0 to 25",
        "wait=nan": "from 0 to 25",
        "wait=inf": "from 0 to 25",
        "wait=1e1": "from 0 to 25",
        "wait=": "from 0 to 25",
        "wait": "from 0 to 25",
        "wait=true": "from 0 to 25",
        "wait=1s": "from 0 to 25",
        "wait=%00": "from 0 to 25",
        "wait=%ff": "from 0 to 25",
        "wait=%D9%A3": "from 0 to 25",
        "wait=1%0a": "from 0 to 25",
        "wait=" + "9" * 1000: "from 0 to 25",
        "wait=1&wait=1": "more than once",
        "wait=1&wait=": "more than once",
    }.items()
}

TABLES = (
    BODIES, ENCODINGS, CONTENT_TYPES, TYPES, FIELDS, SIZES, DUPLICATES, BASE64, CATALOGUE, FILES, OPTIONS,
    WAITS,
)  # fmt: skip

CASES = {
    f"{table}: {name}": case
    for table, cases in {
        "body": BODIES,
        "encoding": ENCODINGS,
        "content type": CONTENT_TYPES,
        "type": TYPES,
        "field": FIELDS,
        "size": SIZES,
        "duplicate": DUPLICATES,
        "base64": BASE64,
        "catalogue": CATALOGUE,
        "files": FILES,
        "option": OPTIONS,
        "wait": WAITS,
    }.items()
    for name, case in cases.items()
}
