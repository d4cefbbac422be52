"""Sandboxes for compilers over untrusted source. `choose_sandbox` is the only way to get one.

It tries a sandbox by running a real program in it, and fails closed: there is no fallback to
running without one.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from runner.sandbox.base import Sandbox, SandboxUnavailable
from runner.sandbox.bubblewrap.sandbox import Bubblewrap
from runner.sandbox.host_paths import find_compiler
from runner.sandbox.setpriv.sandbox import Setpriv


def _docker(image: str = "", official: Sequence[str] = ()) -> Sandbox:
    # The engine's client library takes a tenth of a second to load, and only this sandbox needs it.
    from runner.sandbox.docker.sandbox import IMAGE, Docker

    return Docker(image or IMAGE, official=official)


# Strongest first: `auto` takes the first one that works. bubblewrap and a container both give a job
# namespaces of its own; bubblewrap shows it less, starts in a hundredth of the time, and needs no engine,
# whose socket is as good as root. setpriv shares its namespaces with the runner: user ids, a root and
# filters are what it has.
SANDBOXES: Mapping[str, Callable[[], Sandbox]] = {
    "bubblewrap": Bubblewrap,
    "docker": _docker,
    "setpriv": Setpriv,
}


def sandboxes_with(image: str, official: Sequence[str] = ()) -> Mapping[str, Callable[[], Sandbox]]:
    """`SANDBOXES`, with the container images that the docker sandbox runs.

    `image` holds all compilers, empty is its default; `official` hold one compiler each.
    """
    return {**SANDBOXES, "docker": partial(_docker, image, official)}


def choose_sandbox(name: str, sandboxes: Mapping[str, Callable[[], Sandbox]] = SANDBOXES) -> Sandbox:
    """Return a sandbox that has been seen to work: the one named, or with `auto` the strongest.

    Raises SandboxUnavailable, saying in one line what is missing for each one that was tried.
    """
    if name == "auto":
        candidates = list(sandboxes)
    elif name in sandboxes:
        candidates = [name]
    else:
        raise SandboxUnavailable(f"there is no sandbox {name!r}: use auto, {', '.join(sandboxes)}")
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


def compiler_finder(sandbox: Sandbox) -> Callable[[str], str | None]:
    """Finds the path of a compiler that jobs in `sandbox` can call by its name; None where there is none."""
    if isinstance(sandbox, Setpriv):
        return partial(find_compiler, root=sandbox.root)
    # The compilers of the docker sandbox are in its image, where this process cannot look: all are tried.
    return str if sandbox.name == "docker" else find_compiler
