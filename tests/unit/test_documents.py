"""README.md and docs/ against the code: every name, number, path, key, field, route and error that they list.

A document that lies is worse than none, so what can be compared is compared, in both directions. To document
one more list: a Markdown table whose head is unique, and a test that compares its first column with the code.
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

from app import app
from chalicelib import errors, http, requests, responses, service
from chalicelib.catalog import MAX_FILE_NAME_BYTES, MAX_FILE_NAME_LEVELS, MAX_OPTION_CHARACTERS, MAX_OPTIONS
from chalicelib.models import Diagnostic, Reason, Severity, Status, Totals, Verdict, utc_now
from chalicelib.settings import variables
from chalicelib.storage import endings, keys
from chalicelib.storage.base import Counts
from chalicelib.storage.codec import job_to_fields, result_to_fields
from chalicelib.storage.redis import RedisStore
from chalicelib.storage.scripts import Scripts
from runner import __main__ as runner_main
from runner.diagnostics import bounds
from runner.sandbox import SANDBOXES
from tests.contract.conftest import SERVICE_USER
from tests.factories import (
    make_environment,
    make_job,
    make_request,
    make_result,
    make_runner,
    make_settings,
)

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = ("README.md", "CHANGELOG.md", "docs/architecture.md", "docs/api.md", "docs/development.md")
LAYOUT_PARTS = ("chalicelib", "runner")


def text_of(document: str) -> str:
    """The document as it is."""
    return (ROOT / document).read_text(encoding="utf-8")


def table(document: str, first: str, second: str) -> list[list[str]]:
    """The rows of the one table whose head begins with these two columns, as cells."""
    blocks = re.findall(r"(?:^\|.*\n)+", text_of(document), re.MULTILINE)
    tables = [[_cells(line) for line in block.splitlines()] for block in blocks]
    found = [rows for rows in tables if rows[0][:2] == [first, second]]
    assert len(found) == 1, f"{document} has {len(found)} tables with the head | {first} | {second} |"
    return found[0][2:]


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def quoted(text: str) -> list[str]:
    """What stands in single backticks, outside fenced blocks."""
    without_blocks = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"`([^`\n]+)`", without_blocks)


def names_in(rows: list[list[str]]) -> set[str]:
    """All quoted names of the first column."""
    return {name for row in rows for name in quoted(row[0])}


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
    lua = {path.name for path in (ROOT / "chalicelib/storage/lua").iterdir()}
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
        return super().execute_command(*arguments, **options)


def _picture() -> str:
    """The sequence of one job in README.md."""
    [found] = re.findall(r"^```mermaid\n(.*?)^```$", text_of("README.md"), re.MULTILINE | re.DOTALL)
    return str(found)


def test_the_picture_shows_the_steps_of_a_job_in_their_order() -> None:
    """The scripts in the README's picture are those that a job's way through Redis runs, in that order."""
    client = RecordingRedis(server=fakeredis.FakeServer(), decode_responses=True)
    store = RedisStore(make_settings(), client=client)
    job = make_job()
    store.submit(job)
    claim = store.claim("runner", 0.01) or store.claim("runner", 0.01)
    assert claim is not None
    store.heartbeat("runner", [claim])
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
    """No module with code, Lua script, TOML file or page of the API and the runner is left out."""
    wanted = {"app.py"}
    for part in LAYOUT_PARTS:
        for path in (ROOT / part).rglob("*"):
            if path.suffix in (".lua", ".toml", ".html") or (path.suffix == ".py" and _has_code(path)):
                wanted.add(str(path.relative_to(ROOT)))
    assert wanted - layout() == set()


def _has_code(path: Path) -> bool:
    """Anything but a package's own docstring and imports."""
    if path.name != "__init__.py":
        return True
    return any(isinstance(node, ast.FunctionDef | ast.ClassDef) for node in ast.parse(path.read_text()).body)


def _keys_of_the_code() -> dict[str, str]:
    """Key name with placeholders → the function of chalicelib/storage/keys.py that makes it."""
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
    """The table's keys are those of chalicelib/storage/keys.py; the prefix of a cluster is told."""
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
    assert _described("stats") == {f"total_{name}" for name in Totals.model_fields}
    prelude = (ROOT / "chalicelib/storage/lua/prelude.lua").read_text()
    [facts] = re.findall(r"^local FACTS = \{(.*)\}$", prelude, re.MULTILINE)
    assert _described("job:live") == {f"<id>{fact}" for fact in re.findall(r"'(:\w+)'", facts)}


def test_the_published_rights_are_those_that_the_contract_is_tested_with() -> None:
    """The ACL line is the one that the contract suite runs as."""
    assert f"\nuser {SERVICE_USER}\n" in text_of("docs/architecture.md")


def test_the_exit_codes_are_the_runners_own() -> None:
    """The table has 0 and every EXIT_* of runner/__main__.py."""
    codes = {value for name, value in vars(runner_main).items() if name.startswith("EXIT_")}
    rows = table("docs/architecture.md", "exit code of `python -m runner`", "when")
    assert {int(row[0]) for row in rows} == {0, *codes}


def test_the_sandboxes_named_as_existing_are() -> None:
    """The page names every sandbox that can be chosen."""
    assert set(SANDBOXES) <= set(quoted(text_of("docs/architecture.md")))
    [only] = SANDBOXES
    assert f"The one that exists is `{only}`" in " ".join(text_of("docs/architecture.md").split())


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


# docs/api.md


def test_the_api_page_has_every_route() -> None:
    """Its headings are the routes of app.py, method and path."""
    routes = {f"{method} {path}" for path, methods in app.routes.items() for method in methods}
    headings = set(re.findall(r"^### `([A-Z]+ [^`]+)`$", text_of("docs/api.md"), re.MULTILINE))
    assert headings == routes


