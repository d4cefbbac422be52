"""One language: the words that the glossary of docs/architecture.md replaces do not come back.

It reads names in Python and Lua, and the sentences of comments, strings and documents. The
glossary has one word for each operation; `NOT_WORDS` has other words that were used for it. A
name in `VAGUE` does not say what a thing is, so it may live for three lines only. `PROSE` is
what nobody would say aloud.
"""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.clone import project_files
from tests.support.servers.tools import ROOT

# The word of the glossary → what is not to be used for it, as a part of a name.
NOT_WORDS = {
    "submit": ("admit", "admits", "admitted", "admission", "enqueue", "enqueued"),
    "claim": ("begin",),
    "renew": ("heartbeat", "heartbeats"),
    "complete": ("finish", "finished", "finisher"),
    "release": ("requeue", "requeued", "returned", "handback"),
    "sweep": ("recover", "recovered", "recovery", "repair", "repaired", "mend", "mended"),
    "register": ("announce", "announced", "announcement", "announcements", "withdraw"),
    "invalid, forbidden or rejected": ("refuse", "refused", "refusal", "refusals", "refuses"),
}
_GLOSSARY = {word: right for right, words in NOT_WORDS.items() for word in words}

VAGUE = {"found", "told", "said", "given", "wanted", "made"}
SCOPE_LINES = 3

PROSE = re.compile(
    r"\b(?:[Hh]eartbeats?|[Aa]nnounc\w*|[Aa]dmission|[Ee]nqueu\w*|[Mm]end(?:s|ed|ing)?"
    r"|[Hh]and(?:s|ed|ing)? back|[Aa]ffairs?|[Bb]esides|[Oo]f its own accord|[Ss]o many|[Nn]owise|is none)\b"
    r"|\bis no [A-Z]"
)

# Words of somebody else's interface: path → the words that it may have, and why.
EXCEPTIONS: dict[str, dict[str, str]] = {
    "tests/unit/test_words.py": {"*": "the list of the words"},
}

# Packages with the name of the library that they adapt. Imports are absolute, so nothing is hidden.
ADAPTERS = {
    "chalicelib/storage/redis": "the job store over redis-py",
    "runner/sandbox/docker": "the sandbox over the docker library",
}


