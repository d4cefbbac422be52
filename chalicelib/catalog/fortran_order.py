"""Fortran sources in an order in which they compile: each after the files whose modules it uses.

One command compiles all files of a request in turn, and a module exists once its file was compiled. So the
statements `module`, `submodule`, `use` and `include` are read here as gfortran reads them, in free and in
fixed form. Reading takes linear time, whatever the text is.

What only the preprocessor could say is read carefully: a `use` between `#if` and `#endif` counts unless it
makes a circle, and a name that a macro stands for counts as both. What is overlooked all the same, the
compiler names when it misses a module: `missing` takes that into account for another attempt.
"""

import posixpath
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

# By the file's name, in any case; all others are in free form (form_from_filename in gfortran's options.cc).
_FIXED_FORM = (".f", ".for", ".ftn", ".fpp")
# Columns that count in fixed form; an option can change it.
_FIXED_FORM_COLUMNS = 72
_BLANK = " \t\f"
# Of one file. A request has no more files, and each would be looked for in every folder.
_MAX_INCLUDES = 64

_TOKEN = re.compile(r"""['"!&]|;[; \t]*|[^'"!;&]+""")
_NAME = r"([a-z]\w*)"
# For statements in which blanks are single ones (free form) or are gone (fixed form).
_MODULE = re.compile(rf"module ?{_NAME}$", re.ASCII)
_SUBMODULE = re.compile(rf"submodule ?\( ?{_NAME} ?(?:: ?{_NAME} ?)?\) ?{_NAME}$", re.ASCII)
_USE_NATURE = re.compile(rf"use ?, ?(?:non_)?intrinsic ?:: ?{_NAME} ?(?:,|$)", re.ASCII)
_USE_FREE = re.compile(rf"use(?: ?:: ?| ){_NAME} ?(?:,|$)", re.ASCII)
_USE_FIXED = re.compile(rf"use(?:::)?{_NAME}(?:,|$)", re.ASCII)
_INTRINSIC = re.compile(r"use ?, ?intrinsic")
# Both quotes may be used, and in fixed form blanks may be anywhere.
_INCLUDE = re.compile(r"(?i)[ \t]*i *n *c *l *u *d *e[ \t]*(?:'([^'\n]+)'|\"([^\"\n]+)\")")
_DIRECTIVE = re.compile(
    r"#[ \t]*(if|endif|define|include)[a-z]*[ \t]*(?:[\"<]([^\">\n]+)[\">]|(\w+)[ \t]+(\w+))?"
)
_LINE_LENGTH = re.compile(r"-ffixed-line-length-(\d+|none)")
_MACRO = re.compile(r"-D(\w+)=(\w+)")


# A file of a request, and whether it is read in fixed form: that of the file that includes it.
_Part = tuple[str, bool]


@dataclass(slots=True)
class _Names:
    """What a file says: modules, included files, and macros that stand for a name."""

    defines: set[str] = field(default_factory=set)
    uses: set[str] = field(default_factory=set)
    may_use: set[str] = field(default_factory=set)
    includes: set[str] = field(default_factory=set)
    macros: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FortranOrder:
    """The files in order; `circle` names those that use each other, so that no order is right."""

    units: tuple[str, ...]
    circle: tuple[str, ...] = ()


