"""Errors as HTTP: the one table from error classes to status codes, and the response for each error.

Knows status codes and headers, but not Chalice: `app.py` turns an `ErrorResponse` into Chalice's own class.
To add an error: see `chalicelib/errors.py`; an error without a status of its own has that of its parent.
"""

from dataclasses import dataclass, field
from http import HTTPStatus

from chalicelib import errors

# The entry of the nearest parent class counts.
STATUS_OF_ERROR: dict[type[errors.WillItCompileError], int] = {
    errors.SettingsError: 503,
    errors.RequestError: 400,
    errors.SourceTooLarge: 413,
    errors.UnsupportedMediaType: 415,
    errors.JobNotFound: 404,
    errors.MatrixNotFound: 404,
    errors.JobEnded: 409,
    errors.QueueFull: 429,
    errors.NotReady: 503,
    errors.StoreError: 503,
}


@dataclass(frozen=True, slots=True)
class ErrorResponse:
    """An error as status code, JSON body and headers."""

    status: int
    body: dict[str, object]
    headers: dict[str, str] = field(default_factory=dict)


def status_of(error: type[errors.WillItCompileError]) -> int:
    """The status code of an error class; `KeyError` when neither it nor a parent is in the table."""
    for ancestor in error.__mro__:
        if ancestor in STATUS_OF_ERROR:
            return STATUS_OF_ERROR[ancestor]
    raise KeyError(error.__name__)


def response_to(error: errors.WillItCompileError) -> ErrorResponse:
    """The response to a request that raised `error`."""
    body = error.to_json()
    # Addresses, user names and settings concern the operator, who finds them in the log.
    if isinstance(error, errors.StoreError):
        body["message"] = "The job store is not available right now: try again in a moment."
    if isinstance(error, errors.StoreUnreadable):
        body["message"] = "What is stored there cannot be read: another release wrote it, or it is damaged."
    if isinstance(error, errors.SettingsError):
        body["message"] = "The service is not configured correctly; its log says what is wrong."
    headers = {}
    if error.retry_after_seconds is not None:
        headers["Retry-After"] = str(error.retry_after_seconds)
    return ErrorResponse(status_of(type(error)), body, headers)


def error_response(status: int, message: str) -> ErrorResponse:
    """A response for an error that the framework found, such as 405; its slug is the status's name."""
    slug = HTTPStatus(status).phrase.lower().replace(" ", "_")
    return ErrorResponse(status, {"error": slug, "message": message, "details": []})


def internal_error() -> ErrorResponse:
    """The response to an exception that nobody expected."""
    message = "The service failed unexpectedly; its log has the details."
    return ErrorResponse(500, {"error": "internal_error", "message": message, "details": []})
