"""The loaded catalogue: all languages and families, checked against each other, with lookups by name."""

import re
from collections.abc import Collection, Mapping, Sequence

from chalicelib.catalog.header_search import TOP_FOLDER
from chalicelib.catalog.options import why_forbidden
from chalicelib.catalog.schema import (
    PARTS_OF_ARGUMENTS,
    PLACEHOLDER,
    WHOLE_ARGUMENTS,
    Family,
    Language,
)
from chalicelib.models import Stage


class Catalog:
    """What could be compiled if its compilers were installed; what is installed, runners register.

    Raises `ValueError` if the parts do not fit together: such a catalogue must not be shipped.
    """

    def __init__(self, languages: Sequence[Language], families: Sequence[Family]) -> None:
        self.languages = tuple(languages)
        by_id = {family.id: family for family in families}
        self.families = {name: _complete(family, by_id) for name, family in by_id.items()}
        self._by_name: dict[str, Language] = {}
        for language in languages:
            for name in (language.id, language.name, *language.aliases):
                if self._by_name.setdefault(name.casefold(), language) is not language:
                    raise ValueError(f"two languages are called {name!r}")
            self._check_language(language)
        for family in families:
            _check_family(family)

    def language(self, name: str) -> Language | None:
        """The language with that id, name or alias; case does not matter."""
        return self._by_name.get(name.strip().casefold())

    def family(self, family_id: str) -> Family:
        """The family with that id. Raises `KeyError` if it does not exist."""
        return self.families[family_id]

    def why_forbidden(
        self, family_id: str, option: str, folders: Collection[str] = frozenset({TOP_FOLDER})
    ) -> str | None:
        """A sentence for the 400 that says why the option is forbidden, or None if it is allowed.

        `folders` are those of the request (`folders_of`), which some options may name.
        """
        return why_forbidden(self.family(family_id), option, folders)

    @property
    def parser_arguments(self) -> frozenset[str]:
        """All arguments that are in commands only for the service's parsers."""
        return frozenset(word for family in self.families.values() for word in family.parser_arguments)

    @property
    def official_images(self) -> tuple[str, ...]:
        """The container images of the compilers' own projects, each once, the newest of a language first."""
        entries = [entry for language in self.languages for entry in reversed(language.compilers)]
        named = [image for entry in entries if entry.official for image in entry.official.images]
        return tuple(dict.fromkeys(named))

    def in_image(self, image: str) -> "Catalog":
        """The catalogue of what one of the official images contains."""
        languages = []
        for language in self.languages:
            entries = (compiler.in_image(image) for compiler in language.compilers)
            compilers = tuple(entry for entry in entries if entry is not None)
            languages.append(language.model_copy(update={"compilers": compilers}))
        return Catalog(languages, tuple(self.families.values()))

    def why_invalid_file(self, language: Language, file_name: str, stage: Stage | None = None) -> str | None:
        """A sentence on why a job of `language` cannot have a file of that name, and what to do; or None.

        Such a file would be skipped, although a compiler takes its like: the verdict would be about less than
        what was sent. `stage` is left out where it is not known yet.
        """
        shown = repr(file_name)
        if file_name.rpartition("/")[2].startswith(tuple(language.invalid_starts)):
            starts = " or ".join(language.invalid_starts)
            what = (
                f"starts with {starts}, which makes a {language.name} compiler read options from another file"
            )
            return f"{shown} {what}: rename it."
        if language.is_unit(file_name):
            other = language.other_source(file_name)
            if other is not None and stage is not None and stage not in other.stages:
                allowed = " or ".join(f"`{item}`" for item in other.stages)
                return f"{shown} is not checked in stage `{stage}`: use {allowed}, or leave it out."
            return None
        for item in language.invalid_sources:
            if file_name.endswith(item.extensions):
                return f"{shown} {item.because}."
        foreign = self.foreign_source(language, file_name)
        if foreign is not None:
            what = f"is a {foreign.name} source, which a job of language {language.id} does not compile"
            return f"{shown} {what}: leave it out."
        return self._why_of_case(language, file_name)

    def _why_of_case(self, language: Language, file_name: str) -> str | None:
        """A sentence about a name that is a source's in other case: on another system it would be one."""
        lower = file_name.lower()
        of_a_file = file_name.endswith((*language.not_sources, *language.header_extensions))
        if of_a_file or language.sources == "main" or lower.endswith(language.not_sources):
            return None
        for extension in language.source_extensions:
            if lower.endswith(extension.lower()):
                what = f"is not a {language.name} source by its name, whose case matters"
                return f"{file_name!r} {what}: let it end in {extension}."
        return None

    def foreign_source(self, language: Language, file_name: str) -> Language | None:
        """The other language that has source files of that name, or None.

        Such a file would not be compiled, and the verdict would be about less than what was sent.
        """
        if language.is_unit(file_name) or file_name.endswith(language.header_extensions):
            return None
        return next((other for other in self.languages if other.is_source(file_name)), None)

    def uncompiled_source(self, language: Language, files: Collection[str]) -> str | None:
        """The first source file that is skipped because it is in a subfolder, or None."""
        if language.sources != "folder" or language.has_project(files):
            return None
        return next((name for name in sorted(files) if "/" in name and language.is_source(name)), None)

    def _check_language(self, language: Language) -> None:
        where = f"language {language.id!r}"
        orders = [standard.order for standard in language.standards]
        if orders != sorted(orders):
            raise ValueError(f"{where}: standards are not listed oldest first")
        names = [name for standard in language.standards for name in (standard.id, *standard.aliases)]
        if len(set(names)) != len(names) or any(name != name.casefold() for name in names):
            raise ValueError(f"{where}: names of standards must be unique and in lower case")
        ids = {standard.id for standard in language.standards}
        if len({compiler.id for compiler in language.compilers}) != len(language.compilers):
            raise ValueError(f"{where}: a compiler is listed twice")
        for compiler in language.compilers:
            if compiler.family not in self.families:
                raise ValueError(f"{where}: {compiler.id} has the unknown family {compiler.family!r}")
            default, newest = compiler.default_standard, compiler.newest_standard
            named = {
                *(_standards_in(default) if isinstance(default, dict) else ()),
                *_standards_in(newest),
                *_standards_in(compiler.oldest_standard),
            }
            unknown = {*named, *compiler.spellings} - ids
            if unknown:
                raise ValueError(f"{where}: {compiler.id} names unknown standards {sorted(unknown)}")
            offered = language.standards_of(compiler)
            if isinstance(default, str) and default not in (offered or ids):
                raise ValueError(f"{where}: {compiler.id} does not offer its own default standard")


