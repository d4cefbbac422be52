"""Whether a user's compiler option may be passed on, and how.

An allow-list: what no rule allows is forbidden. The rules are data, in ``families/*.toml``.
An option must change how the source is judged and nothing else: it must not read, write,
load or run a file, end the compiler before it has compiled (`--version` exits with 0), change
the format of the messages, or swallow the next argument. So every allowed option is complete
in one argument and comes before the file names.

To allow another option, add a pattern to the family's file and a case to tests/unit/test_options.py.
"""

import re
from collections.abc import Collection
from functools import lru_cache

from chalicelib.catalog.header_search import folder_of
from chalicelib.catalog.schema import Family

# Real build systems pass about ten options that matter to a verdict.
MAX_OPTIONS = 32
# Room for a macro with a value; the whole command stays far below what the kernel takes.
MAX_OPTION_CHARACTERS = 256

# Quoted and bracketed parts of a macro's value: `-DTEXT="a -b"`, `-DSUM=(x -y)`.
_GROUP = re.compile(r'"(?:[^"\\]|\\.)*"|\([^()]*\)')
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


@lru_cache(maxsize=256)
def _either(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns))


def _matches(patterns: tuple[str, ...], option: str) -> bool:
    return bool(patterns) and _either(patterns).fullmatch(option) is not None


def why_forbidden(family: Family, option: str, folders: Collection[str]) -> str | None:
    """A sentence that says why compilers of `family` may not get `option`, or None if it is allowed.

    `folders` are those of the request, without a slash at the end; "." is the top folder.
    """
    if len(option) > MAX_OPTION_CHARACTERS:
        return f"An option is at most {MAX_OPTION_CHARACTERS} characters long."
    if _CONTROL.search(option):
        return "An option must not contain control characters."
    if not option.startswith("-"):
        return f"{option!r} is not an option: options start with '-'; files belong in `files`."
    named = folder_of(option, family.options.folders)
    if named is not None and named[1] in folders:
        return None
    if any(_is_option(family, word) for word in _GROUP.sub("", option).split()[1:]):
        return f"{option!r} is more than one option: give each one as its own element."
    if named is not None:
        return _why_no_folder(option, named[0])
    for forbidden in family.options.forbid:
        if _matches(forbidden.patterns, option):
            return f"The option {option!r} is not allowed: {forbidden.because}."
    if _is_allowed(family, option):
        return None
    if " -" in option:
        return f"{option!r} is more than one option: give each one as its own element."
    passed_on = f": {family.options.passed_on} are" if family.options.passed_on else ""
    return f"The option {option!r} is not among those that this service passes on to {family.id}{passed_on}."


def as_passed(family: Family, option: str) -> str:
    """An allowed option as the compiler gets it.

    A folder is in normal form, and `./` keeps it from reading as a sysroot (`-I=x`) or as another option.
    """
    named = folder_of(option, family.options.folders)
    if named is None:
        return option
    prefix, folder = named
    return f"{prefix}{folder if folder[0].isalnum() or folder[0] in '._' else f'./{folder}'}"


def _is_allowed(family: Family, option: str) -> bool:
    return _matches(family.options.allow, option) or option[2:].removeprefix(
        "no-"
    ) in family.options.switches.get(option[1:2], ())


def _is_option(family: Family, word: str) -> bool:
    """Whether a word would be an option by itself, allowed or not. A minus sign alone would not."""
    if len(word) < 2 or not word.startswith("-"):
        return False
    forbidden = any(_matches(rule.patterns, word) for rule in family.options.forbid)
    return forbidden or _is_allowed(family, word) or folder_of(word, family.options.folders) is not None


def _why_no_folder(option: str, prefix: str) -> str:
    if option == prefix:
        return f"The option {option!r} is not complete: write the folder into it, as in {prefix}include."
    return (
        f"The option {option!r} does not name a folder of the request: {prefix} takes a folder that holds "
        "one of `files`, by its path from the top folder."
    )


def follows_sources(family: Family, option: str) -> bool:
    """True for an option that belongs behind the file names, such as a library for the linker."""
    return _matches(family.options.after_sources, option)
