"""From a request to the argument vector of its compiler.

The vector is what a person could type in a folder with the same files: names are
relative, no shell is involved, and nothing of it can be read as another option or file
than it is. Names and options are checked here once more, although the API refuses bad
ones: whatever reaches a runner must not depend on who wrote it into the store.
"""

import re
from collections.abc import Collection, Sequence

from chalicelib.catalog.file_names import check_file_names
from chalicelib.catalog.model import Compiler, Family, Language
from chalicelib.catalog.options import MAX_OPTIONS, follows_sources, refuse_option
from chalicelib.errors import InvalidRequest
from chalicelib.models import Stage

_PLACEHOLDER = re.compile(r"\{[^{}]*\}")
_WHOLE_ARGUMENTS = frozenset({"{stage}", "{options}", "{sources}", "{options_after_sources}"})
_PARTS_OF_ARGUMENTS = frozenset({"{standard}", "{input_language}", "{main}"})


def unknown_placeholders(family: Family) -> set[str]:
    """Placeholders in the family's arguments that `build_command` would not replace."""
    found = {each for argument in family.arguments for each in _PLACEHOLDER.findall(argument)}
    return found - _PARTS_OF_ARGUMENTS - (_WHOLE_ARGUMENTS & set(family.arguments))


def translation_units(language: Language, files: Collection[str], main: str) -> tuple[str, ...]:
    """The files to compile: `main` first whatever its name, then every other source file by name."""
    others = sorted(name for name in files if name != main and language.is_source(name))
    return (main, *others)


def build_command(
    language: Language,
    family: Family,
    compiler: Compiler,
    *,
    standard: str,
    stage: Stage,
    options: Sequence[str],
    files: Collection[str],
    main: str,
) -> tuple[str, ...]:
    """The argument vector that takes `files` to `stage`, to be run in the folder that holds them.

    Raises `InvalidRequest` when an option, a file name, the standard or the stage is not one
    that this compiler takes.
    """
    if main not in files:
        raise InvalidRequest(f"The main file {main!r} is not among the files.")
    problem = check_file_names(list(files))
    if problem is None and len(options) > MAX_OPTIONS:
        problem = f"At most {MAX_OPTIONS} options can be given."
    for option in options:
        problem = problem or refuse_option(family, option)
    if problem is None and standard not in language.standards_of(compiler):
        problem = f"{compiler.id} does not offer the standard {standard!r} of {language.name}."
    if problem is None and stage not in family.stages:
        problem = f"{compiler.id} has no stage {stage.value!r}."
    if problem is not None:
        raise InvalidRequest(problem)

    spliced: dict[str, Sequence[str]] = {
        "{stage}": family.stages[stage],
        "{options}": [option for option in options if not follows_sources(family, option)],
        "{options_after_sources}": [option for option in options if follows_sources(family, option)],
        "{sources}": translation_units(language, files, main),
    }
    texts = {
        "{standard}": compiler.spellings.get(standard, standard),
        "{input_language}": language.input_language,
        "{main}": main,
    }
    command = list(compiler.command)
    for argument in family.arguments:
        if argument in spliced:
            command += spliced[argument]
        else:
            command.append(_PLACEHOLDER.sub(lambda match: texts[match[0]], argument))
    return tuple(command)