def _check_family(family: Family) -> None:
    where = f"family {family.id!r}"
    unknown = _unknown_placeholders(family)
    if unknown:
        raise ValueError(f"{where}: unknown placeholders {sorted(unknown)} in its arguments")
    if unknown := set(PLACEHOLDER.findall(family.standard_argument)) - {"{standard}"}:
        raise ValueError(f"family {family.id!r}: unknown placeholders {sorted(unknown)} in standard_argument")
    if family.parser_arguments and "{parser_arguments}" not in family.arguments:
        raise ValueError(f"{where}: it has parser_arguments but no place for them in its arguments")
    retried = family.retry.stages if family.retry else {}
    if not set(retried) <= set(family.stages):
        raise ValueError(f"{where}: its retry names stages that it does not have")
    rules = family.options
    forbidden = [pattern for item in rules.forbid for pattern in item.patterns]
    limits = [pattern for message in family.limit_messages for pattern in (message.pattern, message.explains)]
    for pattern in (
        family.error_pattern or "",
        family.missing_module or "",
        *rules.allow,
        *forbidden,
        *limits,
    ):
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"{where}: pattern {pattern!r}: {error}") from error


def _unknown_placeholders(family: Family) -> set[str]:
    """Placeholders in the family's arguments that `build_command` would not replace."""
    project = family.project
    stages = [
        *family.stages.values(),
        *(project.stages.values() if project else ()),
        *(family.retry.stages.values() if family.retry else ()),
    ]
    arguments = [*family.arguments, *(project.arguments if project else ())]
    in_stages = {word for stage in stages for argument in stage for word in PLACEHOLDER.findall(argument)}
    in_arguments = {word for argument in arguments for word in PLACEHOLDER.findall(argument)}
    whole = WHOLE_ARGUMENTS & set(arguments)
    return (in_stages - PARTS_OF_ARGUMENTS) | (in_arguments - PARTS_OF_ARGUMENTS - whole)


def _standards_in(standard: str | dict[str, str] | None) -> tuple[str, ...]:
    """The standards that an entry names in one of its fields."""
    if standard is None or isinstance(standard, str):
        return (standard,) if standard else ()
    return tuple(standard.values())


def _complete(family: Family, families: Mapping[str, Family]) -> Family:
    """The family with what it takes from others: option rules, and limit messages behind its own."""
    others = {name for name in (family.options_like, *family.limit_messages_like) if name}
    if unknown := others - set(families):
        raise ValueError(f"family {family.id!r}: there is no family {min(unknown)!r}")
    messages = [*family.limit_messages]
    for name in family.limit_messages_like:
        messages += families[name].limit_messages
    update: dict[str, object] = {"limit_messages": tuple(messages), "limit_messages_like": ()}
    if family.options_like:
        update |= {"options": families[family.options_like].options}
    return family.model_copy(update=update)
