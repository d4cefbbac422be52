"""Every error that this service raises on purpose.

The tree::

    WillItCompileError                anything that can be explained to a person
    ├── SettingsError                 a setting is missing or wrong           (exit code 2)
    ├── RequestError                  the caller can fix it                   (400)
    │   ├── InvalidRequest            malformed, unknown or impossible field  (400)
    │   │   └── BatchTooLarge         more jobs at once than may ever wait    (400)
    │   ├── SourceTooLarge            more source than is allowed             (413)
    │   └── UnsupportedMediaType      a body that is not JSON by its header   (415)
    ├── JobNotFound                   unknown id, or the job has expired      (404)
    ├── MatrixNotFound                likewise, of a matrix                   (404)
    ├── JobEnded                      too late to cancel                      (409)
    ├── QueueFull                     backpressure: try again later           (429)
    ├── NotReady                      no runner has registered yet            (503)
    └── StoreError                    the store failed                        (503)
        ├── StoreUnreadable           data of another release, or of others   (503)
        ├── StoreUnavailable          down, loading, failing over, timed out  (503)
        ├── StoreAccessError          wrong password, user, TLS or protocol   (503)
        └── StoreFull                 Redis is out of memory                  (503)

Exceptions of libraries are translated into these once, at the adapter that called the library.
To add an error: subclass the nearest parent here, give it a slug, and draw it in the tree above. Its
status is that of its parent unless `STATUS_OF_ERROR` in `api/error_responses.py` has an entry for it.
Its docstring is its row in docs/api.md, which `make docs` writes.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ErrorDetail:
    """One thing that is wrong with a request: the dotted path of a field, and a sentence about it."""

    field: str
    message: str

    def to_json(self) -> dict[str, str]:
        """The wire form of a detail."""
        return {"field": self.field, "message": self.message}


class WillItCompileError(Exception):
    """Root of the tree. `slug` is for programs; the message is for a person who can act on it."""

    slug = "internal_error"
    retry_after_seconds: int | None = None

    def __init__(self, message: str, details: Sequence[ErrorDetail] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.details = tuple(details)

    def to_json(self) -> dict[str, object]:
        """The error body of the HTTP API: ``{"error", "message", "details"}``."""
        return {
            "error": self.slug,
            "message": self.message,
            "details": [detail.to_json() for detail in self.details],
        }


class SettingsError(WillItCompileError):
    """A setting is missing or wrong; the log names the variable, its value and what is allowed."""

    slug = "invalid_settings"


class RequestError(WillItCompileError):
    """The request is wrong, and the caller can fix it."""

    slug = "bad_request"


class InvalidRequest(RequestError):
    """A field or query parameter is missing, unknown, malformed, or asks for what does not exist."""

    slug = "invalid_request"


class BatchTooLarge(InvalidRequest):
    """More jobs at once than `queue_size`: they would not even fit into an empty queue."""

    def __init__(self, message: str, queue_size: int) -> None:
        super().__init__(message)
        self.queue_size = queue_size


class SourceTooLarge(RequestError):
    """The decoded source, or the body, is over its limit."""

    slug = "source_too_large"


class UnsupportedMediaType(RequestError):
    """The Content-Type of the body is not JSON."""

    slug = "unsupported_media_type"


class JobNotFound(WillItCompileError):
    """No such job: the id is unknown, or the job has expired."""

    slug = "job_not_found"


class MatrixNotFound(WillItCompileError):
    """No such matrix: the id is unknown, or the matrix has expired."""

    slug = "matrix_not_found"


class JobEnded(WillItCompileError):
    """The job has already ended (or is ending), so it cannot be cancelled."""

    slug = "job_ended"


class QueueFull(WillItCompileError):
    """There is no room for this many jobs (QUEUE_SIZE) or sources (STORE_LIMIT_MB); nothing was stored."""

    slug = "queue_full"

    def __init__(self, message: str, retry_after_seconds: int) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class NotReady(WillItCompileError):
    """No runner is alive, or none has registered its compilers yet."""

    slug = "not_ready"
    # A runner needs some seconds to test its compilers before it registers them.
    retry_after_seconds = 5


class StoreError(WillItCompileError):
    """The job store failed."""

    slug = "store_error"
    # A failover or restart of Redis takes a few seconds; retrying sooner only adds load.
    retry_after_seconds = 5


class StoreUnreadable(StoreError):
    """What the store holds there was written by another release, or is damaged, and cannot be read."""

    slug = "store_unreadable"


class StoreUnavailable(StoreError):
    """The store cannot be reached now: connection refused, timed out, loading or failing over."""

    slug = "store_unavailable"


class StoreAccessError(StoreError):
    """The store is reachable but does not let us in: password, user rights, TLS or protocol."""

    slug = "store_refused"


class StoreFull(StoreError):
    """Redis is out of memory and may not evict keys, so a new job cannot be stored."""

    slug = "store_full"
    # Memory becomes free when jobs expire, which takes longer than a failover.
    retry_after_seconds = 30
