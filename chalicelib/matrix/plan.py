"""From what a client asked of a matrix to its cells: which combinations there are, and which cannot be.

A name or glob that means nothing here is a mistake and refused; a combination of known parts
that does not exist (a compiler without that standard or target) is left out and told. Pure: it
makes requests, and neither ids nor jobs.
"""

import fnmatch
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import BeforeValidator, Field

from chalicelib.api import compile_request, expectations, json_body
from chalicelib.api.source_files import files_of
from chalicelib.api.validation import invalid, joined, quoted
from chalicelib.catalog import Catalog, Language
from chalicelib.errors import InvalidRequest, SourceTooLarge
from chalicelib.matrix.model import Omission
from chalicelib.models import CompileRequest, Environment, Stage

# Seven compilers by nine standards, or what a few workers do within one wait of 25 s.
MAX_CELLS = 64
# Each cell is a job with its own copy of the source, so that it can be read and compiled by itself.
MAX_MATRIX_BYTES = 16 * 1024 * 1024
# More patterns than cells cannot each mean another cell.
MAX_PATTERNS = 64

_ALL = "all"
_LONGEST_PATTERN = 64
_GLOB = re.compile(r"[*?\[]")


# Names and globs; one of them may be given without a list.
Patterns = Annotated[
    list[str],
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
    """What a matrix is made of: one request for each cell, in order."""

    language: Language
    stage: Stage
    requests: tuple[CompileRequest, ...]
    omitted: tuple[Omission, ...]
    environments: tuple[Environment, ...]


def parse(body: bytes) -> ClientMatrix:
    """Reads the body of a matrix. Raises `InvalidRequest`, or `SourceTooLarge` when it cannot fit."""
    return json_body.read(body, ClientMatrix)


def make(request: ClientMatrix, catalog: Catalog, environments: Sequence[Environment]) -> Plan:
    """The cells of a matrix. `InvalidRequest` names what is allowed; or `SourceTooLarge`."""
    language, offered = compile_request.language_of(request.language, catalog, environments)
    chosen = _compilers(request.compilers, language, offered)
    files, main = files_of(request, language, catalog)
    able, omitted = _able(request, chosen, catalog)
    cells, impossible = _cells(
        able, _standards(request.standards, language, offered), _targets(request.targets, language, offered)
    )
    omitted += impossible
    if not cells:
        reasons = " ".join(each.reason for each in omitted[: json_body.MAX_DETAILS])
        raise invalid("compilers", f"No combination is possible. {reasons}")
    if len(cells) > MAX_CELLS:
        raise invalid(
            "compilers",
            f"There would be {len(cells)} cells, and a matrix has at most {MAX_CELLS}: "
            "ask for fewer compilers, standards or targets.",
        )
    size = sum(len(text.encode()) for text in files.values())
    if size * len(cells) > MAX_MATRIX_BYTES:
        raise SourceTooLarge(
            f"The source has {size} bytes for each of {len(cells)} cells; "
            f"a matrix takes at most {MAX_MATRIX_BYTES} bytes (16 MiB) in all."
        )
    expect = expectations.resolve(request.expect)
    stage = compile_request.stage_of(request.stage, able[0])
    return Plan(
        language=language,
        stage=stage,
        requests=tuple(
            CompileRequest(
                files=files,
                main=main,
                language=language.id,
                compiler=environment.id,
                standard=standard,
                architecture=target.partition("-")[0],
                os=target.partition("-")[2],
                stage=stage,
                options=tuple(request.options),
                cache=request.cache,
                expect=expect,
            )
            for environment, standard, target in cells
        ),
        omitted=tuple(omitted),
        environments=tuple(able),
    )


# A standard or target of None: the compiler's own.
_Choice = Sequence[str | None]


def _able(
    request: ClientMatrix, chosen: Sequence[Environment], catalog: Catalog
) -> tuple[list[Environment], list[Omission]]:
    """Those of the chosen compilers that have the stage and take the options; `InvalidRequest` when none."""
    able: list[Environment] = []
    omitted: list[Omission] = []
    refused: list[InvalidRequest] = []
    for environment in chosen:
        try:
            compile_request.stage_of(request.stage, environment)
            problem = compile_request.forbidden_option(request.options, catalog, environment)
        except InvalidRequest as error:
            problem = error
        if problem is None:
            able.append(environment)
        else:
            refused.append(problem)
            omitted.append(Omission(compiler=environment.id, reason=problem.message))
    if not able:
        raise refused[0]
    return able, omitted


def _cells(
    able: Sequence[Environment], standards: _Choice, targets: _Choice
) -> tuple[list[tuple[Environment, str, str]], list[Omission]]:
    """Every combination that there is, and those that there are not."""
    cells: list[tuple[Environment, str, str]] = []
    omitted: list[Omission] = []
    for environment in able:
        own_standards: list[str] = []
        for standard in standards:
            if standard is None:
                own_standards.append(environment.default_standard)
            elif standard in environment.standards:
                own_standards.append(standard)
            else:
                reason = f"{environment.id} does not know the standard {standard}."
                omitted.append(Omission(compiler=environment.id, standard=standard, reason=reason))
        own_targets: list[str] = []
        for target in targets:
            if target is None:
                own_targets.append(environment.targets[0])
            elif target in environment.targets:
                own_targets.append(target)
            else:
                reason = f"{environment.id} does not compile for {target}."
                omitted.append(Omission(compiler=environment.id, target=target, reason=reason))
        cells += [(environment, standard, target) for target in own_targets for standard in own_standards]
    return cells, omitted


def _compilers(wanted: list[str], language: Language, offered: Sequence[Environment]) -> list[Environment]:
    """The compilers that are meant, each once: in the order asked for, of a glob the oldest version first."""
    ordered = compile_request.newest_last(offered)
    found: dict[str, Environment] = {}
    for field, pattern in _patterns("compilers", wanted):
        if _is_glob(pattern):
            matching = [item for item in ordered if _matches(item.id, pattern)]
            if not matching:
                raise _nothing(field, pattern, "compiler", language, sorted({item.id for item in ordered}))
        else:
            try:
                matching = [compile_request.compiler_of(pattern, language, offered)]
            except InvalidRequest as error:
                raise invalid(field, error.message) from None
        found |= {item.id: item for item in matching}
    return list(found.values())


def _standards(wanted: list[str] | None, language: Language, offered: Sequence[Environment]) -> _Choice:
    """The standards that are meant, oldest first; [None] when each compiler is to use its own."""
    if wanted is None:
        return [None]
    used = {standard for item in offered for standard in item.standards}
    known = [standard.id for standard in language.standards if standard.id in used]

    def by_name(name: str) -> str | None:
        standard = language.standard(name)
        return standard.id if standard else None

    found = _chosen("standards", wanted, known, by_name, "standard", language)
    return sorted(found, key=known.index)


def _targets(wanted: list[str] | None, language: Language, offered: Sequence[Environment]) -> _Choice:
    """The targets that are meant, in the order asked for; [None] when each compiler is to use its own."""
    if wanted is None:
        return [None]
    known = list(dict.fromkeys(target for item in offered for target in item.targets))
    return _chosen("targets", wanted, known, _target, "target", language)


def _target(name: str) -> str:
    """``<architecture>-<os>`` or ``<os>/<architecture>`` as we write it."""
    if "/" in name:
        system, _, architecture = name.partition("/")
    else:
        architecture, _, system = name.partition("-")
    architecture = compile_request.canonical(architecture, compile_request.ARCHITECTURE_ALIASES) or ""
    system = compile_request.canonical(system, compile_request.SYSTEM_ALIASES) or ""
    return f"{architecture}-{system}"


def _chosen(
    field: str,
    wanted: list[str],
    known: Sequence[str],
    by_name: Callable[[str], str | None],
    what: str,
    language: Language,
) -> list[str]:
    """The known names that are meant by names and globs, each once; `InvalidRequest` for an unknown one."""
    found: dict[str, None] = {}
    for place, pattern in _patterns(field, wanted):
        if _is_glob(pattern):
            # A glob of the form <os>/<architecture> is turned around like a name.
            turned = _target(pattern) if what == "target" and "/" in pattern else pattern
            matching = [name for name in known if _matches(name, turned)]
        else:
            matching = [name for name in (by_name(pattern),) if name in known and name is not None]
        if not matching:
            raise _nothing(place, pattern, what, language, known)
        found |= dict.fromkeys(matching)
    return list(found)


def _patterns(field: str, wanted: list[str]) -> Iterable[tuple[str, str]]:
    """Each pattern with the path of its field; "all" is a glob like any other."""
    if not wanted:
        raise invalid(field, f"`{field}` is empty: name at least one, or leave it out.")
    for number, pattern in enumerate(wanted):
        name = pattern.strip().lower()
        yield f"{field}.{number}", "*" if name == _ALL else name


def _is_glob(pattern: str) -> bool:
    return bool(_GLOB.search(pattern))


def _matches(name: str, pattern: str) -> bool:
    # The longest name of ours is shorter; what is longer costs time to no avail.
    return len(pattern) <= _LONGEST_PATTERN and fnmatch.fnmatchcase(name.lower(), pattern)


def _nothing(field: str, pattern: str, what: str, language: Language, known: Sequence[str]) -> InvalidRequest:
    article = "matches no" if _is_glob(pattern) else "is not a"
    return invalid(
        field, f"{quoted(pattern)} {article} {what} for {language.name} here; available are {joined(known)}."
    )
