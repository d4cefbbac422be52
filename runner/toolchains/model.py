"""What a runner offers: the compilers that passed their self-tests, and why the others are not offered.

The values come from probe.py, or from the record of an image's build (build_record.py). Nothing here
starts a compiler.
"""

import platform
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from chalicelib.catalog import CompilerEntry
from chalicelib.models import Environment, Target, canonical_architecture, canonical_system


@dataclass(frozen=True, slots=True)
class Unavailable:
    """A compiler of the catalogue that is not offered. `installed` is True if it is there but failed.

    `reason` is one line; `detail` is all that the compiler printed, within a bound.
    """

    language: str
    compiler: str
    reason: str
    installed: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Toolchains:
    """What a runner offers, and what it does not offer with the reason for each."""

    environments: tuple[Environment, ...]
    unavailable: tuple[Unavailable, ...] = ()
    # The catalogue's entry behind each environment, by language and id, for the version that is installed.
    entries: Mapping[tuple[str, str], CompilerEntry] = field(default_factory=dict)

    def environment(self, language: str, compiler: str) -> Environment | None:
        """The environment of that compiler of that language."""
        for environment in self.environments:
            if (environment.language, environment.id) == (language, compiler):
                return environment
        return None

    def entry(self, environment: Environment) -> CompilerEntry:
        """The catalogue's entry behind an environment."""
        return self.entries[environment.language, environment.id]


def native_target() -> Target:
    """The target of this machine's own programs, such as ``x86_64-linux``."""
    architecture = canonical_architecture(platform.machine())
    # Linux names the generation of the processor, too.
    architecture = "arm" if architecture == "armv7l" else architecture
    return Target(architecture, canonical_system(sys.platform))


def matches(language: str, compiler: str, patterns: Iterable[str]) -> bool:
    """Whether one of the patterns, for ids or for ``language/id``, matches the compiler."""
    names = (compiler, f"{language}/{compiler}")
    return any(fnmatchcase(name, pattern) for name in names for pattern in patterns)


def excluded(language: str, compiler: str) -> Unavailable:
    """A compiler that no pattern of the setting COMPILERS matches."""
    return Unavailable(language, compiler, "COMPILERS does not include it.", installed=False)
