"""What a request's Cargo.toml says about how rustc is called.

cargo does not run here: it would need the sources of all dependencies. What it would pass to rustc for a
package without dependencies is taken from the manifest: edition, main file, features that are on by default,
and lints. What needs more than one run of rustc is invalid.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from chalicelib.api.validation import invalid, joined, quoted
from chalicelib.errors import InvalidRequest

FILE = "Cargo.toml"
# cargo's own, for a manifest from before there were editions.
_DEFAULT_EDITION = "2015"
# A few times as long as the longest that people write by hand.
_MAX_BYTES = 64 * 1024
# `tomllib` takes quadratic time for a key of many parts, and keys do not go over a line.
_MAX_DOTS_IN_A_LINE = 200

_BIN, _LIB = "src/main.rs", "src/lib.rs"
# An option has at most 256 characters.
_MAX_VALUES_CHARACTERS = 220
_LEVELS = {"allow": "-A", "warn": "-W", "deny": "-D", "forbid": "-F"}
_VERSION = re.compile(r"[0-9]{1,4}(?:\.[0-9]{1,4}){0,2}")
_FEATURE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_+.-]*")
_CARGO_VARIABLE = re.compile(r"\b(?:option_)?env!\s{0,80}[(\[{]\s{0,80}\"(CARGO_[A-Z_]{1,80}|OUT_DIR)\"")
_SETTINGS = (".cargo/config.toml", ".cargo/config")


@dataclass(frozen=True, slots=True)
class CargoManifest:
    """What follows from a manifest: edition, main file, options for rustc, and the oldest version of it."""

    edition: str
    main: str
    options: tuple[str, ...]
    oldest_compiler: tuple[int, ...]
    # What cargo adds for a rustc that checks names of configurations (1.80).
    check_cfg: tuple[str, ...] = ()


def read_manifest(files: Mapping[str, str]) -> CargoManifest:
    """What the Cargo.toml in `files` says. Raises `InvalidRequest` for what rustc alone cannot do."""
    manifest = _parsed(files[FILE])
    package = _table(manifest, "package")
    if not package:
        raise _wrong("it has no [package]")
    _check_that_rustc_alone_will_do(manifest, package, files)
    edition = package.get("edition", _DEFAULT_EDITION)
    if not isinstance(edition, str):
        raise _wrong('`package.edition` is not a text such as "2021"')
    main, kind = _crate(manifest, package, files)
    # Without it rustc would take a program that lacks `main` for a library, and the other way round.
    options = (f"--crate-type={kind}", *_features(manifest), *_lints(manifest))
    version = package.get("rust-version", "1")
    if not isinstance(version, str) or not _VERSION.fullmatch(version):
        raise _wrong('`package.rust-version` is not a version such as "1.85"')
    oldest = tuple(int(part) for part in version.split("."))
    return CargoManifest(edition, main, options, oldest, tuple(_known_features(manifest)))


def _parsed(text: str) -> dict[str, Any]:
    if len(text.encode()) > _MAX_BYTES:
        raise _wrong(f"it is longer than {_MAX_BYTES} bytes")
    if any(line.count(".") > _MAX_DOTS_IN_A_LINE for line in text.splitlines()):
        raise _wrong(f"a line has more than {_MAX_DOTS_IN_A_LINE} dots")
    try:
        return tomllib.loads(text.removeprefix("\ufeff"))
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        place = re.search(r"at line (\d+)", str(error))
        raise _wrong(f"line {place[1]} is not TOML" if place else "it is not TOML") from None


def _check_that_rustc_alone_will_do(
    manifest: Mapping[str, Any], package: Mapping[str, Any], files: Mapping[str, str]
) -> None:
    for field, value in package.items():
        if isinstance(value, dict) and "workspace" in value:
            raise _wrong(f"`package.{field}` comes from a workspace, and a request is one package")
    unsupported = {
        "workspace": set(_table(manifest, "workspace")) - {"resolver", "exclude"},
        "patch": manifest.get("patch"),
        "replace": manifest.get("replace"),
        "build-dependencies": manifest.get("build-dependencies"),
    }
    for name, value in unsupported.items():
        if value:
            raise _wrong(f"[{name}] is not supported, because rustc alone compiles the sources")
    needed = next(_needed_dependencies(manifest), None)
    if needed is not None:
        raise _wrong(f"the dependency {quoted(needed)} is not here: the only libraries are Rust's own")
    build = package.get("build", "build.rs" in files)
    if build:
        raise _wrong("a build script is not run: leave it out, or set `build = false` in [package]")
    library = _table(manifest, "lib")
    kinds = library.get("crate-type", library.get("crate_type", []))
    if (
        library.get("proc-macro")
        or library.get("proc_macro")
        or "proc-macro" in (kinds if isinstance(kinds, list) else [])
    ):
        raise _wrong(
            "`lib.proc-macro` is not supported: leave Cargo.toml out, and begin the source with "
            '#![crate_type = "proc-macro"]'
        )
    development = _table(_table(manifest, "profile"), "dev")
    for name in ("panic", "debug-assertions", "overflow-checks"):
        if name in development:
            raise _wrong(f"`profile.dev.{name}` is not supported: give -C{name}=… in `options`")
    if settings := next((name for name in _SETTINGS if name in files), None):
        raise invalid("files", f"{settings} is read by cargo, which does not run: leave it out.")
    for name, text in files.items():
        if name.endswith(".rs") and (variable := _CARGO_VARIABLE.search(text)):
            raise invalid("files", f"{quoted(name)} reads {variable[1]}, which only cargo sets.")


def _needed_dependencies(manifest: Mapping[str, Any]) -> Iterator[str]:
    """Dependencies that are always compiled; those of tests and examples are not."""
    tables = [manifest, *(each for each in _table(manifest, "target").values() if isinstance(each, dict))]
    for table in tables:
        for name, value in _table(table, "dependencies").items():
            if not (isinstance(value, dict) and value.get("optional") is True):
                yield name


def _crate(
    manifest: Mapping[str, Any], package: Mapping[str, Any], files: Mapping[str, str]
) -> tuple[str, str]:
    """The one crate of the package, and what it is: `lib` or `bin`."""
    crates: list[object] = []
    library = _table(manifest, "lib")
    if library or (_LIB in files and package.get("autolib", True)):
        crates.append(library.get("path", _LIB))
    libraries = len(crates)
    programs = manifest.get("bin", [])
    for program in programs if isinstance(programs, list) else []:
        name = program.get("name") if isinstance(program, dict) else None
        beside = _BIN if name == package.get("name") else f"src/bin/{name}.rs"
        crates.append(program.get("path", beside) if isinstance(program, dict) else beside)
    if package.get("autobins", True):
        crates += [name for name in (_BIN,) if name in files]
        crates += sorted(name for name in files if re.fullmatch(r"src/bin/[^/]+(?:/main)?\.rs", name))
    paths = list(dict.fromkeys(str(path).removeprefix("./") for path in crates))
    if not paths:
        raise _wrong(f"there is neither {_BIN} nor {_LIB}, and no [lib] or [[bin]] names another file")
    if len(paths) > 1:
        raise _wrong(f"the package has more than one crate ({joined(paths)}): send one of them at a time")
    if paths[0] not in files:
        raise _wrong(f"it names {quoted(paths[0])}, which is not one of `files`")
    return paths[0], "lib" if libraries else "bin"


def _known_features(manifest: Mapping[str, Any]) -> Iterator[str]:
    """The names that cargo tells rustc, so that a lint finds others; in options that are not too long."""
    features = _table(manifest, "features")
    optional = {
        name
        for name, value in _table(manifest, "dependencies").items()
        if isinstance(value, dict) and value.get("optional") is True
    }
    names = [f'"{name}"' for name in sorted({*features, *optional}) if _FEATURE.fullmatch(name)]
    yield "--check-cfg=cfg(docsrs,test)"
    part: list[str] = []
    for name in [*names, None]:
        if part and (name is None or len(", ".join([*part, name])) > _MAX_VALUES_CHARACTERS):
            yield f"--check-cfg=cfg(feature, values({', '.join(part)}))"
            part = []
        if name is not None:
            part.append(name)
    if not names:
        yield "--check-cfg=cfg(feature, values())"


def _features(manifest: Mapping[str, Any]) -> Iterator[str]:
    """An option for each feature that is on by default."""
    features = _table(manifest, "features")
    if not features:
        return
    waiting = ["default"]
    done: set[str] = set()
    while waiting:
        name = waiting.pop(0)
        if name in done:
            continue
        done.add(name)
        if name not in features:
            if name == "default":
                continue
            raise _wrong(f"the feature {quoted(name)} needs a dependency, and there are no libraries here")
        parts = features[name]
        if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
            raise _wrong(f"`features.{name}` is not a list of names")
        if not _FEATURE.fullmatch(name):
            raise _wrong(f"{quoted(name)} is not the name of a feature")
        waiting += parts
    yield from (f'--cfg=feature="{name}"' for name in sorted(done & features.keys()))


def _lints(manifest: Mapping[str, Any]) -> list[str]:
    """An option for each of rustc's lints, those with a higher priority later, as cargo passes them."""
    lints = _table(manifest, "lints")
    if "workspace" in lints:
        raise _wrong("`lints.workspace` is not supported: a request is one package")
    levels: list[tuple[int, str, str]] = []
    checks = []
    for name, value in _table(lints, "rust").items():
        level = value.get("level") if isinstance(value, dict) else value
        priority = value.get("priority", 0) if isinstance(value, dict) else 0
        if not isinstance(level, str) or level not in _LEVELS or not isinstance(priority, int):
            raise _wrong(f"`lints.rust.{name}` is not one of {joined(_LEVELS)}")
        levels.append((priority, name, f"{_LEVELS[level]}{name}"))
        if isinstance(value, dict) and isinstance(value.get("check-cfg"), list):
            checks += [f"--check-cfg={each}" for each in value["check-cfg"]]
    return [*checks, *(option for _, _, option in sorted(levels))]


def _table(parent: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = parent.get(name, {})
    if not isinstance(value, dict):
        raise _wrong(f"`{name}` is not a table")
    return value


def _wrong(what: str) -> InvalidRequest:
    return invalid("files", f"{FILE}: {what}.")
