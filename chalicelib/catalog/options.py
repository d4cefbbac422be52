"""Whether a user's compiler option may be passed on.

An allow-list: what no rule allows is refused. The rules are data, in ``families/*.toml``.
An option must change how the source is judged and nothing else: it must not read, write,
load or run a file, end the compiler before it compiled (`--version` exits with 0), change
the shape of the messages, or swallow the next argument. So every allowed option is whole
in one argument, and it stands before the file names.

To allow one more, add a pattern to the family's file, and a case to its test.
"""

import re
from functools import lru_cache

from chalicelib.catalog.schema import Family

# Real build systems pass some ten options that matter to a verdict.
MAX_OPTIONS = 32
# Room for a macro with a value; the whole command stays far below what the kernel takes.
MAX_OPTION_CHARACTERS = 256

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


@lru_cache(maxsize=256)
def _either(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns))


def _matches(patterns: tuple[str, ...], option: str) -> bool:
    return bool(patterns) and _either(patterns).fullmatch(option) is not None


def refuse_option(family: Family, option: str) -> str | None:
    """A sentence that says why `option` is refused for compilers of `family`; None when it is allowed."""
    if len(option) > MAX_OPTION_CHARACTERS:
        return f"An option is at most {MAX_OPTION_CHARACTERS} characters long."
    if _CONTROL.search(option):
        return "An option must not contain control characters."
    if not option.startswith("-"):
        return f"{option!r} is not an option: options start with '-'; files belong into `files`."
    for refusal in family.options.refuse:
        if _matches(refusal.patterns, option):
            return f"The option {option!r} is refused: {refusal.because}."
    if _matches(family.options.allow, option):
        return None
    if option[2:].removeprefix("no-") in family.options.switches.get(option[1:2], ()):
        return None
    if " -" in option:
        return f"{option!r} is more than one option: give each as an element of its own."
    passed_on = f": {family.options.passed_on} are" if family.options.passed_on else ""
    return f"The option {option!r} is not among those that this service passes on to {family.id}{passed_on}."


def follows_sources(family: Family, option: str) -> bool:
    """True for an option whose place is behind the file names, such as a library for the linker."""
    return _matches(family.options.after_sources, option)