def findings_in_python(text: str) -> Iterator[str]:
    """What is wrong with the names of a Python file, and with its comments and docstrings."""
    tree = ast.parse(text)
    for name, line in _names(tree):
        for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name):
            if right := _GLOSSARY.get(word.lower()):
                yield f"{line}: {name}: say {right}"
    for scope in ast.walk(tree):
        if isinstance(scope, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _vague_names(scope)
    for line, prose in _prose_of_python(tree, text):
        yield from findings_in_prose(prose, line)


def findings_in_lua(text: str) -> Iterator[str]:
    """What is wrong with the names of a Lua file, and with its comments."""
    for number, line in enumerate(text.splitlines(), 1):
        code, _, comment = line.partition("--")
        for name in re.findall(r"(?:local|function)\s+([\w., ]+)", code):
            for word in re.findall(r"[a-z]+", name):
                if right := _GLOSSARY.get(word):
                    yield f"{number}: {word}: say {right}"
        yield from findings_in_prose(comment, number)


def findings_in_prose(text: str, first_line: int = 1) -> Iterator[str]:
    """What is wrong with sentences."""
    for number, line in enumerate(text.splitlines(), first_line):
        # What is quoted is a name of the code, or of somebody else's.
        if match := PROSE.search(re.sub(r"`[^`]*`", "``", line)):
            yield f"{number}: {match[0]!r} in: {line.strip()[:90]}"


def _names(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Every name that is defined, once, with its line. Names of tests are sentences."""
    names: dict[str, int] = {}
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef() if not node.name.startswith(
                "test_"
            ):
                names.setdefault(node.name, node.lineno)
            case ast.arg():
                names.setdefault(node.arg, node.lineno)
            case ast.Name(ctx=ast.Store()):
                names.setdefault(node.id, node.lineno)
            case ast.Attribute(ctx=ast.Store()):
                names.setdefault(node.attr, node.lineno)
    yield from names.items()


def _vague_names(scope: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    lines: dict[str, list[int]] = {}
    if isinstance(scope, ast.FunctionDef | ast.AsyncFunctionDef):
        for argument in (*scope.args.posonlyargs, *scope.args.args, *scope.args.kwonlyargs):
            if argument.arg in VAGUE:
                # A parameter lives as long as its function.
                lines[argument.arg] = [scope.lineno, scope.end_lineno or scope.lineno]
    for node in _inside(scope):
        if isinstance(node, ast.Name) and node.id in VAGUE:
            lines.setdefault(node.id, []).append(node.lineno)
        if isinstance(scope, ast.ClassDef) and isinstance(node, ast.FunctionDef) and node.name in VAGUE:
            yield f"{node.lineno}: a method named {node.name}"
    for name, used in lines.items():
        if max(used) - min(used) > SCOPE_LINES:
            yield f"{min(used)}: {name} is a name for {max(used) - min(used) + 1} lines"


def _inside(scope: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a scope, without those of the functions and classes in it."""
    waiting = list(ast.iter_child_nodes(scope))
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            waiting.extend(ast.iter_child_nodes(node))


def _prose_of_python(tree: ast.AST, text: str) -> Iterator[tuple[int, str]]:
    """Comments, docstrings and other strings, each with its first line: messages are sentences, too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value
    for number, line in enumerate(text.splitlines(), 1):
        if "#" in line:
            yield number, line.partition("#")[2]


# The rules on this project


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Every file of the project but the programs that tests compile and what compilers said about them."""
    return [
        name
        for name in project_files(tmp_path_factory.mktemp("git"))
        if not re.match(r"tests/(cases|sandbox/hostile|unit/limit_words|unit/diagnostics|sarif)/", name)
        if name != "CHANGELOG.md"  # it says how things were called
    ]


CHECKS = {".py": findings_in_python, ".lua": findings_in_lua, ".md": findings_in_prose}


def test_the_glossary_holds(files: list[str]) -> None:
    """No name and no sentence uses a word that the glossary replaces, nor a name that says nothing."""
    findings = []
    for name in files:
        check = CHECKS.get(Path(name).suffix)
        excepted = EXCEPTIONS.get(name, {})
        if check is None or "*" in excepted:
            continue
        findings += [
            f"{name}:{finding}"
            for finding in check((ROOT / name).read_text(encoding="utf-8"))
            if not any(word in finding for word in excepted)
        ]
    assert findings == []


def test_no_module_is_named_like_a_library(files: list[str]) -> None:
    """A module or package that is named like one of Python or of a dependency would be taken for it."""
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    libraries = {
        canonicalize_name(Requirement(entry).name).replace("-", "_")
        for entries in groups.values()
        for entry in entries
        if isinstance(entry, str)
    } | {"requests", "dotenv"}
    taken = set(sys.stdlib_module_names) | libraries
    modules = {path.with_suffix("") for name in files if (path := Path(name)).suffix == ".py"}
    modules |= {parent for module in modules for parent in module.parents if parent.name}
    namesakes = {str(module) for module in modules if module.name in taken}
    assert namesakes == set(ADAPTERS)


# The rules themselves


@pytest.mark.parametrize(
    ("code", "finding"),
    [
        ("def enqueue_job(): ...\n", "1: enqueue_job: say submit"),
        ("class HeartbeatFile: ...\n", "1: HeartbeatFile: say renew"),
        ("def f(refusal): ...\n", "1: refusal: say invalid, forbidden or rejected"),
        ("self.finished = 1\n", "1: finished: say complete"),
        ("def f(found):\n    a = 1\n    b = 2\n    c = 3\n    found()\n", "1: found is a name for 5 lines"),
        ("class A:\n    def told(self): ...\n", "2: a method named told"),
        ("x = 1  # The runner announces it.\n", "1: 'announces' in: The runner announces it."),
        ('"""The queue.\n\nSo many jobs.\n"""\n', "3: 'So many' in: So many jobs."),
        ('raise ValueError("a part of an edit is none")\n', "1: 'is none' in: a part of an edit is none"),
        ("def submit(job):\n    found = job\n    return found\n", None),
        ("if job is None: ...\nbeginning = 1\n", None),
    ],
)  # fmt: skip
def test_a_word_in_python_is_noticed(code: str, finding: str | None) -> None:
    """A planted name or sentence is reported with its line; a short scope and other words are not."""
    assert list(findings_in_python(code)) == ([finding] if finding else [])


@pytest.mark.parametrize(
    ("code", "finding"),
    [
        ("local function requeue(id)\n", "1: requeue: say release"),
        ("-- repaired here\nlocal a = 1 -- mends the set\n", "2: 'mends' in: mends the set"),
        ("local function release(id)\n", None),
    ],
)
def test_a_word_in_lua_is_noticed(code: str, finding: str | None) -> None:
    """The same for the scripts."""
    assert list(findings_in_lua(code)) == ([finding] if finding else [])


def test_a_word_in_a_document_is_noticed() -> None:
    """Sentences are checked, quoted names are not: they are tested elsewhere."""
    text = "A job is submitted.\nThere are so many.\nThe metric `heartbeats` counts.\n"
    assert list(findings_in_prose(text)) == ["2: 'so many' in: There are so many."]
