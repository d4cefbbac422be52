"""From a request to the argument vector and the variables of its compiler.

The vector is what a person could type in a folder with the same files: names are relative, no shell
is involved, and no element can be read as another option or file than it is. Names and options are
checked here again although the API checked them: a runner must not depend on who wrote the request
into the store.
"""

import posixpath
from collections.abc import Collection, Mapping, Sequence

from chalicelib.catalog.catalog import Catalog
from chalicelib.catalog.fortran_order import order_of
from chalicelib.catalog.go_workspace import used_folders
from chalicelib.catalog.header_search import folders_of, header_search
from chalicelib.catalog.options import MAX_OPTIONS, as_passed, follows_sources, why_forbidden
from chalicelib.catalog.schema import PLACEHOLDER, CompilerEntry, Family, Language, Project
from chalicelib.errors import InvalidRequest
from chalicelib.file_names import check_file_names, check_objects
from chalicelib.models import CompileRequest, Target


def build_command(
    catalog: Catalog,
    request: CompileRequest,
    compiler: CompilerEntry,
    *,
    retry: bool = False,
    quiet: bool = False,
    missing: Mapping[str, Collection[str]] | None = None,
) -> tuple[str, ...]:
    """The argument vector for `request`, to be run in the folder that holds its files.

    `compiler` is the catalogue's entry for the request's compiler; one that leaves the version open must
    have got it from `CompilerEntry.at`. A target that the family does not list is the host's own and takes
    no arguments. With `retry` or `quiet` it is the family's second attempt; `missing` is what an earlier
    attempt lacked, for the order of the files. Raises `InvalidRequest` if the compiler does not take an
    option, a file name, the standard or the stage.
    """
    language = catalog.language(request.language)
    if language is None:
        raise InvalidRequest(f"There is no language {request.language!r}.")
    family = catalog.family(compiler.family)
    problem = _problem(catalog, request, language, family, compiler)
    if problem is not None:
        raise InvalidRequest(problem)

    units = translation_units(language, request.files, request.main, request.options, missing=missing)
    project = family.project if language.has_project(request.files) else None
    stages = {**(project or family).stages, **(family.retry.stages if retry and family.retry else {})}
    texts = {
        "{standard}": (standard := compiler.spellings.get(request.standard, request.standard)),
        "{standard_argument}": family.standard_argument.replace("{standard}", standard) if standard else "",
        "{input_language}": language.input_language,
        "{main}": request.main,
    }
    target = family.targets.get(str(request.target))
    options = [as_passed(family, option) for option in request.options]
    whole: dict[str, Sequence[str]] = {
        "{parser_arguments}": (*family.parser_arguments, *(family.quiet_arguments if quiet else ())),
        "{stage}": [_filled(argument, texts) for argument in stages[request.stage]],
        "{target}": target.arguments if target else (),
        "{options}": [option for option in options if not follows_sources(family, option)],
        "{header_search}": header_search(request.files, request.options, family.options.folders),
        "{options_after_sources}": [option for option in options if follows_sources(family, option)],
        "{sources}": _source_arguments(language, request.files, request.main, units),
    }
    command = list(compiler.command)
    for argument in (project or family).arguments:
        if argument in whole:
            command += whole[argument]
        else:
            command.append(_filled(argument, texts))
    return tuple(command)


def build_listing(
    catalog: Catalog, request: CompileRequest, compiler: CompilerEntry
) -> tuple[str, ...] | None:
    """The command that prints which files `build_command` compiles, one path a line, or None without one.

    A compiler that looks for its files itself leaves out what is not for the target, and says nothing.
    """
    family = catalog.family(compiler.family)
    language = catalog.language(request.language)
    in_project = family.project if language and language.has_project(request.files) else None
    listing = in_project.listing if in_project and in_project.listing else family.listing
    if language is None or not listing:
        return None
    whole: dict[str, Sequence[str]] = {
        "{options}": request.options,
        "{standard}": (compiler.spellings.get(request.standard, request.standard),),
        "{sources}": _source_arguments(language, request.files, request.main, ()),
    }
    arguments = [word for argument in listing for word in whole.get(argument, (argument,))]
    return (*compiler.command, *arguments)


def build_env(catalog: Catalog, compiler: CompilerEntry, target: Target) -> dict[str, str]:
    """The environment variables of a run, without those that the sandbox sets."""
    family = catalog.family(compiler.family)
    rules = family.targets.get(str(target))
    return {**family.env, **compiler.env, **(rules.env if rules else {})}


