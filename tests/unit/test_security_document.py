"""docs/security.md against the code: the limits that it promises, and the files that it names."""

import re
from pathlib import Path

from chalicelib.models import Reason
from chalicelib.settings import variables
from runner.sandbox import limits
from runner.sandbox.base import Limits

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")


def _rows() -> list[list[str]]:
    """The table of limits: name, value, reason of the verdict, why."""
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
    """Constants and settings that limit a run stand in the table, with the values that the code has."""
    settings = {
        variable.name: float(variable.default)
        for variable in variables()
        if variable.name.startswith("COMPILE_") or variable.name.startswith("OUTPUT_")
    }
    assert {row[0]: float(row[1]) for row in _rows()} == settings | _constants()


def test_the_table_names_a_reason_for_every_limit() -> None:
    """Each row says how a verdict words it, in the words of the API, and why the limit is as it is."""
    known = {reason.value for reason in Reason}
    for name, _, reason, why in _rows():
        assert reason in known, name
        assert len(why) > 10, name


def test_settings_and_constants_agree() -> None:
    """What the settings have as a default is what the sandbox has as a constant."""
    defaults = {variable.name: variable.default for variable in variables()}
    assert float(defaults["COMPILE_MEMORY_MB"]) == limits.MEMORY_MIB
    assert float(defaults["OUTPUT_LIMIT_KB"]) == limits.OUTPUT_KIB
    built = limits.default_limits()
    assert float(defaults["COMPILE_TIMEOUT_SECONDS"]) == built.cpu_seconds
    assert built.wall_seconds == built.cpu_seconds * limits.WALL_PER_CPU_SECOND


def test_every_field_of_the_limits_is_explained() -> None:
    """Nothing limits a run that the page does not speak of: one row at least for each field of `Limits`."""
    rows = {name.lower() for name, *_ in _rows()}
    told_by = {
        "wall_seconds": "wall_per_cpu_second",
        "cpu_seconds": "compile_timeout_seconds",
        "memory_bytes": "compile_memory_mb",
        "output_bytes": "output_limit_kb",
        "disk_bytes": "disk_mib",
        "processes": "processes",
        "open_files": "open_files",
    }
    assert set(told_by) == set(Limits.__dataclass_fields__)
    assert set(told_by.values()) <= rows


def test_every_file_that_the_page_names_exists() -> None:
    """A quoted path is a file or a folder of this project."""
    without_blocks = re.sub(r"^```.*?^```$", "", PAGE, flags=re.MULTILINE | re.DOTALL)
    paths = re.findall(r"`((?:chalicelib|runner|tests|docs)/[\w./-]+)`", without_blocks)
    assert len(paths) > 15
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_every_sandbox_of_the_page_is_one_that_can_be_named() -> None:
    """The columns of the table of sandboxes are values of the setting SANDBOX."""
    [head] = re.findall(r"^\| what a job tries \|(.*)\|$", PAGE, re.MULTILINE)
    [allowed] = [variable.allowed for variable in variables() if variable.name == "SANDBOX"]
    assert all(name in allowed for name in re.findall(r"`(\w+)`", head))
