"""docs/operations.md as an operator follows it: its commands, in their order, against a Redis of the test's own."""

import contextlib
import io
import re
from pathlib import Path

import pytest

from chalicelib import bootstrap
from tests.support.documents import text_of
from tests.support.factories import make_settings
from tests.support.typed_commands import Reader, assert_as_shown, steps

PAGE = "docs/operations.md"


# Two starts of Redis, one of the API and one of a runner, which tests its compilers first.
@pytest.mark.timeout(300)
def test_the_commands_of_the_operations_page_work_in_their_order(tmp_path: Path) -> None:
    """From an empty machine through all four steps of the migration and every check of a symptom."""
    assert len(steps(PAGE)) > 15
    with contextlib.closing(Reader(tmp_path)) as reader:
        for commands, shown in steps(PAGE):
            printed = "".join(f"{reader.type(command)}\n" for command in commands)
            if shown is not None:
                assert_as_shown(reader.here(shown), printed)
        logs = {name: process.log() for name, process in reader.processes.items()}
    [line] = re.findall(r"^INFO (store: Redis enabled.*)$", text_of(PAGE), re.MULTILINE)
    for name in ("api", "runner"):
        assert reader.here(line) in logs[name]
        assert "Traceback" not in logs[name]


def test_the_page_shows_the_log_line_of_jobs_in_memory() -> None:
    """The words that mean "the setting did not arrive" are those that the program logs."""
    stream = io.StringIO()
    settings = make_settings(redis_enabled=False)
    bootstrap.configure_logging(settings, stream)
    bootstrap.log_choices(settings)
    [words] = re.findall(r"`(store: in memory [^`]*)`", text_of(PAGE))
    assert words in stream.getvalue()
