"""From the bytes of a request's body to an object of one of our models: names, types and sizes are checked.

What the values mean is checked by `compile_request.py` and `matrix/plan.py`. Whatever is wrong becomes an
`InvalidRequest` whose details name the fields, and costs no more time than a valid body of the same size.
"""

import codecs
import json
from collections.abc import Sequence
from typing import Any, NoReturn, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from chalicelib.api.source_files import MAX_FILES, MAX_SOURCE_BYTES
from chalicelib.api.validation import invalid, joined, quoted
from chalicelib.errors import ErrorDetail, InvalidRequest, SourceTooLarge

# JSON may write one byte of source as six characters (\u0000), and 64 KiB are enough for all other fields.
MAX_BODY_BYTES = 6 * MAX_SOURCE_BYTES + 64 * 1024
# A person reads these; more of them say nothing new.
MAX_DETAILS = 20

_MISSING = {"language": 'name the language of the source, such as "cpp"'}

ModelT = TypeVar("ModelT", bound=BaseModel)


def read(body: bytes, model: type[ModelT]) -> ModelT:
    """The body as an object of `model`. Raises `InvalidRequest`, or `SourceTooLarge` for a body too long."""
    if len(body) > MAX_BODY_BYTES:
        raise SourceTooLarge(f"The body has {len(body)} bytes; at most {MAX_BODY_BYTES} are allowed.")
    if not body.strip():
        raise InvalidRequest(
            'The body is empty: send a JSON object such as {"source_code": "…", "language": "cpp"}.'
        )
    value = _json_object(body)
    unknown = [name for name in value if name not in model.model_fields]
    # pydantic needs a kilobyte for each error, and a body has room for half a million unknown fields: those
    # that would not be listed are removed before it sees them.
    for name in unknown[MAX_DETAILS:]:
        del value[name]
    files = value.get("files")
    if isinstance(files, dict) and len(files) > MAX_FILES:
        raise invalid("files", f"There are {len(files)} files; at most {MAX_FILES} are allowed.")
    try:
        checked = model.model_validate(value)
    except ValidationError as error:
        items = error.errors(include_url=False, include_input=False)
        details = [_detail(item, model) for item in items[:MAX_DETAILS]]
        raise InvalidRequest(details[0].message, details) from None
    _check_keys(body)
    return checked


def _check_keys(body: bytes) -> None:
    """Raises `InvalidRequest` for an object that has a key twice; `body` is JSON in UTF-8.

    Which value counts is left open by JSON: a proxy that takes the first would check another request than
    this service, which takes the last.
    """

    def check(pairs: list[tuple[str, Any]]) -> None:
        names = {name for name, _ in pairs}
        if len(names) < len(pairs):
            _raise_duplicate(pairs)

    # Only the keys are looked at: no value is kept, and numbers stay text, because int() is slow where they
    # are long. pydantic's parser, which is stricter, has none of this: it has checked the rest.
    json.loads(body.decode(), object_pairs_hook=check, parse_int=str, parse_float=str)


def _raise_duplicate(pairs: list[tuple[str, Any]]) -> NoReturn:
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            break
        seen.add(name)
    field = quoted(name, quote=False)
    raise invalid(field, f"`{field}` is a key twice in one object: send it once.")


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


def _detail(item: Any, model: type[BaseModel]) -> ErrorDetail:
    """One of pydantic's errors as a field and a sentence."""
    path = ".".join(quoted(part, quote=False) for part in item["loc"] if part != "[key]")
    kind, message = item["type"], item["msg"]
    if kind == "missing":
        return ErrorDetail(path, f"`{path}` is missing: {_MISSING.get(path, 'it is required')}.")
    if kind == "extra_forbidden":
        known = joined(_model_at(model, item["loc"][:-1]).model_fields)
        return ErrorDetail(path, f"`{path}` is not a field of a request; known fields are {known}.")
    if kind == "too_long":
        return ErrorDetail(
            path, f"`{path}` has too many elements: at most {item['ctx']['max_length']} are allowed."
        )
    if kind == "string_too_long":
        return ErrorDetail(
            path, f"`{path}` is too long: at most {item['ctx']['max_length']} characters are allowed."
        )
    if kind == "model_type":
        return ErrorDetail(path, f"`{path}` is not valid: it should be a JSON object.")
    return ErrorDetail(path, f"`{path}` is not valid: {message[:1].lower()}{message[1:]}.")


def _model_at(model: type[BaseModel], path: Sequence[str | int]) -> type[BaseModel]:
    """The model of the object at a path inside `model`; a position in a list does not change the model."""
    for name in path:
        if isinstance(name, str) and name in model.model_fields:
            model = _model_in(model.model_fields[name].annotation) or model
    return model


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The first model in an annotation such as ``list[ClientExpectation] | None``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for part in get_args(annotation) if (model := _model_in(part))), None)
