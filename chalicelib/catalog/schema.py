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

# The shapes of messages, each with a parser in runner/diagnostics.
Shape = Literal["gnu", "clang", "rustc", "javac", "go", "tsc", "gfortran", "python", "zig"]


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
    words by the letter before them: ``f = ["rtti"]`` allows ``-frtti`` and ``-fno-rtti``. `passed_on`
    says in words which are allowed.
    """

    passed_on: str = ""

    allow: tuple[str, ...] = ()
    after_sources: tuple[str, ...] = ()
    switches: dict[str, tuple[str, ...]] = {}
    refuse: tuple[Refusal, ...] = ()


class VersionProbe(Entry):
    """How a compiler of a family tells its version: the first group of `pattern` in what it prints.

    `command` stands in place of the compiler's own where a part of it must not be asked.
    """

    command: tuple[str, ...] = ()
    arguments: tuple[str, ...]
    pattern: str


class LimitMessage(Entry):
    r"""Words by which a compiler reports a limit, or its own crash, as if it were an ordinary error.

    `pattern` describes complete lines, ``(?m)^…$``, and begins with the name that the program prints there: a
    job's text can be anywhere else. What it matches is taken out before ordinary errors are looked for, so it
    must not reach over one: ``(?:(?!error: )[^\n])*`` is the rest of a line. `explains` finds errors that may
    come of the same limit; they count for nothing where `pattern` is found. The pattern ``\A`` stands last
    for compilers whose rejections always hold an error in the shape of the family's `refusal`: without one
    they broke down, however they put it.

    A thread that cannot be made is counted as memory, which its stack takes: compilers word it alike for want
    of memory and of threads, and no source asks for threads.
    """

    reason: Reason
    pattern: str
    explains: str = ""


class Target(Entry):
    """How compilers of a family are told to compile for one target: more arguments, more variables.

    `requires` is a path without which it need not be tried, since trying would take long or fail anyway.
    """

    arguments: tuple[str, ...] = ()
    environment: dict[str, str] = {}
    requires: str = ""


class Retry(Entry):
    """What is tried once more, with the arguments of other stages, when an error has this code.

    For compilers that must be told whether the source is a program or a library.
    """

    code: str
    stages: dict[Stage, tuple[str, ...]]


class Family(Entry):
    """How compilers of one kind are driven.

    `arguments` is the command behind the executable. Whole elements ``{stage}``, ``{target}``,
    ``{options}``, ``{sources}`` and ``{options_after_sources}`` are replaced by any number of
    arguments; inside an element ``{standard}``, ``{main}`` and ``{input_language}`` are replaced by text.

    `environment` holds variables that every run gets; the sandbox sets PATH, HOME, TMPDIR and LANG.
    `targets` holds those that are not the host's own, and the host's where it must be named; they are tried
    at the last stage, or at `targets_tried_at` where a compiler links by itself for all of them.
    `refusal` is a pattern that finds the compiler's own errors about the source in what it prints; without
    one, it is the shape that most compilers share (runner/verdict.py).
    """

    id: str
    diagnostics: Shape = Field(description="The shape of its messages: a parser of the runner.")
    prints_to: Literal["stderr", "stdout", "both"] = Field("stderr", description="Where the messages are.")
    arguments: tuple[str, ...]
    stages: dict[Stage, tuple[str, ...]]
    environment: dict[str, str] = {}
    targets: dict[str, Target] = {}
    targets_tried_at: Stage | None = Field(None, description="The stage that shows a target to work.")
    retry: Retry | None = None
    refusal: str | None = None
    version: VersionProbe
    options: OptionRules = OptionRules()
    options_like: str = Field("", description="Another family, whose option rules hold for this one.")
    limit_messages: tuple[LimitMessage, ...] = ()
    limit_messages_like: tuple[str, ...] = Field((), description="Families that it speaks like as well.")


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


class Official(Entry):
    """A compiler in container images of its own project: their names, and what it is called in them."""

    images: tuple[str, ...] = Field(min_length=1)
    command: tuple[str, ...] = Field(min_length=1)
    environment: dict[str, str] = {}


class CompilerEntry(Entry):
    """One compiler of one language. It offers the standards up to `newest_standard`.

    `command` is the executable's name, and arguments that always come first; `environment` are variables
    besides the family's. `official` says where a sandbox that runs images finds it. `spellings` holds
    standards that this version knows by an older name only.

    Where a distribution has one version under a name without a number, `id` holds ``{version}``, which
    becomes as many parts of the version that the compiler tells as `id_parts` says. A standard may then
    depend on it: a table from the least version to the standard, ``{ "1.85" = "2024", "1.56" = "2021" }``.
    """

    id: str
    family: str
    command: tuple[str, ...] = Field(min_length=1)
    id_parts: int = 2
    environment: dict[str, str] = {}
    official: Official | None = None
    default_standard: str | dict[str, str]
    newest_standard: str | dict[str, str]
    oldest_standard: str | dict[str, str] | None = None
    spellings: dict[str, str] = {}

    @property
    def executable(self) -> str:
        """The name to look for on a machine."""
        return self.command[0]

    def in_image(self, image: str) -> "CompilerEntry | None":
        """This entry as it is in that official image; None where it is not one of its own."""
        if self.official is None or image not in self.official.images:
            return None
        changes = {"command": self.official.command, "environment": self.official.environment}
        return self.model_copy(update={**changes, "official": None})

    def at(self, version: tuple[int, ...]) -> "CompilerEntry":
        """This entry for a compiler of that version: id and standards without anything left open.

        Raises `ValueError` for a version that is older than the entry knows.
        """
        parts = ".".join(str(part) for part in version[: self.id_parts])
        oldest = self.oldest_standard
        return self.model_copy(
            update={
                "id": self.id.replace("{version}", parts),
                "default_standard": _at(self.default_standard, version),
                "newest_standard": _at(self.newest_standard, version),
                "oldest_standard": None if oldest is None else _at(oldest, version),
            }
        )


def _at(standard: str | dict[str, str], version: tuple[int, ...]) -> str:
    if isinstance(standard, str):
        return standard
    since = sorted((version_key(least), name) for least, name in standard.items())
    known = [name for least, name in since if least <= version]
    if not known:
        raise ValueError(f"version {'.'.join(map(str, version))} is older than the catalogue knows.")
    return known[-1]


def version_key(version: str) -> tuple[int, ...]:
    """A version such as ``12.2.0`` as numbers that compare."""
    return tuple(int(part) for part in version.split("."))


class Order(Entry):
    """What must be compiled before what: the first group of each pattern is a name in a file's text."""

    defines: str
    uses: str


