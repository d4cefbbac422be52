"""A copy of the project that a test changes as a developer would, and whose tests it runs."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.clone import project_files
from tests.support.servers.tools import ROOT

# For a few test files, on a machine that does other work as well.
SOME_TESTS_SECONDS = 300


class ProjectCopy:
    """A copy of the project that is changed as a recipe says; it remembers what was touched."""

    def __init__(self, folder: Path, git_folder: Path) -> None:
        """`folder` must not exist; `git_folder` is for git to work in."""
        self.folder = folder
        self.touched: set[str] = set()
        for name in project_files(git_folder):
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)

    def text(self, path: str) -> str:
        """A file as it is now."""
        return (self.folder / path).read_text(encoding="utf-8")

    def create(self, path: str, text: str) -> None:
        """Writes a new file, and the folders above it."""
        target = self.folder / path
        assert not target.exists(), path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        self.touched.add(path)

    def edit(self, path: str, pattern: str, replacement: str) -> None:
        """Replaces the first match; `pattern` and `replacement` are those of `re.sub`."""
        text, count = re.subn(pattern, replacement, self.text(path), count=1, flags=re.MULTILINE)
        assert count == 1, f"{path} has no {pattern!r}"
        (self.folder / path).write_text(text, encoding="utf-8")
        self.touched.add(path)

    def after(self, path: str, pattern: str, addition: str) -> None:
        """Adds lines behind the first line that matches."""
        self.edit(path, rf"({pattern}.*\n)", r"\g<1>" + addition.replace("\\", r"\\"))

    def before(self, path: str, pattern: str, addition: str) -> None:
        """Adds lines in front of the first line that matches."""
        self.edit(path, rf"^(.*{pattern})", addition.replace("\\", r"\\") + r"\g<1>")

    def run(self, *command: str, timeout_seconds: float = 60) -> str:
        """Runs a Python module in the copy, as a developer does; what it printed. It must succeed."""
        ran = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
            check=False,
        )
        assert ran.returncode == 0, f"{ran.stdout[-3000:]}\n{ran.stderr[-3000:]}"
        return ran.stdout

    def make_docs(self) -> None:
        """`make docs`: what it writes is not counted as touched."""
        self.run("tools.reference")

    def passes(self, *tests: str, timeout_seconds: float = SOME_TESTS_SECONDS) -> None:
        """Runs these tests in the copy: none fails."""
        self.run(
            "pytest", "-q", "--tb=short", "-p", "no:cacheprovider", "-m", "not engine and not alone", *tests,
            timeout_seconds=timeout_seconds,
        )  # fmt: skip

    def check_style(self) -> None:
        """Ruff on the Python files that were touched."""
        python = [path for path in sorted(self.touched) if path.endswith(".py")]
        if python:
            self.run("ruff", "check", "--quiet", *python)
