"""Compilers from official images: each in its own container image, found, tested and used beside the others.

Where no image registry can be reached, a stand-in has the compiler at the path of the official image. Its
name is different, so that nobody takes it for the real one.
"""

import os
import subprocess
from pathlib import Path

import pytest

from chalicelib.api.receipt import receipt
from chalicelib.catalog import Catalog, load_catalog
from chalicelib.catalog.loader import catalog_texts, parse_catalog
from chalicelib.models import CompileRequest, Result, Stage, Verdict
from runner.executor import JobExecutor
from runner.sandbox.base import SandboxUnavailable
from runner.sandbox.docker.sandbox import Docker
from runner.sandbox.limits import default_limits
from runner.toolchains.images import find_in_images, sandboxes_by_image
from runner.toolchains.model import Toolchains, native_target
from runner.toolchains.probe import probe_toolchains
from tests.support.engine import RUNNER, Engine

_GCC, _PYTHON = "gcc:14", "python:3.13"
_STAND_INS = {
    _GCC: "".join(
        f"RUN ln -s /usr/bin/{name}-14 /usr/local/bin/{name}\n" for name in ("gcc", "g++", "gfortran")
    ),
    _PYTHON: "RUN ln -s /usr/bin/python3 /usr/local/bin/python3\n",
}
_COMPILERS = ("gcc-1[34]", "python-*")
_LIMITS = default_limits()


@pytest.fixture(scope="module")
def images(engine: Engine) -> dict[str, str]:
    """The names under which this engine has the official images, by their own."""
    return {
        image: engine.build_or_pull(image, f"FROM {RUNNER}\n{lines}") for image, lines in _STAND_INS.items()
    }


@pytest.fixture(scope="module")
def catalog(images: dict[str, str]) -> Catalog:
    """The catalogue, with those names in place of the official ones."""
    languages = dict(catalog_texts().languages)
    for image, name in images.items():
        languages = {file: text.replace(f'"{image}"', f'"{name}"') for file, text in languages.items()}
    return parse_catalog(languages, catalog_texts().families)


def _open(engine: Engine, catalog: Catalog, own: str) -> Docker:
    sandbox = Docker(own, official=catalog.official_images, base_url=engine.url)
    sandbox.probe()
    return sandbox


def _find(catalog: Catalog, sandbox: Docker) -> Toolchains:
    def own() -> Toolchains:
        return probe_toolchains(catalog, sandbox, _LIMITS, find_executable=str, patterns=["gcc-13"])

    return find_in_images(catalog, sandbox, _LIMITS, own, _COMPILERS)


def _compile(catalog: Catalog, sandbox: Docker, toolchains: Toolchains, compiler: str, source: str) -> Result:
    environment = toolchains.environment("c", compiler)
    assert environment is not None
    architecture, system = native_target()
    request = CompileRequest(
        files={"main.c": source},
        main="main.c",
        language="c",
        compiler=compiler,
        standard=environment.default_standard,
        architecture=architecture,
        os=system,
        stage=Stage.LINK,
        options=(),
    )
    jobs = JobExecutor(sandbox, catalog, toolchains, _LIMITS, sandboxes=sandboxes_by_image(sandbox))
    return jobs.compile("a-job", request)


