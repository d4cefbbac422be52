"""Whether a user's compiler option may be passed on.

An allow-list: what no rule allows is forbidden. The rules are data, in ``families/*.toml``.
An option must change how the source is judged and nothing else: it must not read, write,
load or run a file, end the compiler before it has compiled (`--version` exits with 0), change
the format of the messages, or swallow the next argument. So every allowed option is complete
in one argument and comes before the file names.

To allow another option, add a pattern to the family's file and a case to tests/unit/test_options.py.
"""

import re
from functools import lru_cache

from chalicelib.catalog.schema import Family

# Real build systems pass about ten options that matter to a verdict.
MAX_OPTIONS = 32
# Room for a macro with a value; the whole command stays far below what the kernel takes.
MAX_OPTION_CHARACTERS = 256

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


@lru_cache(maxsize=256)
def _either(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns))


def _matches(patterns: tuple[str, ...], option: str) -> bool:
    return bool(patterns) and _either(patterns).fullmatch(option) is not None


def why_forbidden(family: Family, option: str) -> str | None:
    """A sentence that says why compilers of `family` may not get `option`, or None if it is allowed."""
    if len(option) > MAX_OPTION_CHARACTERS:
        return f"An option is at most {MAX_OPTION_CHARACTERS} characters long."
    if _CONTROL.search(option):
        return "An option must not contain control characters."
    if not option.startswith("-"):
        return f"{option!r} is not an option: options start with '-'; files belong in `files`."
    for forbidden in family.options.forbid:
        if _matches(forbidden.patterns, option):
            return f"The option {option!r} is not allowed: {forbidden.because}."
    if _matches(family.options.allow, option):
        return None
    if option[2:].removeprefix("no-") in family.options.switches.get(option[1:2], ()):
        return None
    if " -" in option:
        return f"{option!r} is more than one option: give each one as its own element."
    passed_on = f": {family.options.passed_on} are" if family.options.passed_on else ""
    return f"The option {option!r} is not among those that this service passes on to {family.id}{passed_on}."


def follows_sources(family: Family, option: str) -> bool:
    """True for an option that belongs behind the file names, such as a library for the linker."""
    return _matches(family.options.after_sources, option)
