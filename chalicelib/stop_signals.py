"""SIGTERM and SIGINT: the first stops a program properly, a second one ends it at once, without a word.

Python runs a signal handler on the main thread between any two of its steps, where it may hold the very lock
that a stop needs, or be in the middle of a line for the log. So what is to be done runs on a thread of its
own, which the signal wakes through a socket; the handler itself only counts.
"""

import os
import signal
import socket
import threading
from collections.abc import Callable
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopSignals:
    """Takes over both signals of this process, for good. Only the main thread may make one."""

    def __init__(self) -> None:
        """From now on a first signal only does what `on_stop` was given."""
        self._lock = threading.Lock()
        self._stops: list[Callable[[], None]] = []
        self._received: signal.Signals | None = None
        self._count = 0
        self._reader, self._writer = socket.socketpair()
        self._writer.settimeout(0)
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        for number in SIGNALS:
            signal.signal(number, self._handle)
        threading.Thread(target=self._listen, name="stop-signals", daemon=True).start()

    @property
    def received(self) -> signal.Signals | None:
        """The signal that asked for the stop."""
        return self._received

    def on_stop(self, stop: Callable[[], None]) -> None:
        """Call `stop` when a signal comes, on another thread; at once when it came already."""
        with self._lock:
            self._stops.append(stop)
            came = self._received is not None
        if came:
            stop()

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        self._count += 1
        if self._count > 1:
            # Only now, when nothing can come in between: of a signal that is pending when its handler is
            # replaced, Python prints an error.
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    def _listen(self) -> None:
        while number := self._reader.recv(1):
            if number[0] in SIGNALS:
                break
        with self._lock:
            self._received = signal.Signals(number[0])
            stops = list(self._stops)
        for stop in stops:
            stop()
