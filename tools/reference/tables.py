"""The tables, one function each: rows from the code, as Markdown.

The words of a row are in the code too, beside what they explain: the docstring of a route, an error or a key,
the comment above a limit, a metric or an exit code. So a table is never edited by hand.
"""

import dataclasses
import inspect
import re
from collections.abc import Iterable, Iterator, Sequence
from types import ModuleType, SimpleNamespace

from app import app
from chalicelib import cloudwatch_metrics, service
from chalicelib import errors as error_tree
from chalicelib import settings as settings_module
from chalicelib.api import error_responses, expectations, json_body, source_files
from chalicelib.catalog import (
    MAX_FILE_NAME_BYTES,
    MAX_FILE_NAME_LEVELS,
    MAX_OPTION_CHARACTERS,
    MAX_OPTIONS,
    load_catalog,
)
from chalicelib.errors import QueueFull, WillItCompileError
from chalicelib.matrix import groups, plan
from chalicelib.models import Reason, Status, Totals
from chalicelib.storage import endings
from chalicelib.storage.protocol import Counts
from chalicelib.storage.redis import keys as redis_keys
from runner import __main__ as runner_main
from runner.diagnostics import collector
from runner.sandbox import SANDBOXES, limits
from runner.sandbox.base import Limits


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
        seconds = str(error.retry_after_seconds or "")
        if error is QueueFull:
            seconds = f"1 to {endings.LONGEST_RETRY_SECONDS}"
        rows.append((f"`{error.slug}`", error_responses.status_of(error), seconds, _sentence(error)))
    rows.append(
        ("`method_not_allowed`", 405, "", "The path has other methods: the header `Allow` names them.")
    )
    rows.append(("`internal_error`", 500, "", "The service failed in a way that was not foreseen."))
    rows.sort(key=lambda row: row[1])
    return _table(("error", "status", "Retry-After", "when"), rows)


def request_limits() -> str:
    """What a request may have and a result may hold."""
    rows = (
        ("source, all files together, decoded", source_files.MAX_SOURCE_BYTES, "bytes"),
        ("body", json_body.MAX_BODY_BYTES, "bytes"),
        ("files", source_files.MAX_FILES, ""),
        ("file name", MAX_FILE_NAME_BYTES, "bytes"),
        ("parts of a file name", MAX_FILE_NAME_LEVELS, ""),
        ("options", MAX_OPTIONS, ""),
        ("option", MAX_OPTION_CHARACTERS, "characters"),
        ("expected diagnostics", expectations.MAX_EXPECTED_DIAGNOSTICS, ""),
        ("`wait`", f"{service.MAX_WAIT_SECONDS:g}", "seconds"),
        ("cells of a matrix", plan.MAX_CELLS, ""),
        ("source of a matrix, times its cells", plan.MAX_MATRIX_BYTES, "bytes"),
        ("names and globs in a list of a matrix", plan.MAX_PATTERNS, ""),
        ("details in an error", json_body.MAX_DETAILS, ""),
        ("diagnostics in a result, children included", collector.MAX_DIAGNOSTICS, ""),
        ("message of a diagnostic", collector.MAX_MESSAGE_CHARACTERS, "characters"),
        ("diagnostics in `groups` of a matrix, or in its SARIF, as JSON", groups.MAX_GROUPS_BYTES, "bytes"),
    )
    return _table(("limit", "value"), ((name, f"{value} {unit}".strip()) for name, value, unit in rows))


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
        sources = " ".join(f"`{extension}`" for extension in language.source_extensions)
        rows.append((f"`{language.id}`", f"`{language.default_main}`", sources))
    return _table(("language", "usual name", "names of sources end in"), rows)


# The sandbox

# Field of `Limits` → the setting or constant that it comes from, the constant whose comment says why it is
# this much, and the reason of a verdict when it is reached.
_LIMITS: dict[str, tuple[str, str, Reason]] = {
    "cpu_seconds": ("COMPILE_TIMEOUT_SECONDS", "", Reason.TIMEOUT),
    "wall_seconds": ("WALL_PER_CPU_SECOND", "WALL_PER_CPU_SECOND", Reason.TIMEOUT),
    "memory_bytes": ("COMPILE_MEMORY_MB", "MEMORY_MIB", Reason.MEMORY),
    "output_bytes": ("OUTPUT_LIMIT_KB", "OUTPUT_KIB", Reason.OUTPUT),
    "disk_bytes": ("DISK_MIB", "DISK_MIB", Reason.DISK),
    "processes": ("PROCESSES", "PROCESSES", Reason.PROCESSES),
    # No compiler needs this many: one that does is broken, or its runner is.
    "open_files": ("OPEN_FILES", "OPEN_FILES", Reason.INFRASTRUCTURE),
}
# Constants that limit a run and are no field of `Limits`.
_OTHER_LIMITS = {"DISK_BYTES_PER_FILE": Reason.DISK}


def sandbox_limits() -> str:
    """Every field of `Limits`: where its value comes from, and what the comment beside that says."""
    variables = {variable.name: variable for variable in settings_module.variables()}
    rows = []
    for field in dataclasses.fields(Limits):
        source, commented, reason = _LIMITS[field.name]
        variable = variables.get(source)
        value = variable.default if variable else getattr(limits, source)
        sentences = [variable.help] if variable else []
        sentences += [comment_above(limits, f"{commented} = ")] if commented else []
        rows.append((f"`{source}`", value, f"`{reason.value}`", " ".join(sentences)))
    for name, reason in _OTHER_LIMITS.items():
        value = getattr(limits, name)
        rows.append((f"`{name}`", value, f"`{reason.value}`", comment_above(limits, f"{name} = ")))
    return _table(("limit", "value", "reason", "why"), rows)


def sandboxes() -> str:
    """Those that SANDBOX can name, in the order in which `auto` tries them."""
    rows = ((f"`{name}`", f"`runner/sandbox/{name}/sandbox.py`") for name in SANDBOXES)
    return _table(("sandbox", "file"), rows)


# Redis and operations


def keys() -> str:
    """Every key of chalicelib/storage/redis/keys.py, with the three parts of its docstring."""
    rows = []
    names = redis_keys.CoordinationKeys()
    makers: list[tuple[object, object]] = [
        (function, function)
        for function in vars(redis_keys).values()
        if inspect.isfunction(function) and function.__module__ == redis_keys.__name__
    ]
    for name, member in vars(redis_keys.CoordinationKeys).items():
        if isinstance(member, property) or (inspect.isfunction(member) and not name.startswith("_")):
            makers.append((getattr(names, name), member))
    for maker, documented in makers:
        key = maker if isinstance(maker, str) else _key_with_placeholders(maker)
        if key is None:
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
    codes = {name: value for name, value in vars(runner_main).items() if name.startswith("EXIT_")}
    rows = sorted((value, comment_above(runner_main, f"{name} = ")) for name, value in codes.items())
    return _table(("exit code of `python -m runner`", "when"), [(0, "Stopped as asked."), *rows])
