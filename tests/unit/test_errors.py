"""The error tree and its one table to HTTP: nothing unmapped, nothing undrawn, no secret told."""

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
# What a view can raise: everything but the root, which nobody raises.
RAISED = [each for each in CLASSES if each is not WillItCompileError]


def _make(each: type[WillItCompileError], message: str = WHERE) -> WillItCompileError:
    return each(message, 7) if each is QueueFull or each is BatchTooLarge else each(message)


def _answer_of(error: Exception) -> tuple[int, dict[str, str], dict[str, object], str]:
    """What a client gets when a view raises `error`: status, headers, body, and the body's text."""

    @app.handled
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
    """The classes in the drawing of the module's docstring: name → (depth, status)."""
    found = {}
    for line in str(errors.__doc__).splitlines():
        match = re.match(r"    ([│├└─ ]*)([A-Z]\w+) .*?(?:\((\d{3}|exit code 2)\))?$", line)
        if match:
            status = int(match[3]) if match[3] and match[3].isdigit() else None
            found[match[2]] = (len(match[1]) // 4, status)
    return found


def test_the_drawing_holds_every_class_at_its_place() -> None:
    """The tree in the docstring is the tree in the code: names, depths and statuses."""
    drawn = _drawn()
    depths = {each.__name__: each.__mro__.index(WillItCompileError) for each in CLASSES}
    assert {name: depth for name, (depth, _) in drawn.items()} == depths
    statuses = {
        each.__name__: None if each is SettingsError else error_responses.status_of(each) for each in RAISED
    }
    assert {each.__name__: drawn[each.__name__][1] for each in RAISED} == statuses


@pytest.mark.parametrize("each", RAISED)
def test_every_error_has_a_status(each: type[WillItCompileError]) -> None:
    """No class of the tree is unmapped, and each status is an error's."""
    assert 400 <= error_responses.status_of(each) < 600


def test_an_error_outside_the_table_is_noticed() -> None:
    """A class that the table forgot is a KeyError, which the test above would show, and not a guess."""
    with pytest.raises(KeyError, match="WillItCompileError"):
        error_responses.status_of(WillItCompileError)


def test_every_error_has_a_slug_of_its_own() -> None:
    """Programs tell errors apart by `error`: no two classes share it, and it is a plain word."""
    # A client never gets BatchTooLarge: the matrix service words it as the InvalidRequest that it is.
    classes = [each for each in CLASSES if each is not BatchTooLarge]
    slugs = [each.slug for each in classes]
    assert len(set(slugs)) == len(slugs)
    assert all("slug" in vars(each) for each in classes)
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", slug) for slug in slugs)


@pytest.mark.parametrize("each", RAISED)
def test_a_view_that_raises_answers_with_status_slug_message_and_details(
    each: type[WillItCompileError],
) -> None:
    """The body has the three fields of an error and no other, whatever was raised."""
    status, headers, body, _ = _answer_of(_make(each))
    assert status == error_responses.status_of(each)
    assert headers["Content-Type"] == "application/json"
    assert set(body) == {"error", "message", "details"}
    assert body["error"] == each.slug
    assert body["details"] == []


def test_details_name_the_fields() -> None:
    """A detail is a field and a message."""
    error = errors.InvalidRequest("`x` is wrong.", [ErrorDetail("files.x", "`x` is wrong.")])
    _, _, body, _ = _answer_of(error)
    assert body["details"] == [{"field": "files.x", "message": "`x` is wrong."}]


@pytest.mark.parametrize("each", [each for each in RAISED if issubclass(each, (StoreError, SettingsError))])
def test_an_error_of_the_operator_is_not_told_to_the_client(each: type[WillItCompileError]) -> None:
    """Addresses and settings are in the log, and not in the answer."""
    status, headers, body, text = _answer_of(_make(each))
    assert status == 503
    assert "10.1.2.3" not in text
    assert body["message"]
    assert "10.1.2.3" not in str(headers)


@pytest.mark.parametrize(
    "each",
    [each for each in RAISED if error_responses.status_of(each) in (429, 503) and each is not SettingsError],
)
def test_an_error_that_passes_says_when_to_come_back(each: type[WillItCompileError]) -> None:
    """429 and 503 carry Retry-After, in whole seconds; what no waiting mends does not."""
    _, headers, _, _ = _answer_of(_make(each))
    assert int(headers["Retry-After"]) == (7 if each is QueueFull else each.retry_after_seconds)
    assert 1 <= int(headers["Retry-After"]) <= 60


@pytest.mark.parametrize(
    "each", [each for each in RAISED if error_responses.status_of(each) in (400, 404, 409, 413, 415)]
)
def test_an_error_that_stays_does_not(each: type[WillItCompileError]) -> None:
    """To repeat a wrong request helps nobody."""
    assert "Retry-After" not in _answer_of(_make(each))[1]


@pytest.mark.parametrize("error", [RuntimeError("s3cret-in-the-text"), KeyError("s3cret-in-the-text")])
def test_an_unexpected_exception_is_500_and_tells_nothing(error: Exception) -> None:
    """The client gets our JSON; the exception's type and text are in the log only."""
    status, headers, body, text = _answer_of(error)
    assert status == 500
    assert headers["Content-Type"] == "application/json"
    assert body == error_responses.internal().body
    assert "s3cret" not in text
    assert type(error).__name__ not in text
    assert "Traceback" not in text


def test_a_refusal_of_the_framework_has_our_shape() -> None:
    """405 and its like are made by the framework, and look like ours."""
    refusal = error_responses.refusal(405, "Unsupported method: PUT")
    assert refusal.body == {
        "error": "method_not_allowed",
        "message": "Unsupported method: PUT",
        "details": [],
    }
