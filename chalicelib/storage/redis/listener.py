"""Waiting for a hint on a channel: pub/sub where it works, and sleeping where it does not.

A hint is never the news itself: who is woken reads the job. So a message that is lost, a user without
rights on the channel, or a server that drops its subscribers costs a poll interval and nothing else.
"""

import logging
import time
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from redis.exceptions import RedisError

from chalicelib.storage.redis.client import RedisLink
from chalicelib.storage.redis.connection import LONGEST_BLOCK_SECONDS

logger = logging.getLogger("will_it_compile")


class Listener:
    """Subscribed to some channels within its `with` block, if that can be."""

    def __init__(self, link: RedisLink, *channels: str) -> None:
        self._link = link
        self._channels = channels
        self._subscription: Any = None

    def wait(self, seconds: float) -> None:
        """Returns at a hint, or after `seconds`; or early, and the caller looks once more."""
        if self._subscription is not None:
            try:
                self._subscription.get_message(timeout=seconds)
            except (RedisError, OSError) as error:
                self._give_up(error)
            else:
                return
        time.sleep(seconds)

    def _give_up(self, error: Exception) -> None:
        logger.debug("channels %s: %s; polling instead", self._channels, error)
        self._close()

    def _close(self) -> None:
        if self._subscription is not None:
            with suppress(RedisError, OSError):
                self._subscription.close()
        self._subscription = None

    def __enter__(self) -> Self:
        try:
            self._subscription = self._link.subscriber.pubsub()
            self._subscription.subscribe(*self._channels)
            # The subscription's own answers, one for each; only then is no hint missed.
            for _ in self._channels:
                self._subscription.get_message(timeout=LONGEST_BLOCK_SECONDS)
        except (RedisError, OSError) as error:
            self._give_up(error)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()
