"""Landlock as util-linux's setpriv sets it up: which rights this kernel has, and the rules for a job.

The rights are named one by one, from the ABI that the kernel reports. setpriv's short form stands for all
rights that setpriv knows, which an older kernel does not accept. A right that is not named is not checked.
"""

import ctypes
from collections.abc import Iterable

# The same number on every architecture, as for all calls since Linux 5.1; flag 1 asks for the ABI.
_SYS_LANDLOCK_CREATE_RULESET = 444
_VERSION = 1

# landlock(7): what each ABI added. setpriv 2.41 knows no more than these.
_RIGHTS = {
    1: (
        "execute", "write-file", "read-file", "read-dir", "remove-dir", "remove-file",
        "make-char", "make-dir", "make-reg", "make-sock", "make-fifo", "make-block", "make-sym",
    ),
    2: ("refer",),
    3: ("truncate",),
}  # fmt: skip

_NEVER = ("make-char", "make-block", "make-sock")
READ = ("execute", "read-file", "read-dir")


def kernel_abi() -> int:
    """The version of Landlock that this kernel offers to this process; 0 when it has no Landlock."""
    answer: int = ctypes.CDLL(None).syscall(_SYS_LANDLOCK_CREATE_RULESET, None, 0, _VERSION)
    return max(0, answer)


def rights(abi: int) -> tuple[str, ...]:
    """The names of the rights on files that `abi` can deny."""
    return tuple(name for version, names in _RIGHTS.items() if version <= abi for name in names)


def arguments(
    abi: int, *, readable: Iterable[str], writable: Iterable[str], files: Iterable[tuple[str, bool]]
) -> list[str]:
    """setpriv's arguments: read below `readable`, anything below `writable`, and `files`.

    `files` are paths, each with whether it may be written. All paths must exist.
    """
    known = rights(abi)
    work = [right for right in known if right not in _NEVER]
    return [
        f"--landlock-access=fs:{','.join(known)}",
        *(_rule(READ, path) for path in readable),
        *(_rule(work, path) for path in writable),
        *(_rule(("read-file", "write-file") if write else ("read-file",), path) for path, write in files),
    ]


def _rule(names: Iterable[str], path: str) -> str:
    return f"--landlock-rule=path-beneath:{','.join(names)}:{path}"
