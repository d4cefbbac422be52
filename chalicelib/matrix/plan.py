"""From the body of a matrix to its cells: which combinations are compiled, and which are not possible.

A name or glob that matches nothing here is invalid. A combination of known parts that does not exist (a
compiler without that standard or target) is omitted, and the response names it. Pure: this module makes
requests, but neither ids nor jobs, and touches no store.
"""

import fnmatch
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import BeforeValidator, Field

from chalicelib.api import compile_request, expectations, json_body
from chalicelib.api.configuration import Configuration, read_configuration
from chalicelib.api.source_files import check_stage, read_files
from chalicelib.api.validation import Name, invalid, joined, quoted
from chalicelib.catalog import Catalog, Language
from chalicelib.errors import InvalidRequest
from chalicelib.models import (
    CompileRequest,
    Environment,
    Omission,
    Stage,
    Target,
    canonical_architecture,
    canonical_system,
)

# Seven compilers by nine standards, or what a few workers compile within one wait of 25 s.
MAX_CELLS = 64
# With more patterns than cells, some of them must mean the same cell.
MAX_PATTERNS = 64

_ALL = "all"
_GLOB = re.compile(r"[*?\[]")


# Names and globs; a single one may be sent without a list.
Patterns = Annotated[
    list[Name],
    BeforeValidator(lambda value: [value] if isinstance(value, str) else value),
    Field(max_length=MAX_PATTERNS),
]


