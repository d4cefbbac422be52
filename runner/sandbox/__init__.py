"""Sandboxes for compilers over untrusted source. `choose_sandbox` is the only way to get one.

It tries a sandbox by running a real program in it, and fails closed: compilers never run without one.
To add a sandbox, name it in `SANDBOXES`; base.py says what it has to do.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from runner.sandbox.base import Sandbox, SandboxUnavailable
from runner.sandbox.bubblewrap.sandbox import Bubblewrap
from runner.sandbox.setpriv.sandbox import Setpriv


def _docker(image: str = "", **options: Any) -> Sandbox:
    # The engine's client library takes a tenth of a second to load, and only this sandbox needs it.
    from runner.sandbox.docker.sandbox import IMAGE, Docker

    return Docker(image or IMAGE, **options)


# Strongest first: `auto` takes the first one that works. bubblewrap and a container both give a job
# namespaces of its own; bubblewrap shows it less, starts in a hundredth of the time, and needs no engine,
# whose socket is as good as root. With setpriv jobs share the runner's namespaces: it has user ids, a root of
# their own and filters to keep them apart.
SANDBOXES: Mapping[str, Callable[..., Sandbox]] = {
    "bubblewrap": Bubblewrap,
    "docker": _docker,
    "setpriv": Setpriv,
}


def sandboxes_with(image: str, official: Sequence[str] = ()) -> Mapping[str, Callable[..., Sandbox]]:
    """`SANDBOXES`, with the container images that the docker sandbox runs.

    `image` holds all compilers, empty is its default; `official` hold one compiler each.
    """
    return {**SANDBOXES, "docker": partial(_docker, image, official=official)}


def choose_sandbox(name: str, sandboxes: Mapping[str, Callable[..., Sandbox]] = SANDBOXES) -> Sandbox:
    """Return a sandbox that works: the one named, or with `auto` the strongest.

    Raises SandboxUnavailable, whose one line says for each sandbox that was tried what is missing.
    """
    if name == "auto":
        candidates = list(sandboxes)
    elif name in sandboxes:
        candidates = [name]
    else:
        raise SandboxUnavailable(f"{name!r} is not a sandbox: use auto, {', '.join(sandboxes)}")
    failures = []
    for candidate in candidates:
        sandbox = sandboxes[candidate]()
        try:
            sandbox.probe()
        except SandboxUnavailable as unavailable:
            failures.append(f"{candidate}: {unavailable}")
        else:
            return sandbox
    raise SandboxUnavailable("no sandbox works on this host; " + "; ".join(failures))
