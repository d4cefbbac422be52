"""The recipes of docs/development.md, followed to the letter in a copy of the project.

Each function below does what its recipe says, with the recipe's own example. Then the fast tests that could
notice something run in the copy, and the recipe must name each file that was touched. To prove a new recipe:
a function decorated with its heading.
"""

import difflib
import faulthandler
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.documents import quoted, text_of
from tests.support.project_copy import SOME_TESTS_SECONDS, ProjectCopy

# Whatever is added, these must still hold.
ALWAYS = (
    "tests/unit/test_arrows.py",
    "tests/unit/test_documents.py",
    "tests/unit/test_reference.py",
    "tests/unit/test_repository.py",
)
# For the whole unit tier, on a machine that does other work as well.
UNIT_TIER_SECONDS = 1200


Recipe = Callable[[ProjectCopy], tuple[str, ...]]
RECIPES: dict[str, Recipe] = {}


def recipe(heading: str) -> Callable[[Recipe], Recipe]:
    """Registers the steps of the recipe with that heading; the function returns the tests to run."""

    def register(function: Recipe) -> Recipe:
        RECIPES[heading] = function
        return function

    return register


def section(heading: str) -> str:
    """The recipe's text in docs/development.md."""
    sections = re.split(r"^## ", text_of("docs/development.md"), flags=re.MULTILINE)
    [text] = [part for part in sections if part.startswith(f"{heading}\n")]
    return text


# The recipes


@recipe("Add a version of a compiler")
def add_a_version_of_a_compiler(copy: ProjectCopy) -> tuple[str, ...]:
    """gcc 15, for C and C++."""
    for language in ("c", "cpp"):
        path = f"chalicelib/catalog/{language}.toml"
        [entry] = re.findall(
            r'^\[\[compilers\]\]\nid = "gcc-14"\n(?:(?!\[\[)[^\n]*\n)*', copy.text(path), re.MULTILINE
        )
        new = entry.replace("-14", "-15")
        copy.edit(path, re.escape(entry), (entry + new).replace("\\", r"\\"))
    copy.edit("bin/setup.d/system.sh", r"(for version in \{11\.\.14\})", r"\1 15")
    copy.edit("runner/Dockerfile", r'^(ARG GCC_VERSIONS=".*)"', r'\1 15"')
    return (
        "tests/unit/test_catalog.py",
        "tests/unit/test_command.py",
        "tests/unit/test_self_test_sources.py",
    )


_D_LANGUAGE = '''# D, with the compiler of GCC.
id = "d"
name = "D"
aliases = ["dlang"]
default_main = "main.d"
source_extensions = [".d"]
input_language = "d"
standards = [{ id = "d2", order = 2007 }]

[self_test]
good = """
void main() {}
"""
bad = """void main() {
    undeclared();
}
"""
bad_line = 2

[[compilers]]
id = "gdc-12"
family = "gdc"
command = ["gdc-12"]
default_standard = "d2"
newest_standard = "d2"
'''


@recipe("Add a language")
def add_a_language(copy: ProjectCopy) -> tuple[str, ...]:
    """D, with gdc, whose messages have the form of gcc's."""
    copy.create("chalicelib/catalog/d.toml", _D_LANGUAGE)
    # It is a part of GCC, and driven like gcc.
    for folder in ("chalicelib/catalog/families", "tests/unit/limit_words"):
        gcc = copy.text(f"{folder}/gcc.toml")
        copy.create(f"{folder}/gdc.toml", gcc.replace('id = "gcc"', 'id = "gdc"'))
    copy.create("tests/cases/d/hello/main.d", "void main() {}\n")
    copy.create("tests/cases/d/hello/case.toml", 'claim = "It compiles."\nverdict = "compiles"\n')
    copy.create("tests/cases/d/undeclared/main.d", "void main() { undeclared(); }\n")
    copy.create(
        "tests/cases/d/undeclared/case.toml", 'claim = "A name is not there."\nverdict = "rejected"\n'
    )
    copy.edit("docs/api.md", r"^\| Fortran \|", "| D, Fortran |")
    copy.after(
        "tests/support/file_kinds.py",
        r"^TAKEN: ",
        '    "d": {"compiled": ".d", "invalid": ".D .c .cpp", "read": ".di .txt"},\n',
    )
    copy.after("bin/setup.d/system.sh", r"\|\| echo rustc", "    have gdc-12 || echo gdc-12\n")
    copy.edit("runner/Dockerfile", r'^(ARG OTHERS=".*)"', r'\1 gdc-12"')
    copy.edit("runner/Dockerfile", r"case \$package in ", r"\g<0>gdc-*) promised=\"$promised d/*\";; ")
    return (
        "tests/unit/test_catalog.py",
        "tests/unit/test_api_document.py",
        "tests/unit/test_command.py",
        "tests/unit/test_files_of_a_language.py",
        "tests/unit/test_main_file.py",
        "tests/unit/test_options.py",
        "tests/unit/test_self_test_sources.py",
        "tests/unit/test_verdict.py",
        "tests/unit/test_diagnostics_hostile.py",
    )


