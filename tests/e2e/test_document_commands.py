"""The documents as their readers follow them: each command works, in the page's order, and answers as shown.

README.md has a test of its own (test_readme.py). A command that is not run here is in `NOT_RUN`, with the
reason.
"""

import contextlib
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from chalicelib import bootstrap
from tests.support.documents import text_of
from tests.support.factories import make_settings
from tests.support.servers.tools import ROOT
from tests.support.typed_commands import Reader, assert_as_shown, assert_json_as_shown, steps

# Sentences for people, in which the pages may lag behind.
PROSE = frozenset({"message", "differences"})

NOT_RUN = {
    "git clone <this repository>": "it is what these tests run in",
    "cd will-it-compile": "so is this",
    "make run": "test_readme.py runs it",
    "make test": "these tests are a part of it",
    'make test ARGS="tests/unit/test_verdict.py"': "so it would begin again",
    'make test ARGS="tests/unit -k queue"': "likewise",
    'make test ARGS="tests/sandbox/test_contract.py -k fork -x -s --pdb"': "it waits for a person",
}


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    """A reader who has started nothing yet."""
    with contextlib.closing(Reader(tmp_path)) as reader:
        yield reader


# Two starts of Redis, one of the API and one of a runner, which tests its compilers first.
@pytest.mark.timeout(300)
def test_an_operator_can_follow_docs_operations(reader: Reader) -> None:
    """From an empty machine through all four steps of the migration, and every check of a symptom."""
    page = "docs/operations.md"
    assert len(steps(page)) > 15
    for commands, shown in steps(page):
        printed = "".join(f"{reader.type(command)}\n" for command in commands)
        if shown is not None:
            assert_as_shown(reader.here(shown), printed)
    [line] = re.findall(r"^INFO (store: Redis enabled.*)$", text_of(page), re.MULTILINE)
    for name in ("api", "runner"):
        log = reader.processes[name].log()
        assert reader.here(line) in log
        assert "Traceback" not in log


def test_docs_operations_shows_the_log_line_of_jobs_in_memory() -> None:
    """The words that mean "the setting did not arrive" are those that the program logs."""
    stream = io.StringIO()
    settings = make_settings(redis_enabled=False)
    bootstrap.configure_logging(settings, stream)
    bootstrap.log_choices(settings)
    [words] = re.findall(r"`(store: in memory [^`]*)`", text_of("docs/operations.md"))
    assert words in stream.getvalue()


# The compilers are tested first; then a few matrices are compiled.
@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", ["docs/api.md", "docs/migration.md"])
def test_the_curls_answer_as_shown(page: str, reader: Reader) -> None:
    """Every curl of the page works against one API with its jobs in memory."""
    reader.type(".venv/bin/chalice local --no-autoreload --port 8000")
    reader.wait_for_runner()
    for commands, shown in steps(page):
        answer = "".join(reader.type(command) for command in commands)
        if shown is None:
            assert not answer.startswith('{"error"'), answer
        elif "…" in shown:
            assert_as_shown(shown, answer)
        else:
            assert_json_as_shown(json.loads(shown), json.loads(answer), volatile=PROSE)


def test_the_commands_of_contributing_work(reader: Reader) -> None:
    """What a contributor types to look into a sandbox works in this checkout."""
    commands = [command for block, _ in steps("CONTRIBUTING.md") for command in block]
    assert set(commands) >= {command for command in NOT_RUN if command.startswith("git clone")}
    for command in commands:
        if command not in NOT_RUN:
            reader.type(f"cd {ROOT} && {command}")


def test_every_command_that_is_not_run_is_on_a_page() -> None:
    """No reason is kept for a command that is gone."""
    assert set(NOT_RUN) <= {command for block, _ in steps("CONTRIBUTING.md") for command in block}
