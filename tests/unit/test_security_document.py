"""docs/security.md against the code: the sandboxes that it compares, and the defaults of its limits.

Its table of limits is made from the code (test_reference.py).
"""

from chalicelib.settings import variables
from runner.sandbox import SANDBOXES, limits
from tests.support.documents import cells, quoted, text_of


def test_settings_and_constants_agree() -> None:
    """What the settings have as a default is what the sandbox has as a constant."""
    defaults = {variable.name: variable.default for variable in variables()}
    assert float(defaults["COMPILE_MEMORY_MB"]) == limits.MEMORY_MIB
    assert float(defaults["OUTPUT_LIMIT_KB"]) == limits.OUTPUT_KIB
    built = limits.default_limits()
    assert float(defaults["COMPILE_TIMEOUT_SECONDS"]) == built.cpu_seconds
    assert built.wall_seconds == built.cpu_seconds * limits.WALL_PER_CPU_SECOND


def test_every_sandbox_has_a_column() -> None:
    """The table of what a job tries compares every sandbox that can be chosen."""
    [head] = [
        line for line in text_of("docs/security.md").splitlines() if line.startswith("| what a job tries |")
    ]
    assert {name for cell in cells(head)[1:] for name in quoted(cell)} == set(SANDBOXES)
