"""What the catalogue's TOML files may contain: languages, standards, compiler entries and families.

A *family* is how one kind of compiler is driven (arguments, options, format of its messages). A
*language* lists its standards and the compilers that take it. These models hold data and answer
questions about it; nothing here starts a program or looks at the machine. Whether the parts fit
together is checked in one place, `Catalog`.

To give an entry a new property, add a field with a default, so that files that do not need it
stay as they are.
"""

import re
from collections.abc import Collection
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from chalicelib.models import Reason, Stage

# The formats of compiler messages; runner/diagnostics has a parser for each.
MessageFormat = Literal["gnu", "clang", "rustc", "javac", "go", "tsc", "gfortran", "python", "zig"]

# What `Family.arguments` and `Family.stages` may hold in braces: see `Family`.
PLACEHOLDER = re.compile(r"\{[^{}]*\}")
WHOLE_ARGUMENTS = frozenset(
    {
        "{parser_arguments}",
        "{stage}",
        "{target}",
        "{options}",
        "{header_search}",
        "{sources}",
        "{options_after_sources}",
    }
)
PARTS_OF_ARGUMENTS = frozenset({"{standard}", "{standard_argument}", "{input_language}", "{main}"})


class CatalogModel(BaseModel):
    """Base of everything in the catalogue: immutable, and a misspelt key is an error at load time."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ForbiddenOptions(CatalogModel):
    """Options that are forbidden for a reason: one of `patterns` matches the whole option."""

    patterns: tuple[str, ...]
    because: str


class OptionRules(CatalogModel):
    """The allow-list of a family. Patterns match whole options; `forbid` wins over `allow`.

    Allowed options that match `after_sources` are put behind the file names. `switches` are words by the
    letter before them: ``f = ["rtti"]`` allows ``-frtti`` and ``-fno-rtti``. `folders` begin options that go
    on with a folder of the request, such as ``-I``. `passed_on` says in words what is allowed, for error
    messages.
    """

    passed_on: str = ""

    allow: tuple[str, ...] = ()
    after_sources: tuple[str, ...] = ()
    switches: dict[str, tuple[str, ...]] = {}
    folders: tuple[str, ...] = ()
    forbid: tuple[ForbiddenOptions, ...] = ()


class VersionProbe(CatalogModel):
    """How to ask a compiler for its version: the first group of `pattern` in what it prints.

    `command` replaces the compiler's own command, for compilers that answer under another one.
    """

    command: tuple[str, ...] = ()
    arguments: tuple[str, ...]
    pattern: str


class LimitMessage(CatalogModel):
    r"""How a compiler words a limit, or its own crash, when it reports it like an ordinary error.

    `pattern` must describe complete lines, ``(?m)^…$``, that begin with a program's name: a job's text can
    be anywhere else. Its matches are removed before ordinary errors are searched for, so it must not reach
    over one: ``(?![^\n]*error: )[^\n]*`` is the rest of a line. It must be linear: of a line, one stretch
    may have an open end, and a second belongs into a look ahead from the place where the first begins
    (tests/unit/test_linear_reading.py). Errors that `explains` matches may follow from the same limit; they
    do not count when `pattern` matched. ``\A`` as the last pattern means: a failure without an ordinary
    error (`Family.error_pattern`) is a crash of the compiler, however it words it.

    A thread that cannot be created is reported as memory: compilers word a lack of memory for its stack and
    a lack of threads alike, and no source asks for threads.
    """

    reason: Reason
    pattern: str
    explains: str = ""


class TargetRules(CatalogModel):
    """How the compilers of a family compile for one target: with more arguments and variables.

    Without the path `requires` the target is not even tried: that would take long, or fail anyway.
    """

    arguments: tuple[str, ...] = ()
    env: dict[str, str] = {}
    requires: str = ""


class Retry(CatalogModel):
    """A second attempt with other arguments for a stage, made when an error has this code.

    For compilers that must be told whether the source is a program or a library.
    """

    code: str
    stages: dict[Stage, tuple[str, ...]]
    unless: str = Field("", description="The start of an option that says what the attempt would guess.")


class ProjectRun(CatalogModel):
    """How a project is compiled, where that differs: what replaces the family's `arguments` and `stages`."""

    listing: tuple[str, ...] = ()
    arguments: tuple[str, ...]
    stages: dict[Stage, tuple[str, ...]]


