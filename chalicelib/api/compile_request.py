"""From what a client sent to a `CompileRequest`, or to a sentence that helps.

Two steps: `parse` holds the JSON to its shape (names, types, sizes), `resolve` holds it to
the catalogue and to what runners registered. Both raise `RequestError`s whose details name
the field. Nothing that passes here can be refused later: what is accepted is compiled.
To add a field: here, in `CompileRequest`, and in the fingerprint unless no verdict depends on it.
"""

import hashlib
from collections.abc import Sequence

from pydantic import Field

from chalicelib.api import expectations, json_body
from chalicelib.api.expectations import ClientExpectation
from chalicelib.api.source_files import ClientSources, files_of
from chalicelib.api.validation import invalid, joined, quoted
from chalicelib.catalog import MAX_OPTIONS, Catalog, Language
from chalicelib.errors import InvalidRequest
from chalicelib.models import CompileRequest, Environment, Stage

# What the same thing is called elsewhere: by Go, Docker, Debian and Node.
ARCHITECTURE_ALIASES = {"amd64": "x86_64", "x64": "x86_64", "x86-64": "x86_64", "aarch64": "arm64"}
SYSTEM_ALIASES = {"darwin": "macos", "win32": "windows"}

# Neither says anything about the source: both are left out of the fingerprint.
_NOT_IN_FINGERPRINT = {"cache", "expect"}


class ClientJob(ClientSources):
    """What a compile request and a matrix have in common."""

    language: str
    stage: str = Stage.COMPILE.value
    options: list[str] = Field(default_factory=list, max_length=MAX_OPTIONS)
    cache: bool = True
    expect: ClientExpectation | None = None


class ClientRequest(ClientJob):
    """The JSON object of ``POST /api/v1/compile``."""

    compiler: str | None = None
    standard: str | None = None
    architecture: str | None = None
    os: str | None = None


def parse(body: bytes) -> ClientRequest:
    """Reads a request body. Raises `InvalidRequest`, or `SourceTooLarge` when it cannot fit."""
    return json_body.read(body, ClientRequest)


def resolve(request: ClientRequest, catalog: Catalog, environments: Sequence[Environment]) -> CompileRequest:
    """The canonical form of a request. `InvalidRequest` names what is allowed; or `SourceTooLarge`."""
    language, offered = language_of(request.language, catalog, environments)
    environment = compiler_of(request.compiler, language, offered)
    files, main = files_of(request, language, catalog)
    architecture, system = _target(request, environment, offered)
    return CompileRequest(
        files=files,
        main=main,
        language=language.id,
        compiler=environment.id,
        standard=_standard(request.standard, language, environment),
        architecture=architecture,
        os=system,
        stage=stage_of(request.stage, environment),
        options=_options(request.options, catalog, environment),
        cache=request.cache,
        expect=expectations.resolve(request.expect),
    )


def fingerprint(request: CompileRequest) -> str:
    """SHA-256 over the canonical request: equal requests have equal fingerprints."""
    ordered = request.model_copy(update={"files": dict(sorted(request.files.items()))})
    return hashlib.sha256(ordered.model_dump_json(exclude=_NOT_IN_FINGERPRINT).encode()).hexdigest()


def language_of(
    name: str, catalog: Catalog, environments: Sequence[Environment]
) -> tuple[Language, list[Environment]]:
    """The language of that name or alias, and its environments; `InvalidRequest` when it has none."""
    language = catalog.language(name)
    registered = {item.language for item in environments}
    if language is None or language.id not in registered:
        why = "is not a language that we know" if language is None else "has no compiler here at present"
        raise invalid("language", f"{quoted(name)} {why}; available are {joined(sorted(registered))}.")
    return language, [item for item in environments if item.language == language.id]


def newest_last(offered: Sequence[Environment]) -> list[Environment]:
    """Environments by version: numbers are compared, not text."""
    return sorted(offered, key=lambda item: (item.version_key, item.id))


def compiler_of(wanted: str | None, language: Language, offered: Sequence[Environment]) -> Environment:
    """The compiler by its id, the newest of a family by the family's name, or the newest of all."""
    ordered = newest_last(offered)
    if wanted is None:
        return ordered[-1]
    name = wanted.strip().lower()
    matching = [item for item in ordered if name == item.id.lower()] or [
        item for item in ordered if name == item.family
    ]
    if not matching:
        ids = joined(sorted({item.id for item in offered}))
        raise invalid(
            "compiler", f"{quoted(wanted)} is not a compiler for {language.name} here; available are {ids}."
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
        allowed = f"takes {joined(environment.standards)}" if environment.standards else "has none to choose"
        raise invalid("standard", f"{quoted(wanted)} is not {what}; {environment.id} {allowed}.")
    return standard.id


def _target(
    request: ClientRequest, environment: Environment, offered: Sequence[Environment]
) -> tuple[str, str]:
    """Architecture and system: the compiler's first target that has what was asked for."""
    architecture = canonical(request.architecture, ARCHITECTURE_ALIASES)
    system = canonical(request.os, SYSTEM_ALIASES)
    found = _first_target(environment, architecture, system)
    if found is not None:
        return found
    targets = [target.partition("-") for target in environment.targets]
    unknown_architecture = architecture not in (None, *(target[0] for target in targets))
    asked = [f"{name} {quoted(value)}" for name, value in _given(request)]
    others = [item.id for item in newest_last(offered) if _first_target(item, architecture, system)]
    elsewhere = f"; {joined(others)} would do it" if others else ""
    raise invalid(
        "architecture" if unknown_architecture else "os",
        f"{environment.id} has no target for {' with '.join(asked)}; "
        f"it has {joined(environment.targets)}{elsewhere}.",
    )


def _given(request: ClientRequest) -> list[tuple[str, str]]:
    both = (("architecture", request.architecture), ("os", request.os))
    return [(name, value) for name, value in both if value is not None]


def canonical(name: str | None, aliases: dict[str, str]) -> str | None:
    """A name as we write it: trimmed, in lower case, and not by an alias."""
    if name is None:
        return None
    lower = name.strip().lower()
    return aliases.get(lower, lower)


def _first_target(
    environment: Environment, architecture: str | None, system: str | None
) -> tuple[str, str] | None:
    for target in environment.targets:
        has_architecture, _, has_system = target.partition("-")
        if architecture in (None, has_architecture) and system in (None, has_system):
            return has_architecture, has_system
    return None


def stage_of(wanted: str, environment: Environment) -> Stage:
    """The stage of that name; `InvalidRequest` when the compiler has no such stage."""
    name = wanted.strip().lower()
    for stage in environment.stages:
        if name == stage.value:
            return stage
    raise invalid(
        "stage",
        f"{quoted(wanted)} is not a stage that {environment.id} has; it has {joined(environment.stages)}.",
    )


def _options(wanted: Sequence[str], catalog: Catalog, environment: Environment) -> tuple[str, ...]:
    error = forbidden_option(wanted, catalog, environment)
    if error is not None:
        raise error
    return tuple(wanted)


def forbidden_option(
    wanted: Sequence[str], catalog: Catalog, environment: Environment
) -> InvalidRequest | None:
    """The error about the first option that the compiler is not given; None when all are taken."""
    for number, option in enumerate(wanted):
        why = catalog.why_forbidden(environment.family, option)
        if why:
            return invalid(f"options.{number}", why)
    return None
