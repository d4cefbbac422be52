"""The error tree and its table of status codes: every class is mapped and drawn, and no secret gets out."""

import json
import re
from collections.abc import Iterator

import pytest
from chalice.app import Response

import app
from chalicelib import errors
from chalicelib.api import error_responses
from chalicelib.errors import (
    BatchTooLarge,
    ErrorDetail,
    QueueFull,
    SettingsError,
    StoreError,
    WillItCompileError,
)

WHERE = "Redis at 10.1.2.3:6379"


def _tree(root: type[WillItCompileError]) -> Iterator[type[WillItCompileError]]:
    yield root
    for child in root.__subclasses__():
        yield from _tree(child)


CLASSES = list(_tree(WillItCompileError))
# What a view can raise: every class except the root.
RAISED = [error_class for error_class in CLASSES if error_class is not WillItCompileError]


def _make(error_class: type[WillItCompileError], message: str = WHERE) -> WillItCompileError:
    if error_class is QueueFull or error_class is BatchTooLarge:
        return error_class(message, 7)
    return error_class(message)


def _response_to(error: Exception) -> tuple[int, dict[str, str], dict[str, object], str]:
    """What a client gets when a view raises `error`: status, headers, body, and the text of the body."""

    @app.with_error_responses
    def view() -> Response:
        raise error

    response = view()
    return (
        response.status_code,
        {name: str(value) for name, value in response.headers.items()},
        json.loads(response.body),
        response.body,
    )


def _drawn() -> dict[str, tuple[int, int | None]]:
    """The classes in the tree that the docstring of the module draws: name → (depth, status)."""
    drawn_classes: dict[str, tuple[int, int | None]] = {}
    for line in str(errors.__doc__).splitlines():
        match = re.match(r"    ([│├└─ ]*)([A-Z]\w+) .*?(?:\((\d{3}|exit code 2)\))?$", line)
        if match:
            status = int(match[3]) if match[3] and match[3].isdigit() else None
            drawn_classes[match[2]] = (len(match[1]) // 4, status)
    return drawn_classes


def test_the_tree_in_the_docstring_is_the_tree_in_the_code() -> None:
    """It has the same names, depths and statuses."""
    drawn = _drawn()
    depths = {error_class.__name__: error_class.__mro__.index(WillItCompileError) for error_class in CLASSES}
    assert {name: depth for name, (depth, _) in drawn.items()} == depths
    statuses = {
        error_class.__name__: None if error_class is SettingsError else error_responses.status_of(error_class)
        for error_class in RAISED
    }
    assert {error_class.__name__: drawn[error_class.__name__][1] for error_class in RAISED} == statuses


@pytest.mark.parametrize("error_class", RAISED)
def test_every_error_has_a_status(error_class: type[WillItCompileError]) -> None:
    """No class of the tree is unmapped, and error_class status is an error's."""
    assert 400 <= error_responses.status_of(error_class) < 600


def test_an_error_outside_the_table_is_noticed() -> None:
    """Its status is not guessed: asking for it is a KeyError, which the test above would show."""
    with pytest.raises(KeyError, match="WillItCompileError"):
        error_responses.status_of(WillItCompileError)


def test_every_error_has_a_slug_of_its_own() -> None:
    """Programs distinguish errors by `error`: no two classes share it, and it consists of plain words."""
    # A client never gets BatchTooLarge: the matrix service turns it into the InvalidRequest that it is.
    classes = [error_class for error_class in CLASSES if error_class is not BatchTooLarge]
    slugs = [error_class.slug for error_class in classes]
    assert len(set(slugs)) == len(slugs)
    assert all("slug" in vars(error_class) for error_class in classes)
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", slug) for slug in slugs)


@pytest.mark.parametrize("error_class", RAISED)
def test_an_error_in_a_view_becomes_status_slug_message_and_details(
    error_class: type[WillItCompileError],
) -> None:
    """The body has exactly the three fields of an error, whatever was raised."""
    status, headers, body, _ = _response_to(_make(error_class))
    assert status == error_responses.status_of(error_class)
    assert headers["Content-Type"] == "application/json"
    assert set(body) == {"error", "message", "details"}
    assert body["error"] == error_class.slug
    assert body["details"] == []


def test_details_name_the_fields() -> None:
    """A detail is a field and a message."""
    error = errors.InvalidRequest("`x` is wrong.", [ErrorDetail("files.x", "`x` is wrong.")])
    _, _, body, _ = _response_to(error)
    assert body["details"] == [{"field": "files.x", "message": "`x` is wrong."}]


@pytest.mark.parametrize(
    "error_class",
    [error_class for error_class in RAISED if issubclass(error_class, (StoreError, SettingsError))],
)
def test_an_error_that_concerns_the_operator_shows_no_details_to_the_client(
    error_class: type[WillItCompileError],
) -> None:
    """Addresses and settings are in the log, and not in the response."""
    status, headers, body, text = _response_to(_make(error_class))
    assert status == 503
    assert "10.1.2.3" not in text
    assert body["message"]
    assert "10.1.2.3" not in str(headers)


@pytest.mark.parametrize(
    "error_class",
    [
        error_class
        for error_class in RAISED
        if error_responses.status_of(error_class) in (429, 503) and error_class is not SettingsError
    ],
)
def test_a_temporary_error_says_when_to_try_again(error_class: type[WillItCompileError]) -> None:
    """429 and 503 have Retry-After in whole seconds; an error that no waiting fixes has not."""
    _, headers, _, _ = _response_to(_make(error_class))
    assert int(headers["Retry-After"]) == (7 if error_class is QueueFull else error_class.retry_after_seconds)
    assert 1 <= int(headers["Retry-After"]) <= 60


@pytest.mark.parametrize(
    "error_class",
    [
        error_class
        for error_class in RAISED
        if error_responses.status_of(error_class) in (400, 404, 409, 413, 415)
    ],
)
def test_an_error_of_the_request_has_no_retry_after(error_class: type[WillItCompileError]) -> None:
    """Repeating a wrong request would not help."""
    assert "Retry-After" not in _response_to(_make(error_class))[1]


@pytest.mark.parametrize("error", [RuntimeError("s3cret-in-the-text"), KeyError("s3cret-in-the-text")])
def test_an_unexpected_exception_is_500_without_details(error: Exception) -> None:
    """The client gets an error in JSON; the exception's type and text are only in the log."""
    status, headers, body, text = _response_to(error)
    assert status == 500
    assert headers["Content-Type"] == "application/json"
    assert body == error_responses.internal_error().body
    assert "s3cret" not in text
    assert type(error).__name__ not in text
    assert "Traceback" not in text


def test_an_error_of_the_framework_has_the_fields_of_our_errors() -> None:
    """Its slug is the name of the status."""
    response = error_responses.error_response(405, "Unsupported method: PUT")
    assert response.body == {
        "error": "method_not_allowed",
        "message": "Unsupported method: PUT",
        "details": [],
    }
