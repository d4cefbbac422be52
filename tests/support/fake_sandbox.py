"""A sandbox that runs nothing: the one fake for tests that need a `Sandbox` and no program."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from runner.sandbox.base import Command, Limits, SandboxResult, SandboxUnavailable
from runner.workspace import Workspace
from tests.support.factories import make_run

# What a run comes to: always the same, an error, or what a function makes of the command and the job's files.
Outcome = SandboxResult | Exception | Callable[[Command, Path], SandboxResult]


class FakeSandbox:
    """Ends every run with `outcome` and remembers what it was asked to run. Safe to share by threads."""

    def __init__(
        self,
        outcome: Outcome | None = None,
        *,
        name: str = "fake",
        weaknesses: Sequence[str] = (),
        unavailable: str = "",
        find_compiler: Callable[[str], str | None] = str,
    ) -> None:
        """`unavailable` is why the probe fails; without it the probe passes."""
        self.name = name
        self.weaknesses = tuple(weaknesses)
        self.commands: list[Command] = []
        self.limits: list[Limits] = []
        self.files: dict[str, str] = {}
        self.cancel: threading.Event | None = None
        self._outcome = outcome or make_run()
        self._unavailable = unavailable
        self._find_compiler = find_compiler

    def probe(self) -> None:
        """Fail as it was told to, or do nothing."""
        if self._unavailable:
            raise SandboxUnavailable(self._unavailable)

    def find_compiler(self, name: str) -> str | None:
        """What the function that the test passed in says; by default the name itself."""
        return self._find_compiler(name)

    def run(
        self,
        command: Command,
        workspace: Workspace,
        limits: Limits,
        *,
        cancel: threading.Event | None = None,
    ) -> SandboxResult:
        """Remember all of it, and come to the outcome."""
        self.commands.append(command)
        self.limits.append(limits)
        self.cancel = cancel
        self.files = {
            path.relative_to(workspace.path).as_posix(): path.read_text(encoding="utf-8")
            for path in workspace.path.rglob("*")
            if path.is_file()
        }
        if isinstance(self._outcome, Exception):
            raise self._outcome
        if isinstance(self._outcome, SandboxResult):
            return self._outcome
        return self._outcome(command, workspace.path)
