"""What the catalogue's TOML files may say: languages, standards, compilers and families.

A *family* is how a kind of compiler is driven (arguments, options, message shape); a
*language* lists its standards and the compilers that take it. These models are checked
data without behaviour that touches a machine: nothing here probes, reads or runs.

To give an entry a new property, add a field with a default, so that the files that do
not need it stay as they are.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from chalicelib.models import Reason, Stage


class Entry(BaseModel):
    """Base of all catalogue entries: immutable, and a misspelt key is an error at load time."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Refusal(Entry):
    """Options that are refused with a reason: one of `patterns` matches the whole option."""

    patterns: tuple[str, ...]
    because: str


class OptionRules(Entry):
    """The allow-list of a family. Patterns match whole options; a refusal wins over an allowance.

    Allowed options that match `after_sources` are given behind the file names. `switches` are
    words by the letter before them: ``f = ["rtti"]`` allows ``-frtti`` and ``-fno-rtti``.
    """

    allow: tuple[str, ...] = ()
    after_sources: tuple[str, ...] = ()
    switches: dict[str, tuple[str, ...]] = {}
    refuse: tuple[Refusal, ...] = ()


class VersionProbe(Entry):
    """How a compiler of a family tells its version: the first group of `pattern` in what it prints."""

    arguments: tuple[str, ...]
    pattern: str


class LimitMessage(Entry):
    """Words by which a compiler reports a limit as if it were an ordinary error (a regular expression)."""

    reason: Reason
    pattern: str


class Family(Entry):
    """How compilers of one kind are driven.

    `arguments` is the command behind the executable. Whole elements ``{stage}``,
    ``{options}``, ``{sources}`` and ``{options_after_sources}`` are replaced by any number of
    arguments; inside an element ``{standard}``, ``{main}`` and ``{input_language}`` are replaced by text.
    """

    id: str
    diagnostics: Literal["gnu"] = Field(description="The shape of its messages: a parser of the runner.")
    arguments: tuple[str, ...]
    stages: dict[Stage, tuple[str, ...]]
    version: VersionProbe
    options: OptionRules


class Standard(Entry):
    """A version of a language. `order` compares them; a dialect shares the order of its base."""

    id: str
    order: int = Field(description="The year in its name; the expected one before it is published.")
    dialect: str = Field(default="iso", description="iso, or gnu for the same standard with extensions.")
    aliases: tuple[str, ...] = ()


class SelfTest(Entry):
    """Two programs that tell a working compiler from one that is only there.

    `good` must link (or compile, where linking means nothing); `bad` must be rejected with
    an error at line `bad_line`.
    """

    good: str
    bad: str
    bad_line: int


class Compiler(Entry):
    """One compiler of one language. It offers the standards up to `newest_standard`.

    `command` is the executable's name, and arguments that always come first. `spellings`
    holds standards that this version knows by an older name only.
    """

    id: str
    family: str
    command: tuple[str, ...] = Field(min_length=1)
    default_standard: str
    newest_standard: str
    spellings: dict[str, str] = {}

    @property
    def executable(self) -> str:
        """The name to look for on a machine."""
        return self.command[0]


class Language(Entry):
    """A language: its names, file names, standards in order, and compilers."""

    id: str
    name: str
    aliases: tuple[str, ...] = ()
    default_main: str
    source_extensions: tuple[str, ...]
    header_extensions: tuple[str, ...] = ()
    input_language: str = Field(description="What compilers of several languages call this one.")
    standards: tuple[Standard, ...]
    self_test: SelfTest
    compilers: tuple[Compiler, ...]

    def standard(self, name: str) -> Standard | None:
        """The standard of that name or alias, in any case of letters."""
        wanted = name.casefold()
        for standard in self.standards:
            if wanted == standard.id or wanted in standard.aliases:
                return standard
        return None

    def compiler(self, compiler_id: str) -> Compiler | None:
        """The compiler entry of that id."""
        return next((compiler for compiler in self.compilers if compiler.id == compiler_id), None)

    def standards_of(self, compiler: Compiler) -> tuple[str, ...]:
        """Ids of the standards that `compiler` offers, oldest first."""
        newest = next(each.order for each in self.standards if each.id == compiler.newest_standard)
        return tuple(each.id for each in self.standards if each.order <= newest)

    def is_source(self, file_name: str) -> bool:
        """True for a file that is a translation unit by its name; others are there to be included."""
        return file_name.endswith(self.source_extensions)
