"""The documents against the code: every path, link, command, setting, field and step that they name.

Tables that can be made from the code are made (tools/reference, test_reference.py). This file has the rest:
prose must name what exists, and lists that are written by hand must be complete. docs/api.md has a test of
its own, `test_api_document.py`; what the pages tell readers to type is run by tests/e2e.
"""

import re
from pathlib import Path

import fakeredis
import pytest

from chalicelib.settings import variables
from chalicelib.storage.protocol import JobStore
from chalicelib.storage.redis import keys
from runner.sandbox import limits
from tests.contract.conftest import SERVICE_USER
from tests.support.documents import DOCUMENTS, names_in, quoted, table, text_of
from tests.support.factories import make_job, make_result
from tests.support.servers.tools import ROOT
from tests.support.stores import store_over
from tests.support.typed_commands import steps

# What the recipes of docs/development.md add, as examples; and names that stand for a kind of file.
EXAMPLES = {
    # Files that a request may bring along.
    "Cargo.toml",
    ".cargo/config.toml",
    "rust-toolchain.toml",
    "case.toml",
    "main.py",
    "chalicelib/catalog/d.toml",
    "chalicelib/catalog/families/gdc.toml",
    "tests/unit/limit_words/gdc.toml",
    "tests/cases/d",
    "runner/sandbox/microvm/sandbox.py",
    "runner/sandbox/microvm/__init__.py",
}


# Everywhere


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_path_that_a_document_names_exists(document: str) -> None:
    """A quoted name with a slash or a suffix of ours is a file or folder of this project."""
    pattern = re.compile(r"(?:[\w.-]+/)+[\w.-]+|[\w-]+\.(?:py|lua|toml|md|html)")
    suffixes = (".py", ".lua", ".toml", ".md", ".html")
    tops = {path.name for path in ROOT.iterdir()}
    lua = {path.name for path in (ROOT / "chalicelib/storage/redis/lua").iterdir()}
    names = {name.split("::")[0].rstrip("/") for name in quoted(text_of(document))}
    paths = {
        name
        for name in names
        if pattern.fullmatch(name) and (name.endswith(suffixes) or name.partition("/")[0] in tops)
    }
    assert {path for path in paths - lua - EXAMPLES if not _exists(path, document)} == set()


def _exists(path: str, document: str) -> bool:
    """A path is written from the root, or from the folder of the page."""
    return (ROOT / path).exists() or ((ROOT / document).parent / path).exists()


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_inside_the_project_leads_somewhere(document: str) -> None:
    """A relative link names a file that exists, seen from the page's folder, and a heading that it has."""
    for link in re.findall(r"\]\(([^)\s]+)\)", text_of(document)):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        page = (ROOT / document).parent / name if name else ROOT / document
        assert page.exists(), link
        if anchor:
            assert anchor in _anchors(page.read_text()), link


def _anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    without_blocks = re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", without_blocks, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_make_command_that_a_document_names_exists(document: str) -> None:
    """`make x` is a target of the Makefile."""
    targets = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    typed = [command for commands, _ in steps(document) for command in commands]
    named = [re.match(r"make ([a-z-]+)", text) for text in (*typed, *quoted(text_of(document)))]
    assert {match[1] for match in named if match} <= targets


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_setting_that_a_document_names_exists(document: str) -> None:
    """What looks like one of our variables is one, or is a constant of the limits."""
    known = {variable.name for variable in variables()}
    prefixes = {name.partition("_")[0] for name in known}
    named = set(re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", text_of(document)))
    assert {name for name in named if name.partition("_")[0] in prefixes} <= known | set(vars(limits))


def test_every_page_is_reached_from_the_readme() -> None:
    """A reader who starts at README.md finds each page by links."""
    reached, new = set[Path](), {ROOT / "README.md"}
    while new:
        page = new.pop()
        reached.add(page)
        links = re.findall(r"\]\(([^)#\s]+\.md)", page.read_text())
        new |= {(page.parent / link).resolve() for link in links if "://" not in link} - reached
    assert {ROOT / document for document in DOCUMENTS} <= reached


# docs/architecture.md


def _picture() -> str:
    """The sequence of one job."""
    [picture] = re.findall(
        r"^```mermaid\n(.*?)^```$", text_of("docs/architecture.md"), re.MULTILINE | re.DOTALL
    )
    return str(picture)


def test_the_picture_shows_the_steps_of_a_job_in_their_order() -> None:
    """The steps that the picture sends to Redis are methods of the store, in the order of a job's life."""
    steps = re.findall(r"->>R: (\w+): ", _picture())
    assert steps == ["submit", "wait", "claim", "renew", "complete"]
    assert all(hasattr(JobStore, step) for step in steps)


def test_the_picture_uses_the_participants_that_it_declares() -> None:
    """Every arrow of the picture is between two declared participants, and each of them has one."""
    declared = re.findall(r"participant (\w+) as", _picture())
    used = re.findall(r"^\s+(\w+)-{1,2}>>(\w+): ", _picture(), re.MULTILINE)
    assert {name for pair in used for name in pair} == set(declared)


def test_every_package_is_described() -> None:
    """The table of packages has every folder of the API and the runner, and every part beside them."""
    named = names_in(table("docs/architecture.md", "package", "what is in it"))
    packages = {
        str(path.parent.relative_to(ROOT))
        for part in ("chalicelib", "runner")
        for path in (ROOT / part).glob("*/__init__.py")
    }
    parts = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"chalicelib"}
    assert packages | parts <= named


