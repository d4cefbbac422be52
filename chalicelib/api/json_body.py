"""From the bytes of a request to a checked object of one of our shapes: names, types and sizes.

What the names mean is `requests.py`'s and `matrix/plan.py`'s affair. Whatever is wrong is an
`InvalidRequest` whose details name the fields, and costs no more than a good body of the same size.
"""

import codecs
from collections.abc import Sequence
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from chalicelib.api.source_files import MAX_FILES, MAX_SOURCE_BYTES
from chalicelib.api.validation import invalid, joined, quoted
from chalicelib.errors import ErrorDetail, InvalidRequest, SourceTooLarge

# JSON may write a byte of source as six characters (\u0000): more cannot be a source that we take.
MAX_BODY_BYTES = 6 * MAX_SOURCE_BYTES + 64 * 1024
# Errors are for people: more than these say nothing new.
MAX_DETAILS = 20

_MISSING = {"language": 'name the language of the source, such as "cpp"'}

Shape = TypeVar("Shape", bound=BaseModel)


def read(body: bytes, shape: type[Shape]) -> Shape:
    """Holds a body to a shape. Raises `InvalidRequest`, or `SourceTooLarge` when it cannot fit."""
    if len(body) > MAX_BODY_BYTES:
        raise SourceTooLarge(f"The body has {len(body)} bytes; a request has at most {MAX_BODY_BYTES}.")
    if not body.strip():
        raise InvalidRequest(
            'The body is empty: send a JSON object such as {"source_code": "…", "language": "cpp"}.'
        )
    value = _json_object(body)
    unknown = [name for name in value if name not in shape.model_fields]
    # An error takes a kilobyte, and a body has room for half a million: what is not shown is not made.
    for name in unknown[MAX_DETAILS:]:
        del value[name]
    files = value.get("files")
    if isinstance(files, dict) and len(files) > MAX_FILES:
        raise invalid("files", f"There are {len(files)} files; at most {MAX_FILES} are taken.")
    try:
        return shape.model_validate(value)
    except ValidationError as error:
        items = error.errors(include_url=False, include_input=False)
        details = [_detail(item, shape) for item in items[:MAX_DETAILS]]
        raise InvalidRequest(details[0].message, details) from None


def _json_object(body: bytes) -> dict[str, Any]:
    if body.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise InvalidRequest("The body starts with a byte order mark: send JSON as UTF-8, without one.")
    try:
        value = from_json(body)
    except ValueError as error:
        raise InvalidRequest(f"The body is not valid JSON (in UTF-8): {error}.") from None
    if not isinstance(value, dict):
        raise InvalidRequest("The body must be a JSON object, not a list, a string or a number.")
    return value


def _detail(item: Any, shape: type[BaseModel]) -> ErrorDetail:
    """One of pydantic's errors as a field and a sentence."""
    path = ".".join(quoted(part, quote=False) for part in item["loc"] if part != "[key]")
    kind, message = item["type"], item["msg"]
    if kind == "missing":
        return ErrorDetail(path, f"`{path}` is missing: {_MISSING.get(path, 'it is required')}.")
    if kind == "extra_forbidden":
        known = joined(_shape_at(shape, item["loc"][:-1]).model_fields)
        return ErrorDetail(path, f"`{path}` is not a field of a request; known are {known}.")
    if kind == "too_long":
        return ErrorDetail(
            path, f"`{path}` has too many elements: at most {item['ctx']['max_length']} are allowed."
        )
    if kind == "model_type":
        return ErrorDetail(path, f"`{path}` is not valid: it should be a JSON object.")
    return ErrorDetail(path, f"`{path}` is not valid: {message[:1].lower()}{message[1:]}.")


def _shape_at(shape: type[BaseModel], path: Sequence[str | int]) -> type[BaseModel]:
    """The shape of the object at a path; list positions lead nowhere by themselves."""
    for name in path:
        if isinstance(name, str) and name in shape.model_fields:
            shape = _shape_in(shape.model_fields[name].annotation) or shape
    return shape


def _shape_in(annotation: Any) -> type[BaseModel] | None:
    """The shape in an annotation such as ``list[Shape] | None``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _shape_in(part))), None)