class Family(CatalogModel):
    """How compilers of one kind are driven.

    `arguments` is the command behind the executable. A whole element ``{parser_arguments}``, ``{stage}``,
    ``{target}``, ``{options}``, ``{header_search}``, ``{sources}`` or ``{options_after_sources}`` is
    replaced by any number of arguments; inside an element ``{standard}``, ``{main}`` and
    ``{input_language}`` are replaced by text, and ``{standard_argument}`` by the field of that name, or by
    nothing where the project's own file says the standard.

    `quiet_arguments` are added in a second attempt, when the compiler printed more than any limit allows.

    `listing` is a second command, which prints the path of each file that the first one compiles. It may
    hold ``{options}`` and ``{sources}``: see `build_listing`.

    `parser_arguments` are there for the service's parser only: without them the compiler prints what a
    person sees. `env` holds the variables of every run; the sandbox sets PATH, HOME, TMPDIR and LANG.
    `targets` lists the targets that are not the host's own, and the host's if it must be named. They are
    tried at the last stage, or at `targets_tried_at` if the compiler links for all of them without help.
    After an error that `missing_module` matches, the files are tried in a better order if there is one.
    `error_pattern` matches the compiler's own errors about the source in what it prints; the default is
    the format that most compilers share (runner/verdict.py). `loads` are globs for the files that a compiler
    runs or loads, seen from the folder of its program; ``{major}`` is the number in its id. A runner tests a
    compiler again when one of them has changed.
    """

    id: str
    message_format: MessageFormat = Field(description="The format of its messages: a parser of the runner.")
    prints_to: Literal["stderr", "stdout", "both"] = Field("stderr", description="Where the messages are.")
    parser_arguments: tuple[str, ...] = ()
    arguments: tuple[str, ...]
    standard_argument: str = ""
    listing: tuple[str, ...] = ()
    quiet_arguments: tuple[str, ...] = ()
    stages: dict[Stage, tuple[str, ...]]
    env: dict[str, str] = {}
    targets: dict[str, TargetRules] = {}
    targets_tried_at: Stage | None = Field(None, description="The stage that shows that a target works.")
    retry: Retry | None = None
    project: ProjectRun | None = Field(None, description="For a request that is a `Project`.")
    missing_module: str | None = Field(
        None,
        description="An error about a module that another file has not defined yet: its name is a group.",
    )
    error_pattern: str | None = None
    version: VersionProbe
    loads: tuple[str, ...] = ()
    options: OptionRules = OptionRules()
    options_like: str = Field("", description="The family whose option rules are used for this one.")
    limit_messages: tuple[LimitMessage, ...] = ()
    limit_messages_like: tuple[str, ...] = Field((), description="Families whose messages it also prints.")


class Standard(CatalogModel):
    """A version of a language. `order` compares versions; a dialect has the order of its base."""

    id: str
    order: int = Field(description="The year in its name; the expected one before it is published.")
    dialect: str = Field(default="iso", description="iso, or gnu for the same standard with extensions.")
    aliases: tuple[str, ...] = ()


class SelfTest(CatalogModel):
    """Two programs that show whether a compiler works.

    `good` must link (or compile, where linking means nothing); `bad` must be rejected with an error at
    line `bad_line`.
    """

    good: str
    bad: str
    bad_line: int


class Official(CatalogModel):
    """A compiler in container images of its own project: the images, and its command inside them."""

    images: tuple[str, ...] = Field(min_length=1)
    command: tuple[str, ...] = Field(min_length=1)
    env: dict[str, str] = {}


class CompilerEntry(CatalogModel):
    """One compiler of one language. It offers the standards up to `newest_standard`.

    `command` is the name of the executable, and arguments that always come first. `env` adds variables to
    those of the family. `official` says where a sandbox that runs images finds the compiler. `spellings`
    are for standards that this version knows by an older name only.

    Where a distribution has one version under a name without a number, `id` contains ``{version}``: the
    first `id_parts` parts of the version that the compiler reports. A standard may then depend on the
    version: a table from the lowest version to the standard, ``{ "1.85" = "2024", "1.56" = "2021" }``.
    """

    id: str
    family: str
    command: tuple[str, ...] = Field(min_length=1)
    id_parts: int = 2
    env: dict[str, str] = {}
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
        """This entry as it is in that official image, or None if the image does not contain it."""
        if self.official is None or image not in self.official.images:
            return None
        changes = {"command": self.official.command, "env": self.official.env}
        return self.model_copy(update={**changes, "official": None})

    def at(self, version: tuple[int, ...]) -> "CompilerEntry":
        """This entry for a compiler of that version: id and standards are definite then.

        Raises `ValueError` for a version that is older than the entry knows.
        """
        parts = ".".join(str(part) for part in version[: self.id_parts])
        oldest = self.oldest_standard
        return self.model_copy(
            update={
                "id": self.id.replace("{version}", parts),
                "default_standard": _standard_at(self.default_standard, version),
                "newest_standard": _standard_at(self.newest_standard, version),
                "oldest_standard": None if oldest is None else _standard_at(oldest, version),
            }
        )


def _standard_at(standard: str | dict[str, str], version: tuple[int, ...]) -> str:
    if isinstance(standard, str):
        return standard
    by_version = sorted((version_key(lowest), name) for lowest, name in standard.items())
    known = [name for lowest, name in by_version if lowest <= version]
    if not known:
        raise ValueError(f"version {'.'.join(map(str, version))} is older than the catalogue knows.")
    return known[-1]


def version_key(version: str) -> tuple[int, ...]:
    """A version such as ``12.2.0`` as numbers that can be compared."""
    return tuple(int(part) for part in version.split("."))


class OtherSources(CatalogModel):
    """Sources that the compilers of a language take beside its own, such as assembly, and how they are told.

    `input_language` is the word for them where compilers are told the language; `stages` are those in which
    every compiler checks them.
    """

    extensions: tuple[str, ...] = Field(min_length=1)
    input_language: str = ""
    stages: tuple[Stage, ...] = tuple(Stage)