def test_official_images_are_enough_without_an_image_of_all_compilers(
    engine: Engine, catalog: Catalog, images: dict[str, str], tmp_path: Path
) -> None:
    """Each compiler is offered once, from the image that has it; a receipt's line runs it again there."""
    sandbox = _open(engine, catalog, "no-such-image")
    assert set(sandbox.images) == set(images.values())
    toolchains = _find(catalog, sandbox)
    offered = {(each.language, each.id): each.image for each in toolchains.environments}
    [python] = [key for key in offered if key[0] == "python"]
    assert offered == {
        ("c", "gcc-14"): images[_GCC],
        ("cpp", "gcc-14"): images[_GCC],
        python: images[_PYTHON],
    }
    good = _compile(catalog, sandbox, toolchains, "gcc-14", "int main(void) { return 0; }\n")
    assert (good.verdict, good.command[0]) == (Verdict.COMPILES, "/usr/local/bin/gcc")
    source = "int main(void) { return x; }\n"
    bad = _compile(catalog, sandbox, toolchains, "gcc-14", source)
    assert bad.verdict is Verdict.REJECTED and bad.diagnostics[0].line == 1
    (tmp_path / "main.c").write_text(source)
    line = receipt(bad)
    assert line is not None and line["image"] == images[_GCC]
    host = {"DOCKER_HOST": engine.url} if engine.url else {}
    reproduced = subprocess.run(
        ["sh", "-c", line["reproduce"]],
        cwd=tmp_path,
        env={**os.environ, **host},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (reproduced.returncode, reproduced.stderr) == (bad.exit_code, bad.stderr)


def test_the_image_with_all_compilers_goes_first(
    engine: Engine, catalog: Catalog, images: dict[str, str]
) -> None:
    """Its compilers are used from there; the official images add the rest."""
    sandbox = _open(engine, catalog, RUNNER)
    assert sandbox.images[0] == RUNNER
    toolchains = _find(catalog, sandbox)
    offered = {
        (each.language, each.id): each.image for each in toolchains.environments if each.language == "c"
    }
    assert offered == {("c", "gcc-13"): "", ("c", "gcc-14"): images[_GCC]}
    for compiler, program in (("gcc-13", "gcc-13"), ("gcc-14", "/usr/local/bin/gcc")):
        result = _compile(catalog, sandbox, toolchains, compiler, "int main(void) { return 0; }\n")
        assert (result.verdict, result.command[0]) == (Verdict.COMPILES, program)


def test_runner_image_may_be_an_official_image(
    engine: Engine, catalog: Catalog, images: dict[str, str]
) -> None:
    """RUNNER_IMAGE=gcc:14 offers what that image holds, under its commands there, and nothing twice."""
    sandbox = _open(engine, catalog, images[_GCC])
    assert sandbox.images == (images[_GCC], images[_PYTHON])
    toolchains = find_in_images(catalog, sandbox, _LIMITS, lambda: Toolchains(()), ["c/*"])
    assert [(each.id, each.image) for each in toolchains.environments] == [("gcc-14", images[_GCC])]
    result = _compile(catalog, sandbox, toolchains, "gcc-14", "int main(void) { return 0; }\n")
    assert (result.verdict, result.command[0]) == (Verdict.COMPILES, "/usr/local/bin/gcc")


def test_without_any_image_one_line_says_what_to_pull_or_build(engine: Engine) -> None:
    """Both ways to get compilers are named."""
    with pytest.raises(SandboxUnavailable, match=r"docker build .* or docker pull no-such:14, ") as failure:
        Docker("no-such-image", official=["no-such:14"], base_url=engine.url).probe()
    assert "\n" not in str(failure.value)


def test_the_catalogue_names_images_of_several_languages() -> None:
    """An image's part of the catalogue holds its own compilers, under their commands there."""
    catalog = load_catalog()
    part = catalog.in_image(_GCC)
    compilers = {language.id: language.compilers for language in part.languages if language.compilers}
    assert {name: [entry.id for entry in entries] for name, entries in compilers.items()} == {
        "c": ["gcc-14"],
        "cpp": ["gcc-14"],
        "fortran": ["gfortran-14"],
    }
    assert [entry.command for [entry] in compilers.values()] == [
        ("/usr/local/bin/gcc",),
        ("/usr/local/bin/g++",),
        ("/usr/local/bin/gfortran",),
    ]
    # The first is the one that the error on a host without any image names.
    assert catalog.official_images[0] == _GCC
    languages = {
        language.id
        for image in catalog.official_images
        for language in catalog.in_image(image).languages
        if language.compilers
    }
    assert languages == {"c", "cpp", "fortran", "java", "python", "rust"}
