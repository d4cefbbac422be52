"""How much memory programs take in truth, the kernel's own included, whatever a sandbox says of it.

The kernel counts that for a control group. Where one may be made, this process enters one of its own for the
time of a measurement, and everything that it starts is in it. Elsewhere, as in a container, the group that it
is in anyway is looked at often, and what was used before is taken off.
"""

import contextlib
import os
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.support.skipping import missing

_ROOT = Path("/sys/fs/cgroup")

# The files of a group that say what is used now, for either version of control groups.
_USED = ("memory.current", "memory.usage_in_bytes")
_PEAK = ("memory.peak", "memory.max_usage_in_bytes")

_LOOK_SECONDS = 0.005


@contextlib.contextmanager
def memory_peak() -> Iterator[Callable[[], int]]:
    """Yields a function: the most bytes that were used at a time since the context was entered."""
    group = _group()
    own = group / f"wic-test-{uuid.uuid4().hex}"
    try:
        own.mkdir()
        peak = _file(own, _PEAK)
        (own / "cgroup.procs").write_text(str(os.getpid()))
    except (OSError, LookupError):
        with contextlib.suppress(OSError):
            own.rmdir()
        with _sampled(group) as most:
            yield most
        return
    try:
        yield lambda: int(peak.read_text())
    finally:
        (group / "cgroup.procs").write_text(str(os.getpid()))
        # What was started meanwhile and lives on, such as a helper of the runner.
        for pid in (own / "cgroup.procs").read_text().split():
            with contextlib.suppress(OSError):
                (group / "cgroup.procs").write_text(pid)
        with contextlib.suppress(OSError):
            own.rmdir()


@contextlib.contextmanager
def _sampled(group: Path) -> Iterator[Callable[[], int]]:
    used = _file(group, _USED)
    before = most = int(used.read_text())
    ended = threading.Event()

    def look() -> None:
        nonlocal most
        while not ended.wait(_LOOK_SECONDS):
            most = max(most, int(used.read_text()))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield lambda: most - before
    finally:
        ended.set()
        thread.join()


def _group() -> Path:
    """The folder of the group that counts the memory of this process."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        root = _ROOT / "memory" if controllers == "memory" else _ROOT
        if controllers in ("memory", ""):
            for folder in (root / path.lstrip("/"), root):
                if any((folder / name).exists() for name in _USED):
                    return folder
    return missing("no control group counts the memory of this process")


def _file(group: Path, names: tuple[str, ...]) -> Path:
    for name in names:
        if (group / name).exists():
            return group / name
    raise LookupError(f"{group} has none of {names}")