@recipe("Add an error")
def add_an_error(copy: ProjectCopy) -> tuple[str, ...]:
    """One with a status that its parent does not have."""
    copy.before(
        "chalicelib/errors.py",
        "├── JobNotFound ",
        "    ├── Unauthorized              no key, or an unknown one               (401)\n",
    )
    copy.before(
        "chalicelib/errors.py",
        r"^class JobNotFound\(",
        'class Unauthorized(WillItCompileError):\n    """No key was sent, or one that is not known."""\n\n'
        '    slug = "unauthorized"\n\n\n',
    )
    copy.after(
        "chalicelib/api/error_responses.py",
        r"    errors\.JobNotFound: 404,",
        "    errors.Unauthorized: 401,\n",
    )
    return ("tests/unit/test_errors.py", "tests/unit/test_api_document.py")


@recipe("Add a store")
def add_a_store(copy: ProjectCopy) -> tuple[str, ...]:
    """One that is the store in memory under another name."""
    copy.create(
        "chalicelib/storage/ledger.py",
        '"""The store in memory, under another name."""\n\n'
        "from chalicelib.storage.memory import MemoryStore\n\n\n"
        'class LedgerStore(MemoryStore):\n    """`JobStore` in memory."""\n',
    )
    copy.edit(
        "chalicelib/bootstrap.py",
        r"chalicelib\.storage\.memory import MemoryStore",
        "chalicelib.storage.ledger import LedgerStore",
    )
    copy.edit("chalicelib/bootstrap.py", r"return MemoryStore\(", "return LedgerStore(")
    copy.edit("tests/contract/conftest.py", r'^KINDS = \("memory", ', r'\g<0>"ledger", ')
    copy.edit(
        "tests/contract/conftest.py",
        r'^( +)case "fakeredis":',
        r'\1case "ledger":\n\1    return lambda **variables: LedgerStore(make_settings(**variables))\n\g<0>',
    )
    copy.before(
        "tests/contract/conftest.py",
        r"^from chalicelib\.storage\.memory import MemoryStore",
        "from chalicelib.storage.ledger import LedgerStore\n",
    )
    return ("tests/contract/test_store.py", "-k", "ledger")


@recipe("Add a route")
def add_a_route(copy: ProjectCopy) -> tuple[str, ...]:
    """GET /api/v1/version."""
    [route] = re.findall(r"^(?:@\w.*\n)+def health\(\).*\n(?: +.*\n)+", copy.text("app.py"), re.MULTILINE)
    new = (
        route.replace('"/health"', 'f"{API}/version"')
        .replace("def health(", "def version(")
        .replace('{"status": "ok"}', "application().service.version()")
    )
    new = re.sub(r'""".*"""', '"""The version of the service."""', new)
    copy.edit("app.py", re.escape(route), f"{route}\n\n{new}".replace("\\", r"\\"))
    copy.before(
        "chalicelib/service.py",
        r"^    def statistics\(",
        '    def version(self) -> Json:\n        """The version of the service."""\n'
        '        return {"version": "1.0.0"}\n\n',
    )
    copy.before(
        "docs/api.md",
        "^### `GET /health`",
        "### `GET /api/v1/version`\n\n```sh\ncurl -s 'http://127.0.0.1:8000/api/v1/version'\n```\n\n"
        "- 200 with the version.\n\n",
    )
    return ("tests/unit/test_api_document.py", "tests/unit/test_service.py")


@recipe("Add a key in Redis")
def add_a_key(copy: ProjectCopy) -> tuple[str, ...]:
    """One whose name begins with a word that is new."""
    copy.before(
        "chalicelib/storage/redis/keys.py",
        r"^    def events\(",
        '    def api_key(self, digest: str) -> str:\n        """Hash, none: the rights of an API key."""\n'
        '        return f"{self.prefix}apikey:{digest}"\n\n',
    )
    copy.edit("tests/contract/conftest.py", r'~stats "', r'~stats ~apikey:* "')
    for path in ("docs/operations.md", "infra/templates/store.yml"):
        copy.edit(path, r"~stats ", "~stats ~apikey:* ")
    return ("tests/unit/test_redis_client.py",)


