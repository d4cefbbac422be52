"""The few calls of libseccomp that turn rules into a BPF program, through ctypes.

Not through the library's Python binding, which is built for the distribution's own Python and cannot be
installed into a virtual environment. `libseccomp.so.2` is on every Debian and Ubuntu (apt needs it).

It knows nothing of our policy. Constants and structures are those of <seccomp.h>, the library's ABI.
"""

import ctypes
import os
import tempfile
from types import TracebackType
from typing import Any, Self

LIBRARY = "libseccomp.so.2"

# Comparisons of an argument (enum scmp_compare).
NOT_EQUAL, MASKED_EQUAL = 1, 7

_ALLOW = 0x7FFF_0000
_ERRNO = 0x0005_0000
_KILL_PROCESS = 0x8000_0000
_ATTRIBUTE_BAD_ARCHITECTURE = 2

# seccomp_syscall_resolve_name: the library does not know the name. Other negative numbers stand for
# calls that this architecture lacks.
_UNKNOWN = -1


class SeccompError(Exception):
    """No filter can be made: the library is missing, or did not accept a rule. The message says which."""


class _Comparison(ctypes.Structure):
    _fields_ = (
        ("argument", ctypes.c_uint),
        ("operator", ctypes.c_int),
        ("first", ctypes.c_uint64),
        ("second", ctypes.c_uint64),
    )


class Filter:
    """A filter for this machine's own architecture that allows everything until rules deny something.

    Calls of any other architecture end the process. A context manager: the memory is the library's.
    """

    def __init__(self, library: str = LIBRARY) -> None:
        """Raises SeccompError when `library`, a name or path, cannot be loaded."""
        try:
            self._library = ctypes.CDLL(library)
        except OSError as error:
            raise SeccompError(f"{library} cannot be loaded: {error}") from error
        self._library.seccomp_init.restype = ctypes.c_void_p
        self._context: int | None = self._library.seccomp_init(ctypes.c_uint32(_ALLOW))
        if not self._context:
            raise SeccompError("libseccomp could not make a filter")
        self._call(
            "seccomp_attr_set", ctypes.c_int(_ATTRIBUTE_BAD_ARCHITECTURE), ctypes.c_uint32(_KILL_PROCESS)
        )

    def __enter__(self) -> Self:
        """Return the filter itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release the library's memory."""
        if self._context:
            self._library.seccomp_release(ctypes.c_void_p(self._context))
            self._context = None

    def deny(self, syscall: str, error: int, comparison: tuple[int, int, int, int] | None = None) -> bool:
        """Let `syscall` fail with the error number `error`; with `comparison`, only when it holds.

        `comparison` is (argument from 0, operator, first, second) as libseccomp reads them. False
        when this version of the library does not know the call by that name. Raises SeccompError.
        """
        number = self._library.seccomp_syscall_resolve_name(syscall.encode())
        if number == _UNKNOWN:
            return False
        if number < 0:
            return True  # not on this architecture
        comparisons = [] if comparison is None else [_Comparison(*comparison)]
        self._call(
            "seccomp_rule_add_array",
            ctypes.c_uint32(_ERRNO | error),
            ctypes.c_int(number),
            ctypes.c_uint(len(comparisons)),
            (_Comparison * len(comparisons))(*comparisons),
        )
        return True

    def export(self) -> bytes:
        """The program as the kernel takes it: an array of struct sock_filter. Raises SeccompError."""
        with tempfile.TemporaryFile() as file:
            self._call("seccomp_export_bpf", ctypes.c_int(file.fileno()))
            file.seek(0)
            return file.read()

    def _call(self, name: str, *arguments: Any) -> None:
        result = getattr(self._library, name)(ctypes.c_void_p(self._context), *arguments)
        if result < 0:
            raise SeccompError(f"{name} failed: {os.strerror(-result)}")
