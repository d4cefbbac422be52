"""The import arrows: app.py → chalicelib ← runner, the order of packages inside chalicelib, infra by itself.

Read from the syntax tree, so that an import inside a function counts, and one that no test happens to run.
To add a part or a package: a row in `FORBIDDEN`, or in `FORBIDDEN_IN_CHALICELIB` if there is a rule for it.
"""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# A part of the repository → the parts that it must not import, at any depth. `bench` may import what it
# measures, and `tools` what its reference tables are made of.
FORBIDDEN = {
    "app.py": {"bench", "infra", "tests", "tools"},
    "bench": {"app", "chalice", "infra", "tools"},
    "chalicelib": {"app", "bench", "chalice", "infra", "runner", "tests", "tools"},
    "infra": {"app", "bench", "chalicelib", "runner", "tests", "tools"},
    "runner": {"app", "bench", "chalice", "infra", "tests", "tools"},
    "tools": {"bench", "chalice", "infra", "tests"},
    "tools/capacity": {"app", "bench", "chalice", "chalicelib", "infra", "runner", "tests"},
}

# A package of chalicelib → other packages and modules of chalicelib that it must not import.
FORBIDDEN_IN_CHALICELIB = {
    "api": {"bootstrap", "matrix", "sarif", "service"},
    "catalog": {"api", "bootstrap", "matrix", "sarif", "service", "storage"},
    "matrix": {"bootstrap", "service"},
    "page": {"api", "bootstrap", "catalog", "matrix", "sarif", "service", "storage"},
    "sarif": {"api", "bootstrap", "matrix", "service", "storage"},
    "storage": {"api", "bootstrap", "matrix", "sarif", "service"},
}


def _files(part: str) -> list[Path]:
    path = ROOT / part
    return [path] if path.suffix == ".py" else sorted(path.rglob("*.py"))


def _imports(tree: ast.AST) -> Iterator[tuple[str, ast.stmt]]:
    """The dotted name of everything that is imported below `tree`, with its statement.

    ``from a.b import c`` gives ``a.b.c``, whether `c` is a module or not.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module is not None:
            for alias in node.names:
                yield f"{node.module}.{alias.name}", node


def _violations(source: str, forbidden: set[str]) -> list[str]:
    return [
        f"line {node.lineno}: {name}"
        for name, node in _imports(ast.parse(source))
        if name.partition(".")[0] in forbidden
    ]


@pytest.mark.parametrize("part", FORBIDDEN)
def test_no_import_points_against_the_arrows(part: str) -> None:
    """No file of a part imports another part against the arrows."""
    violations = {
        str(path.relative_to(ROOT)): lines
        for path in _files(part)
        if (lines := _violations(path.read_text(), FORBIDDEN[part]))
    }
    assert violations == {}


def test_every_part_of_the_repository_has_arrows() -> None:
    """Every folder with Python files, and every such file at the top, is in the table; except the tests."""
    folders = {path.relative_to(ROOT).parts[0] for path in ROOT.glob("[!.]*/*.py")}
    files = {path.name for path in ROOT.glob("*.py")}
    assert (folders | files) - {"tests"} == {part for part in FORBIDDEN if "/" not in part}


@pytest.mark.parametrize(
    "source",
    [
        "import runner",
        "import runner.worker as w",
        "from runner import worker",
        "def f():\n    from runner.worker import Worker",
    ],
)
def test_every_form_of_import_is_seen(source: str) -> None:
    """A forbidden import is seen as a module, under another name, from a package and inside a function."""
    assert _violations(source, {"runner"})


def _node(name: str) -> str:
    """The package or top-level module of chalicelib to which a dotted name belongs."""
    return name.split(".")[1]


def _graph() -> dict[str, set[str]]:
    """Package or top-level module of chalicelib → those that it imports."""
    graph: dict[str, set[str]] = {}
    for path in _files("chalicelib"):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        if module == "chalicelib.__init__":
            continue
        imported = {
            _node(name) for name, _ in _imports(ast.parse(path.read_text())) if name.startswith("chalicelib.")
        }
        graph.setdefault(_node(module), set()).update(imported)
    return {node: imported - {node} for node, imported in graph.items()}


def _circle(graph: dict[str, set[str]]) -> list[str]:
    """The nodes of a circle in the order of imports, with the first again at the end; empty without one."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(reversed(error.args[1]))
    return []


def test_packages_of_chalicelib_do_not_import_each_other_in_a_circle() -> None:
    """Neither do the modules at the top of chalicelib: each can be read after those that it imports."""
    assert _circle(_graph()) == []


def test_a_circle_is_found() -> None:
    """The check above sees a circle of three, and is content with a graph that has none."""
    assert _circle({"a": {"b"}, "b": {"c"}, "c": {"a"}}) in (list("abca"), list("bcab"), list("cabc"))
    assert _circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


@pytest.mark.parametrize("package", FORBIDDEN_IN_CHALICELIB)
def test_no_package_of_chalicelib_imports_one_above_it(package: str) -> None:
    """The store knows no HTTP, the API no matrices, and only `app.py` imports the composition root."""
    assert _graph()[package] & FORBIDDEN_IN_CHALICELIB[package] == set()


def test_every_package_of_chalicelib_has_a_rule() -> None:
    """A new package is given its place in the order."""
    packages = {path.parent.name for path in (ROOT / "chalicelib").glob("*/__init__.py")}
    assert packages == set(FORBIDDEN_IN_CHALICELIB)


def test_the_api_embeds_the_runner_in_one_place_and_lazily() -> None:
    """app.py imports it inside one function, which is never called on Lambda, where it does not exist."""
    tree = ast.parse((ROOT / "app.py").read_text())
    functions = {
        function.name
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        and any(name.startswith("runner.") for name, _ in _imports(function))
    }
    at_import = {name for statement in tree.body for name, node in _imports(statement) if node is statement}
    assert len(functions) == 1
    assert not any(name.partition(".")[0] == "runner" for name in at_import)


# Runs in a clean interpreter and imports one module there.
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
    """Importing opens no socket, starts no process, reads no REDIS_* variable and prints nothing."""
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
