"""From the body of a request to a `CompileRequest`, or to an error that says what to change.

Two steps: `parse` checks the JSON by itself (names, types, sizes); `resolve` checks it against the catalogue
and against the compilers that runners registered. Both raise `RequestError`s whose details name the field.
A request that passes both is compiled: nothing later finds it invalid.
To add a field: here, in `CompileRequest`, and in the fingerprint unless no verdict depends on it.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, TypeVar

from pydantic import Field

from chalicelib.api import expectations, json_body
from chalicelib.api.configuration import Configuration, read_configuration
from chalicelib.api.expectations import ClientExpectation
from chalicelib.api.source_files import ClientSources, check_stage, read_files
from chalicelib.api.validation import Name, invalid, joined, quoted
from chalicelib.catalog import MAX_OPTION_CHARACTERS, MAX_OPTIONS, Catalog, Language, folders_of
from chalicelib.errors import InvalidRequest
from chalicelib.models import (
    CompileRequest,
    Environment,
    Stage,
    Target,
    canonical_architecture,
    canonical_system,
)

# Neither changes what the compiler does, so both are left out of the fingerprint.
_NOT_IN_FINGERPRINT = {"cache", "expect"}


Option = Annotated[str, Field(max_length=MAX_OPTION_CHARACTERS)]
# An include folder becomes the option -I<folder>.
_INCLUDE = "-I"
Folder = Annotated[str, Field(max_length=MAX_OPTION_CHARACTERS - len(_INCLUDE))]


class ClientJob(ClientSources):
    """The fields that a compile request and a matrix have in common."""

    language: Name
    stage: Name = Stage.COMPILE.value
    include_dirs: list[Folder] = Field(default_factory=list, max_length=MAX_OPTIONS)
    options: list[Option] = Field(default_factory=list, max_length=MAX_OPTIONS)
    cache: bool = True
    expect: ClientExpectation | None = None


AnyJob = TypeVar("AnyJob", bound=ClientJob)


class ClientRequest(ClientJob):
    """The JSON object of ``POST /api/v1/compile``."""

    compiler: Name | None = None
    standard: Name | None = None
    architecture: Name | None = None
    os: Name | None = None


def parse(body: bytes) -> ClientRequest:
    """The request in a body. Raises `InvalidRequest`, or `SourceTooLarge` for a body that is too long."""
    return json_body.read(body, ClientRequest)


def resolve(request: ClientRequest, catalog: Catalog, environments: Sequence[Environment]) -> CompileRequest:
    """The request in canonical form, for one of the registered `environments`.

    Raises `InvalidRequest`, which names what is allowed, or `SourceTooLarge`.
    """
    language, offered = find_language(request.language, catalog, environments)
    environment = find_compiler(request.compiler, language, offered)
    configuration = read_configuration(request.files, request.main, language)
    if problem := configuration.problem_with(environment):
        raise problem
    request = with_configuration(request, configuration)
    if request.standard is None:
        request = request.model_copy(update={"standard": configuration.standard})
    files, main = read_files(request, language, catalog)
    stage = find_stage(request.stage, environment)
    check_stage(files, language, catalog, stage)
    target = _find_target(request, environment, offered)
    return CompileRequest(
        files=files,
        main=main,
        language=language.id,
        compiler=environment.id,
        standard=_standard(request.standard, language, files, environment),
        architecture=target.architecture,
        os=target.os,
        stage=stage,
        options=_check_options(request, files, catalog, environment, configuration.options_for(environment)),
        cache=request.cache,
        expect=expectations.resolve(request.expect),
    )


def with_configuration(request: AnyJob, configuration: Configuration) -> AnyJob:
    """The request with the main file of its configuration files."""
    return request.model_copy(update={"main": configuration.main if request.main is None else request.main})


def fingerprint(request: CompileRequest) -> str:
    """SHA-256 over the canonical request: equal requests have equal fingerprints."""
    ordered = request.model_copy(update={"files": dict(sorted(request.files.items()))})
    return hashlib.sha256(ordered.model_dump_json(exclude=_NOT_IN_FINGERPRINT).encode()).hexdigest()


def find_language(
    name: str, catalog: Catalog, environments: Sequence[Environment]
) -> tuple[Language, list[Environment]]:
    """The language with that name or alias, and its environments; `InvalidRequest` when it has none."""
    language = catalog.language(name)
    registered = {environment.language for environment in environments}
    if language is None or language.id not in registered:
        what = (
            "is not a language that is known here" if language is None else "has no compiler here right now"
        )
        raise invalid("language", f"{quoted(name)} {what}; available are {joined(sorted(registered))}.")
    return language, [environment for environment in environments if environment.language == language.id]


def oldest_first(environments: Sequence[Environment]) -> list[Environment]:
    """Environments by version, where 9 comes before 12."""
    return sorted(environments, key=lambda environment: (environment.version_key, environment.id))


def find_compiler(name: str | None, language: Language, offered: Sequence[Environment]) -> Environment:
    """The compiler with that id, or the newest of the family with that name; for None the newest of all."""
    ordered = oldest_first(offered)
    if name is None:
        return ordered[-1]
    lower = name.strip().lower()
    matching = [item for item in ordered if lower == item.id.lower()] or [
        item for item in ordered if lower == item.family
    ]
    if not matching:
        ids = joined(sorted({item.id for item in offered}))
        raise invalid(
            "compiler", f"{quoted(name)} is not a compiler for {language.name} here; available are {ids}."
        )
    return matching[-1]


def _standard(
    name: str | None, language: Language, files: Mapping[str, str], environment: Environment
) -> str:
    if name is None:
        # A project's own file says it, such as go.mod.
        return "" if language.project_says_standard(files) else environment.default_standard
    standard = language.standard(name.strip())
    if standard is None or standard.id not in environment.standards:
        what = (
            f"a standard of {language.name}"
            if standard is None
            else f"a standard that {environment.id} knows"
        )
        allowed = (
            f"takes {joined(environment.standards)}" if environment.standards else "has none to choose from"
        )
        raise invalid("standard", f"{quoted(name)} is not {what}; {environment.id} {allowed}.")
    return standard.id


def _find_target(request: ClientRequest, environment: Environment, offered: Sequence[Environment]) -> Target:
    """The compiler's first target that has the requested architecture and operating system."""
    architecture = None if request.architecture is None else canonical_architecture(request.architecture)
    system = None if request.os is None else canonical_system(request.os)
    target = _first_target(environment, architecture, system)
    if target is not None:
        return target
    known = [target.architecture for target in environment.parsed_targets()]
    unknown_architecture = architecture is not None and architecture not in known
    requested = [
        f"{name} {quoted(value)}"
        for name, value in (("architecture", request.architecture), ("os", request.os))
        if value is not None
    ]
    others = [item.id for item in oldest_first(offered) if _first_target(item, architecture, system)]
    elsewhere = f"; compilers that have one: {joined(others)}" if others else ""
    raise invalid(
        "architecture" if unknown_architecture else "os",
        f"{environment.id} has no target for {' with '.join(requested)}; "
        f"it has {joined(environment.targets)}{elsewhere}.",
    )


