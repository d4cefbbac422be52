"""Finds a compiler of each family to be attacked: on the host, or in the image of a sandbox."""

from runner.sandbox.base import Command, Sandbox, SandboxError
from runner.sandbox.limits import default_limits
from runner.workspace import Workspace
from tests.support.skipping import missing

# In this order: first the version that differs most from the newest, which every other test uses.
VERSIONS = {"gcc": (12, 14, 13, 11), "g++": (12, 14, 13, 11), "clang": (16, 19, 18), "clang++": (16, 19, 18)}

_programs: dict[tuple[int, str], str] = {}


def program(sandbox: Sandbox, family: str) -> str:
    """The name of a compiler in that sandbox: for `g++` it is `g++-12`, or the next one that is there."""
    key = (id(sandbox), family)
    if key not in _programs:
        names = [f"{family}-{version}" for version in VERSIONS[family]]
        there = next((name for name in names if _runs(sandbox, name)), None)
        _programs[key] = there or missing(f"the sandbox {sandbox.name} has no {family}")
    return _programs[key]


def _runs(sandbox: Sandbox, name: str) -> bool:
    with Workspace.create({}) as workspace:
        try:
            return sandbox.run(Command([name, "--version"]), workspace, default_limits()).exit_code == 0
        except SandboxError:
            return False