@recipe("Add a limit of a run")
def add_a_limit(copy: ProjectCopy) -> tuple[str, ...]:
    """On sockets; what is counted here are processes, because only the places matter."""
    sandbox = "runner/sandbox"
    copy.after(f"{sandbox}/base.py", r"^    PROCESSES = ", '    SOCKETS = "sockets"\n')
    copy.after(f"{sandbox}/base.py", r"^    open_files: int", "    sockets: int\n")
    copy.after(f"{sandbox}/limits.py", r"^OPEN_FILES = ", "\n# A compiler needs none.\nSOCKETS = 200\n")
    copy.after(f"{sandbox}/limits.py", r"^ +open_files=OPEN_FILES,", "        sockets=SOCKETS,\n")
    for path in (f"{sandbox}/supervisor.py", f"{sandbox}/docker/run.py"):
        copy.edit(
            path,
            r"^( +if .*)limits\.processes(.*:\n +return LimitHit\.)PROCESSES\n",
            r"\1limits.sockets\2SOCKETS\n\g<0>",
        )
    copy.after("chalicelib/models.py", r"^    PROCESSES = ", '    SOCKETS = "sockets"\n')
    copy.after("runner/verdict.py", r"LimitHit\.PROCESSES: ", "    LimitHit.SOCKETS: Reason.SOCKETS,\n")
    copy.before(
        "runner/executor.py",
        r"if reason is Reason\.PROCESSES:",
        "        if reason is Reason.SOCKETS:\n"
        '            return f"{compiler} opened more than the limit of {limits.sockets} sockets."\n',
    )
    copy.after(
        "tools/reference/tables.py",
        r'^    "open_files": ',
        '    "sockets": ("SOCKETS", Reason.SOCKETS),\n',
    )
    copy.after("docs/api.md", r"^\| `processes` \|", "| `sockets` | It opened more sockets |\n")
    copy.after("tests/sandbox/support.py", r"^    open_files=64,", "    sockets=64,\n")
    copy.before(
        "tests/sandbox/test_contract.py",
        r"^def test_a_fork_bomb_is_bounded",
        "def test_sockets_are_bounded(run: Run) -> None:\n"
        '    """A run that opens more sockets than it may is ended for that reason."""\n'
        '    assert run("fork-bomb", sockets=4).limit_hit is LimitHit.SOCKETS\n\n\n',
    )
    copy.edit(
        "tests/sandbox/test_false_verdicts.py",
        r'^    Sweep\("processes", Reason\.PROCESSES,(.*)\n',
        r'\g<0>    Sweep("sockets", Reason.SOCKETS,\1\n',
    )
    return (
        "tests/unit/test_api_document.py",
        "tests/unit/test_executor.py",
        "tests/unit/test_verdict.py",
        "tests/sandbox/test_contract.py::test_sockets_are_bounded",
        "tests/sandbox/test_contract.py::test_a_fork_bomb_is_bounded",
    )


@recipe("Add a sandbox")
def add_a_sandbox(copy: ProjectCopy) -> tuple[str, ...]:
    """One with a virtual machine for each job; here it is bubblewrap under another name."""
    package = "runner/sandbox/microvm"
    copy.create(f"{package}/__init__.py", '"""The sandbox with a virtual machine for each job."""\n')
    copy.create(
        f"{package}/sandbox.py",
        '"""A sandbox with a kernel of its own."""\n\n'
        "from runner.sandbox.bubblewrap.sandbox import Bubblewrap\n\n\n"
        'class Microvm(Bubblewrap):\n    """`Sandbox` with a virtual machine."""\n\n    name = "microvm"\n',
    )
    imports = r"^from runner\.sandbox\.bubblewrap\.sandbox import Bubblewrap"
    addition = "from runner.sandbox.microvm.sandbox import Microvm\n"
    copy.after("runner/sandbox/__init__.py", imports, addition)
    copy.after("runner/sandbox/__init__.py", r'^    "docker": _docker,', '    "microvm": Microvm,\n')
    if '"setpriv or docker"' in copy.text("chalicelib/settings.py"):
        copy.edit("chalicelib/settings.py", "setpriv or docker", "setpriv, docker or microvm")
    copy.edit("chalicelib/settings.py", r'"setpriv", "docker"', r'"setpriv", "docker", "microvm"')
    table = re.findall(r"^\| what a job tries .*\n(?:\|.*\n)+", copy.text("docs/security.md"), re.MULTILINE)[
        0
    ]
    head, rule, *rows = table.splitlines()
    wider = [f"{head} `microvm` |", f"{rule}---|", *(f"{row} a kernel of its own |" for row in rows)]
    copy.edit("docs/security.md", re.escape(table), "\n".join(wider).replace("\\", r"\\") + "\n")
    return (
        "tests/unit/test_security_document.py",
        "tests/unit/test_settings.py",
        "tests/unit/test_self_test_sources.py",
        "tests/sandbox/test_auto.py",
        "tests/sandbox/test_contract.py::test_a_fork_bomb_is_bounded[microvm]",
    )