def _errors() -> list[type[errors.WillItCompileError]]:
    """The tree without its root, which has no answer of its own."""
    found: list[type[errors.WillItCompileError]] = []
    waiting = [errors.WillItCompileError]
    while waiting:
        below = waiting.pop().__subclasses__()
        found += below
        waiting += below
    return [error for error in found if error.__module__ == errors.__name__]


def test_the_api_page_has_every_error_with_its_status_and_retry_after() -> None:
    """The table has slug, status and Retry-After of each error, of our 500 and of the framework's 405."""
    wanted: dict[str, tuple[int, str]] = {}
    for error in _errors():
        seconds = error.retry_after_seconds
        wanted[error.slug] = (http.status_of(error), "" if seconds is None else str(seconds))
    wanted[errors.QueueFull.slug] = (429, f"1 to {endings.LONGEST_RETRY_SECONDS}")
    for answer in (http.internal(), http.refusal(405, "")):
        wanted[str(answer.body["error"])] = (answer.status, "")
    rows = table("docs/api.md", "error", "status")
    assert {row[0].strip("`"): (int(row[1]), row[2]) for row in rows} == wanted
    assert len(rows) == len(wanted)


def test_retry_after_of_a_full_queue_is_as_described() -> None:
    """A tenth of the jobs over the workers, from 1 s to the page's bound; 30 s without a runner."""
    runner = make_runner(max_workers=5)
    assert endings.retry_after_seconds(100, [runner], 2.0) == 4
    assert endings.retry_after_seconds(1, [runner], 0.01) == 1
    assert endings.retry_after_seconds(10**6, [runner], 30.0) == endings.LONGEST_RETRY_SECONDS
    assert endings.retry_after_seconds(100, [], None) == 30
    assert "; 30 when no runner lives" in " ".join(text_of("docs/api.md").split())


def test_the_api_page_has_every_request_field() -> None:
    """The first table of fields is ClientRequest's, with its defaults."""
    tables = _field_tables()
    fields = requests.ClientRequest.model_fields
    assert names_in(tables[0]) == set(fields)
    shown = {row[0].strip("`"): row[2] for row in tables[0]}
    required = {name for name, field in fields.items() if field.is_required()}
    assert {name for name, default in shown.items() if default == "required"} == required
    assert (shown["stage"], shown["options"], shown["cache"]) == ("`compile`", "`[]`", "`true`")


def test_the_api_page_has_every_field_of_an_answer() -> None:
    """Fields of an ended job, of one that waits, of a diagnostic, of an environment and of the statistics."""
    job, moment = make_job(), utc_now()
    result = make_result(job.id, environment=make_environment())
    page = text_of("docs/api.md")
    assert names_in(_field_tables()[1]) == set(responses.ended(job, result))
    listed = set(quoted(page))
    counts = Counts(by_status=dict.fromkeys(Status, 0), totals=Totals())
    for answer in (
        responses.pending(job),
        responses.accepted(job),
        responses.statistics(counts, [make_runner()], moment),
        responses.environments([make_environment()], [make_runner()]),
        responses.environments([make_environment()], [make_runner()])["environments"][0],
        responses.environments([make_environment()], [make_runner()])["runners"][0],
        responses.ended(job, result)["environment"],
    ):
        assert set(answer) - {name for text in listed for name in re.findall(r"\w+", text)} == set()
    [sentence] = re.findall(r"A diagnostic has (.*?); what", page, re.DOTALL)
    severity_and_rest = set(quoted(sentence)) - {"-Wunused-variable"}
    assert severity_and_rest == set(Diagnostic.model_fields)


def _field_tables() -> list[list[list[str]]]:
    """The tables of fields, request first, then the ended job."""
    blocks = re.findall(r"(?:^\|.*\n)+", text_of("docs/api.md"), re.MULTILINE)
    tables = [[_cells(line) for line in block.splitlines()] for block in blocks]
    found = [rows[2:] for rows in tables if rows[0][:2] == ["field", "type"]]
    assert len(found) == 2
    return found


@pytest.mark.parametrize(
    ("head", "values"),
    [("status", Status), ("verdict", Verdict), ("reason", Reason), ("severity", Severity)],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_api_page_explains_every_value(head: str, values: Any) -> None:
    """Statuses, verdicts, reasons and severities are all there, and no other."""
    assert names_in(table("docs/api.md", head, "meaning")) == {value.value for value in values}


def test_the_limits_on_the_api_page_are_the_codes_own() -> None:
    """Every limit of a request and of a result, in its unit."""
    limits = {
        "source, all files together, decoded": f"{requests.MAX_SOURCE_BYTES} bytes",
        "body": f"{requests.MAX_BODY_BYTES} bytes",
        "files": f"{requests.MAX_FILES}",
        "file name": f"{MAX_FILE_NAME_BYTES} bytes",
        "parts of a file name": f"{MAX_FILE_NAME_LEVELS}",
        "options": f"{MAX_OPTIONS}",
        "option": f"{MAX_OPTION_CHARACTERS} characters",
        "`wait`": f"{service.MAX_WAIT_SECONDS:g} seconds",
        "details in an error": f"{requests.MAX_DETAILS}",
        "diagnostics in a result, children included": f"{bounds.MAX_DIAGNOSTICS}",
        "message of a diagnostic": f"{bounds.MAX_MESSAGE_CHARACTERS} characters",
    }
    assert {row[0]: row[1] for row in table("docs/api.md", "limit", "value")} == limits


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
