"""What a Sentinel group and a cluster share: several servers that start together and end together."""

from contextlib import ExitStack
from types import TracebackType
from typing import Self


class ServerGroup:
    """A context manager around `_start`; what it entered into `_stack` is closed, also when it fails."""

    def __init__(self) -> None:
        self._stack = ExitStack()

    def _start(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
