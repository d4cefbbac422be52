"""Waiting for a hint on a channel: by pub/sub where it works, by sleeping where it does not.

A hint is never the news itself: a client that is woken reads the job. So a message that is lost, a user
without rights on the channel, or a server that drops its subscribers costs one poll interval, and nothing
else.

SUBSCRIBE and PUBLISH rather than their sharded kin, because every Redis has them; serverless caches of AWS do
the sharded kind under these names. There a channel has a slot, so each channel gets a SUBSCRIBE of its own.
"""

import logging
import time
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from redis.exceptions import RedisError

from chalicelib.storage.redis.client import LONGEST_BLOCK_SECONDS, RedisClient

logger = logging.getLogger("will_it_compile")

# For all channels together: a client that waits for the 64 cells of a matrix must still get its answer in
# time.
SUBSCRIBE_SECONDS = 2.0


class Listener:
    """Subscribed to some channels within its `with` block, if it can be."""

    def __init__(self, client: RedisClient, *channels: str) -> None:
        self._client = client
        self._channels = channels
        self._subscription: Any = None

    def wait(self, seconds: float) -> None:
        """Returns at a hint, or after `seconds`; possibly early, so the caller must look again."""
        if self._subscription is not None:
            try:
                self._subscription.get_message(timeout=seconds)
            except (RedisError, OSError) as error:
                self._fall_back(error)
            else:
                return
        time.sleep(seconds)

    def _fall_back(self, error: Exception) -> None:
        logger.debug("cannot listen on %s: %s; polling instead", self._channels, error)
        self._close()

    def _close(self) -> None:
        if self._subscription is not None:
            with suppress(RedisError, OSError):
                self._subscription.close()
        self._subscription = None

    def __enter__(self) -> Self:
        try:
            self._subscription = self._client.subscription()
            for channel in self._channels:
                self._subscription.subscribe(channel)
            # Redis confirms each channel; after that no hint is missed. What comes before may be a hint for
            # one that was confirmed already: the caller reads all jobs before it waits.
            deadline = time.monotonic() + SUBSCRIBE_SECONDS
            for _ in self._channels:
                remaining_seconds = deadline - time.monotonic()
                if remaining_seconds <= 0:
                    raise TimeoutError("no confirmation in time")
                self._subscription.get_message(timeout=min(remaining_seconds, LONGEST_BLOCK_SECONDS))
        except (RedisError, OSError) as error:
            self._fall_back(error)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()
