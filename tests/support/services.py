"""The use cases over the store in memory, request bodies for them, and runners that a test controls."""

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from chalicelib.bootstrap import Application, build_application
from chalicelib.models import Environment, Job, Result
from chalicelib.service import CompileService
from chalicelib.storage.memory import MemoryStore
from tests.support.factories import make_runner, make_settings


def make_store(offered: Sequence[Environment], **variables: object) -> MemoryStore:
    """A store in which one runner has registered `offered`; `variables` are settings."""
    store = MemoryStore(make_settings(**variables))
    store.register(make_runner(), offered, ttl_seconds=60)
    return store


def make_application(store: MemoryStore, *, patience_seconds: float = 0.0) -> Application:
    """The application over a store; it waits `patience_seconds` for the first registration of a runner."""
    return build_application(make_settings(), store, registration_patience_seconds=patience_seconds)


def make_service(store: MemoryStore, *, patience_seconds: float = 0.0) -> CompileService:
    """Only the use cases of jobs: see `make_application`."""
    return make_application(store, patience_seconds=patience_seconds).service


def body_of(**fields: Any) -> bytes:
    """The body of a valid request for C++, with `fields` changed."""
    return json.dumps({"source_code": "int x;", "language": "cpp"} | fields).encode()


# Starts a runner that completes each job with the result that a function makes of it.
StartRunner = Callable[[Callable[[Job], Result]], None]


@contextmanager
def runners_over(store: MemoryStore) -> Iterator[StartRunner]:
    """Lets a test start runners on threads, which stop at the end of the `with` block."""
    ended = threading.Event()
    threads: list[threading.Thread] = []

    def start(compile_job: Callable[[Job], Result]) -> None:
        def work() -> None:
            while not ended.is_set():
                claim = store.claim("runner", 0.05)
                if claim is not None:
                    assert store.complete(claim, compile_job(claim.job))

        threads.append(threading.Thread(target=work))
        threads[-1].start()

    yield start
    ended.set()
    for thread in threads:
        thread.join()
