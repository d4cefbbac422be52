"""README.md and docs/ against the code: every path, setting, key, field, step and number that they list.

A document that lies is worse than none, so what can be compared is compared, in both directions. To document
one more list: a Markdown table whose head is unique, and a test that compares its first column with the code.
docs/api.md has a test of its own, `test_api_document.py`.
"""

import ast
import hashlib
import importlib
import inspect
import re
from pathlib import Path
from typing import Any

import fakeredis
import pytest

from chalicelib.models import Status, Totals
from chalicelib.settings import variables
from chalicelib.storage.redis import keys
from chalicelib.storage.redis.jobs import job_to_fields, result_to_fields
from chalicelib.storage.redis.scripts import Scripts
from runner import cli as runner_main
from runner.sandbox import SANDBOXES
from tests.contract.conftest import SERVICE_USER
from tests.support.documents import DOCUMENTS, names_in, quoted, table, text_of
from tests.support.factories import (
    make_job,
    make_request,
    make_result,
)
from tests.support.servers.tools import ROOT
from tests.support.stores import store_over

LAYOUT_PARTS = ("chalicelib", "runner", "infra")


def layout() -> set[str]:
    """Every file and folder of the layout in docs/architecture.md, as a path from the root."""
    page = text_of("docs/architecture.md")
    [block] = re.findall(r"^```\n(app\.py  .*?)^```$", page, re.MULTILINE | re.DOTALL)
    found, folders = set(), [""]
    for line in block.splitlines():
        level = (len(line) - len(line.lstrip())) // 2
        name = line.split()[0]
        path = f"{folders[level]}/{name}".lstrip("/")
        folders[level + 1 :] = [path]
        found.add(path)
    return found


