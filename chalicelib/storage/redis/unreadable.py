"""What to do with what cannot be read: say so, once for each key and within a bound, and go on.

Data of another release, or of somebody else, is one job's end or one missing row, never the end of a process.
"""

import logging
import threading
import time
from collections import OrderedDict

from pydantic import ValidationError

logger = logging.getLogger("will_it_compile")

# More keys than an operator reads about, and little memory.
KEYS_REMEMBERED = 1000
# Whoever fills Redis with such keys does not fill the log: a line per second and more for each process.
LINES_PER_MINUTE = 60
# A reason is a part of one line.
LONGEST_REASON = 200


class UnreadableKeys:
    """Logs what could not be read: each key once, within `LINES_PER_MINUTE`. Safe with threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._logged: OrderedDict[str, None] = OrderedDict()
        self._minute = 0.0
        self._lines = 0

    def log(self, key: str, reason: str, consequence: str) -> None:
        """Logs at warning that `key` cannot be read, and what that means, unless it was logged before."""
        with self._lock:
            if key in self._logged:
                return
            if time.monotonic() - self._minute >= 60:
                self._minute, self._lines = time.monotonic(), 0
            self._lines += 1
            if self._lines > LINES_PER_MINUTE:
                return  # it is logged when it is read again
            self._logged[key] = None
            if len(self._logged) > KEYS_REMEMBERED:
                self._logged.popitem(last=False)
        logger.warning(
            "store: %s cannot be read (%s): %s. Another release wrote it, or somebody else: look at the key",
            ascii(key)[1:-1][:LONGEST_REASON],
            reason,
            consequence,
        )


def reason_of(error: Exception) -> str:
    """Why something cannot be read, in one short line without the data itself."""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        text = f"{place}: {first['msg']}" if place else first["msg"]
    elif isinstance(error, KeyError):
        text = f"there is no field {error}"
    else:
        text = str(error) or type(error).__name__
    return ascii(text)[1:-1][:LONGEST_REASON]
