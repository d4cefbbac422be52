"""docs/security.md against the code: the limits that it promises, and the files that it names."""

import re
from pathlib import Path

from chalicelib.models import Reason
from chalicelib.settings import variables
from runner.sandbox import SANDBOXES, limits
from runner.sandbox.base import Limits

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")

# The settings that limit a run.
_SETTINGS = ("COMPILE_TIMEOUT_SECONDS", "COMPILE_MEMORY_MB", "OUTPUT_LIMIT_KB")


def _rows() -> list[list[str]]:
    """The table of limits: name, value, reason of the verdict, why this much."""
    [block] = re.findall(r"^\| limit \| value \|.*\n\|[-|]+\n((?:^\|.*\n)+)", PAGE, re.MULTILINE)
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in block.splitlines()]


def _constants() -> dict[str, float]:
    """Every public number of runner/sandbox/limits.py; MIB is a unit and not a limit."""
    return {
        name: value
        for name, value in vars(limits).items()
        if name.isupper() and not name.startswith("_") and name != "MIB" and isinstance(value, int | float)
    }


def test_the_table_has_every_limit_with_its_value() -> None:
    """Constants and settings that limit a run are in the table, with the values that the code has."""
    settings = {
        variable.name: float(variable.default) for variable in variables() if variable.name in _SETTINGS
    }
    assert {row[0]: float(row[1]) for row in _rows()} == settings | _constants()


def test_the_table_names_a_reason_for_every_limit() -> None:
    """Each row has the reason of the verdict, as the API names it, and says why the limit is this high."""
    known = {reason.value for reason in Reason}
    for name, _, reason, why in _rows():
        assert reason in known, name
        assert len(why) > 10, name


def test_the_default_limits_are_those_of_the_settings() -> None:
    """Without arguments, a run has the limits of the documented defaults."""
    defaults = {
        variable.name: float(variable.default) for variable in variables() if variable.name in _SETTINGS
    }
    limits_of_a_run = limits.default_limits()
    assert limits_of_a_run.cpu_seconds == defaults["COMPILE_TIMEOUT_SECONDS"]
    assert limits_of_a_run.wall_seconds == limits_of_a_run.cpu_seconds * limits.WALL_PER_CPU_SECOND
    assert limits_of_a_run.memory_bytes == defaults["COMPILE_MEMORY_MB"] * limits.MIB
    assert limits_of_a_run.output_bytes == defaults["OUTPUT_LIMIT_KB"] * 1024


def test_every_field_of_the_limits_is_explained() -> None:
    """Each field of `Limits` has at least one row."""
    rows = {name.lower() for name, *_ in _rows()}
    row_of = {
        "wall_seconds": "wall_per_cpu_second",
        "cpu_seconds": "compile_timeout_seconds",
        "memory_bytes": "compile_memory_mb",
        "output_bytes": "output_limit_kb",
        "disk_bytes": "disk_mib",
        "processes": "processes",
        "open_files": "open_files",
    }
    assert set(row_of) == set(Limits.__dataclass_fields__)
    assert set(row_of.values()) <= rows


def test_every_file_that_the_page_names_exists() -> None:
    """A quoted path is a file or a folder of this project."""
    without_blocks = re.sub(r"^```.*?^```$", "", PAGE, flags=re.MULTILINE | re.DOTALL)
    paths = re.findall(r"`((?:chalicelib|runner|tests|docs)/[\w./-]+)`", without_blocks)
    assert len(paths) > 15
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_the_table_of_sandboxes_has_each_of_them() -> None:
    """Its columns are the sandboxes of the runner."""
    [head] = re.findall(r"^\| what a job tries \|(.*)\|$", PAGE, re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", head)) == set(SANDBOXES)
