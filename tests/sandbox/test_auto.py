"""SANDBOX=auto: the strongest that works when tried, and one line when none does."""

from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn

import pytest

from runner.sandbox import SANDBOXES, choose_sandbox
from runner.sandbox.base import Sandbox, SandboxUnavailable
from runner.sandbox.bubblewrap.sandbox import Bubblewrap
from runner.sandbox.docker.sandbox import Docker


class _Scripted:
    """A sandbox whose probe does what a test says."""

    def __init__(self, name: str, failure: str | None, weaknesses: Sequence[str] = ()) -> None:
        self.name = name
        self.weaknesses = tuple(weaknesses)
        self._failure = failure

    def probe(self) -> None:
        """Fail, or not."""
        if self._failure:
            raise SandboxUnavailable(self._failure)

    def run(self, *_: object, **__: object) -> NoReturn:
        """No test runs anything in it."""
        raise AssertionError


def _three(**failures: str | None) -> Mapping[str, Callable[[], Sandbox]]:
    def make(name: str) -> Callable[[], Sandbox]:
        return lambda: _Scripted(name, failures.get(name), ["it is made up"])

    return {name: make(name) for name in SANDBOXES}


def test_every_name_of_the_setting_is_a_sandbox() -> None:
    """What SANDBOX may be is what there is, strongest first."""
    assert list(SANDBOXES) == ["bubblewrap", "docker", "setpriv"]
    for name, make in SANDBOXES.items():
        assert make().name == name


@pytest.mark.parametrize(
    ("failing", "chosen"),
    [((), "bubblewrap"), (("bubblewrap",), "docker"), (("bubblewrap", "docker"), "setpriv")],
)
def test_auto_takes_the_strongest_that_works(failing: Sequence[str], chosen: str) -> None:
    """A sandbox whose probe fails is passed over for the next one, and weaknesses come along."""
    sandbox = choose_sandbox("auto", _three(**dict.fromkeys(failing, "broken")))
    assert sandbox.name == chosen and sandbox.weaknesses == ("it is made up",)


def test_a_named_sandbox_is_never_replaced() -> None:
    """Who asks for one gets that one or none, even if a stronger one works."""
    assert choose_sandbox("setpriv", _three()).name == "setpriv"
    with pytest.raises(SandboxUnavailable, match="setpriv: broken"):
        choose_sandbox("setpriv", _three(setpriv="broken"))


def test_with_none_working_one_line_says_what_to_install() -> None:
    """Each that was tried says in the same line what it lacks; nothing is run without a sandbox."""
    broken: dict[str, Callable[[], Sandbox]] = {
        "bubblewrap": lambda: Bubblewrap("/nonexistent/bwrap"),
        "docker": lambda: Docker(base_url="unix:///nonexistent/engine.sock"),
    }
    with pytest.raises(SandboxUnavailable) as failure:
        choose_sandbox("auto", broken)
    line = str(failure.value)
    assert "\n" not in line
    assert "install the package bubblewrap" in line and "install docker.io" in line


def test_auto_chooses_a_sandbox_that_works(bubblewrap: Bubblewrap) -> None:
    """`auto` and the name give a probed sandbox."""
    assert choose_sandbox("auto").name in SANDBOXES
    assert choose_sandbox("bubblewrap").name == "bubblewrap"


def test_without_a_working_sandbox_there_is_none() -> None:
    """`auto` never falls back to running without a sandbox, and says what each one lacks."""
    broken: dict[str, Callable[[], Sandbox]] = {"bubblewrap": lambda: Bubblewrap("/nonexistent/bwrap")}
    for name in ("auto", "bubblewrap"):
        with pytest.raises(SandboxUnavailable, match="install the package bubblewrap"):
            choose_sandbox(name, broken)
    with pytest.raises(SandboxUnavailable, match="auto, bubblewrap"):
        choose_sandbox("none", broken)
