"""What `compiles` proves: that the compiler made its object, class or program from the main file.

An option that ends a compiler early, or a file that it passes over, would look like success. So for each
family the result's own command is run again where its output stays, and no allowed option may hide an error.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from chalicelib.catalog import Catalog, Family, Language, load_catalog
from chalicelib.models import Environment, Result, Stage, Verdict
from tests.support.compilers import RealCompilers, may_be_missing, real_compilers
from tests.support.native_run import run_bare
from tests.support.skipping import missing
from tests.support.tiers import in_tier
from tests.unit.test_options import ALLOWED, ALLOWED_BY_ONE

# As many as the smallest machine that runs these tests has cores.
_THREADS = 2

# What each family makes from the main file of its self-test, as a pattern below the folder of the files.
_PRODUCTS = {
    "gcc": "main.o",
    "clang": "main.o",
    "zig-cc": "main.o",
    "gfortran": "main.o",
    "javac": ".out/Main.class",
    "python": ".out/**/main*.pyc",
    "rustc": ".out.o",
    "tsc": ".out/main.js",
    "zig": ".out",
    "go": ".out/*",
}
# These make nothing before they link: zig analyses only, and go throws its objects away.
_LINKED = ("zig", "go")
# What looks like help, or like leave to stop early, and fits a pattern of an allow-list.
_SUSPECTS = {
    "javac": ["-Xlint:help", "-Xlint:none", "-Xlint:-all", "-nowarn", "-g:none", "-deprecation"],
    "rustc": [
        "--cap-lints=allow",
        "-Aerrors",
        "-Awarnings",
        "--cfg=test",
        "--check-cfg=cfg(x)",
        "-Cpanic=abort",
    ],
    "gcc": ["-w", "-fpermissive", "-Wfatal-errors", "-fmax-errors=1"],
    "clang": ["-w", "-Wno-everything", "-ferror-limit=1", "-Wno-error"],
    "zig-cc": ["-w", "-Wno-everything"],
    "gfortran": ["-w", "-fmax-errors=1"],
    "go": ["-tags=ignore", "-tags=help"],
    "zig": ["-mcpu=help", "-fno-PIC"],
    "tsc": ["--declaration", "--isolatedModules"],
    "python": [],
}


def _newest(real: RealCompilers, family: str) -> Environment:
    """The newest compiler of a family here, for the first language that has one."""
    here = [each for each in real.toolchains.environments if each.family == family]
    languages = {
        language.id
        for language in real.catalog.languages
        if any(entry.family == family for entry in language.compilers)
    }
    if not here and languages <= may_be_missing():
        pytest.skip(f"no compiler of the family {family} works here")
    if not here:
        missing(f"no compiler of the family {family} is installed")
    return max(here, key=lambda each: each.version_key)


def _language(catalog: Catalog, environment: Environment) -> Language:
    language = catalog.language(environment.language)
    assert language is not None
    return language


def _compile(
    real: RealCompilers, environment: Environment, source: str, stage: Stage, options: tuple[str, ...] = ()
) -> tuple[Result, dict[str, str]]:
    """The result for one source, and its files."""
    main = _language(real.catalog, environment).default_main
    request = real.request(environment, {main: source}, main, stage=stage, options=options)
    return real.executor.compile("main", request), request.files


def _options(family: Family) -> Iterator[str]:
    """Options that the family's allow-list takes: samples, suspects, and all of its switches."""
    yield from (*ALLOWED, *ALLOWED_BY_ONE.get(family.id, ()), *_SUSPECTS[family.id])
    for letter, words in sorted(family.options.switches.items()):
        for word in words:
            yield f"-{letter}{word}"
            yield f"-{letter}no-{word}"


def test_every_family_has_a_product_and_suspects() -> None:
    """A family that is added says here what proves that it has compiled."""
    assert set(_PRODUCTS) == set(_SUSPECTS) == set(load_catalog().families)


@pytest.mark.timeout(400)
@pytest.mark.parametrize("family", _PRODUCTS)
def test_compiles_means_that_there_is_an_object_or_a_class(family: str, tmp_path: Path) -> None:
    """The command of a result that says `compiles` leaves a product of the main file, with some bytes."""
    real = real_compilers()
    environment = _newest(real, family)
    stage = Stage.LINK if family in _LINKED else Stage.COMPILE
    result, files = _compile(real, environment, _language(real.catalog, environment).self_test.good, stage)
    assert result.verdict is Verdict.COMPILES, result.stderr
    run_bare(result, files, tmp_path)
    [folder] = tmp_path.iterdir()
    products = [path for path in folder.glob(_PRODUCTS[family]) if path.is_file() and path.stat().st_size]
    assert products, f"{result.command} leaves {sorted(map(str, folder.rglob('*')))}"


# Some five hundred compiles in the full tier: a busy machine takes several times as long as a quiet one.
@pytest.mark.timeout(900)
@pytest.mark.parametrize("family", _PRODUCTS)
def test_no_allowed_option_hides_an_error_in_the_main_file(family: str) -> None:
    """Whatever option is allowed, the self-test's bad program does not compile."""
    real = real_compilers()
    environment = _newest(real, family)
    catalog = real.catalog
    bad = _language(catalog, environment).self_test.bad
    rules = catalog.family(family)
    allowed = [each for each in _options(rules) if catalog.why_forbidden(family, each) is None]
    unique = list(dict.fromkeys(allowed))
    # Suspects are few and always tried.
    chosen = dict.fromkeys([*_SUSPECTS[family], *unique[:: in_tier(fast=20, full=1)]])
    tried = [each for each in chosen if each in unique]

    def verdict(option: str) -> Verdict:
        return _compile(real, environment, bad, environment.stages[0], (option,))[0].verdict

    with ThreadPoolExecutor(_THREADS) as pool:
        verdicts = dict(zip(tried, pool.map(verdict, tried), strict=True))
    assert [option for option, each in verdicts.items() if each is Verdict.COMPILES] == []
    print(family, len(tried), "options")
