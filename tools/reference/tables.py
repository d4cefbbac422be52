"""The tables, one function each: rows from the code, as Markdown.

The words of a row are in the code too, beside what they explain: the docstring of a route, an error or a key,
the comment above a limit, a metric or an exit code. So a table is never edited by hand.
"""

import dataclasses
import functools
import importlib
import inspect
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from app import app
from chalicelib import cloudwatch_metrics
from chalicelib import errors as error_tree
from chalicelib import settings as settings_module
from chalicelib.api import error_responses
from chalicelib.catalog import load_catalog
from chalicelib.errors import QueueFull, WillItCompileError
from chalicelib.models import Reason, Status, Totals
from chalicelib.storage.protocol import Counts
from chalicelib.storage.redis import keys as redis_keys
from runner.sandbox import SANDBOXES
from runner.sandbox.base import Limits

ROOT = Path(__file__).resolve().parents[2]


@functools.cache
def home_of(constant: str) -> ModuleType:
    """The one module of ours that defines this constant, so that a move of it changes nothing here."""
    line = re.compile(rf"^{constant}(?:: [^=\n]+)? = ", re.MULTILINE)
    homes = [
        path
        for part in ("chalicelib", "runner")
        for path in (ROOT / part).rglob("*.py")
        if line.search(path.read_text(encoding="utf-8"))
    ]
    if len(homes) != 1:
        raise LookupError(f"{constant} is defined in {len(homes)} modules, and must be in one")
    return importlib.import_module(".".join(homes[0].relative_to(ROOT).with_suffix("").parts))


