"""Configuration that a request brings along is honoured or invalid, and never ignored."""

import contextlib
import json
import time
from typing import Any

import pytest

from chalicelib.api import compile_request
from chalicelib.catalog import build_command, load_catalog
from chalicelib.errors import InvalidRequest
from chalicelib.matrix.plan import make_plan
from chalicelib.matrix.plan import parse as parse_matrix
from chalicelib.models import CompileRequest, Stage
from tests.support.factories import make_environment

CATALOG = load_catalog()
_TARGETS = ("es2015", "es2020", "es2022", "es2025", "esnext")
OFFERED = (
    make_environment(
        id="tsc-7.0",
        language="typescript",
        family="tsc",
        version_key=(7, 0, 2),
        standards=_TARGETS,
        default_standard="es2022",
        stages=(Stage.SYNTAX, Stage.COMPILE),
    ),
    *(
        make_environment(
            id=f"rustc-1.{minor}",
            language="rust",
            family="rustc",
            version_key=(1, minor, 0),
            standards=("2015", "2018", "2021", "2024"),
            default_standard="2021",
        )
        for minor in (85, 90)
    ),
)


def _resolve(**body: Any) -> CompileRequest:
    return compile_request.resolve(compile_request.parse(json.dumps(body).encode()), CATALOG, OFFERED)


def _typescript(config: str | dict[str, Any], **more: Any) -> CompileRequest:
    text = config if isinstance(config, str) else json.dumps(config)
    return _resolve(language="typescript", files={"main.ts": "", "tsconfig.json": text}, **more)


def _rust(manifest: str, files: dict[str, str] | None = None, **more: Any) -> CompileRequest:
    files = {"src/lib.rs": ""} if files is None else files
    return _resolve(language="rust", files={"Cargo.toml": manifest, **files}, **more)


def _command(request: CompileRequest) -> tuple[str, ...]:
    language = CATALOG.language(request.language)
    assert language is not None
    return build_command(CATALOG, request, language.compilers[0].at((1, 90, 0)))


def test_a_tsconfig_is_read_by_tsc_itself() -> None:
    """The command is that of a folder with a tsconfig.json: nothing is added that it does not say."""
    assert _command(_typescript({"compilerOptions": {"strict": False}})) == (
        "tsc", "--pretty", "false", "--target", "es2025", "-p", ".",
    )  # fmt: skip
    options = ["--noUnusedLocals"]
    assert _command(_typescript({}, stage="syntax", options=options))[3:] == (
        "--target", "es2025", "--noEmit", "--noUnusedLocals", "-p", ".",
    )  # fmt: skip
    without = _command(_resolve(language="typescript", source_code=""))
    assert "--ignoreConfig" in without and "--strict" in without


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ('{"compilerOptions": {"target": "ES2020"}}', "es2020"),
        ('{"compilerOptions": {"target": "es6",},} // end', "es2015"),
        ('\ufeff/* "target": "es5" */ {"compilerOptions": {"target": /* x */ "esnext"}}', "esnext"),
        ('{"compilerOptions": {"jsxFactory": "// no /* comment", "target": "ES2022"}}', "es2022"),
        ("", "es2025"),
        ("// nothing\n", "es2025"),
        ('{"$schema": "https://x", "ts-node": {"x": 1}, "include": ["src/**/*"]}', "es2025"),
    ],
)
def test_the_target_of_a_tsconfig_is_the_standard(text: str, target: str) -> None:
    """As tsc reads it: with comments, trailing commas, and its own default."""
    assert _typescript(text).standard == target


def test_what_the_request_says_itself_wins() -> None:
    """An explicit standard is used in place of the one in a file."""
    config = {"compilerOptions": {"target": "es2020"}}
    assert _typescript(config, standard="es2022").standard == "es2022"
    assert _rust('[package]\nedition = "2018"\n', standard="2021").standard == "2021"


