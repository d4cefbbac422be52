"""From a request to the argument vector of its compiler.

The vector is what a person could type in a folder with the same files: names are
relative, no shell is involved, and nothing of it can be read as another option or file
than it is. Names and options are checked here once more, although the API refuses bad
ones: whatever reaches a runner must not depend on who wrote it into the store.
"""

import re
from collections.abc import Mapping, Sequence

from chalicelib.catalog.options import MAX_OPTIONS, follows_sources, refuse_option
from chalicelib.catalog.schema import CompilerEntry, Family, Language, Order
from chalicelib.errors import InvalidRequest
from chalicelib.file_names import check_file_names
from chalicelib.models import Stage

_PLACEHOLDER = re.compile(r"\{[^{}]*\}")
_WHOLE_ARGUMENTS = frozenset({"{stage}", "{target}", "{options}", "{sources}", "{options_after_sources}"})
_PARTS_OF_ARGUMENTS = frozenset({"{standard}", "{input_language}", "{main}"})


def unknown_placeholders(family: Family) -> set[str]:
    """Placeholders in the family's arguments that `build_command` would not replace."""
    stages = [*family.stages.values(), *(family.retry.stages.values() if family.retry else ())]
    parts = {each for stage in stages for argument in stage for each in _PLACEHOLDER.findall(argument)}
    found = {each for argument in family.arguments for each in _PLACEHOLDER.findall(argument)}
    return (parts - _PARTS_OF_ARGUMENTS) | (
        found - _PARTS_OF_ARGUMENTS - (_WHOLE_ARGUMENTS & set(family.arguments))
    )


def translation_units(language: Language, files: Mapping[str, str], main: str) -> tuple[str, ...]:
    """The files to compile: `main` and the other source files by name, in the language's order."""
    if language.project is not None and language.project.file in files:
        folder = "/".join([".", *main.split("/")[:-1]])
        return tuple(each.replace("{main_folder}", folder) for each in language.project.arguments)
    if language.sources == "main":
        return (main,)
    units = sorted(name for name in files if name != main and language.is_source(name))
    if language.sources == "top":
        units = [name for name in units if "/" not in name]
    units.insert(0 if language.main_is == "first" else len(units), main)
    return tuple(units if language.order is None else _by_use(language.order, units, files))


def _by_use(order: Order, units: Sequence[str], files: Mapping[str, str]) -> list[str]:
    """`units` so that each comes after those that define what it uses; in a circle, as they stood."""
    names = {unit: {name.casefold() for name in re.findall(order.defines, files[unit])} for unit in units}
    used = {unit: {name.casefold() for name in re.findall(order.uses, files[unit])} for unit in units}
    done: list[str] = []
    waiting = list(units)
    while waiting:
        missing = {name for unit in waiting for name in names[unit]}
        ready = next((unit for unit in waiting if not (used[unit] - names[unit]) & missing), waiting[0])
        waiting.remove(ready)
        done.append(ready)
    return done


def build_command(
    language: Language,
    family: Family,
    compiler: CompilerEntry,
    *,
    standard: str,
    stage: Stage,
    options: Sequence[str],
    files: Mapping[str, str],
    main: str,
    target: str = "",
    retry: bool = False,
) -> tuple[str, ...]:
    """The argument vector that takes `files` to `stage`, to be run in the folder that holds them.

    `target` is one of the family's; any other is the host's own, which takes no arguments. With `retry` it
    is the family's second attempt. Raises `InvalidRequest` when an option, a file name, the standard or the
    stage is not one that this compiler takes.
    """
    if main not in files:
        raise InvalidRequest(f"The main file {main!r} is not among the files.")
    if not language.can_be_main(main):
        raise InvalidRequest(f"{main!r} is not the name of a {language.name} source.")
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

    stages = {**family.stages, **(family.retry.stages if retry and family.retry else {})}
    texts = {
        "{standard}": compiler.spellings.get(standard, standard),
        "{input_language}": language.input_language,
        "{main}": main,
    }
    spliced: dict[str, Sequence[str]] = {
        "{stage}": [_filled(argument, texts) for argument in stages[stage]],
        "{target}": family.targets[target].arguments if target in family.targets else (),
        "{options}": [option for option in options if not follows_sources(family, option)],
        "{options_after_sources}": [option for option in options if follows_sources(family, option)],
        "{sources}": translation_units(language, files, main),
    }
    command = list(compiler.command)
    for argument in family.arguments:
        if argument in spliced:
            command += spliced[argument]
        else:
            command.append(_filled(argument, texts))
    return tuple(command)


def build_environment(family: Family, compiler: CompilerEntry, target: str) -> dict[str, str]:
    """The variables of a run besides those that the sandbox sets."""
    of_target = family.targets[target].environment if target in family.targets else {}
    return {**family.environment, **compiler.environment, **of_target}


def _filled(argument: str, texts: Mapping[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda match: texts[match[0]], argument)