def test_the_data_model_has_every_field() -> None:
    """Record, result, facts and totals have the fields that a stored job has."""
    client = fakeredis.FakeRedis(server=fakeredis.FakeServer(), decode_responses=True)
    store = store_over(client)
    job, names = make_job(), keys.Keys()
    store.submit(job)
    claim = store.claim("runner", 0.01) or store.claim("runner", 0.01)
    assert claim is not None
    facts = {str(name).replace(job.id, "<id>") for name in client.hkeys(names.live)}
    assert store.complete(claim, make_result(job.id))

    rows = {quoted(row[0])[0]: set(quoted(row[1])) for row in table("docs/architecture.md", "key", "fields")}
    assert set(rows) == {"job:<id>", "result:<id>", "job:live", "stats"}
    assert rows["job:<id>"] == {str(name) for name in client.hkeys(names.job(job.id))}
    assert rows["result:<id>"] == {str(name) for name in client.hkeys(names.result(job.id))}
    # This job was never released, and is counted in one of the totals.
    assert rows["job:live"] >= facts
    assert rows["stats"] >= {str(name) for name in client.hkeys(names.stats)}
    assert f"`{keys.CLUSTER_TAG}`" in text_of("docs/architecture.md")


# The rights in Redis, which are written in three places


def _rights(text: str) -> set[str]:
    """What an ACL line allows, without the name and password of the user and the keys of a cluster."""
    rules = {word for word in text.split() if word[0] in "~&+-"}
    return {rule for rule in rules if not rule.startswith(("~{job}:", "+cluster|"))}


def test_the_rights_in_redis_are_the_same_everywhere() -> None:
    """The published line, the one that the contract is tested with, and the one on AWS allow the same."""
    [published] = re.findall(r"^user (wic .*)$", text_of("docs/operations.md"), re.MULTILINE)
    assert published == SERVICE_USER
    template = (ROOT / "infra/templates/store.yml").read_text()
    [deployed] = re.findall(r"AccessString: >-\n((?: {8}.*\n)+)", template)
    assert _rights(deployed) == _rights(published)


# docs/development.md and CHANGELOG.md


def test_the_table_of_tests_has_every_folder() -> None:
    """Each folder with tests or cases is in the table."""
    tests = ROOT / "tests"
    folders = {f"tests/{path.parent.relative_to(tests).parts[0]}" for path in tests.glob("*/test_*.py")}
    assert names_in(table("docs/development.md", "folder", "what it needs")) == folders | {"tests/cases"}


def test_the_changelog_keeps_its_form() -> None:
    """Unreleased comes first, versions have dates, and sections have the names of Keep a Changelog."""
    lines = text_of("CHANGELOG.md").splitlines()
    versions = [line for line in lines if line.startswith("## ")]
    assert versions[0] == "## [Unreleased]"
    assert all(re.fullmatch(r"## \[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", line) for line in versions[1:])
    sections = {line for line in lines if line.startswith("### ")}
    kinds = ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")
    assert sections <= {f"### {kind}" for kind in kinds}