def order_of(
    units: Sequence[str],
    files: Mapping[str, str],
    options: Sequence[str] = (),
    *,
    missing: Mapping[str, Collection[str]] | None = None,
) -> FortranOrder:
    """`units` so that each comes after those that define what it uses; otherwise their order is kept.

    `missing` has, by file, the modules that were not there yet when the compiler came to it.
    """
    reader = _Reader(files, options)
    # Names stay with the file that has them, and only places are passed on to what includes it: a long file
    # may be included by every other.
    parts = {unit: reader.parts_of(unit) for unit in units}
    names = reader.names
    including: dict[_Part, set[str]] = {}
    for unit in units:
        for part in parts[unit]:
            including.setdefault(part, set()).add(unit)
    definers = _definers(names, reader.macros)
    needs: dict[str, set[str]] = {unit: set() for unit in units}
    may_need: dict[str, set[str]] = {unit: set() for unit in units}
    for part, said in names.items():
        for used, target in ((said.uses, needs), (said.may_use, may_need)):
            others = {other for name in used - said.defines for other in definers.get(name, ())}
            for unit in including[part]:
                for other in others - parts[unit]:
                    target[unit] |= including[other] - {unit}
    for file, modules in (missing or {}).items():
        likely = {
            unit
            for module in modules
            for part in definers.get(module, ()) or _mentioning(module, names, files)
            for unit in including[part]
        }
        for unit in units:
            if any(part[0] == file for part in parts[unit]):
                needs[unit] |= likely - {unit}
    return _sorted(units, needs, may_need)


def _definers(names: Mapping[_Part, _Names], macros: Mapping[str, set[str]]) -> dict[str, set[_Part]]:
    """The files that define each module. What macros stand for is added to the names of each file."""
    definers: dict[str, set[_Part]] = {}
    for part, said in names.items():
        said.may_use |= {value for name in said.uses | said.may_use for value in macros.get(name, ())}
        said.defines |= {value for name in said.defines for value in macros.get(name, ())}
        for name in said.defines:
            definers.setdefault(name, set()).add(part)
    return definers


def _mentioning(module: str, names: Mapping[_Part, _Names], files: Mapping[str, str]) -> set[_Part]:
    """The files that have the word `module` without using it, or else all that do not use it.

    For a module that no file is known to define.
    """
    word = re.compile(rf"(?<!\w){re.escape(module.rpartition('@')[2])}(?!\w)", re.IGNORECASE)
    others = {part for part, said in names.items() if module not in said.uses}
    return {part for part in others if word.search(files[part[0]])} or others


def _sorted(
    units: Sequence[str], needs: Mapping[str, set[str]], may_need: Mapping[str, set[str]]
) -> FortranOrder:
    """The first unit that needs no other comes next; a possible need yields where it makes a circle."""
    place = {unit: number for number, unit in enumerate(units)}
    waiting = dict.fromkeys(units)
    done: list[str] = []
    circle: tuple[str, ...] = ()
    while waiting:
        free = [unit for unit in waiting if not needs[unit] & waiting.keys()]
        ready = next((unit for unit in free if not may_need[unit] & waiting.keys()), None)
        if ready is None and free:
            ready = free[0]
        if ready is None:
            members = _a_circle(waiting, needs)
            circle = circle or tuple(members)
            ready = min(members, key=place.__getitem__)
        del waiting[ready]
        done.append(ready)
    return FortranOrder(tuple(done), circle)


def _a_circle(waiting: Mapping[str, None], needs: Mapping[str, set[str]]) -> list[str]:
    """Units that need each other, in turn; each that waits needs another one."""
    path: dict[str, None] = {}
    unit = next(iter(waiting))
    while unit not in path:
        path[unit] = None
        unit = min(needs[unit] & waiting.keys())
    members = list(path)
    return members[members.index(unit) :]