class ClientMatrix(compile_request.ClientJob):
    """The JSON object of ``POST /api/v1/matrix``."""

    compilers: Patterns = Field(default=[_ALL])
    standards: Patterns | None = None
    targets: Patterns | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What a matrix consists of: one request for each cell, in order."""

    language: Language
    stage: Stage
    requests: tuple[CompileRequest, ...]
    omitted: tuple[Omission, ...]
    environments: tuple[Environment, ...]


def parse(body: bytes) -> ClientMatrix:
    """The matrix in a body. Raises `InvalidRequest`, or `SourceTooLarge` for a body that is too long."""
    return json_body.read(body, ClientMatrix)


def make_plan(request: ClientMatrix, catalog: Catalog, environments: Sequence[Environment]) -> Plan:
    """The cells of a matrix. Raises `InvalidRequest`, which names what is allowed, or `SourceTooLarge`."""
    language, offered = compile_request.find_language(request.language, catalog, environments)
    chosen = _choose_compilers(request.compilers, language, offered)
    configuration = read_configuration(request.files, request.main, language)
    request = compile_request.with_configuration(request, configuration)
    files, main = read_files(request, language, catalog)
    able, omitted = _split_by_ability(request, files, configuration, chosen, catalog)
    cells, impossible = _combine(
        able,
        # A project's own file says the standard, such as go.mod.
        [""]
        if request.standards is None and language.project_says_standard(files)
        else _choose_standards(
            [configuration.standard]
            if request.standards is None and configuration.standard
            else request.standards,
            language,
            offered,
        ),
        _choose_targets(request.targets, language, offered),
    )
    omitted += impossible
    if not cells:
        reasons = " ".join(omission.reason for omission in omitted[: json_body.MAX_DETAILS])
        raise invalid("compilers", f"No combination is possible. {reasons}")
    if len(cells) > MAX_CELLS:
        raise invalid(
            "compilers",
            f"The matrix would have {len(cells)} cells; at most {MAX_CELLS} are allowed: "
            "choose fewer compilers, standards or targets.",
        )
    expect = expectations.resolve(request.expect)
    stage = compile_request.find_stage(request.stage, able[0])
    check_stage(files, language, catalog, stage)
    requests = tuple(
        CompileRequest(
            files=files,
            main=main,
            language=language.id,
            compiler=environment.id,
            standard=standard,
            architecture=target.architecture,
            os=target.os,
            stage=stage,
            options=compile_request.compiler_options(request, configuration.options_for(environment)),
            cache=request.cache,
            expect=expect,
        )
        for environment, standard, target in cells
    )
    return Plan(
        language=language,
        stage=stage,
        requests=requests,
        omitted=tuple(omitted),
        environments=tuple(able),
    )


def _split_by_ability(
    request: ClientMatrix,
    files: Collection[str],
    configuration: Configuration,
    chosen: Sequence[Environment],
    catalog: Catalog,
) -> tuple[list[Environment], list[Omission]]:
    """The chosen compilers that have the stage and allow the options, and the others as omissions.

    Raises the first compiler's `InvalidRequest` when none is able.
    """
    able: list[Environment] = []
    omitted: list[Omission] = []
    problems: list[InvalidRequest] = []
    for environment in chosen:
        try:
            compile_request.find_stage(request.stage, environment)
            problem = configuration.problem_with(environment) or compile_request.forbidden_option(
                request, files, catalog, environment, configuration.options_for(environment)
            )
        except InvalidRequest as error:
            problem = error
        if problem is None:
            able.append(environment)
        else:
            problems.append(problem)
            omitted.append(Omission(compiler=environment.id, reason=problem.message))
    if not able:
        raise problems[0]
    return able, omitted


def _combine(
    able: Sequence[Environment], standards: Sequence[str | None], targets: Sequence[Target | None]
) -> tuple[list[tuple[Environment, str, Target]], list[Omission]]:
    """Every possible combination, and the impossible ones. None stands for the compiler's own default,
    and an empty one for what the files say.
    """
    cells: list[tuple[Environment, str, Target]] = []
    omitted: list[Omission] = []
    for environment in able:
        own_standards: list[str] = []
        for standard in standards:
            if standard is None:
                own_standards.append(environment.default_standard)
            elif not standard or standard in environment.standards:
                own_standards.append(standard)
            else:
                reason = f"{environment.id} does not know the standard {standard}."
                omitted.append(Omission(compiler=environment.id, standard=standard, reason=reason))
        own_targets: list[Target] = []
        available = environment.parsed_targets()
        for target in targets:
            if target is None:
                own_targets.append(available[0])
            elif target in available:
                own_targets.append(target)
            else:
                reason = f"{environment.id} does not compile for {target}."
                omitted.append(Omission(compiler=environment.id, target=str(target), reason=reason))
        cells += [(environment, standard, target) for target in own_targets for standard in own_standards]
    return cells, omitted


def _choose_compilers(
    patterns: list[str], language: Language, offered: Sequence[Environment]
) -> list[Environment]:
    """The compilers that the patterns mean, each once: in the order of the patterns, oldest version first."""
    ordered = compile_request.oldest_first(offered)
    chosen: dict[str, Environment] = {}
    for field, pattern in _numbered("compilers", patterns):
        if _is_glob(pattern):
            matching = [item for item in ordered if _matches(item.id, pattern)]
            if not matching:
                raise _no_match(field, pattern, "compiler", language, sorted({item.id for item in ordered}))
        else:
            try:
                matching = [compile_request.find_compiler(pattern, language, offered)]
            except InvalidRequest as error:
                raise invalid(field, error.message) from None
        chosen |= {item.id: item for item in matching}
    return list(chosen.values())


def _choose_standards(
    patterns: list[str] | None, language: Language, offered: Sequence[Environment]
) -> Sequence[str | None]:
    """The standards that the patterns mean, oldest first; [None] without patterns."""
    if patterns is None:
        return [None]
    used = {standard for item in offered for standard in item.standards}
    known = [standard.id for standard in language.standards if standard.id in used]

    def by_name(name: str) -> str | None:
        standard = language.standard(name)
        return standard.id if standard else None

    return sorted(_choose("standards", patterns, known, by_name, "standard", language), key=known.index)


def _choose_targets(
    patterns: list[str] | None, language: Language, offered: Sequence[Environment]
) -> Sequence[Target | None]:
    """The targets that the patterns mean, in the order of the patterns; [None] without patterns."""
    if patterns is None:
        return [None]
    known = list(dict.fromkeys(target for item in offered for target in item.targets))
    names = _choose("targets", patterns, known, _target_name, "target", language)
    return [Target.parse(name) for name in names]


def _target_name(text: str) -> str:
    """The name of a target written as ``<architecture>-<os>`` or ``<os>/<architecture>``, without aliases."""
    if "/" in text:
        system, _, architecture = text.partition("/")
    else:
        architecture, system = Target.parse(text)
    return str(Target(canonical_architecture(architecture), canonical_system(system)))


def _choose(
    field: str,
    patterns: list[str],
    known: Sequence[str],
    by_name: Callable[[str], str | None],
    what: str,
    language: Language,
) -> list[str]:
    """The known names that the patterns mean, each once; `InvalidRequest` for a pattern without a match."""
    chosen: dict[str, None] = {}
    for path, pattern in _numbered(field, patterns):
        if _is_glob(pattern):
            # In a glob of the form <os>/<architecture> the parts change places, as in a name.
            glob = _target_name(pattern) if what == "target" and "/" in pattern else pattern
            matching = [name for name in known if _matches(name, glob)]
        else:
            matching = [name for name in (by_name(pattern),) if name in known and name is not None]
        if not matching:
            raise _no_match(path, pattern, what, language, known)
        chosen |= dict.fromkeys(matching)
    return list(chosen)


def _numbered(field: str, patterns: list[str]) -> Iterable[tuple[str, str]]:
    """Each pattern with the path of its field; "all" becomes the glob ``*``."""
    if not patterns:
        raise invalid(field, f"`{field}` is empty: name at least one, or leave it out.")
    for number, pattern in enumerate(patterns):
        name = pattern.strip().lower()
        yield f"{field}.{number}", "*" if name == _ALL else name


def _is_glob(pattern: str) -> bool:
    return bool(_GLOB.search(pattern))


def _matches(name: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(name.lower(), pattern)


def _no_match(
    field: str, pattern: str, what: str, language: Language, known: Sequence[str]
) -> InvalidRequest:
    verb = "matches no" if _is_glob(pattern) else "is not a"
    return invalid(
        field, f"{quoted(pattern)} {verb} {what} for {language.name} here; available are {joined(known)}."
    )