def test_a_project_needs_no_main_file() -> None:
    """`tsc -p .` and cargo find the files themselves."""
    files = {"tsconfig.json": "{}", "src/b.ts": "", "src/a.ts": ""}
    assert _resolve(language="typescript", files=files).main == "src/a.ts"
    assert _resolve(language="typescript", files=files, main="src/b.ts").main == "src/b.ts"
    assert _rust('[package]\nname = "x"\n').main == "src/lib.rs"


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"extends": "@tsconfig/node20"}, "`extends`"),
        ({"references": [{"path": "../core"}]}, "`references`"),
        ({"compilerOptions": {"typeRoots": ["./types"]}}, "typeRoots"),
        ({"compilerOptions": {"plugins": [{"name": "x"}]}}, "plugins"),
        ({"compilerOptions": {"listFiles": True}}, "listFiles"),
        ({"compilerOptions": {"generateTrace": "x"}}, "generateTrace"),
        ({"compilerOptions": {"strct": True}}, "'strct'"),
        ({"compilerOptions": {"Strict": True}}, "'Strict'"),
        ({"compilerOptions": {"paths": {"@/*": ["../shared/*"]}}}, "`paths`"),
        ({"compilerOptions": {"outDir": "/tmp/out"}}, "`outDir`"),
        ({"compilerOptions": {"rootDirs": ["src", "a/../../b"]}}, "`rootDirs`"),
        ({"include": ["../**/*"]}, "`include`"),
        ({"files": ["C:/x.ts"]}, "`files`"),
        ({"compilerOptions": {"target": "es5"}}, "'es5' is not a standard"),
        ({"compilerOptions": []}, "compilerOptions"),
        ([], "not an object"),
        ('{\n"compilerOptions": x}', "line 2"),
        ('{"compilerOptions": {}, "compilerOptions": {}}', "twice"),
        ("[" * 100_000, "cannot be read"),
    ],
)
def test_what_a_tsconfig_may_not_say_is_named(config: Any, words: str) -> None:
    """The message names file and option."""
    with pytest.raises(InvalidRequest) as caught:
        _typescript(config)
    assert "tsconfig.json" in caught.value.message and words in caught.value.message


def test_options_that_are_off_ask_for_nothing() -> None:
    """A forbidden option with its default is no reason to say no."""
    config = {"extends": "", "references": [], "compilerOptions": {"listFiles": False, "plugins": []}}
    assert _typescript(config).standard == "es2025"


