"""What the repository promises about itself: one noun per file, reasons, tests with a claim.

The rules are about every file that git would take, tracked or not, so that one about to be added counts.
"""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support.clone import project_files
from tests.support.servers.tools import ROOT
from tests.support.skipping import require

# From here on somebody should ask whether a file is still about one noun.
ALARM_LINES = 600
# Files beyond it that are about one noun all the same: path → why.
ONE_LARGE_NOUN: dict[str, str] = {}
# Parts of other targets, which nobody types.
INTERNAL_TARGETS = {"lint-only"}
SOURCE_SUFFIXES = {".py", ".lua", ".toml", ".json", ".yml", ".sh", ""}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Every file of the project, by git's own rules, also where the checkout is no git repository."""
    paths = [ROOT / name for name in project_files(tmp_path_factory.mktemp("git"))]
    assert ROOT / "Makefile" in paths
    assert not any(".venv" in path.parts for path in paths)
    return paths


def _text(path: Path) -> str:
    """The file's text; empty for a file that is not text, such as a picture."""
    try:
        return path.read_text()
    except UnicodeDecodeError:
        return ""


def _python(files: list[Path]) -> list[Path]:
    return [path for path in files if path.suffix == ".py" and "cases" not in path.parts]


def test_every_source_file_is_about_one_noun(files: list[Path]) -> None:
    """A file of more than 600 lines has a reason in `ONE_LARGE_NOUN`, or is split."""
    large = {
        str(path.relative_to(ROOT)): lines
        for path in files
        if path.suffix in SOURCE_SUFFIXES and "cases" not in path.parts
        if (lines := len(_text(path).splitlines())) > ALARM_LINES
    }
    unexplained = {name: lines for name, lines in large.items() if name not in ONE_LARGE_NOUN}
    assert unexplained == {}, "is this still one noun? Split it, or say why not in ONE_LARGE_NOUN"
    assert set(ONE_LARGE_NOUN) <= set(large), "no longer large: remove it from ONE_LARGE_NOUN"


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
    places = [
        (str(path.relative_to(ROOT)), word) for path in files for word in patterns if word in _text(path)
    ]
    assert places == []


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
            if (match := exception.search(line)) and not explained.match(match[1]):
                commented = lines[number - 1].lstrip().startswith("#")
                if not (commented and named.match(match[1])):
                    unexplained.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()}")
    assert unexplained == []


SCRIPTS = sorted(
    str(path.relative_to(ROOT))
    for path in (*(ROOT / "bin").iterdir(), *(ROOT / ".ci").iterdir())
    if path.is_file()
)


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_scripts_can_be_run(name: str) -> None:
    """A script is executable, stops at errors and unset variables, and passes shellcheck."""
    path = ROOT / name
    assert os.access(path, os.X_OK)
    # bin/run-tests goes on after a failed part, so that every part has its summary.
    assert "set -uo pipefail" in path.read_text() or "set -euo pipefail" in path.read_text()
    ran = subprocess.run(
        [require("shellcheck"), "--external-sources", path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout


def test_make_help_lists_every_command() -> None:
    """`make` alone names each target of the Makefile with what it does and how long it takes."""
    text = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z][a-z-]*):", text, re.MULTILINE)) - INTERNAL_TARGETS
    printed = subprocess.run(
        ["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=10
    ).stdout
    lines = re.findall(r"^make ([a-z-]+) .*\((.+)\)$", printed, re.MULTILINE)
    assert {name for name, _ in lines} == targets
    assert [name for name, seconds in lines if not re.search(r"second|minute|hour", seconds)] == []


def test_every_hook_runs_what_is_here() -> None:
    """The pre-commit hooks download nothing: each is a program of .venv or one that set-up installs."""
    [repository] = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert repository["repo"] == "local"
    for hook in repository["hooks"]:
        program, *arguments = hook["entry"].split()
        assert hook["language"] == "system"
        if program.startswith(".venv/bin/"):
            assert Path(sys.executable).with_name(Path(program).name).exists()
        else:
            require(program)
        assert [name for name in arguments if name.startswith("tests/") and not (ROOT / name).exists()] == []


def test_the_workflow_runs_the_two_commands_of_the_readme_on_every_python() -> None:
    """Each push runs `make run` and `make test`, from the oldest Python that set-up takes on."""
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text())
    job = workflow["jobs"]["fast"]
    assert [step["name"] for step in job["steps"] if "name" in step] == ["make run", "make test"]
    oldest = re.search(r"sys\.version_info < \(3, (\d+)\)", (ROOT / "bin/setup.d/python.sh").read_text())
    assert oldest is not None
    assert job["strategy"]["matrix"]["python"][0] == f"3.{oldest[1]}"