def translation_units(
    language: Language,
    files: Mapping[str, str],
    main: str,
    options: Sequence[str] = (),
    *,
    missing: Mapping[str, Collection[str]] | None = None,
) -> tuple[str, ...]:
    """The files that are compiled: `main` and the other units by name, in the order of the command.

    They are `compiled_files` of a result as well. A compiler that reads a whole project, or finds the other
    files itself, gets only `main` here, because nobody knows before it runs which files it will read.
    """
    if language.sources in ("main", "folder") or language.has_project(files):
        return (main,)
    units = sorted(name for name in files if name != main and language.is_unit(name))
    # Those that the compiler is told something else about come last, kind by kind.
    units.sort(key=lambda name: (not language.is_source(name), language.input_language_of(name)))
    units.insert(0 if language.main_is == "first" else len(units), main)
    return order_of(units, files, options, missing=missing).units if language.order else tuple(units)


def circle_of(language: Language, request: CompileRequest) -> tuple[str, ...]:
    """The files of `request` that need each other, so that no order is right; empty if there is one."""
    if not language.order:
        return ()
    units = translation_units(language, request.files, request.main)
    return order_of(units, request.files, request.options).circle


def why_objects_collide(language: Language, files: Mapping[str, str], main: str) -> str | None:
    """A sentence about a file that is where a compiler of the language writes an object, or None."""
    return check_objects(files, translation_units(language, files, main)) if language.writes_objects else None


def _source_arguments(
    language: Language, files: Mapping[str, str], main: str, units: Sequence[str]
) -> tuple[str, ...]:
    """How the files are named in the command; an option in between says what the next ones are."""
    main_folder = "/".join([".", *main.split("/")[:-1]])
    if language.project is not None and language.has_project(files):
        words = _in_project(language.project, files)
        return tuple(word.replace("{main_folder}", main_folder) for word in words)
    if language.sources == "folder":
        return (main_folder,)
    arguments: list[str] = []
    last = language.input_language
    for unit in units:
        kind = language.input_language_of(unit)
        if kind != last:
            # The families whose compilers are told the language all have this option.
            arguments += ("-x", kind)
            last = kind
        arguments.append(_safe_argument(unit))
    return tuple(arguments)


def _safe_argument(name: str) -> str:
    """A file name that cannot read as an option or a response file (`@x`): with its folder, if it must."""
    return f"./{name}" if name.startswith(("-", "@", " ")) else name


def _problem(
    catalog: Catalog, request: CompileRequest, language: Language, family: Family, compiler: CompilerEntry
) -> str | None:
    """A sentence that says why this compiler cannot be run for the request, or None."""
    if request.main not in request.files:
        return f"The main file {request.main!r} is not among the files."
    if not language.can_be_main(request.main):
        return f"{request.main!r} is not the name of a {language.name} source."
    problem = check_file_names(list(request.files))
    for name in request.files:
        problem = problem or catalog.why_invalid_file(language, name, request.stage)
    problem = problem or why_objects_collide(language, request.files, request.main)
    if problem is None and len(request.options) > MAX_OPTIONS:
        problem = f"At most {MAX_OPTIONS} options can be given."
    folders = folders_of(request.files)
    for option in request.options:
        problem = problem or why_forbidden(family, option, folders)
    own_standard = request.standard == "" and language.project_says_standard(request.files)
    if problem is None and not own_standard and request.standard not in language.standards_of(compiler):
        problem = f"{compiler.id} does not offer the standard {request.standard!r} of {language.name}."
    if problem is None and request.stage not in family.stages:
        problem = f"{compiler.id} has no stage {request.stage.value!r}."
    return problem


def _in_project(project: Project, files: Mapping[str, str]) -> list[str]:
    """The arguments of a project, or those of each project in the workspace that the files are."""
    named = {posixpath.normpath(folder) for folder in used_folders(files.get(project.workspace, ""))}
    folders = sorted(
        folder or "."
        for name in files
        for folder, _, file in [name.rpartition("/")]
        if file == project.file and (folder or ".") in named
    )
    if not folders:
        return list(project.arguments)
    alone = [argument for argument in project.arguments if "{main_folder}" in argument]
    in_each = [
        argument.replace("{folder}", folder if folder == "." else f"./{folder}")
        for folder in folders
        for argument in project.in_workspace
    ]
    return [*in_each, *alone]


def _filled(argument: str, texts: Mapping[str, str]) -> str:
    return PLACEHOLDER.sub(lambda match: texts[match[0]], argument)
