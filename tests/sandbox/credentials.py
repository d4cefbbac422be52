"""The credential service of a task, which no job may reach: a listener on 169.254.170.2.

`python -m tests.sandbox.credentials serve` is the service, for a container whose network other containers
share, as in a task. `… attack SANDBOX PROBE` connects to it, first without a sandbox and then from inside
one, and prints the results as JSON. Where no service answers, it makes a network namespace with one. This is
a process of its own, because a namespace would disturb other tests.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path

# What the agent of a container service answers credentials on; the port is HTTP's.
ADDRESS, PORT = "169.254.170.2", 80
READY = "ready"

_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
# linux/sockios.h and linux/if.h
_SIOCSIFFLAGS, _SIOCSIFADDR, _SIOCSIFNETMASK = 0x8914, 0x8916, 0x891C
_IFF_UP = 1


def add_address() -> None:
    """Give the loopback device of this process's network the address. Raises OSError."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", _IFF_UP))
        for request, address in ((_SIOCSIFADDR, ADDRESS), (_SIOCSIFNETMASK, "255.255.255.255")):
            named = struct.pack("16sHH4s8x", b"lo:1", socket.AF_INET, 0, socket.inet_aton(address))
            fcntl.ioctl(control, request, named)


def serve() -> socket.socket:
    """Listen there, and take every connection, until the process ends."""
    server = socket.create_server((ADDRESS, PORT))

    def take() -> None:
        while True:
            server.accept()[0].close()

    threading.Thread(target=take, daemon=True).start()
    return server


def _answers() -> bool:
    with contextlib.suppress(OSError), socket.create_connection((ADDRESS, PORT), timeout=2):
        return True
    return False


def _enter_a_network_of_our_own() -> None:
    """A fresh network namespace for this process; without root that takes a user namespace as well."""
    uid, gid = os.getuid(), os.getgid()
    root = os.geteuid() == 0
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET if root else _CLONE_NEWNET | _CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    if not root:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")


def attack(sandbox_name: str, probe: Path) -> None:
    """Connect from outside, then from inside; prints the exit statuses of the probe, 0 for an answer."""
    if not _answers():
        _enter_a_network_of_our_own()
        add_address()
        serve()
    # Only here: the user ids of jobs depend on the network namespace (runner/sandbox/uid_pool/pool.py).
    from runner.sandbox.base import Command
    from runner.workspace import Workspace
    from tests.sandbox.support import ALL_SANDBOXES, TIGHT
    from tests.support.engine import RUNNER

    make = ALL_SANDBOXES[sandbox_name]
    sandbox = make(RUNNER) if sandbox_name == "docker" else make()
    sandbox.probe()
    words = ["tcp", ADDRESS, str(PORT)]
    outside = subprocess.run([probe, *words], check=False, capture_output=True).returncode
    with Workspace.create({}) as workspace:
        shutil.copy(probe, workspace.path / "probe")
        result = sandbox.run(Command(["./probe", *words]), workspace, TIGHT)
    report = {"outside": outside, "inside": result.exit_code, "output": result.stdout.decode()}
    sys.stdout.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        add_address()
        serve()
        sys.stdout.write(READY + "\n")
        sys.stdout.flush()
        threading.Event().wait()
    else:
        _, name, path = sys.argv[1:]
        attack(name, Path(path))
