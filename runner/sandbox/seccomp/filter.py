"""The seccomp policy: the table in seccomp.toml, and its two exports.

`build_filter` gives the BPF program that bubblewrap and setpriv pass to the kernel, `docker_profile` the same
rules for a container engine. Both come from the same `Rule`s, so a sandbox cannot have a policy of its own.

Without libseccomp a BPF program cannot be made. A sandbox then works without one and says so in its
weaknesses. A filter that exists but that the kernel does not accept ends the run instead.
"""

import errno
import platform
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from runner.sandbox.seccomp.libseccomp import LIBRARY, MASKED_EQUAL, NOT_EQUAL, Filter, SeccompError

TABLE = Path(__file__).with_name("seccomp.toml")

# The kernel looks at the low 32 bits of an argument that is an int, so the filter has to, as well.
_LOW_32_BITS = 0xFFFF_FFFF

MISSING = (
    "system calls are not filtered: {reason}; install the package libseccomp2, or what your "
    "distribution calls it"
)

_DOCKER_ARCHITECTURES = {"x86_64": "SCMP_ARCH_X86_64", "aarch64": "SCMP_ARCH_AARCH64"}
_DOCKER_OPERATORS = {NOT_EQUAL: "SCMP_CMP_NE", MASKED_EQUAL: "SCMP_CMP_MASKED_EQ"}


class Condition(NamedTuple):
    """A comparison of one argument, counted from 0, in libseccomp's terms.

    NOT_EQUAL compares with `first`. MASKED_EQUAL takes the bits `first` of the argument and
    compares them with `second`.
    """

    argument: int
    operator: int
    first: int
    second: int = 0


@dataclass(frozen=True, slots=True)
class Rule:
    """One system call that fails with `error` (an errno); with a condition, only when the condition holds."""

    syscall: str
    error: int
    reason: str
    condition: Condition | None = None


def load_rules(table: Path = TABLE) -> tuple[Rule, ...]:
    """Read the table. Raises ValueError for what it does not understand."""
    rules = []
    for entry in tomllib.loads(table.read_text())["rules"]:
        unknown = entry.keys() - {"reason", "error", "syscalls", "when"}
        number = getattr(errno, entry["error"], None)
        if unknown or number is None:
            raise ValueError(f"{table.name}: {unknown or entry['error']} is not known")
        conditions = _conditions(entry["when"]) if "when" in entry else (None,)
        rules += [
            Rule(syscall, number, entry["reason"], condition)
            for syscall in entry["syscalls"]
            for condition in conditions
        ]
    return tuple(rules)


def _conditions(when: Mapping[str, Any]) -> Sequence[Condition]:
    argument = when["argument"]
    match {key: value for key, value in when.items() if key != "argument"}:
        case {"not": [*values], **rest} if not rest:
            # Several of these would deny everything: a value that equals one of them differs from the others.
            if len(values) != 1:
                raise ValueError("`not` takes one value")
            return [Condition(argument, NOT_EQUAL, values[0])]
        case {"bits": [*values], **rest} if not rest:
            return [Condition(argument, MASKED_EQUAL, value, value) for value in values]
        case {"equal": [*values], **rest} if rest.keys() <= {"mask"}:
            mask = rest.get("mask", _LOW_32_BITS)
            return [Condition(argument, MASKED_EQUAL, mask, value) for value in values]
    raise ValueError(f"a condition is not understood: {dict(when)}")


@dataclass(frozen=True, slots=True)
class SeccompFilter:
    """The BPF program, and the system calls that this libseccomp is too old to know."""

    program: bytes
    unknown: tuple[str, ...]

    @property
    def weaknesses(self) -> tuple[str, ...]:
        """One sentence when the filter lacks rules of the table."""
        if not self.unknown:
            return ()
        names = ", ".join(self.unknown)
        return (f"some system calls are not filtered: this libseccomp does not know {names}",)


def build_filter(library: str = LIBRARY) -> SeccompFilter:
    """The policy for this machine's architecture. Raises SeccompError when it cannot be made."""
    unknown: dict[str, None] = {}
    with Filter(library) as bpf:
        for rule in load_rules():
            if not bpf.deny(rule.syscall, rule.error, rule.condition):
                unknown[rule.syscall] = None
        return SeccompFilter(bpf.export(), tuple(unknown))


@cache
def find_filter(library: str = LIBRARY) -> tuple[SeccompFilter | None, tuple[str, ...]]:
    """The filter and its weaknesses; where it cannot be made, None and a sentence that says why."""
    try:
        seccomp = build_filter(library)
    except SeccompError as error:
        return None, (MISSING.format(reason=error),)
    return seccomp, seccomp.weaknesses


def docker_profile(machine: str | None = None) -> dict[str, Any]:
    """The same policy as a profile of a container engine, to be given as JSON.

    `machine` is an architecture as `platform.machine()` names it, by default this machine's. Raises
    ValueError unless it is x86_64 or aarch64. System calls of other architectures end the process.
    """
    machine = machine or platform.machine()
    if machine not in _DOCKER_ARCHITECTURES:
        raise ValueError(f"seccomp has no profile for the architecture {machine}")
    return {
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": [_DOCKER_ARCHITECTURES[machine]],
        "syscalls": [
            {
                "names": [rule.syscall],
                "action": "SCMP_ACT_ERRNO",
                "errnoRet": rule.error,
                "args": [_docker_argument(rule.condition)] if rule.condition else [],
                "comment": rule.reason,
            }
            for rule in load_rules()
        ],
    }


def _docker_argument(condition: Condition) -> dict[str, Any]:
    return {
        "index": condition.argument,
        "value": condition.first,
        "valueTwo": condition.second,
        "op": _DOCKER_OPERATORS[condition.operator],
    }