@pytest.mark.parametrize("piece", ['"', "/*", "//", ",", ", ", "\\", '"\\', "*", "/", "[", "{", '{"a":'])
def test_reading_a_tsconfig_takes_linear_time(piece: str) -> None:
    """Also where nothing is ever closed."""

    def seconds(size: int) -> float:
        started = time.process_time()
        with contextlib.suppress(InvalidRequest):
            _typescript(piece * (size // len(piece)))
        return time.process_time() - started

    short = min(seconds(65_536) for _ in range(2))
    assert seconds(262_144) <= max(8 * short, 0.1)


def test_a_manifest_says_edition_main_file_features_and_lints() -> None:
    """What cargo would pass to rustc is passed, the request's own options last."""
    manifest = """
        [package]
        name = "shop"
        edition = "2018"
        rust-version = "1.80"
        [lib]
        path = "lib/shop.rs"
        [dependencies]
        serde = { version = "1", optional = true }
        [dev-dependencies]
        criterion = "0.5"
        [features]
        default = ["std"]
        std = ["alloc"]
        alloc = []
        loud = []
        [lints.rust]
        unsafe_code = "forbid"
        unused = { level = "deny", priority = -1 }
        [lints.clippy]
        all = "deny"
        [profile.release]
        lto = true
    """
    request = _rust(manifest, {"lib/shop.rs": ""}, options=["-Adead_code"])
    assert (request.standard, request.main) == ("2018", "lib/shop.rs")
    assert request.options == (
        "--check-cfg=cfg(docsrs,test)",
        '--check-cfg=cfg(feature, values("alloc", "default", "loud", "serde", "std"))',
        "--crate-type=lib", '--cfg=feature="alloc"', '--cfg=feature="default"', '--cfg=feature="std"',
        "-Dunused", "-Funsafe_code", "-Adead_code",
    )  # fmt: skip
    assert _command(request)[-1] == "lib/shop.rs"


def test_a_program_of_cargo_is_no_library() -> None:
    """The kind of the crate is cargo's: a program without `main` is rejected, a library may have one."""
    manifest = '[package]\nname = "shop"\n'
    assert "--crate-type=bin" in _rust(manifest, {"src/main.rs": ""}).options
    assert "--crate-type=lib" in _rust(manifest, {"src/lib.rs": "fn main() {}"}).options
    retry = CATALOG.family("rustc").retry
    assert retry is not None and retry.unless == "--crate-type="


@pytest.mark.parametrize("lib", ['crate-type = ["proc-macro"]', "proc-macro = true", "proc_macro = true"])
def test_a_macro_crate_in_a_manifest_is_invalid(lib: str) -> None:
    """In each of cargo's spellings."""
    with pytest.raises(InvalidRequest, match="proc-macro"):
        _rust(f'[package]\nname = "shop"\n[lib]\n{lib}\n')


def test_an_option_of_the_request_is_named_by_its_own_number() -> None:
    """What Cargo.toml adds does not count in `options.0`; what is wrong with it is about `files`."""
    with pytest.raises(InvalidRequest) as error:
        _rust('[package]\nname = "shop"\n[features]\ndefault = []\n', options=["-Zbad"])
    assert [detail.field for detail in error.value.details] == ["options.0"]


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"])
def test_a_comment_ends_where_it_ends_for_tsc(end: str) -> None:
    """What comes behind it counts, and cannot hide from the allow-list."""
    config = f'{{ "files": ["main.ts"], // x{end} "compilerOptions": {{"target": "es2015"}} }}'
    assert _typescript(config).standard == "es2015"
    with pytest.raises(InvalidRequest, match="extends"):
        _typescript(f'{{ "files": ["main.ts"] // x{end} , "extends": "./base.json" }}')


@pytest.mark.parametrize("end", ["\u2028", "\u2029"])
def test_what_only_tsc_takes_for_the_end_of_a_line_hides_nothing(end: str) -> None:
    """The rest is not JSON to us then, which is a 400, and it is never taken for a comment."""
    with pytest.raises(InvalidRequest):
        _typescript(f'{{ "files": ["main.ts"] // x{end} , "extends": "./base.json" }}')


def test_a_large_tsconfig_is_read_in_linear_time() -> None:
    """Many keys of which one is there twice, and deep lists."""

    def seconds(count: int) -> float:
        started = time.thread_time()
        keys = ",".join(f'"k{number}": 1' for number in range(count))
        with contextlib.suppress(InvalidRequest):
            _typescript(f'{{ "files": ["main.ts"], {keys}, "k1": 2 }}')
        with contextlib.suppress(InvalidRequest):
            _typescript('{"files": [' + "[" * 500 + ",".join(['"x"'] * count) + "]" * 500 + "]}")
        return time.thread_time() - started

    seconds(100)
    # Quadratic would be 64 times as long.
    assert seconds(16_000) < 24 * max(seconds(2_000), 0.02)


def test_a_manifest_without_an_edition_is_of_2015() -> None:
    """As for cargo; a request without a manifest gets the compiler's default here."""
    assert _rust("[package]\nname = 'x'\n").standard == "2015"
    assert _resolve(language="rust", source_code="").standard == "2021"


_PACKAGE = '[package]\nname = "x"\nedition = "2021"\n'


@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        (_PACKAGE + '[dependencies]\nserde = "1"\n', "'serde'"),
        (_PACKAGE + '[target."cfg(unix)".dependencies]\nlibc = "0.2"\n', "'libc'"),
        (_PACKAGE + '[build-dependencies]\ncc = "1"\n', "[build-dependencies]"),
        (_PACKAGE + 'build = "make.rs"\n', "build script"),
        (_PACKAGE + '[workspace]\nmembers = ["a"]\n', "[workspace]"),
        ("[package]\nname = 'x'\nedition.workspace = true\n", "`package.edition`"),
        (_PACKAGE + "[lints]\nworkspace = true\n", "lints.workspace"),
        (_PACKAGE + "[lints.rust]\nunsafe_code = 'never'\n", "unsafe_code"),
        (_PACKAGE + "[lints.rust]\nunsafe_code = ['deny']\n", "unsafe_code"),
        (_PACKAGE + "[lib]\nproc-macro = true\n", "proc-macro"),
        (_PACKAGE + "[profile.dev]\npanic = 'abort'\n", "profile.dev.panic"),
        (_PACKAGE + "[features]\ndefault = ['dep:serde']\n", "'dep:serde'"),
        (_PACKAGE + "[features]\ndefault = 1\n", "features.default"),
        (_PACKAGE + "[[bin]]\nname = 'tool'\npath = 'src/tool.rs'\n", "more than one crate"),
        (_PACKAGE + "[lib]\npath = 'src/other.rs'\n", "'src/other.rs'"),
        ("[package]\nedition = '2077'\n", "'2077'"),
        ("[package]\nedition = 2021\n", "package.edition"),
        ("[package]\nrust-version = 'new'\n", "rust-version"),
        ("[package]\nrust-version = '1.99'\n", "rustc 1.99"),
        ("[workspace]\n", "[package]"),
        ("package = 1\n", "`package`"),
        ("[package\n", "line 1"),
        ("x = " + "[" * 50_000, "TOML"),
        ("x = " + "{a=" * 20_000, "TOML"),
        ("a." * 30_000 + "b = 1\n", "dots"),
        ("# " + "x" * 70_000, "65536 bytes"),
    ],
)
def test_what_a_manifest_may_not_say_is_named(manifest: str, words: str) -> None:
    """What needs cargo, another crate or another compiler is a 400 that names it, soon."""
    started = time.process_time()
    with pytest.raises(InvalidRequest) as caught:
        _rust(manifest)
    assert "Cargo.toml" in caught.value.message and words in caught.value.message
    assert time.process_time() - started < 2


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"src/lib.rs": "", "src/main.rs": "", "Cargo.toml": _PACKAGE}, "more than one crate"),
        ({"src/lib.rs": "", "build.rs": "", "Cargo.toml": _PACKAGE}, "build script"),
        ({"other.rs": "", "Cargo.toml": _PACKAGE}, "src/lib.rs"),
        ({"src/lib.rs": 'env!("CARGO_PKG_NAME");', "Cargo.toml": _PACKAGE}, "CARGO_PKG_NAME"),
        ({"main.rs": "", "rust-toolchain.toml": ""}, "rustup"),
    ],
)  # fmt: skip
def test_files_that_only_cargo_or_rustup_can_serve_are_named(files: dict[str, str], words: str) -> None:
    """A build script, a second crate, cargo's variables, another toolchain."""
    with pytest.raises(InvalidRequest, match=words):
        _resolve(language="rust", files=files)


