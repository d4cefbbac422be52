"""From what a client sent to a `CompileRequest`, or to a sentence that helps.

Two steps: `parse` holds the JSON to its shape (names, types, sizes), `resolve` holds it to
the catalogue and to what runners announced. Both raise `RequestError`s whose details name
the field. Nothing that passes here can be refused later: what is accepted is compiled.
"""

import base64
import binascii
import codecs
import hashlib
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json

from chalicelib.catalog import MAX_OPTIONS, Catalog, Language, check_file_names
from chalicelib.errors import ErrorDetail, InvalidRequest, SourceTooLarge
from chalicelib.models import CompileRequest, Environment, Stage

# A source of 1 MiB is some 30,000 lines; amalgamated libraries fit, archives do not.
MAX_SOURCE_BYTES = 1024 * 1024
# JSON may write a byte of source as six characters (\u0000): more cannot be a source that we take.
MAX_BODY_BYTES = 6 * MAX_SOURCE_BYTES + 64 * 1024
MAX_FILES = 64
# Errors are for people: more than these say nothing new.
MAX_DETAILS = 20
_SHOWN_CHARACTERS = 60

_ARCHITECTURE_ALIASES = {"amd64": "x86_64", "x64": "x86_64", "x86-64": "x86_64", "aarch64": "arm64"}


class ClientRequest(BaseModel):
    """The JSON object of ``POST /api/v1/compile``. Unknown fields are refused, types are exact."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    source_code: str | None = None
    code: str | None = None
    files: dict[str, str] | None = None
    main: str | None = None
    language: str
    compiler: str | None = None
    standard: str | None = None
    architecture: str | None = None
    os: str | None = None
    stage: str = Stage.COMPILE.value
    options: list[str] = Field(default_factory=list, max_length=MAX_OPTIONS)
    cache: bool = True


def parse(body: bytes) -> ClientRequest:
    """Reads a request body. Raises `InvalidRequest`, or `SourceTooLarge` when it cannot fit."""
    if len(body) > MAX_BODY_BYTES:
        raise SourceTooLarge(f"The body has {len(body)} bytes; a request has at most {MAX_BODY_BYTES}.")
    if not body.strip():
        raise InvalidRequest(
            'The body is empty: send a JSON object such as {"source_code": "…", "language": "cpp"}.'
        )
    value = _json_object(body)
    unknown = [name for name in value if name not in ClientRequest.model_fields]
    # An error takes a kilobyte, and a body has room for half a million: what is not shown is not made.
    for name in unknown[MAX_DETAILS:]:
        del value[name]
    files = value.get("files")
    if isinstance(files, dict) and len(files) > MAX_FILES:
        raise _refuse("files", f"There are {len(files)} files; at most {MAX_FILES} are taken.")
    try:
        return ClientRequest.model_validate(value)
    except ValidationError as error:
        items = error.errors(include_url=False, include_input=False)
        details = [_detail(item) for item in items[:MAX_DETAILS]]
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


def _detail(item: Any) -> ErrorDetail:
    """One of pydantic's errors as a field and a sentence."""
    path = ".".join(shown(part, quote=False) for part in item["loc"] if part != "[key]")
    kind, message = item["type"], item["msg"]
    if kind == "missing":
        return ErrorDetail(path, f"`{path}` is missing: {_MISSING.get(path, 'it is required')}.")
    if kind == "extra_forbidden":
        return ErrorDetail(
            path, f"`{path}` is not a field of a request; known are {_listed(ClientRequest.model_fields)}."
        )
    if kind == "too_long":
        return ErrorDetail(
            path, f"`{path}` has too many elements: at most {item['ctx']['max_length']} are allowed."
        )
    return ErrorDetail(path, f"`{path}` is not valid: {message[:1].lower()}{message[1:]}.")


_MISSING = {"language": 'name the language of the source, such as "cpp"'}


def _refuse(field: str, message: str) -> InvalidRequest:
    return InvalidRequest(message, [ErrorDetail(field, message)])


def shown(value: object, *, quote: bool = True) -> str:
    """A value from a client for a message: printable, and not longer than a line."""
    text = repr(value) if quote else str(value).encode("unicode_escape").decode()
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"


def _listed(names: Any) -> str:
    return ", ".join(names) or "none"


def resolve(request: ClientRequest, catalog: Catalog, environments: Sequence[Environment]) -> CompileRequest:
    """The canonical form of a request. `InvalidRequest` names what is allowed; or `SourceTooLarge`."""
    language = _language(request.language, catalog, environments)
    offered = [item for item in environments if item.language == language.id]
    environment = _environment(request.compiler, language, offered)
    files, main = _sources(request, language, catalog)
    architecture, system = _target(request, environment)
    return CompileRequest(
        files=files,
        main=main,
        language=language.id,
        compiler=environment.id,
        standard=_standard(request.standard, language, environment),
        architecture=architecture,
        os=system,
        stage=_stage(request.stage, environment),
        options=_options(request.options, catalog, environment),
        cache=request.cache,
    )


def fingerprint(request: CompileRequest) -> str:
    """SHA-256 over the canonical request: equal requests have equal fingerprints."""
    content = request.model_dump(mode="json", exclude={"cache"})
    canonical = CompileRequest.model_validate(content | {"files": dict(sorted(request.files.items()))})
    return hashlib.sha256(canonical.model_dump_json().encode()).hexdigest()


