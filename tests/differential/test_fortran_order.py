"""Whole Fortran projects, compared with gfortran run for one file at a time in the right order."""

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from chalicelib.models import Environment, Stage, Verdict
from tests.differential.fortran_graphs import GraphProject, graph_project
from tests.support.compilers import RealCompilers, real_compilers
from tests.support.skipping import missing
from tests.support.tiers import in_tier

_PROJECTS = in_tier(fast=12, full=120)
_THREADS = 2


def _gfortran(real: RealCompilers) -> Environment:
    found = [item for item in real.toolchains.environments if item.family == "gfortran"]
    if not found:
        missing("no gfortran here")
    return max(found, key=lambda item: item.version_key)


def _one_by_one(project: GraphProject, command: str, folder: Path) -> Verdict:
    """What the compiler says of the files in the order of the generator; each may be rejected."""
    for name, text in project.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text.encode())
    codes = [
        subprocess.run(
            [command, "-std=gnu", "-I.", "-fsyntax-only", name],
            cwd=folder,
            env={"PATH": os.defpath, "LANG": "C.UTF-8"},
            capture_output=True,
            check=False,
            timeout=60,
        ).returncode
        for name in project.order
    ]
    return Verdict.REJECTED if any(codes) else Verdict.COMPILES


@pytest.mark.timeout(600)
def test_the_verdict_on_a_project_is_that_of_its_files_in_the_right_order(tmp_path: Path) -> None:
    """Whatever the form, the case, the line ends and the names: the order is one that compiles, if any is."""
    real = real_compilers()
    environment = _gfortran(real)
    stages = list(Stage)

    def problem(number: int) -> str:
        project = graph_project(number)
        folder = tmp_path / str(number)
        folder.mkdir()
        expected = _one_by_one(project, real.toolchains.entry(environment).executable, folder)
        if (expected is Verdict.COMPILES) is not (project.kind == "right"):
            return f"project {number} ({project.kind}) is {expected} one by one: {project.files}"
        stage = Stage.COMPILE if "circle" in project.kind else stages[number % len(stages)]
        files = dict(sorted(project.files.items()))
        request = real.request(environment, files, project.main, standard="gnu", stage=stage)
        result = real.executor.compile("order", request)
        if result.verdict is not expected:
            return f"project {number} ({project.kind}): {result.command}\n{result.stderr}{result.error}"
        if ("use each other" in result.error) is not (project.kind == "circle"):
            return f"project {number} ({project.kind}): {result.error!r}\n{result.stderr}"
        return ""

    with ThreadPoolExecutor(_THREADS) as pool:
        problems = [text for text in pool.map(problem, range(_PROJECTS)) if text]
    assert not problems, "\n\n".join(problems[:3])


def test_the_projects_are_of_many_kinds() -> None:
    """There are right ones, broken ones, both forms, submodules, and CR LF."""
    projects = [graph_project(number) for number in range(120)]
    kinds = {project.kind for project in projects}
    texts = [text.lower() for project in projects for text in project.files.values()]
    assert kinds == {"right", "missing module", "missing name", "circle"}
    assert sum(project.kind == "right" for project in projects) >= 80
    for mark in ("\r\n", "submodule", "     &", " ; use", "\ufeff", "module procedure"):
        assert any(mark in text for text in texts), mark
