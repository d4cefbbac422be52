"""What the repository promises about itself: sizes, pins, tests that say their claim.

The rules are about every file that git would take, tracked or not, so that one about to be added counts.
"""

import ast
import importlib.metadata
import os
import re
import subprocess
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]

# A file should be about 300 lines or less; from here on it is two files.
MOST_LINES = 400
SOURCE_SUFFIXES = {".py", ".lua", ".toml", ".json", ".yml", ".sh", ""}

REQUIREMENTS = [
    "requirements.txt",
    "requirements-runner.txt",
    "requirements-local.txt",
    "requirements-dev.txt",
]
# What the Lambda function's zip may hold, besides chalice's own runtime and our code.
IN_THE_LAMBDA = {"redis", "pydantic"}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Every file of the project, by git's own rules, also where the checkout is no git repository."""
    git = ["git", f"--git-dir={tmp_path_factory.mktemp('git')}", f"--work-tree={ROOT}"]
    environment = {"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run([*git, "init", "--quiet"], check=True, env=environment, cwd=ROOT, capture_output=True)
    listing = subprocess.run(
        [*git, "ls-files", "--others", "--exclude-standard", "-z"],
        check=True,
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    found = [ROOT / name for name in listing.stdout.split("\0") if name]
    assert ROOT / "Makefile" in found
    assert not any(".venv" in path.parts for path in found)
    return found


def _text(path: Path) -> str:
    """The file's text; empty for one that is none, as a picture."""
    try:
        return path.read_text()
    except UnicodeDecodeError:
        return ""


def _python(files: list[Path]) -> list[Path]:
    return [path for path in files if path.suffix == ".py" and "cases" not in path.parts]


def test_no_source_file_is_too_long(files: list[Path]) -> None:
    """A source file has at most 400 lines; those over 300 are named in the output."""
    lengths = {
        str(path.relative_to(ROOT)): len(_text(path).splitlines())
        for path in files
        if path.suffix in SOURCE_SUFFIXES and "cases" not in path.parts
    }
    print("over 300 lines:", {name: length for name, length in lengths.items() if length > 300})
    assert {name: length for name, length in lengths.items() if length > MOST_LINES} == {}


def test_no_file_names_a_machine_or_a_package_index(files: list[Path]) -> None:
    """Nothing depends on where this checkout lies, nor on where packages come from."""
    # Put together here, so that this file does not hold them.
    patterns = [
        "--" + "index-url",
        "--" + "extra-index-url",
        "--" + "find-links",
        "python" + "hosted",
        "/py" + "env/",
    ]
    if len(ROOT.parts) > 2:  # not for a checkout in /app, whose name may well be meant
        patterns.append(f"{ROOT}/")
    found = [
        (str(path.relative_to(ROOT)), word) for path in files for word in patterns if word in _text(path)
    ]
    assert found == []


# Requirements


def _pins(name: str, *, follow: bool = True) -> dict[str, Requirement]:
    """Canonical name → requirement of a file and, with `follow`, of those that it includes."""
    found: dict[str, Requirement] = {}
    for line in (ROOT / name).read_text().splitlines():
        text = line.partition("#")[0].strip()
        if text.startswith("-r "):
            found |= _pins(text.removeprefix("-r ").strip()) if follow else {}
        elif text:
            requirement = Requirement(text)
            assert canonicalize_name(requirement.name) not in found, f"{name} names {requirement.name} twice"
            found[canonicalize_name(requirement.name)] = requirement
    return found


@pytest.mark.parametrize("name", [*REQUIREMENTS, "requirements-checkov.txt"])
def test_every_requirement_is_pinned(name: str) -> None:
    """Each line has one exact version, so that the same commit installs the same packages."""
    pins = _pins(name, follow=False)
    assert pins
    loose = [
        str(pin)
        for pin in pins.values()
        if [specifier.operator for specifier in pin.specifier] != ["=="] or "*" in str(pin.specifier)
    ]
    assert loose == []


@pytest.mark.parametrize("name", REQUIREMENTS)
def test_whatever_a_requirement_needs_is_pinned_too(name: str) -> None:
    """No package of a file needs one that the file and those it includes leave open."""
    pins = _pins(name)
    missing = {
        f"{pin.name} needs {needed.name}"
        for pin in pins.values()
        if pin.marker is None or pin.marker.evaluate()
        for needed in _needs(pin)
        if canonicalize_name(needed.name) not in pins
    }
    assert missing == set()


def _needs(pin: Requirement) -> list[Requirement]:
    every = [Requirement(line) for line in importlib.metadata.requires(pin.name) or []]
    extras = ["", *pin.extras]
    return [
        needed
        for needed in every
        if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras)
    ]


def test_what_is_installed_is_what_is_pinned() -> None:
    """The packages that these tests run with are the ones that the files name."""
    differing = {
        pin.name: importlib.metadata.version(pin.name)
        for pin in _pins("requirements-dev.txt").values()
        if pin.marker is None or pin.marker.evaluate()
        if not pin.specifier.contains(importlib.metadata.version(pin.name))
    }
    assert differing == {}


def test_the_lambda_gets_what_it_needs_and_no_more() -> None:
    """requirements.txt holds redis, pydantic and what those two bring, for every supported Python."""
    pins = _pins("requirements.txt")
    brought: set[str] = {
        canonicalize_name(needed.name)
        for pin in pins.values()
        if pin.marker is None
        for needed in _needs(pin)
    }
    # On a Python that needs it not, redis does not bring it.
    brought |= {name for name, pin in pins.items() if pin.marker is not None}
    assert set(pins) - brought == IN_THE_LAMBDA


# Habits


def test_every_test_says_its_claim(files: list[Path]) -> None:
    """Each test function has a docstring, a sentence that ends with a full stop."""
    silent = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in _python(files)
        if path.is_relative_to(ROOT / "tests") and path.name.startswith("test_")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
        if not (ast.get_docstring(node) or "").rstrip(')"').endswith((".", "?"))
    ]
    assert silent == []


def test_every_exception_from_a_rule_has_its_reason(files: list[Path]) -> None:
    """A `noqa` or `type: ignore` names its rule, and says why behind it or in a comment right above."""
    exception = re.compile(r"#\s*(?:no" + r"qa|type:\s*ig" + r"nore)\b(.*)")
    rule = r"(?::\s*[A-Z]+[0-9]+(?:,\s*[A-Z]+[0-9]+)*|\[[a-z-]+(?:, *[a-z-]+)*\])"
    named, explained = re.compile(rule), re.compile(rule + r"\W+\w.{8,}")
    unexplained = []
    for path in _python(files):
        lines = ["", *path.read_text().splitlines()]
        for number, line in enumerate(lines):
            if (found := exception.search(line)) and not explained.match(found[1]):
                commented = lines[number - 1].lstrip().startswith("#")
                if not (commented and named.match(found[1])):
                    unexplained.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()}")
    assert unexplained == []


@pytest.mark.parametrize("name", ["bin/setup", ".ci/run"])
def test_the_scripts_can_be_run(name: str) -> None:
    """A script is executable, is good bash, and stops at the first error."""
    path = ROOT / name
    assert os.access(path, os.X_OK)
    assert "set -euo pipefail" in path.read_text()
    subprocess.run(["bash", "-n", path], check=True, timeout=10)
