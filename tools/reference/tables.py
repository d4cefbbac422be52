"""The tables, one function each: rows from the code, as Markdown.

What a row says in words stands in the code as well, beside what it explains: the docstring of a route, an error or a
key, the comment above a limit, a metric or an exit code. So a table is never edited.
"""

import inspect
import re
from collections.abc import Iterable, Iterator, Sequence
from types import ModuleType, SimpleNamespace

from app import app
from chalicelib import cloudwatch_metrics, service
from chalicelib import errors as error_tree
from chalicelib import settings as settings_module
from chalicelib.api import compile_request, error_responses, expectations, json_body, source_files
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
from runner.sandbox import SANDBOXES
from runner.sandbox import limits as sandbox_limit_constants


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; a `|` in a cell would end the cell, and is escaped."""
    lines = [head, ["---"] * len(head), *rows]
    cells = [[str(cell).replace("|", "\\|") for cell in line] for line in lines]
    return "".join(f"| {' | '.join(line)} |\n" for line in cells).replace("|  |", "| |")


def _sentence(thing: object) -> str:
    """The first paragraph of a docstring, in one line, without the double backticks of docstrings."""
    paragraph = (inspect.getdoc(thing) or "").split("\n\n")[0]
    return " ".join(paragraph.split()).replace("``", "`")


def _comment_above(module: ModuleType, line_start: str) -> str:
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
    """The catalogue's languages, with their compilers and the names by which each is known."""
    rows = []
    for language in load_catalog().languages:
        names = ", ".join(f"`{alias}`" for alias in language.aliases)
        compilers = ", ".join(f"`{compiler.id}`" for compiler in language.compilers)
        rows.append((f"`{language.id}`", names, compilers))
    return _table(("language", "other names", "compilers of the catalogue"), rows)


def files() -> str:
    """The usual name of a language's main file, and the names that are sources."""
    rows = []
    for language in load_catalog().languages:
        sources = " ".join(f"`{extension}`" for extension in language.source_extensions)
        rows.append((f"`{language.id}`", f"`{language.default_main}`", sources))
    return _table(("language", "usual name", "names of sources end in"), rows)


# The sandbox

# Setting or constant of runner/sandbox/limits.py → what a verdict says when it is reached.
_REASON_OF_LIMIT: dict[str, Reason] = {
    "COMPILE_TIMEOUT_SECONDS": Reason.TIMEOUT,
    "COMPILE_MEMORY_MB": Reason.MEMORY,
    "OUTPUT_LIMIT_KB": Reason.OUTPUT,
    "WALL_PER_CPU_SECOND": Reason.TIMEOUT,
    "MEMORY_MIB": Reason.MEMORY,
    "OUTPUT_KIB": Reason.OUTPUT,
    "DISK_MIB": Reason.DISK,
    "PROCESSES": Reason.PROCESSES,
    # No compiler needs so many: one that does is broken, or its runner is.
    "OPEN_FILES": Reason.INFRASTRUCTURE,
    "DISK_BYTES_PER_FILE": Reason.DISK,
}
# Units, and the defaults of settings, which have rows of their own.
_NO_LIMITS = {"MIB", "MEMORY_MIB", "OUTPUT_KIB"}


def sandbox_limits() -> str:
    """The settings that limit a run, and every constant of runner/sandbox/limits.py with the comment above it."""
    rows = [
        (f"`{variable.name}`", variable.default, f"`{_REASON_OF_LIMIT[variable.name].value}`", variable.help)
        for variable in settings_module.variables()
        if variable.name.startswith(("COMPILE_", "OUTPUT_"))
    ]
    constants = vars(sandbox_limit_constants)
    for name, value in constants.items():
        if re.fullmatch(r"[A-Z][A-Z_]*", name) and name not in _NO_LIMITS and isinstance(value, int | float):
            why = _comment_above(sandbox_limit_constants, f"{name} = ")
            rows.append((f"`{name}`", str(value), f"`{_REASON_OF_LIMIT[name].value}`", why))
    return _table(("limit", "value", "reason", "why"), rows)


def sandboxes() -> str:
    """Those that SANDBOX can name, in the order in which `auto` tries them."""
    rows = ((f"`{name}`", f"`runner/sandbox/{name}/sandbox.py`") for name in SANDBOXES)
    return _table(("sandbox", "file"), rows)


# Redis and operations


def keys() -> str:
    """Every key of chalicelib/storage/redis/keys.py, with the type, the time to live and the sentence of its docstring."""
    rows = []
    names = redis_keys.CoordinationKeys()
    makers: list[tuple[object, object]] = [
        (function, function)
        for function in vars(redis_keys).values()
        if inspect.isfunction(function) and function.__module__ == redis_keys.__name__
    ]
    for name, member in vars(redis_keys.CoordinationKeys).items():
        if isinstance(member, property):
            makers.append((getattr(names, name), member))
        elif inspect.isfunction(member) and not name.startswith("_"):
            makers.append((getattr(names, name), member))
    for made, documented in makers:
        key = made if isinstance(made, str) else _key_with_placeholders(made)
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
        arguments.append(
            placeholder if parameter.annotation is str else SimpleNamespace(value=placeholder)
        )
    return str(function(*arguments))


def metrics() -> str:
    """The figures for CloudWatch, with the comment above each."""
    counts = Counts(by_status=dict.fromkeys(Status, 0), totals=Totals())
    rows = (
        (f"`{name}`", unit, _comment_above(cloudwatch_metrics, f'"{name}": '))
        for name, (_, unit) in cloudwatch_metrics.figures(counts, 0).items()
    )
    return _table(("metric", "unit", "what it counts"), rows)


def exit_codes() -> str:
    """0, and every EXIT_ constant of the runner with the comment above it."""
    codes = {name: value for name, value in vars(runner_main).items() if name.startswith("EXIT_")}
    rows = [
        (value, _comment_above(runner_main, f"{name} = ")) for name, value in sorted(codes.items(), key=lambda item: int(item[1]))
    ]
    return _table(("exit code of `python -m runner`", "when"), [(0, "Stopped as asked."), *rows])
