"""What tests need of the machine: a test that misses it is skipped on a laptop, and fails where CI=true.

CI must run everything, so a missing tool may not look like a passed run there. Only this module makes the
difference: call `missing` wherever a test finds out that it cannot run, or `require` for a program.
"""

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

# Where `bin/setup` puts programs that the system does not offer under the name we need.
OWN_BIN = Path(__file__).resolve().parents[2] / ".setup" / "bin"


def missing(what: str) -> NoReturn:
    """Ends the test because of `what`, which says what is missing and how to get it."""
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what)


def require(program: str) -> str:
    """The path of a program; a test that asks for one that is not installed ends."""
    path = shutil.which(program) or shutil.which(program, path=str(OWN_BIN))
    return path or missing(f"{program} is not installed: run bin/setup test")
