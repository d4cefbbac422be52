"""Which compiler of a family is there to be attacked: on the host, or in the image of a sandbox."""

from runner.sandbox.base import Sandbox, SandboxError
from runner.sandbox.limits import default_limits
from runner.workspace import Workspace
from tests.sandbox.support import missing

# In this order: what differs most from the newest, which every other test uses, comes first.
VERSIONS = {"gcc": (12, 14, 13, 11), "g++": (12, 14, 13, 11), "clang": (16, 19, 18), "clang++": (16, 19, 18)}

_found: dict[tuple[int, str], str] = {}


def program(sandbox: Sandbox, family: str) -> str:
    """A compiler inside that sandbox by its name: `g++` is `g++-12`, or the next one that is there."""
    key = (id(sandbox), family)
    if key not in _found:
        names = [f"{family}-{version}" for version in VERSIONS[family]]
        there = next((name for name in names if _runs(sandbox, name)), None)
        _found[key] = there or missing(f"the sandbox {sandbox.name} has no {family}")
    return _found[key]


def _runs(sandbox: Sandbox, name: str) -> bool:
    with Workspace.create({}) as workspace:
        try:
            return sandbox.run([name, "--version"], workspace, default_limits()).exit_code == 0
        except SandboxError:
            return False
