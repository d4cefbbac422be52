"""How a sandbox is chosen: the one that SANDBOX names, or the strongest that works; never none."""

import re
from collections.abc import Callable, Mapping
from functools import partial

import pytest

from chalicelib.errors import SettingsError
from chalicelib.settings import Settings, variables
from runner.sandbox import SANDBOXES, choose_sandbox
from runner.sandbox.base import Sandbox, SandboxUnavailable
from runner.sandbox.bubblewrap.sandbox import Bubblewrap
from runner.sandbox.docker.sandbox import Docker
from tests.support.fake_sandbox import FakeSandbox


def _all_sandboxes(**failures: str) -> Mapping[str, Callable[[], Sandbox]]:
    """A fake in the place of each sandbox; those that are named fail their probe."""
    return {
        name: partial(FakeSandbox, name=name, weaknesses=["it is a fake"], unavailable=failures.get(name, ""))
        for name in SANDBOXES
    }


def test_a_sandbox_has_the_name_under_which_it_is_registered() -> None:
    """The name that a sandbox says of itself is the one in `SANDBOXES`."""
    assert [make().name for make in SANDBOXES.values()] == list(SANDBOXES)


def test_the_setting_allows_every_sandbox_and_nothing_else() -> None:
    """SANDBOX takes `auto` and each name in `SANDBOXES`, and its help names exactly these."""
    names = {"auto", *SANDBOXES}
    for name in names:
        assert Settings.from_env({"SANDBOX": name}).sandbox == name
    with pytest.raises(SettingsError):
        Settings.from_env({"SANDBOX": "chroot"})
    [allowed] = [variable.allowed for variable in variables() if variable.name == "SANDBOX"]
    assert set(re.findall(r"[a-z]+", allowed)) - {"or"} == names


@pytest.mark.parametrize("working", SANDBOXES)
def test_auto_takes_the_strongest_that_works(working: str) -> None:
    """A sandbox whose probe fails is passed over for the next one in `SANDBOXES`, weaknesses and all."""
    stronger = list(SANDBOXES)[: list(SANDBOXES).index(working)]
    sandbox = choose_sandbox("auto", _all_sandboxes(**dict.fromkeys(stronger, "broken")))
    assert sandbox.name == working and sandbox.weaknesses == ("it is a fake",)


def test_a_named_sandbox_is_never_replaced() -> None:
    """With a name it is that sandbox or none, even if a stronger one works."""
    assert choose_sandbox("setpriv", _all_sandboxes()).name == "setpriv"
    with pytest.raises(SandboxUnavailable, match="setpriv: broken"):
        choose_sandbox("setpriv", _all_sandboxes(setpriv="broken"))


def test_with_none_working_one_line_says_what_to_install() -> None:
    """The line says what each sandbox that was tried lacks; nothing is run without a sandbox."""
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
    """`auto` and the name of a sandbox each give one that works."""
    assert choose_sandbox("auto").name in SANDBOXES
    assert choose_sandbox("bubblewrap").name == "bubblewrap"


def test_without_a_working_sandbox_there_is_none() -> None:
    """Compilers never run without a sandbox; for an unknown name the error lists the names."""
    broken: dict[str, Callable[[], Sandbox]] = {"bubblewrap": lambda: Bubblewrap("/nonexistent/bwrap")}
    for name in ("auto", "bubblewrap"):
        with pytest.raises(SandboxUnavailable, match="install the package bubblewrap"):
            choose_sandbox(name, broken)
    with pytest.raises(SandboxUnavailable, match="auto, bubblewrap"):
        choose_sandbox("none", broken)