def value_of(constant: str) -> Any:
    """The value of a constant of ours."""
    return getattr(home_of(constant), constant)


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; a `|` in a cell would end the cell, and is escaped."""
    lines = [head, ["---"] * len(head), *rows]
    cells = [[str(cell).replace("|", "\\|") for cell in line] for line in lines]
    return "".join(f"| {' | '.join(line)} |\n" for line in cells).replace("|  |", "| |")


def _sentence(thing: object) -> str:
    """The first paragraph of a docstring, in one line, without the double backticks of docstrings."""
    paragraph = (inspect.getdoc(thing) or "").split("\n\n")[0]
    return " ".join(paragraph.split()).replace("``", "`")


def comment_above(module: ModuleType, line_start: str) -> str:
    """The comment right above the line that starts with this text (spaces before it do not count)."""
    comment: list[str] = []
    for line in inspect.getsource(module).splitlines():
        text = line.strip()
        if text.startswith("#"):
            comment.append(text.lstrip("# "))
        elif text.startswith(line_start) and comment:
            return " ".join(comment)
        else:
            comment = []
    raise LookupError(f"{module.__name__}: `{line_start}…` needs a comment right above it, for its table")


# Settings


def settings() -> str:
    """Every variable in order, as the start-up checks it."""
    rows = (
        (
            f"`{variable.name}`",
            f"`{variable.default}`" if variable.default else "(empty)",
            variable.allowed,
            variable.help,
        )
        for variable in settings_module.variables()
    )
    return _table(("variable", "default", "allowed", "what it is"), rows)


# The API


def routes() -> str:
    """Every route of app.py, with the docstring of its view."""
    rows = (
        (f"`{method} {path}`", _sentence(entry.view_function))
        for path, methods in app.routes.items()
        for method, entry in methods.items()
    )
    return _table(("route", "what it does"), rows)


def error_classes() -> Iterator[type[WillItCompileError]]:
    """The tree of errors without its root, parents first."""
    waiting: list[type[WillItCompileError]] = [WillItCompileError]
    while waiting:
        below = [each for each in waiting.pop(0).__subclasses__() if each.__module__ == error_tree.__name__]
        yield from below
        waiting += below


def errors() -> str:
    """Slug, status and Retry-After of each error, and of the two answers that no class stands for."""
    rows = []
    for error in error_classes():
        if "slug" not in vars(error):
            continue  # clients see it as its parent
        seconds = str(error.retry_after_seconds or "")
        if error is QueueFull:
            seconds = f"1 to {value_of('LONGEST_RETRY_SECONDS')}"
        rows.append((f"`{error.slug}`", error_responses.status_of(error), seconds, _sentence(error)))
    rows.append(
        ("`method_not_allowed`", 405, "", "The path has other methods: the header `Allow` names them.")
    )
    rows.append(("`internal_error`", 500, "", "The service failed in a way that was not foreseen."))
    rows.sort(key=lambda row: row[1])
    return _table(("error", "status", "Retry-After", "when"), rows)


_REQUEST_LIMITS = (
    ("source, all files together, decoded", "MAX_SOURCE_BYTES", "bytes"),
    ("body", "MAX_BODY_BYTES", "bytes"),
    ("files", "MAX_FILES", ""),
    ("file name", "MAX_FILE_NAME_BYTES", "bytes"),
    ("parts of a file name", "MAX_FILE_NAME_LEVELS", ""),
    ("control characters in the source but tabs and ends of lines", "MAX_CONTROL_CHARACTERS", ""),
    ("`language`, `compiler`, `standard` or another name; a glob", "MAX_NAME_CHARACTERS", "characters"),
    ("options", "MAX_OPTIONS", ""),
    ("option", "MAX_OPTION_CHARACTERS", "characters"),
    ("expected diagnostics", "MAX_EXPECTED_DIAGNOSTICS", ""),
    ("`message`, `code` or `file` of an expected diagnostic", "MAX_EXPECTED_CHARACTERS", "characters"),
    ("`line` or `column` of an expected diagnostic", "MAX_POSITION", ""),
    ("`expect`, as JSON", "MAX_EXPECT_BYTES", "bytes"),
    ("`wait`", "MAX_WAIT_SECONDS", "seconds"),
    ("cells of a matrix", "MAX_CELLS", ""),
    ("names and globs in a list of a matrix", "MAX_PATTERNS", ""),
    ("details in an error", "MAX_DETAILS", ""),
    ("diagnostics in a result, children included", "MAX_DIAGNOSTICS", ""),
    ("message of a diagnostic", "MAX_MESSAGE_CHARACTERS", "characters"),
    ("diagnostics in `groups` of a matrix, or in its SARIF, as JSON", "MAX_GROUPS_BYTES", "bytes"),
)


def request_limits() -> str:
    """What a request may have and a result may hold."""
    rows = ((name, f"{value_of(constant):.0f} {unit}".strip()) for name, constant, unit in _REQUEST_LIMITS)
    return _table(("limit", "value"), rows)


def languages() -> str:
    """The catalogue's languages and compilers."""
    rows = (
        (language.name, ", ".join(f"`{compiler.id}`" for compiler in language.compilers))
        for language in load_catalog().languages
    )
    return _table(("language", "compilers"), rows)


def files() -> str:
    """The usual name of a language's main file, and the names that are sources."""
    rows = []
    for language in load_catalog().languages:
        others = [extension for item in language.other_sources for extension in item.extensions]
        sources = " ".join(f"`{extension}`" for extension in (*language.source_extensions, *others))
        rows.append((f"`{language.id}`", f"`{language.default_main}`", sources))
    return _table(("language", "usual name", "names of sources end in"), rows)


# The sandbox