def _language(name: str, catalog: Catalog, environments: Sequence[Environment]) -> Language:
    language = catalog.language(name)
    announced = {item.language for item in environments}
    if language is None or language.id not in announced:
        why = "is not a language that we know" if language is None else "has no compiler here at present"
        raise _refuse("language", f"{shown(name)} {why}; available are {_listed(sorted(announced))}.")
    return language


def _environment(wanted: str | None, language: Language, offered: Sequence[Environment]) -> Environment:
    """The compiler by its id, the newest of a family by the family's name, or the newest of all."""
    newest_last = sorted(offered, key=lambda item: (item.version_key, item.id))
    if wanted is None:
        return newest_last[-1]
    name = wanted.strip().lower()
    matching = [item for item in newest_last if name in (item.id, item.family)]
    if not matching:
        ids = _listed(sorted({item.id for item in offered}))
        raise _refuse(
            "compiler", f"{shown(wanted)} is not a compiler for {language.name} here; available are {ids}."
        )
    return matching[-1]


def _standard(wanted: str | None, language: Language, environment: Environment) -> str:
    if wanted is None:
        return environment.default_standard
    standard = language.standard(wanted.strip())
    if standard is None or standard.id not in environment.standards:
        what = (
            f"a standard of {language.name}"
            if standard is None
            else f"a standard that {environment.id} knows"
        )
        allowed = _listed(environment.standards)
        raise _refuse("standard", f"{shown(wanted)} is not {what}; {environment.id} takes {allowed}.")
    return standard.id


def _target(request: ClientRequest, environment: Environment) -> tuple[str, str]:
    targets = [tuple(target.split("-", 1)) for target in environment.targets]
    architecture = request.architecture.strip().lower() if request.architecture is not None else None
    architecture = _ARCHITECTURE_ALIASES.get(architecture or "", architecture)
    system = request.os.strip().lower() if request.os is not None else None
    for has_architecture, has_system in targets:
        if architecture in (None, has_architecture) and system in (None, has_system):
            return has_architecture, has_system
    field = "architecture" if architecture not in (None, *(target[0] for target in targets)) else "os"
    wanted = f"architecture {shown(request.architecture)} with os {shown(request.os)}"
    raise _refuse(
        field, f"{environment.id} has no target for {wanted}; it has {_listed(environment.targets)}."
    )


def _stage(wanted: str, environment: Environment) -> Stage:
    name = wanted.strip().lower()
    for stage in environment.stages:
        if name == stage.value:
            return stage
    raise _refuse(
        "stage", f"{shown(wanted)} is not a stage; {environment.id} has {_listed(environment.stages)}."
    )


def _options(wanted: Sequence[str], catalog: Catalog, environment: Environment) -> tuple[str, ...]:
    for number, option in enumerate(wanted):
        refusal = catalog.refuse_option(environment.family, option)
        if refusal:
            raise _refuse(f"options.{number}", refusal)
    return tuple(wanted)


def _sources(request: ClientRequest, language: Language, catalog: Catalog) -> tuple[dict[str, str], str]:
    """The files by name, and which of them is the main one."""
    given = [name for name in ("source_code", "code", "files") if getattr(request, name) is not None]
    if not given:
        raise _refuse(
            "source_code",
            "`source_code` is missing: send the source there, as `code` (Base64), or as `files`.",
        )
    if len(given) > 1:
        raise _refuse(given[1], f"Send one of `source_code`, `code` and `files`, not {' and '.join(given)}.")
    if request.files is None:
        if request.main is not None:
            raise _refuse("main", "`main` names one of `files`; leave it out when you send a single source.")
        source = request.source_code if request.source_code is not None else _decode(request.code or "")
        files, main = {language.default_main: source}, language.default_main
    else:
        files = request.files
        _check_files(files, language, catalog)
        main = _main(files, request.main, language)
    size = sum(len(text.encode()) for text in files.values())
    if size > MAX_SOURCE_BYTES:
        raise SourceTooLarge(f"The source has {size} bytes; at most {MAX_SOURCE_BYTES} (1 MiB) are taken.")
    return files, main


def _decode(code: str) -> str:
    try:
        raw = base64.b64decode(code, validate=True)
    except (binascii.Error, ValueError):
        raise _refuse(
            "code", "`code` is not valid Base64 (RFC 4648, with padding); or send it as `source_code`."
        ) from None
    if len(raw) > MAX_SOURCE_BYTES:
        raise SourceTooLarge(
            f"The source has {len(raw)} bytes; at most {MAX_SOURCE_BYTES} (1 MiB) are taken."
        )
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        message = f"The source in `code` is not UTF-8: byte {error.start} is 0x{raw[error.start]:02x}."
        raise _refuse("code", message) from None


def _main(files: dict[str, str], main: str | None, language: Language) -> str:
    if main is not None:
        if main not in files:
            raise _refuse("main", f"`main` is {shown(main)}, which is not one of `files`.")
        return main
    if len(files) == 1:
        return next(iter(files))
    if language.default_main in files:
        return language.default_main
    raise _refuse(
        "main",
        f"`main` is missing: say which of `files` is the main one (or call it {language.default_main}).",
    )


def _check_files(files: dict[str, str], language: Language, catalog: Catalog) -> None:
    if not files:
        raise _refuse("files", "`files` is empty: send at least one file.")
    problem = check_file_names(list(files))
    if problem:
        raise _refuse("files", problem)
    for name in files:
        other = catalog.foreign_source(language, name)
        if other is not None:
            what = f"is a {other.name} source, which a job of language {language.id} does not compile"
            raise _refuse("files", f"{shown(name)} {what}: leave it out.")
