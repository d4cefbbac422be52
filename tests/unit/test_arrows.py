"""The import arrows: app.py → chalicelib ← runner, and infra by itself.

Read from the syntax tree, so that an import inside a function counts, and one that no test happens to run.
"""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# part → what it must not import, at any depth
FORBIDDEN = {
    "chalicelib": {"app", "chalice", "infra", "runner", "tests"},
    "runner": {"app", "chalice", "infra", "tests"},
    "infra": {"app", "chalicelib", "runner", "tests"},
    "app.py": {"infra", "tests"},
    "tools": {"app", "chalicelib", "infra", "runner", "tests"},
}


def _files(part: str) -> list[Path]:
    path = ROOT / part
    return [path] if path.suffix == ".py" else sorted(path.rglob("*.py"))


def _imports(tree: ast.AST) -> Iterator[tuple[str, ast.stmt]]:
    """The top-level name of every import below `tree`, with its statement."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name.partition(".")[0], node
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module is not None:
            yield node.module.partition(".")[0], node


def _violations(source: str, forbidden: set[str]) -> list[str]:
    return [f"line {node.lineno}: {name}" for name, node in _imports(ast.parse(source)) if name in forbidden]


@pytest.mark.parametrize("part", FORBIDDEN)
def test_no_import_points_against_the_arrows(part: str) -> None:
    """No file of a part imports what lies against its arrows, nor reaches it by a relative import."""
    found = {
        str(path.relative_to(ROOT)): lines
        for path in _files(part)
        if (lines := _violations(path.read_text(), FORBIDDEN[part]))
    }
    assert found == {}


@pytest.mark.parametrize("part", ["app.py", "chalicelib", "infra", "runner"])
def test_the_parts_that_exist_are_really_read(part: str) -> None:
    """The rules above are about files that are there, so they cannot pass for want of any."""
    assert _files(part)
    assert all(path.is_file() for path in _files(part))


@pytest.mark.parametrize(
    "source",
    ["import runner", "import runner.worker as w", "def f():\n    from runner.worker import Worker"],
)
def test_every_form_of_import_is_seen(source: str) -> None:
    """A forbidden import is found as a module, under another name and inside a function."""
    assert _violations(source, {"runner"})


def test_the_api_embeds_the_runner_in_one_place_and_lazily() -> None:
    """app.py imports the runner within one function: on Lambda, where it is not, nothing asks for it."""
    tree = ast.parse((ROOT / "app.py").read_text())
    inside = {
        function.name
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        and any(name == "runner" for name, _ in _imports(function))
    }
    at_import = [name for statement in tree.body for name, node in _imports(statement) if node is statement]
    assert len(inside) == 1
    assert "runner" not in at_import


# Written into a clean interpreter, which then imports one module.
_WATCHED_IMPORT = """
import os, sys

class Watched(dict):
    def __getitem__(self, name):
        note(name); return super().__getitem__(name)
    def get(self, name, default=None):
        note(name); return super().get(name, default)
    def __contains__(self, name):
        note(name); return super().__contains__(name)

def note(name):
    if str(name).startswith("REDIS_"):
        print("reads", name)

def audit(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.bind", "subprocess.Popen", "os.fork"):
        print(event, arguments[1:])

os.environ = Watched(os.environ)
sys.addaudithook(audit)
sys.path.insert(0, os.getcwd())
__import__(sys.argv[1])
assert "runner" not in sys.modules, "the runner was imported"
"""


@pytest.mark.parametrize("module", ["app", "chalicelib.bootstrap"])
def test_importing_connects_to_nothing_and_reads_no_redis_setting(module: str) -> None:
    """Importing opens no socket, starts no process, asks for no REDIS_* variable and prints nothing."""
    run = subprocess.run(
        [sys.executable, "-I", "-c", _WATCHED_IMPORT, module],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "REDIS_ENABLED": "true", "REDIS_ADDR": "nowhere.invalid:1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