# Field of `Limits` → the setting or constant that it comes from, and the reason if reaching it ends the run.
_LIMITS: dict[str, tuple[str, Reason | None]] = {
    "cpu_seconds": ("COMPILE_TIMEOUT_SECONDS", Reason.TIMEOUT),
    "wall_seconds": ("WALL_PER_CPU_SECOND", Reason.TIMEOUT),
    "memory_bytes": ("COMPILE_MEMORY_MB", Reason.MEMORY),
    "output_bytes": ("OUTPUT_LIMIT_KB", None),
    "flood_bytes": ("FLOOD_MIB", Reason.OUTPUT),
    "disk_bytes": ("DISK_MIB", Reason.DISK),
    "processes": ("PROCESSES", Reason.PROCESSES),
    # No compiler needs this many: one that does is broken, or its runner is.
    "open_files": ("OPEN_FILES", Reason.INFRASTRUCTURE),
}
# Constants that limit a run and are not a field of `Limits`.
_OTHER_LIMITS: dict[str, Reason | None] = {"DISK_BYTES_PER_FILE": Reason.DISK}


def sandbox_limits() -> str:
    """Every field of `Limits`: where its value comes from, and what the code says about that."""
    variables = {variable.name: variable for variable in settings_module.variables()}
    sources = [_LIMITS[field.name] for field in dataclasses.fields(Limits)]
    rows = []
    for source, reason in (*sources, *_OTHER_LIMITS.items()):
        if variable := variables.get(source):
            row = (variable.default, variable.help)
        else:
            row = (value_of(source), comment_above(home_of(source), f"{source} = "))
        rows.append((f"`{source}`", row[0], f"`{reason.value}`" if reason else "", row[1]))
    return _table(("limit", "value", "reason", "why"), rows)


def sandboxes() -> str:
    """Those that SANDBOX can name, in the order in which `auto` tries them."""
    rows = ((f"`{name}`", f"`runner/sandbox/{name}/sandbox.py`") for name in SANDBOXES)
    return _table(("sandbox", "file"), rows)


# Redis and operations


def keys() -> str:
    """Every key of chalicelib/storage/redis/keys.py, with the three parts of its docstring."""
    rows = []
    names = redis_keys.Keys()
    makers: list[tuple[object, object]] = [
        (getattr(names, name), member)
        for name, member in vars(redis_keys.Keys).items()
        if isinstance(member, property) or (inspect.isfunction(member) and not name.startswith("_"))
    ]
    for maker, documented in makers:
        key = maker if isinstance(maker, str) else _key_with_placeholders(maker)
        if not key or key.endswith(":"):  # what names begin with
            continue
        match = re.fullmatch(r"([A-Z][a-z ]+), ([^:]+): (.+)", _sentence(documented))
        if match is None:
            raise LookupError(f"{key}: its docstring must be `<type>, <time to live>: <what it holds>.`")
        what = match[3][0].upper() + match[3][1:]
        rows.append((f"`{key}`", match[1].lower(), match[2], what))
    return _table(("key", "type", "time to live", "what"), rows)


def _key_with_placeholders(function: object) -> str | None:
    """The key of a function that takes an id or a status; None for what makes no key."""
    assert callable(function)
    signature = inspect.signature(function)
    if signature.return_annotation is not str:
        return None
    arguments = []
    for name, parameter in signature.parameters.items():
        placeholder = "<id>" if name.endswith("_id") else f"<{name}>"
        arguments.append(placeholder if parameter.annotation is str else SimpleNamespace(value=placeholder))
    return str(function(*arguments))


def metrics() -> str:
    """The figures for CloudWatch, with the comment above each."""
    counts = Counts(by_status=dict.fromkeys(Status, 0), totals=Totals())
    rows = (
        (f"`{name}`", unit, comment_above(cloudwatch_metrics, f'"{name}": '))
        for name, (_, unit) in cloudwatch_metrics.figures(counts, 0).items()
    )
    return _table(("metric", "unit", "what it counts"), rows)


def exit_codes() -> str:
    """0, and every EXIT_ constant of the runner with the comment above it."""
    module = home_of("EXIT_SETTINGS")
    codes = {name: value for name, value in vars(module).items() if name.startswith("EXIT_")}
    rows = sorted((value, comment_above(module, f"{name} = ")) for name, value in codes.items())
    return _table(("exit code of `python -m runner`", "when"), [(0, "Stopped as asked."), *rows])
