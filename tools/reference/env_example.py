"""`.env.example`: every setting with its default and its sentence, in the order of `Settings`."""

import textwrap

from chalicelib.settings import variables

_HEAD = (
    "Made by `make docs`; docs/settings.md has the same as a table. Copy it to .env and change it: "
    "it is read at the start. Every variable is optional, and the values below are the defaults. The "
    "environment wins over this file. A wrong value stops the program, in one line that says what is allowed."
)

# The first setting of each section → the section's title.
_SECTIONS = {
    "REDIS_ENABLED": "Redis",
    "MAX_WORKERS": "Queue and runners",
    "SANDBOX": "Compiling",
    "LOG_LEVEL": "This deployment",
}

# To write the default of these into the file would change something → what.
_COMMENTED_OUT = {"MAX_WORKERS": "With this line there may be more workers than cores."}

_COLUMNS = 100


def text() -> str:
    """The whole file."""
    lines = _comment(_HEAD)
    for variable in variables():
        if title := _SECTIONS.get(variable.name):
            lines += ["", f"# --- {title} ".ljust(_COLUMNS, "-"), ""]
        note = _COMMENTED_OUT.get(variable.name, "")
        lines += _comment(f"{variable.help} {_allowed(variable.allowed)} {note}".strip())
        lines.append(f"{'#' if note else ''}{variable.name}={variable.default}")
    return "\n".join(lines) + "\n"


def _allowed(allowed: str) -> str:
    return f"Allowed: {allowed}."


def _comment(sentence: str) -> list[str]:
    return textwrap.wrap(sentence, _COLUMNS, initial_indent="# ", subsequent_indent="# ")
