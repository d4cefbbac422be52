"""Errors as HTTP: the one table from the error tree to status codes, and the answer for each.

Knows numbers and headers, not Chalice: `app.py` makes its responses from this.
"""

from dataclasses import dataclass, field
from http import HTTPStatus

from chalicelib import errors

# The nearest entry up an error's ancestry counts.
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
class HttpError:
    """An error as status code, JSON body and headers."""

    status: int
    body: dict[str, object]
    headers: dict[str, str] = field(default_factory=dict)


def status_of(error: type[errors.WillItCompileError]) -> int:
    """The status code of an error class; `KeyError` when the table forgot it."""
    for ancestor in error.__mro__:
        if ancestor in STATUS_OF_ERROR:
            return STATUS_OF_ERROR[ancestor]
    raise KeyError(error.__name__)


def answer(error: errors.WillItCompileError) -> HttpError:
    """The answer to a request that ended in `error`."""
    body = error.to_json()
    if isinstance(error, errors.StoreError):
        # Addresses, users and settings are the operator's; the log has them.
        body["message"] = "The job store cannot be used right now: try again in a moment."
    if isinstance(error, errors.SettingsError):
        body["message"] = "The service is not configured correctly; its log says what is wrong."
    headers = {}
    if error.retry_after_seconds is not None:
        headers["Retry-After"] = str(error.retry_after_seconds)
    return HttpError(status_of(type(error)), body, headers)


def refusal(status: int, message: str) -> HttpError:
    """An answer of the framework's own, such as 405, in the shape of ours."""
    slug = HTTPStatus(status).phrase.lower().replace(" ", "_")
    return HttpError(status, {"error": slug, "message": message, "details": []})


def internal() -> HttpError:
    """The answer when we failed in a way that we did not foresee."""
    message = "The service failed in an unexpected way; this has been logged."
    return HttpError(500, {"error": "internal_error", "message": message, "details": []})