class InvalidSources(CatalogModel):
    """Names that a compiler of a language's families takes as sources, and that no job of it compiles.

    `because` is the end of a sentence for the 400: it says why, and what to do.
    """

    extensions: tuple[str, ...] = Field(min_length=1)
    because: str


class Project(CatalogModel):
    """A file in the top folder that makes a request a project, and the arguments instead of file names.

    ``{main_folder}`` is the folder of the main file, such as ``.`` or ``./lib``. `workspace` is a file that
    lists the folders of several projects: each of them has the arguments `in_workspace` then, in which
    ``{folder}`` is one of them. With `says_standard`, the compiler takes the standard from the project's own
    file where none is requested.
    """

    file: str
    arguments: tuple[str, ...]
    workspace: str = ""
    in_workspace: tuple[str, ...] = ()
    says_standard: bool = False


class Language(CatalogModel):
    """A language: its names, file names, standards in order, and compilers.

    `sources` says what is passed to the compiler: all translation units; the top folder, from which it
    takes what belongs to the target; or the main file alone, which names the others itself. `main_is` says
    where the main file is among them. With `order`, files come after those that they use. With `project`,
    a request that contains such a file is compiled as a whole.

    Every file of a request is a translation unit (`source_extensions`, `other_sources`), is invalid
    (`invalid_sources`, a source of another language, an `invalid_starts`), or is there to be included or
    read: see `Catalog.why_invalid_file`. Case matters in all of them, as it does for compilers.
    """

    id: str
    name: str
    aliases: tuple[str, ...] = ()
    default_main: str
    source_extensions: tuple[str, ...]
    not_sources: tuple[str, ...] = Field((), description="Ends of names that are not sources after all.")
    header_extensions: tuple[str, ...] = ()
    other_sources: tuple[OtherSources, ...] = ()
    invalid_sources: tuple[InvalidSources, ...] = ()
    writes_objects: bool = Field(default=False, description="Compilers write `main.o` for `main.c`.")
    invalid_starts: str = Field("", description="Characters that no name may start with, behind its folders.")
    input_language: str = Field(default="", description="What compilers of several languages call this one.")
    sources: Literal["all", "folder", "main"] = "all"
    main_is: Literal["first", "last"] = "first"
    order: Literal["", "fortran"] = Field("", description="How files are put after those that they use.")
    project: Project | None = None
    standards: tuple[Standard, ...]
    self_test: SelfTest
    compilers: tuple[CompilerEntry, ...]

    def standard(self, name: str) -> Standard | None:
        """The standard with that id or alias; case does not matter."""
        folded = name.casefold()
        for standard in self.standards:
            if folded == standard.id or folded in standard.aliases:
                return standard
        return None

    def compiler(self, compiler_id: str) -> CompilerEntry | None:
        """The compiler entry with that id."""
        return next((compiler for compiler in self.compilers if compiler.id == compiler_id), None)

    def standards_of(self, compiler: CompilerEntry) -> tuple[str, ...]:
        """Ids of the standards that `compiler` offers, oldest first; empty while its version is unknown."""
        orders = {standard.id: standard.order for standard in self.standards}
        newest, oldest = compiler.newest_standard, compiler.oldest_standard
        if isinstance(newest, dict) or isinstance(oldest, dict):
            return ()
        first = min(orders.values()) if oldest is None else orders[oldest]
        return tuple(item.id for item in self.standards if first <= item.order <= orders[newest])

    def has_project(self, files: Collection[str]) -> bool:
        """True if a request with these files is compiled as a whole."""
        return self.project is not None and not {self.project.file, self.project.workspace}.isdisjoint(files)

    def project_says_standard(self, files: Collection[str]) -> bool:
        """True if the compiler takes the standard from one of the files, unless it is told another."""
        return self.project is not None and self.project.says_standard and self.has_project(files)

    def is_source(self, file_name: str) -> bool:
        """True if the name is that of a source in this language."""
        return file_name.endswith(self.source_extensions) and not file_name.endswith(self.not_sources)

    def other_source(self, file_name: str) -> OtherSources | None:
        """What the compilers take a file of that name for, beside the language's own sources."""
        return next((item for item in self.other_sources if file_name.endswith(item.extensions)), None)

    def is_unit(self, file_name: str) -> bool:
        """True if the name is that of a translation unit; other files are there to be included or read."""
        return self.is_source(file_name) or self.other_source(file_name) is not None

    def input_language_of(self, file_name: str) -> str:
        """What a compiler is told about that translation unit; empty where it goes by the name."""
        other = None if self.is_source(file_name) else self.other_source(file_name)
        return self.input_language if other is None else other.input_language

    def can_be_main(self, file_name: str) -> bool:
        """True if the language's compilers accept a file of that name as one of this language.

        Compilers that are told the language ignore the name, so that a header can be tried alone. All
        others go by the name: they skip a file with another ending without a message, or do not read it.
        """
        return bool(self.input_language) or self.is_source(file_name)
