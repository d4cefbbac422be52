"""The loaded catalogue: every language and family, checked against each other, with lookups by name."""

import re
from collections.abc import Collection, Mapping, Sequence

from chalicelib.catalog import command, options
from chalicelib.catalog.schema import CompilerEntry, Family, Language
from chalicelib.errors import InvalidRequest
from chalicelib.models import Stage


class Catalog:
    """What could be compiled where its compilers are installed; what *is* there, runners register.

    Raises `ValueError` when the parts do not fit together: such a catalogue must not be shipped.
    """

    def __init__(self, languages: Sequence[Language], families: Sequence[Family]) -> None:
        self.languages = tuple(languages)
        own = {family.id: family for family in families}
        self.families = {name: _complete(family, own) for name, family in own.items()}
        self._by_name: dict[str, Language] = {}
        for language in languages:
            for name in (language.id, language.name, *language.aliases):
                if self._by_name.setdefault(name.casefold(), language) is not language:
                    raise ValueError(f"two languages are called {name!r}")
            self._check(language)
        for family in families:
            self._check_family(family)

    def language(self, name: str) -> Language | None:
        """The language of that id, name or alias, in any case of letters."""
        return self._by_name.get(name.strip().casefold())

    def family(self, family_id: str) -> Family:
        """The family of that id; `KeyError` when there is none."""
        return self.families[family_id]

    def refuse_option(self, family_id: str, option: str) -> str | None:
        """See `options.refuse_option`: a sentence for the 400, or None when the option is allowed."""
        return options.refuse_option(self.family(family_id), option)

    @property
    def official_images(self) -> tuple[str, ...]:
        """The container images of the compilers' own projects, each once, the newest of a language first."""
        entries = [entry for language in self.languages for entry in reversed(language.compilers)]
        named = [image for entry in entries if entry.official for image in entry.official.images]
        return tuple(dict.fromkeys(named))

    def in_image(self, image: str) -> "Catalog":
        """The catalogue of what one of the official images holds."""
        languages = []
        for language in self.languages:
            found = [entry for each in language.compilers if (entry := each.in_image(image)) is not None]
            languages.append(language.model_copy(update={"compilers": tuple(found)}))
        return Catalog(languages, tuple(self.families.values()))

    def foreign_source(self, language: Language, file_name: str) -> Language | None:
        """The other language whose source file this is by its name.

        Such a file would silently not be compiled, and the verdict would be about less than
        what was sent.
        """
        if language.is_source(file_name) or file_name.endswith(language.header_extensions):
            return None
        return next((other for other in self.languages if other.is_source(file_name)), None)

    def left_out(self, language: Language, files: Collection[str]) -> str | None:
        """A source file of the language that it would not compile for being in a folder, if there is one."""
        project = language.project
        if language.sources != "top" or (project is not None and project.file in files):
            return None
        return next((name for name in sorted(files) if "/" in name and language.is_source(name)), None)

    def build_command(
        self,
        language: str,
        compiler: CompilerEntry | str,
        standard: str,
        stage: Stage,
        options: Sequence[str],
        files: Mapping[str, str],
        main: str,
        *,
        target: str = "",
        retry: bool = False,
    ) -> tuple[str, ...]:
        """See `command.build_command`; `InvalidRequest` also for a compiler that is not listed.

        A compiler whose entry leaves its version open is given as what `CompilerEntry.at` made of it.
        """
        found = self.language(language)
        entry = found.compiler(compiler) if found and isinstance(compiler, str) else compiler
        if found is None or not isinstance(entry, CompilerEntry):
            raise InvalidRequest(f"There is no compiler {compiler!r} for the language {language!r}.")
        return command.build_command(
            found,
            self.family(entry.family),
            entry,
            standard=standard,
            stage=stage,
            options=options,
            files=files,
            main=main,
            target=target,
            retry=retry,
        )

    def build_environment(self, compiler: CompilerEntry, target: str) -> dict[str, str]:
        """See `command.build_environment`."""
        return command.build_environment(self.family(compiler.family), compiler, target)

    @staticmethod
    def _check_family(family: Family) -> None:
        unknown = command.unknown_placeholders(family)
        if unknown:
            raise ValueError(f"family {family.id!r}: unknown placeholders {sorted(unknown)} in its arguments")
        again = family.retry.stages if family.retry else {}
        if not set(again) <= set(family.stages):
            raise ValueError(f"family {family.id!r}: tries stages again that it does not have")
        rules = family.options
        refused = [pattern for refusal in rules.refuse for pattern in refusal.patterns]
        words = [pattern for each in family.limit_messages for pattern in (each.pattern, each.explains)]
        for pattern in (family.refusal or "", *rules.allow, *refused, *words):
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"family {family.id!r}: pattern {pattern!r}: {error}") from error

    def _check(self, language: Language) -> None:
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
                raise ValueError(f"{where}: {compiler.id} is of an unknown family {compiler.family!r}")
            default, newest = compiler.default_standard, compiler.newest_standard
            named = {
                *(_named(default) if isinstance(default, dict) else ()),
                *_named(newest),
                *_named(compiler.oldest_standard),
            }
            unknown = {*named, *compiler.spellings} - ids
            if unknown:
                raise ValueError(f"{where}: {compiler.id} names unknown standards {sorted(unknown)}")
            offered = language.standards_of(compiler)
            if isinstance(default, str) and default not in (offered or ids):
                raise ValueError(f"{where}: the default standard of {compiler.id} is not one that it offers")


def _named(standard: str | dict[str, str] | None) -> tuple[str, ...]:
    """The standards that an entry names in one of its fields."""
    if standard is None or isinstance(standard, str):
        return (standard,) if standard else ()
    return tuple(standard.values())


def _complete(family: Family, families: Mapping[str, Family]) -> Family:
    """The family with what it takes from others: option rules, and words for limits behind its own."""
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