@recipe("Add a setting")
def add_a_setting(copy: ProjectCopy) -> tuple[str, ...]:
    """WELCOME_TEXT, a copy of the last setting, before it."""
    [field] = re.findall(
        r"^    environment: .*\n(?: {5,}.*\n)*    \).*\n", copy.text("chalicelib/settings.py"), re.MULTILINE
    )
    new = field.replace("environment", "welcome_text").replace("ENVIRONMENT", "WELCOME_TEXT")
    new = new.replace("Name of this deployment, shown in the logs.", "Greeting of the page.")
    copy.edit("chalicelib/settings.py", re.escape(field), (new + field).replace("\\", r"\\"))
    copy.before(
        "tests/unit/test_settings.py",
        r'^    "ENVIRONMENT": Case\(',
        '    "WELCOME_TEXT": Case(\n'
        '        "welcome_text", "development", (("a", "a"), ("b", "b")), ("a/b",)\n'
        "    ),\n",
    )
    copy.after("docker-compose.yml", r"^  ENVIRONMENT: ", "  WELCOME_TEXT: ${WELCOME_TEXT:-}\n")
    return ("tests/unit/test_settings.py", "tests/unit/test_bootstrap.py")


# The tests


@pytest.fixture
def make_copy(tmp_path: Path) -> Callable[[], ProjectCopy]:
    """Makes a copy of the project."""
    (tmp_path / "git").mkdir()
    return lambda: ProjectCopy(tmp_path / "will-it-compile", tmp_path / "git")


@pytest.mark.timeout(SOME_TESTS_SECONDS)
@pytest.mark.parametrize("heading", RECIPES)
def test_a_recipe_names_every_file_and_the_tests_pass(
    heading: str, make_copy: Callable[[], ProjectCopy]
) -> None:
    """Who changes the files of the recipe, and no others, has a project whose tests pass."""
    copy = make_copy()
    tests = RECIPES[heading](copy)
    named = {name.rstrip("/") for name in quoted(section(heading))}
    unnamed = {path for path in copy.touched if not named & {path, *map(str, Path(path).parents)}}
    # A store and its like have a name of their own: the recipe says in which folder.
    assert unnamed == set()
    copy.make_docs()
    copy.check_style()
    if "-k" in tests:
        copy.passes(*ALWAYS)
        copy.passes(*tests)
    else:
        copy.passes(*ALWAYS, *tests)


@pytest.mark.timeout(UNIT_TIER_SECONDS)
def test_all_recipes_together_pass_the_unit_tests(make_copy: Callable[[], ProjectCopy]) -> None:
    """With one more of everything, the unit tests pass: no list that was forgotten is in any of them."""
    # It takes longer than any test may hang before its stacks are printed.
    faulthandler.cancel_dump_traceback_later()
    copy = make_copy()
    for steps in RECIPES.values():
        steps(copy)
    copy.make_docs()
    copy.passes("tests/unit", timeout_seconds=UNIT_TIER_SECONDS)


def test_every_recipe_is_followed_here() -> None:
    """No recipe of docs/development.md is without its proof, apart from those that are one file of data."""
    headings = re.findall(r"^## ((?:Add|Forbid|Allow).*)$", text_of("docs/development.md"), re.MULTILINE)
    proven_elsewhere = {
        "Add a limit of a request",
        "Add a metric",
        "Forbid a system call",
        "Allow or forbid an option",
    }
    missing = set(headings) - set(RECIPES) - proven_elsewhere
    assert missing == set(), difflib.get_close_matches(str(missing), list(RECIPES))