def test_another_main_file_than_the_manifests_is_a_contradiction() -> None:
    """Both are named."""
    files = {"src/lib.rs": "", "src/a.rs": ""}
    with pytest.raises(InvalidRequest, match=r"'src/a\.rs'.*'src/lib\.rs'"):
        _rust(_PACKAGE, files, main="src/a.rs")
    assert _rust(_PACKAGE, files, main="src/lib.rs").main == "src/lib.rs"


def test_options_of_a_manifest_pass_the_same_list_as_those_of_a_request() -> None:
    """A lint that is no word, or too many features, is a 400 as well."""
    with pytest.raises(InvalidRequest, match="not among those"):
        _rust(_PACKAGE + '[lints.rust]\n"x=y" = "deny"\n')
    names = [f"f{number}" for number in range(40)]
    features = "".join(f"{name} = []\n" for name in names)
    with pytest.raises(InvalidRequest, match="At most 32 options"):
        _rust(f"{_PACKAGE}[features]\ndefault = {names}\n{features}")


def test_a_matrix_reads_configuration_as_a_single_request_does() -> None:
    """Each cell has the edition of the manifest unless `standards` says more; old compilers are left out."""
    body = {
        "language": "rust",
        "files": {"Cargo.toml": _PACKAGE + 'rust-version = "1.88"\n', "src/lib.rs": ""},
    }
    plan = make_plan(parse_matrix(json.dumps(body).encode()), CATALOG, OFFERED)
    assert [(each.compiler, each.standard, each.main) for each in plan.requests] == [
        ("rustc-1.90", "2021", "src/lib.rs")
    ]
    assert ["1.88" in each.reason for each in plan.omitted] == [True]
    plan = make_plan(
        parse_matrix(json.dumps({**body, "standards": ["2015", "2018"]}).encode()), CATALOG, OFFERED
    )
    assert [each.standard for each in plan.requests] == ["2015", "2018"]


def test_configuration_in_a_folder_or_of_another_tool_is_only_a_file() -> None:
    """The bare compiler does not read it either."""
    files = {
        "main.ts": "", "sub/tsconfig.json": '{"extends": "x"}', "jsconfig.json": "{", "package.json": "{}",
        "Makefile": "", "CMakeLists.txt": "", "pyproject.toml": "", "Cargo.toml": "[workspace",
    }  # fmt: skip
    assert "--strict" in _command(_resolve(language="typescript", files=files))
    assert _resolve(language="rust", files={"main.rs": "", "tsconfig.json": "{"}).standard == "2021"
