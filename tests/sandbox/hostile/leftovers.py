"""What jobs can leave behind on the host: processes, files, shared memory, semaphores, messages.

Call `Leftovers.look()` before a job and after it. What is new is the job's, or another runner's that works on
this host at the same time. So only what cannot be another runner's counts: descendants of this process, and
orphans under a job's user id that nobody has leased. Runners end a lease only when its job has left nothing,
but a runner that another test kills leaves orphans until the kernel has ended them, so those get a moment.
"""

import os
import re
import tempfile
import time
from dataclasses import dataclass, fields
from pathlib import Path

from runner.sandbox.uid_pool.pool import FIRST_UID, POOL_SIZE, quarantined
from runner.workspace import workspaces_folder

# Where every user of a host may write, and so where a job could leave a file if a sandbox let it.
_WRITABLE = ("/tmp", "/var/tmp", "/dev/shm", "/dev/mqueue", "/run/lock", "/run/user")

_IPC = ("shm", "sem", "msg")

# A sandbox dies with its runner; what is not gone after this was left. A busy machine takes a while.
_ORPHAN_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Leftovers:
    """A look at the host. Each entry is a line that says what it is."""

    descendants: frozenset[str]
    orphans: frozenset[str]
    files: frozenset[str]
    shared: frozenset[str]

    @classmethod
    def look(cls) -> "Leftovers":
        """What is there now."""
        descendants, orphans = _processes()
        return cls(descendants, orphans, _files(), _ipc())

    def since(self, before: "Leftovers") -> list[str]:
        """What is here now and was not before; empty when nothing was left."""
        orphans = self.orphans - before.orphans
        deadline = time.monotonic() + _ORPHAN_SECONDS
        while orphans and time.monotonic() < deadline:
            time.sleep(0.1)  # between two looks
            orphans &= _processes()[1]
        return sorted(
            line
            for field in fields(self)
            for line in (
                orphans
                if field.name == "orphans"
                else getattr(self, field.name) - getattr(before, field.name)
            )
        )


def _is_job_uid(uid: int) -> bool:
    return FIRST_UID <= uid < FIRST_UID + POOL_SIZE


def _leased() -> set[int]:
    """The user ids that runners of this network namespace have leased, without those in quarantine."""
    sockets = Path("/proc/net/unix").read_text()
    uids = {int(uid) for uid in re.findall(r"@will-it-compile/slot/(\d+)$", sockets, re.MULTILINE)}
    return uids - set(quarantined())


def _processes() -> tuple[frozenset[str], frozenset[str]]:
    """Our descendants, and orphans under user ids that nobody has leased; zombies count as well."""
    parents, owners, names = {}, {}, {}
    leased = _leased()
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            text = Path(entry.path, "stat").read_bytes()
            owners[int(entry.name)] = entry.stat().st_uid
        except (FileNotFoundError, ProcessLookupError):
            continue
        name, rest = text[text.index(b"(") + 1 : text.rindex(b")")], text[text.rindex(b")") + 2 :].split()
        parents[int(entry.name)] = int(rest[1])
        # Not its state, which changes while it is looked at twice.
        names[int(entry.name)] = f"{name.decode(errors='replace')}, since {int(rest[19])}"
    # Before and after the look: a job that its runner was ending meanwhile does not count.
    leased |= _leased()
    descendants, orphans = set(), set()
    for pid in parents:
        above = pid
        # Up to the first that is not a job's: the runner that started it, or process 1 for an orphan.
        while above in parents and (above == pid or _is_job_uid(owners[above])):
            above = parents[above]
        orphan = above in (0, 1) and _is_job_uid(owners[pid]) and owners[pid] not in leased
        line = f"process {pid} of user {owners[pid]}: {names[pid]}"
        if above == os.getpid():
            descendants.add(line)
        elif orphan:
            orphans.add(line)
    return frozenset(descendants), frozenset(orphans)


def _files() -> frozenset[str]:
    """Our own workspaces, and files of a job's user id wherever everybody may write."""
    folders = (workspaces_folder(), Path(tempfile.gettempdir()))
    files = {str(path) for folder in folders for path in folder.glob(f"{os.getpid()}-*")}
    for directory in _WRITABLE:
        try:
            entries = list(os.scandir(directory))
        except (FileNotFoundError, PermissionError):
            continue
        for entry in entries:
            try:
                owner = entry.stat(follow_symlinks=False).st_uid
            except FileNotFoundError:
                continue
            if _is_job_uid(owner) or entry.name.startswith("left-"):
                files.add(f"file {entry.path} of user {owner}")
    return frozenset(files)


def _ipc() -> frozenset[str]:
    """System V objects of a job's user id, or of this user when jobs run as this user."""
    objects = set()
    for kind in _IPC:
        lines = Path(f"/proc/sysvipc/{kind}").read_text().splitlines()
        head = lines[0].split()
        for line in lines[1:]:
            row = dict(zip(head, line.split(), strict=False))
            if _is_job_uid(int(row["uid"])) or (os.geteuid() != 0 and int(row["uid"]) == os.geteuid()):
                objects.add(f"{kind} {row['key']} {row[f'{kind}id']}")
    return frozenset(objects)