def _first_target(environment: Environment, architecture: str | None, system: str | None) -> Target | None:
    """The first target with both; None stands for any architecture or system."""
    for target in environment.parsed_targets():
        if architecture in (None, target.architecture) and system in (None, target.os):
            return target
    return None


def find_stage(name: str, environment: Environment) -> Stage:
    """The stage with that name; `InvalidRequest` when the compiler has no such stage."""
    lower = name.strip().lower()
    for stage in environment.stages:
        if lower == stage.value:
            return stage
    raise invalid(
        "stage",
        f"{quoted(name)} is not a stage of {environment.id}; it has {joined(environment.stages)}.",
    )


def compiler_options(request: ClientJob, configured: Sequence[str] = ()) -> tuple[str, ...]:
    """The options for the compiler: include folders, those of configuration files, the request's."""
    return (*(f"{_INCLUDE}{folder}" for folder in request.include_dirs), *configured, *request.options)


def _check_options(
    request: ClientJob,
    files: Collection[str],
    catalog: Catalog,
    environment: Environment,
    configured: Sequence[str],
) -> tuple[str, ...]:
    forbidden = forbidden_option(request, files, catalog, environment, configured)
    if forbidden is not None:
        raise forbidden
    return compiler_options(request, configured)


def forbidden_option(
    request: ClientJob,
    files: Collection[str],
    catalog: Catalog,
    environment: Environment,
    configured: Sequence[str] = (),
) -> InvalidRequest | None:
    """The error about the first option or include folder that the compiler may not be given, or None."""
    if len(request.include_dirs) + len(configured) + len(request.options) > MAX_OPTIONS:
        more = f", with the {len(configured)} that Cargo.toml stands for" if configured else ""
        field = "include_dirs" if request.include_dirs else "options"
        return invalid(field, f"At most {MAX_OPTIONS} options and include folders can be given{more}.")
    family = catalog.family(environment.family)
    folders = folders_of(files)
    for number, folder in enumerate(request.include_dirs):
        if _INCLUDE not in family.options.folders:
            problem = f"{environment.id} takes no include folders: leave `include_dirs` out."
            return invalid("include_dirs", problem)
        if catalog.why_forbidden(environment.family, f"{_INCLUDE}{folder}", folders):
            problem = (
                f"{quoted(folder)} is not a folder of the request: name one that holds one of `files`, "
                "by its path from the top folder."
            )
            return invalid(f"include_dirs.{number}", problem)
    for option in configured:
        forbidden = catalog.why_forbidden(environment.family, option, folders)
        if forbidden:
            return invalid("files", f"Cargo.toml: {forbidden}")
    for number, option in enumerate(request.options):
        forbidden = catalog.why_forbidden(environment.family, option, folders)
        if forbidden:
            return invalid(f"options.{number}", forbidden)
    return None