# Everywhere


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_path_that_a_document_names_exists(document: str) -> None:
    """A quoted name with a slash or a suffix of ours is a file or folder of this project."""
    pattern = re.compile(r"(?:[\w.-]+/)+[\w.-]+|[\w-]+\.(?:py|lua|toml|md|html)")
    suffixes = (".py", ".lua", ".toml", ".md", ".html")
    tops = {path.name for path in ROOT.iterdir()}
    lua = {path.name for path in (ROOT / "chalicelib/storage/redis/lua").iterdir()}
    examples = {"case.toml"}
    named = {name.rstrip("/") for name in quoted(text_of(document)) if pattern.fullmatch(name.rstrip("/"))}
    paths = {name for name in named if name.endswith(suffixes) or name.partition("/")[0] in tops}
    missing = {name for name in paths if not (ROOT / name).exists() and name not in lua | examples}
    assert missing == set()


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_inside_the_project_leads_somewhere(document: str) -> None:
    """A relative link names a file that exists, seen from the document's own folder."""
    links = re.findall(r"\]\(([^)\s]+)\)", text_of(document))
    inside = [link.partition("#")[0] for link in links if "://" not in link]
    assert [link for link in inside if not ((ROOT / document).parent / link).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_make_command_that_a_document_names_exists(document: str) -> None:
    """`make x` is a target of the Makefile."""
    targets = set(re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"^make ([a-z]+)|`make ([a-z]+)", text_of(document), re.MULTILINE))
    assert {first or second for first, second in named} <= targets


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_setting_that_a_document_names_exists(document: str) -> None:
    """What looks like one of our variables is one, or is a constant of the code that the page explains."""
    known = {variable.name for variable in variables()}
    prefixes = {name.partition("_")[0] for name in known}
    numbers = {row[0].strip("`") for row in table("docs/architecture.md", "constant", "value")}
    named = set(re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", text_of(document)))
    assert {name for name in named if name.partition("_")[0] in prefixes} <= known | numbers


# README.md


def settings_table() -> str:
    """The settings as README.md shows them: to be pasted there when a setting changes."""
    rows = ["| variable | default | allowed | what it is |", "|---|---|---|---|"]
    for each in variables():
        default = f"`{each.default}`" if each.default else "(empty)"
        rows.append(f"| `{each.name}` | {default} | {each.allowed} | {each.help} |")
    return "\n".join(rows) + "\n"


def test_the_readme_has_the_settings_as_the_code_has_them() -> None:
    """The table holds every variable in order, with default, what is allowed, and its sentence."""
    wanted = settings_table()
    assert wanted in text_of("README.md"), f"README.md must hold this table:\n{wanted}"


class RecordingRedis(fakeredis.FakeRedis):
    """A Redis in this process that notes each script, by its file's name, and each read of the stream."""

    def __init__(self, **options: Any) -> None:
        """As fakeredis.FakeRedis."""
        self.steps: list[str] = []
        self._names = {
            hashlib.sha1(script.text.encode(), usedforsecurity=False).hexdigest(): name
            for name, script in vars(Scripts()).items()
        }
        super().__init__(**options)

    def execute_command(self, *arguments: Any, **options: Any) -> Any:
        """Notes the command and does it."""
        if arguments[0] in ("EVALSHA", "XREADGROUP"):
            step = self._names.get(arguments[1], arguments[0])
            # The first read finds no consumer group, makes it, and reads again.
            if self.steps[-1:] != [step]:
                self.steps.append(step)
        call = super().execute_command  # fakeredis gives it no types
        return call(*arguments, **options)  # type: ignore[no-untyped-call]  # as said above


def _picture() -> str:
    """The sequence of one job in README.md."""
    [found] = re.findall(r"^```mermaid\n(.*?)^```$", text_of("README.md"), re.MULTILINE | re.DOTALL)
    return str(found)


def test_the_picture_shows_the_steps_of_a_job_in_their_order() -> None:
    """The scripts in the README's picture are those that a job's way through Redis runs, in that order."""
    client = RecordingRedis(server=fakeredis.FakeServer(), decode_responses=True)
    store = store_over(client)
    job = make_job()
    store.submit(job)
    claim = store.claim("runner", 0.01) or store.claim("runner", 0.01)
    assert claim is not None
    store.renew("runner", [claim])
    assert store.complete(claim, make_result(job.id))
    shown = [name.removesuffix(".lua") for name in re.findall(r"\w+\.lua|XREADGROUP", _picture())]
    assert shown == client.steps
    headings = re.findall(r"^\d\. \*\*(\w+)\*\*", text_of("docs/architecture.md"), re.MULTILINE)
    assert headings == client.steps[-4:]


def test_the_picture_uses_the_participants_that_it_declares() -> None:
    """Every arrow of the picture is between two declared participants, and each of them has one."""
    declared = re.findall(r"participant (\w+) as", _picture())
    used = re.findall(r"^\s+(\w+)-{1,2}>>(\w+): ", _picture(), re.MULTILINE)
    assert {name for pair in used for name in pair} == set(declared)


# docs/architecture.md


def test_everything_in_the_layout_exists() -> None:
    """Each line of the layout is a file or a folder."""
    assert {path for path in layout() if not (ROOT / path).exists()} == set()


def test_the_layout_names_every_module_script_and_data_file() -> None:
    """No module with code, Lua script, data file or page of the API, the runner and the stack is left out."""
    wanted = {"app.py"}
    for part in LAYOUT_PARTS:
        for path in (ROOT / part).rglob("*"):
            if path.parent == ROOT / "infra" / "stages":
                continue  # everybody's own
            data = path.suffix in (".lua", ".toml", ".html", ".yml")
            if data or (path.suffix == ".py" and _has_code(path)):
                wanted.add(str(path.relative_to(ROOT)))
    assert wanted - layout() == set()


def _has_code(path: Path) -> bool:
    """Anything but a package's own docstring and imports."""
    if path.name != "__init__.py":
        return True
    return any(isinstance(node, ast.FunctionDef | ast.ClassDef) for node in ast.parse(path.read_text()).body)


def _keys_of_the_code() -> dict[str, str]:
    """Key name with placeholders → the function of chalicelib/storage/redis/keys.py that makes it."""
    found = {
        function("<id>"): name
        for name, function in vars(keys).items()
        if inspect.isfunction(function) and function.__module__ == keys.__name__
    }
    names = keys.CoordinationKeys()
    for name, member in vars(keys.CoordinationKeys).items():
        if isinstance(member, property):
            found[getattr(names, name)] = name
    found[names.runner("<id>")] = "runner"
    found[names.index(Status.QUEUED).replace("queued", "<status>")] = "index"
    methods = {
        name
        for name, member in vars(keys.CoordinationKeys).items()
        if (inspect.isfunction(member) or isinstance(member, property)) and not name.startswith("_")
    }
    assert methods - set(found.values()) == {"for_scripts"}, "a new key of this module must be looked at here"
    return found


def test_the_data_model_has_every_key() -> None:
    """The table's keys are those of chalicelib/storage/redis/keys.py; the prefix of a cluster is told."""
    assert names_in(table("docs/architecture.md", "key", "type")) == set(_keys_of_the_code())
    assert f"`{keys.CLUSTER_TAG}`" in text_of("docs/architecture.md")


def _described(key: str) -> set[str]:
    [row] = [row for row in table("docs/architecture.md", "key", "type") if f"`{key}`" in row[0]]
    return set(quoted(row[3]))


def test_the_data_model_has_every_field() -> None:
    """The rows of record, result, live facts and totals name exactly the fields that are written."""
    job = make_job(request=make_request())
    assert _described("job:<id>") == {*job_to_fields(job), "token"}
    assert _described("result:<id>") == {*result_to_fields(make_result(job.id)), "token"}
    assert _described("stats") == {*(f"total_{name}" for name in Totals.model_fields), "swept_at_ms"}
    prelude = (ROOT / "chalicelib/storage/redis/lua/prelude.lua").read_text()
    [facts] = re.findall(r"^local FACTS = \{(.*)\}$", prelude, re.MULTILINE)
    assert _described("job:live") == {f"<id>{fact}" for fact in re.findall(r"'(:\w+)'", facts)}


def test_the_published_rights_are_those_that_the_contract_is_tested_with() -> None:
    """The ACL line is the one that the contract suite runs as."""
    assert f"\nuser {SERVICE_USER}\n" in text_of("docs/architecture.md")


def test_the_exit_codes_are_the_runners_own() -> None:
    """The table has 0 and every EXIT_* of runner/cli.py."""
    codes = {value for name, value in vars(runner_main).items() if name.startswith("EXIT_")}
    rows = table("docs/architecture.md", "exit code of `python -m runner`", "when")
    assert {int(row[0]) for row in rows} == {0, *codes}


def test_the_table_of_sandboxes_is_the_codes_own() -> None:
    """The table has those that can be chosen, in the order in which `auto` tries them."""
    rows = table("docs/architecture.md", "sandbox", "file")
    assert [row[0].strip("`") for row in rows] == list(SANDBOXES)


def test_every_number_is_the_codes_own() -> None:
    """Each constant of the table is defined in that file, with that value."""
    rows = table("docs/architecture.md", "constant", "value")
    shown = {(row[2].strip("`"), row[0].strip("`")): float(row[1]) for row in rows}
    assert {(path, name): getattr(_module(path), name) for path, name in shown} == shown
    elsewhere = [
        (path, name)
        for path, name in shown
        if not re.search(rf"^(?:\w+, )?{name}\b.* = ", (ROOT / path).read_text(), re.MULTILINE)
    ]
    assert elsewhere == []


def _module(path: str) -> Any:
    return importlib.import_module(path.removesuffix(".py").replace("/", "."))


# docs/development.md and CHANGELOG.md


def test_the_table_of_tests_has_every_folder() -> None:
    """Each folder with tests or cases is in the table."""
    tests = ROOT / "tests"
    wanted = {f"tests/{path.parent.relative_to(tests).parts[0]}" for path in tests.glob("*/test_*.py")}
    assert names_in(table("docs/development.md", "folder", "what it needs")) == wanted | {"tests/cases"}


def test_the_changelog_keeps_its_form() -> None:
    """Unreleased comes first, versions have dates, and sections have the names of Keep a Changelog."""
    lines = text_of("CHANGELOG.md").splitlines()
    versions = [line for line in lines if line.startswith("## ")]
    assert versions[0] == "## [Unreleased]"
    assert all(re.fullmatch(r"## \[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", line) for line in versions[1:])
    sections = {line for line in lines if line.startswith("### ")}
    kinds = ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")
    assert sections <= {f"### {kind}" for kind in kinds}
