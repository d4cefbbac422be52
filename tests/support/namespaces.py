"""The network of another process: this thread enters it, makes a connection, and comes back.

A socket stays in the network namespace in which it was made. Needs root, and Linux.
"""

import contextlib
import ctypes
import fcntl
import os
import socket
import struct
from collections.abc import Iterator

# Constants of Linux: setns(2), netdevice(7).
_CLONE_NEWNET = 0x40000000
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 0x1

_libc = ctypes.CDLL(None, use_errno=True)


def network_of(pid: int) -> "contextlib.AbstractContextManager[None]":
    """Within the context, this thread (and no other) is in the network namespace of that process."""
    return network_at(f"/proc/{pid}/ns/net")


@contextlib.contextmanager
def network_at(path: str) -> Iterator[None]:
    """The same for the network namespace of this file. A process that is started within stays in it."""
    with open("/proc/thread-self/ns/net", "rb") as ours, open(path, "rb") as theirs:
        _enter(theirs.fileno())
        try:
            yield
        finally:
            _enter(ours.fileno())


def raise_loopback(pid: int) -> None:
    """Make 127.0.0.1 work in the network namespace of that process; in a new one it does not."""
    with network_of(pid), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        # struct ifreq: a name of 16 bytes, then the flags, in 40 bytes.
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", _IFF_UP))


def _enter(descriptor: int) -> None:
    if _libc.setns(descriptor, _CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
