"""Which compilers runners have registered, and which of them a request has to wait for.

A runner that starts offers its compilers one by one, as they pass their self-tests. A request is answered as
if all tests were over, but as early as that is certain: it waits for the compiler that it names, or for those
that might be the newest. A compiler that is neither offered nor tested does not exist, which is said at once.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from chalicelib.catalog import Catalog
from chalicelib.errors import NotReady
from chalicelib.models import Environment, Stage, UntestedCompiler
from chalicelib.storage.protocol import JobStore

# Environments change only when runners are deployed, so not every request needs to read them again.
ENVIRONMENTS_AGE_SECONDS = 2.0
# A runner that was just started tests its compilers first. Waiting for it is better than an error.
FIRST_REGISTRATION_SECONDS = 10.0
_POLL_SECONDS = 0.1

# What is asked for in place of a name: the newest compiler of the language.
_NEWEST = None

# Tells a runner in this process which compilers to test first, the first of them first.
Prefer = Callable[[Sequence[UntestedCompiler]], None]


@dataclass(frozen=True, slots=True)
class Need:
    """The compilers that a request asks for: ids, families, globs, or None for the newest one.

    `language` is an id of the catalogue, or empty when it has no such language.
    """

    language: str
    compilers: tuple[str | None, ...]

    @classmethod
    def of(cls, catalog: Catalog, language: str, compilers: Iterable[str | None]) -> "Need":
        """What a client's request needs, by the names in it."""
        known = catalog.language(language)
        names = (name and name.strip().lower() for name in compilers)
        return cls(known.id if known else "", tuple("*" if name == "all" else name for name in names))

    def untested(
        self, offered: Sequence[Environment], untested: Sequence[UntestedCompiler]
    ) -> tuple[list[UntestedCompiler], bool]:
        """The compilers whose tests can change the answer, and whether each name means a compiler at all.

        They are in the order in which testing them is useful: first those of unknown version, because one of
        them might be the newest, then the newest.
        """
        own = [item for item in offered if item.language == self.language]
        tested = {item.id for item in own}
        families = {item.family for item in own}
        open_tests = [
            item
            for item in untested
            # Another runner may offer it already.
            if item.language == self.language
            and item.id not in tested
            and (item.version_key or item.family not in families)
        ]
        chosen: dict[str, UntestedCompiler] = {}
        exists = True
        for name in self.compilers:
            meant = _meant(name, own, open_tests)
            chosen |= {item.id: item for item in meant}
            exists = exists and (bool(meant) or _names_one(name, own))
        return sorted(chosen.values(), key=_first_to_test, reverse=True), exists


def _first_to_test(item: UntestedCompiler) -> tuple[bool, tuple[int, ...]]:
    return not item.version_key, item.version_key


def _names_one(name: str | None, offered: Sequence[Environment]) -> bool:
    """Whether the name means one of these, as `find_compiler` and the plan of a matrix read it."""
    if name is _NEWEST:
        return bool(offered)
    return any(fnmatchcase(item.id.lower(), name) or item.family == name for item in offered)


def _meant(
    name: str | None, offered: Sequence[Environment], untested: Sequence[UntestedCompiler]
) -> list[UntestedCompiler]:
    """Those of the untested compilers that the name may mean."""
    if name is _NEWEST:
        return _maybe_newest(offered, untested)
    if any(character in name for character in "*?["):
        return [item for item in untested if not item.version_key or fnmatchcase(item.id.lower(), name)]
    if any(item.id.lower() == name for item in offered):
        return []
    exact = [item for item in untested if fnmatchcase(name, item.id.lower().replace("{version}", "*"))]
    return exact or _maybe_newest(
        [item for item in offered if item.family == name], [item for item in untested if item.family == name]
    )


def _maybe_newest(
    offered: Sequence[Environment], untested: Sequence[UntestedCompiler]
) -> list[UntestedCompiler]:
    """Those that are newer than all that is offered, as far as is known."""
    newest = max((item.version_key for item in offered), default=())
    return [item for item in untested if item.version_key >= newest[: len(item.version_key)]]


def _shown(item: UntestedCompiler) -> str:
    return item.id.replace("-{version}", "")


def _as_environment(item: UntestedCompiler) -> Environment:
    """An environment for error messages, which name what exists; a job never gets it."""
    return Environment(
        id=_shown(item),
        language=item.language,
        family=item.family,
        version="",
        version_key=item.version_key,
        standards=(),
        default_standard="",
        targets=("-",),
        stages=(Stage.COMPILE,),
    )


class RegisteredEnvironments:
    """The environments that runners registered, kept for `ENVIRONMENTS_AGE_SECONDS`. Safe with threads."""

    def __init__(self, store: JobStore, *, patience_seconds: float = FIRST_REGISTRATION_SECONDS) -> None:
        self._store = store
        self._patience_seconds = patience_seconds
        # (read at, environments, untested); replaced as a whole, so that threads need no lock.
        self._latest: tuple[float, tuple[Environment, ...], tuple[UntestedCompiler, ...]] | None = None
        # Set when the runner is in this process.
        self.prefer: Prefer = lambda _: None

    def read(self, need: Need, wait_seconds: float = 0.0) -> tuple[Environment, ...]:
        """The environments, as soon as they hold the answer for `need`.

        Waits for the first registration, and for the tests of the compilers that are needed: at least the
        patience of this object, and as long as the client waits. Raises `NotReady` when that is too short.
        """
        now = time.monotonic()
        deadline = now + max(self._patience_seconds, wait_seconds)
        environments, untested = self._read(now - ENVIRONMENTS_AGE_SECONDS)
        while True:
            waits_for, exists = need.untested(environments, untested)
            if not waits_for and (environments or untested):
                # Without such a compiler the answer is an error, which names those that are still tested.
                return environments if exists else (*environments, *map(_as_environment, untested))
            self.prefer(waits_for)
            if time.monotonic() >= deadline:
                raise NotReady(_why(waits_for))
            time.sleep(_POLL_SECONDS)
            environments, untested = self._read(time.monotonic())

    def _read(self, not_before: float) -> tuple[tuple[Environment, ...], tuple[UntestedCompiler, ...]]:
        latest = self._latest
        if latest is None or latest[0] < not_before:
            now = time.monotonic()
            environments = self._store.environments()
            untested = tuple(item for runner in self._store.runners() for item in runner.untested)
            if not environments:
                return environments, untested  # a runner may register at any moment
            self._latest = latest = now, environments, untested
        return latest[1:]


def _why(waits_for: Sequence[UntestedCompiler]) -> str:
    if not waits_for:
        return "No runner has registered its compilers yet: start a runner, or try again in a moment."
    first = _shown(waits_for[0])
    return f"{first} is still being tested, because its runner has just started: try again in a moment."