class _Reader:
    """Reads the files of a request, each once in each form."""

    def __init__(self, files: Mapping[str, str], options: Sequence[str]) -> None:
        self._files = files
        self._base_names = {posixpath.basename(name) for name in files}
        self._form = next((o[2:7] for o in reversed(options) if o in ("-ffixed-form", "-ffree-form")), "")
        lengths = [match[1] for match in map(_LINE_LENGTH.fullmatch, options) if match]
        length = lengths[-1] if lengths else str(_FIXED_FORM_COLUMNS)
        self._columns = int(length) if length != "none" and int(length) else None
        self._debug_lines = "dD" if {"-fd-lines-as-comments", "-fdec"} & set(options) else ""
        self._debug_code = "-fd-lines-as-code" in options
        self._openmp = "-fopenmp" in options
        self._folders = [".", *(option[2:] for option in options if option.startswith("-I") and option[2:])]
        self._included: dict[tuple[_Part, str], set[str]] = {}
        # Only the folder of the source differs from one to the next.
        self._found_anywhere: dict[_Part, set[str]] = {}
        self._paths: dict[tuple[str, str], str] = {}
        self.names: dict[_Part, _Names] = {}
        self.macros: dict[str, set[str]] = {}
        for match in filter(None, map(_MACRO.fullmatch, options)):
            self.macros.setdefault(match[1], set()).add(match[2].casefold())

    def parts_of(self, unit: str) -> set[_Part]:
        """`unit` and all that it includes; they are in `names` then."""
        fixed = self._form == "fixed" or (not self._form and unit.casefold().endswith(_FIXED_FORM))
        folder = posixpath.dirname(unit)
        parts: set[_Part] = set()
        waiting = [(unit, fixed)]
        while waiting:
            part = waiting.pop()
            if part in parts:
                continue
            parts.add(part)
            if part not in self.names:
                self.names[part] = self._names_in(*part)
                for name, value in self.names[part].macros.items():
                    self.macros.setdefault(name, set()).add(value)
            if (part, folder) not in self._included:
                self._included[part, folder] = set(self._found(part, folder))
            waiting += [(path, fixed) for path in self._included[part, folder]]
        return parts

    def _found(self, part: _Part, folder: str) -> Iterator[str]:
        """The files that are included by one, in a source that is in `folder`."""
        if part not in self._found_anywhere:
            starts = dict.fromkeys((posixpath.dirname(part[0]), *self._folders))
            self._found_anywhere[part] = {path for start in starts for path in self._below(start, part)}
        yield from self._found_anywhere[part]
        yield from self._below(folder, part)

    def _below(self, start: str, part: _Part) -> Iterator[str]:
        for name in self.names[part].includes:
            key = (start, name)
            if key not in self._paths:
                self._paths[key] = posixpath.normpath(posixpath.join(start, name))
            if self._paths[key] in self._files:
                yield self._paths[key]

    def _names_in(self, file: str, fixed: bool) -> _Names:
        # gfortran drops carriage returns and zero bytes wherever they are. Columns count bytes.
        plain = self._files[file].removeprefix("\ufeff").replace("\r", "").replace("\0", "")
        lines = plain.encode("utf-8", "replace").decode("latin-1").split("\n")
        names = _Names()
        conditions = 0
        for statement in self._fixed_form(lines) if fixed else self._free_form(lines):
            if statement.startswith("#"):
                conditions = max(0, conditions + self._read_directive(statement, names))
            elif statement.startswith("include "):
                self._read_include(statement.removeprefix("include "), names)
            else:
                _read_statement(statement, names, names.may_use if conditions else names.uses, fixed)
        return names

    def _read_include(self, name: str, names: _Names) -> None:
        if posixpath.basename(name) in self._base_names and len(names.includes) < _MAX_INCLUDES:
            names.includes.add(posixpath.normpath(name))

    def _read_directive(self, line: str, names: _Names) -> int:
        """Add what a line of the preprocessor says; the answer is by how much conditions grow."""
        match = _DIRECTIVE.match(line)
        if match is None:
            return 0
        if match[1] in ("if", "endif"):
            return 1 if match[1] == "if" else -1
        if match[1] == "include" and match[2]:
            self._read_include(match[2], names)
        elif match[1] == "define" and match[3]:
            names.macros[match[3]] = match[4].casefold()
        return 0

    def _free_form(self, lines: Sequence[str]) -> Iterator[str]:
        """The statements, directives as they are, and included files as ``include NAME``."""
        parts: list[str] = []
        quote = ""
        continued = False
        for line in lines:
            code = line.strip(_BLANK)
            if self._openmp and code[:2] == "!$" and code[2:3] in tuple(_BLANK):
                code = code[3:].lstrip(_BLANK)
            if line.startswith("#"):
                yield line
                continue
            if not code or code.startswith("!"):
                continue
            if continued:
                if code.startswith("&"):
                    code = code[1:]
                    if not code.strip(_BLANK) or code.lstrip(_BLANK).startswith("!"):
                        continue
                elif not quote:
                    parts.append(" ")
            elif include := _INCLUDE.match(code):
                yield f"include {include[1] or include[2]}"
                continue
            continued = False
            end = len(code)
            for match in _TOKEN.finditer(code):
                piece = match[0]
                if quote:
                    if piece == quote:
                        quote = ""
                    continued = piece == "&" and match.end() == end
                elif piece in "'\"":
                    quote = piece
                    parts.append(piece)
                    continued = False
                elif piece == "!":
                    break
                elif piece == "&":
                    continued = True
                elif piece.startswith(";"):
                    continued = False
                    yield "".join(parts)
                    parts = []
                else:
                    parts.append(piece)
                    continued = continued and not piece.strip(_BLANK)
            if not continued:
                yield "".join(parts)
                parts, quote = [], ""
        yield "".join(parts)

    def _fixed_form(self, lines: Sequence[str]) -> Iterator[str]:
        """The statements without blanks; directives and included files as in free form."""
        parts: list[str] = []
        quote = ""
        for line in lines:
            if line.startswith("#"):
                yield line
                continue
            columns = self._columns_of(line)
            if columns is None:
                continue
            if columns[5:6] in ("", " ", "0"):
                yield "".join(parts)
                parts, quote = [], ""
                if include := _INCLUDE.match(columns, 6):
                    yield f"include {include[1] or include[2]}"
                    continue
            for match in _TOKEN.finditer(columns, 6):
                piece = match[0]
                if quote:
                    quote = "" if piece == quote else quote
                elif piece in "'\"":
                    quote = piece
                    parts.append(piece)
                elif piece == "!":
                    break
                elif piece.startswith(";"):
                    yield "".join(parts)
                    parts = []
                else:
                    parts.append("".join(piece.split()))
        yield "".join(parts)

    def _columns_of(self, line: str) -> str | None:
        """A line of fixed form with its tab as columns, cut at the last one; None for a comment."""
        if self._openmp and line[1:2] == "$" and line[0] in "!cC*":
            line = "  " + line[2:]
        if self._debug_code and line[:1] in ("d", "D"):
            line = " " + line[1:]
        if line[:1] in ("c", "C", "*", *self._debug_lines):
            return None
        tab = line.find("\t", 0, 6)
        if tab >= 0:
            rest = line[tab + 1 :]
            # <tab>1 to <tab>9 mark a continuation line.
            line = line[:tab].ljust(5) + (rest if rest[:1] and rest[0] in "123456789" else f" {rest}")
        code = line.lstrip(_BLANK)
        if not code or (code[0] == "!" and len(line) - len(code) != 5):
            return None
        return line[: self._columns]


def _read_statement(statement: str, names: _Names, uses: set[str], fixed: bool) -> None:
    """Add what one statement defines or uses."""
    # A label may come first.
    statement = statement.lstrip(f"0123456789{_BLANK}")
    keyword = statement[:9].casefold()
    if not keyword.startswith(("use", "module", "submodule")):
        return
    statement = " ".join(statement.split())
    raw, statement = statement, statement.lower()
    if keyword.startswith("use"):
        match = _USE_NATURE.match(statement) or (_USE_FIXED if fixed else _USE_FREE).match(statement)
        if match and not _INTRINSIC.match(statement):
            uses |= {match[1], raw[match.start(1) : match.end(1)]}
    elif match := _SUBMODULE.match(statement):
        module, parent, name = match.groups()
        uses.add(f"{module}@{parent}" if parent else module)
        uses.add(module)
        names.defines.add(f"{module}@{name}")
    elif match := _MODULE.match(statement):
        names.defines |= {match[1], raw[match.start(1) : match.end(1)]}
