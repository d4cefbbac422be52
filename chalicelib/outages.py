"""One log line when something begins to fail, and one when it is over, however often it was tried."""

import logging
import threading


class Outages:
    """What fails right now, by a short name of ours. Safe with threads."""

    def __init__(self, logger: logging.Logger, over: str = "%s: over, this works again") -> None:
        """`over` is the last line, with the name in it."""
        self._logger = logger
        self._over = over
        self._lock = threading.Lock()
        # What noticed each outage: only that can notice its end.
        self._noticed: dict[str, set[str]] = {}

    def failed(self, what: str, by: str, message: str, *, level: int = logging.WARNING) -> None:
        """Log that `what` fails, at `level` the first time and at DEBUG after that."""
        with self._lock:
            is_new = what not in self._noticed
            self._noticed.setdefault(what, set()).add(by)
        self._logger.log(level if is_new else logging.DEBUG, "%s: %s", what, message)

    def worked(self, by: str) -> None:
        """Log that all that `by` has seen failing works again."""
        if not self._noticed:  # the usual case, at each request
            return
        with self._lock:
            over = [what for what, noticed in self._noticed.items() if by in noticed]
            for what in over:
                del self._noticed[what]
        for what in over:
            self._logger.info(self._over, what)