class Project(Entry):
    """A file that makes a request a project, and what the compiler is given then instead of file names.

    ``{main_folder}`` is the folder of the main file, such as ``.`` or ``./lib``.
    """

    file: str
    arguments: tuple[str, ...]


class Language(Entry):
    """A language: its names, file names, standards in order, and compilers.

    `sources` says which files the compiler is given: every translation unit; those of the top folder; or the
    main file alone, which names the others itself. `main_is` says where the main file stands among them. With
    `order`, files come after those that they use. With `project`, a request that has such a file is given to
    the compiler as a whole.
    """

    id: str
    name: str
    aliases: tuple[str, ...] = ()
    default_main: str
    source_extensions: tuple[str, ...]
    not_sources: tuple[str, ...] = Field((), description="Ends of names that are no sources after all.")
    header_extensions: tuple[str, ...] = ()
    input_language: str = Field(default="", description="What compilers of several languages call this one.")
    sources: Literal["all", "top", "main"] = "all"
    main_is: Literal["first", "last"] = "first"
    order: Order | None = None
    project: Project | None = None
    standards: tuple[Standard, ...]
    self_test: SelfTest
    compilers: tuple[CompilerEntry, ...]

    def standard(self, name: str) -> Standard | None:
        """The standard of that name or alias, in any case of letters."""
        wanted = name.casefold()
        for standard in self.standards:
            if wanted == standard.id or wanted in standard.aliases:
                return standard
        return None

    def compiler(self, compiler_id: str) -> CompilerEntry | None:
        """The compiler entry of that id."""
        return next((compiler for compiler in self.compilers if compiler.id == compiler_id), None)

    def standards_of(self, compiler: CompilerEntry) -> tuple[str, ...]:
        """Ids of the standards that `compiler` offers, oldest first; none while its version is open."""
        orders = {each.id: each.order for each in self.standards}
        newest, oldest = compiler.newest_standard, compiler.oldest_standard
        if isinstance(newest, dict) or isinstance(oldest, dict):
            return ()
        first = min(orders.values()) if oldest is None else orders[oldest]
        return tuple(each.id for each in self.standards if first <= each.order <= orders[newest])

    def is_source(self, file_name: str) -> bool:
        """True for a file that is a translation unit by its name; others are there to be included."""
        return file_name.endswith(self.source_extensions) and not file_name.endswith(self.not_sources)

    def can_be_main(self, file_name: str) -> bool:
        """True for a file that its compilers take as one of this language.

        Where they are told the language, the name says nothing, and a header can be tried by itself. All
        others go by the name: what it does not tell them they skip without a word, or refuse unread.
        """
        return bool(self.input_language) or self.is_source(file_name)
