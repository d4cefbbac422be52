"""The link to one Redis: client, key names and scripts, shared by the parts of the Redis store."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from redis.exceptions import RedisError

from chalicelib.settings import Settings
from chalicelib.storage.redis import keys
from chalicelib.storage.redis.connection import connect, translated
from chalicelib.storage.redis.scripts import Argument, Script, Scripts

# Clients that wait are bounded by the server's threads, not here.
SUBSCRIBERS = 2**16


class RedisLink:
    """Connects when first used. `client` may be passed in by tests and is then not closed."""

    def __init__(self, settings: Settings, client: Any = None) -> None:
        self.settings = settings
        self.keys = keys.CoordinationKeys.for_mode(settings.redis_mode)
        self.scripts = Scripts()
        self.ttl_ms = round(settings.job_ttl_seconds * 1000)
        self._given = client
        self._made: dict[int, Any] = {}

    def _client_of(self, pool_size: int) -> Any:
        if self._given is not None:
            return self._given
        client = self._made.get(pool_size)
        if client is None:
            # Two threads may both get here: then one client is dropped before it ever connected.
            client = self._made.setdefault(pool_size, connect(self.settings, pool_size=pool_size))
        return client

    @property
    def client(self) -> Any:
        """The client for commands, with at most REDIS_POOL_SIZE connections."""
        return self._client_of(self.settings.redis_pool_size)

    @property
    def subscriber(self) -> Any:
        """A client of its own for waiting: a wait holds a connection for up to 25 s, and must not
        take it from those who do the work."""
        return self._client_of(SUBSCRIBERS)

    def coordinate(self, script: Script, *arguments: Argument) -> Any:
        """Runs a script over the coordination keys; raises `StoreError`."""
        with translated(self.settings):
            return script(self.client, self.keys.for_scripts(), arguments)

    def close(self) -> None:
        """Closes what was made here."""
        for client in self._made.values():
            with suppress(RedisError, OSError):
                client.close()
        self._made.clear()


def flattened(items: Iterable[tuple[Any, Any]]) -> list[Any]:
    """Pairs as Redis takes them: name, value, name, value."""
    return [part for item in items for part in item]


def paired(flat: Sequence[Any]) -> list[tuple[Any, Any]]:
    """The inverse of `flattened`."""
    return list(zip(flat[::2], flat[1::2], strict=True))
