"""A service over the store in memory, and what a client sends it."""

import json
from collections.abc import Sequence
from typing import Any

from chalicelib.catalog import load_catalog
from chalicelib.models import Environment
from chalicelib.service import CompileService
from chalicelib.storage.memory import MemoryStore
from tests.factories import make_runner, make_settings


def make_store(offered: Sequence[Environment], **variables: object) -> MemoryStore:
    """A store in which one runner has announced `offered`; `variables` are settings."""
    store = MemoryStore(make_settings(**variables))
    store.announce(make_runner(), offered, ttl_seconds=60)
    return store


def make_service(store: MemoryStore, *, patience_seconds: float = 0.0) -> CompileService:
    """The service; it waits `patience_seconds` for the first announcement of all."""
    return CompileService(store, load_catalog(), announcement_patience_seconds=patience_seconds)


def body_of(**fields: Any) -> bytes:
    """A good request for C++, with `fields` changed."""
    return json.dumps({"source_code": "int x;", "language": "cpp"} | fields).encode()
