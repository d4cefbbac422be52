"""Compilers of the languages other than C and C++, for the sandbox tests: the newest of each, probed once.

Only for this machine's own target, as each target costs a probe.
"""

from functools import cache

from chalicelib.catalog import Catalog, CompilerEntry, load_catalog
from runner.sandbox.base import Sandbox
from runner.sandbox.host_paths import find_compiler
from runner.sandbox.limits import default_limits
from runner.toolchains.model import Toolchains, native_target
from runner.toolchains.probe import probe_toolchains
from tests.support.compilers import may_be_missing
from tests.support.skipping import missing

LANGUAGES = ("fortran", "go", "java", "python", "rust", "typescript", "zig")

_probed: dict[tuple[int, str, str], Toolchains] = {}


def newest_here(language: str, family: str = "*") -> CompilerEntry | None:
    """The last of the catalogue's compilers of a language, or of one family of it, that this host has."""
    entry = load_catalog().language(language)
    assert entry is not None, language
    here = [
        compiler
        for compiler in entry.compilers
        if family in ("*", compiler.family) and find_compiler(compiler.executable) is not None
    ]
    return here[-1] if here else None


@cache
def languages_here() -> tuple[str, ...]:
    """Those of `LANGUAGES` that can be tested on this host; nothing is run."""
    return tuple(language for language in expected_here() if newest_here(language))


def expected_here() -> tuple[str, ...]:
    """Those of `LANGUAGES` that a fully equipped host has."""
    return tuple(language for language in LANGUAGES if language not in may_be_missing())


def probed(sandbox: Sandbox, language: str, family: str = "*") -> Toolchains:
    """That one compiler, probed in that sandbox; the test fails or is skipped where it does not work."""
    key = (id(sandbox), language, family)
    if key not in _probed:
        catalog = _narrowed(language, family)
        toolchains = probe_toolchains(catalog, sandbox, default_limits(), find_executable=find_compiler)
        if not toolchains.environments:
            missing(f"no compiler for {language}: {[each.reason for each in toolchains.unavailable]}")
        _probed[key] = toolchains
    return _probed[key]


def _narrowed(language_id: str, family_id: str) -> Catalog:
    full = load_catalog()
    compiler = newest_here(language_id, family_id)
    languages = [
        language.model_copy(update={"compilers": (compiler,) if compiler else ()})
        for language in full.languages
        if language.id == language_id
    ]
    families = [
        family.model_copy(
            update={
                "targets": {name: how for name, how in family.targets.items() if name == str(native_target())}
            }
        )
        for family in full.families.values()
    ]
    return Catalog(languages, families)
