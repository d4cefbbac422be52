"""Fortran projects for the differential test: graphs of modules in files, written in every way that is valid.

Each project has names, cases, line ends, source forms, continuations and labels chosen by a number, so it is
the same on every machine. `order` is an order in which the files compile one at a time: the generator knows
it because a module only uses modules of files before it. Some projects are broken: a module that nothing
defines, a name that a module lacks, or two modules that use each other.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

# Names that start like keywords, or are keywords elsewhere.
_NAMES = (
    "geometry", "z_constants", "a_kinds", "useful", "module_io", "procedure_list", "only_this", "include_all",
    "mesh2d", "b", "submodule_a", "end_points", "interfaces", "iso_own", "x1", "program_data", "use_it",
)  # fmt: skip
# Of a statement in fixed form: what follows is not read.
_COLUMNS = 66
_FREE_ENDINGS = (".f90", ".F90", ".f95", ".f03", ".f08")
_FIXED_ENDINGS = (".f", ".F", ".for")


@dataclass(slots=True)
class GraphProject:
    """The files of a request, its main file, and an order for compiling them one at a time."""

    number: int
    files: dict[str, str] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)
    main: str = ""
    kind: str = "right"


def graph_project(number: int) -> GraphProject:
    """Project `number`: the same at each call."""
    chance = random.Random(number)
    project = GraphProject(number)
    if number % 4 == 3:
        project.kind = chance.choice(("missing module", "missing name", "circle"))
    names = chance.sample(_NAMES, chance.randrange(3, 8))
    children: list[tuple[str, str]] = []
    for place, name in enumerate(names):
        used = chance.sample(names[:place], min(place, chance.randrange(0, 3)))
        if project.kind == "circle" and place < 2:
            used = [names[1 - place]]
        if project.kind == "missing module" and place == len(names) - 1:
            used = [*used, "nowhere_defined"]
        bad = project.kind == "missing name" and place == len(names) - 1 and bool(used)
        interface = place > 0 and chance.random() < 0.4
        _add(project, chance, name, partial(_module, name, used, bad=bad, interface=interface))
        if interface:
            children.append((name, f"child_of_{place}"))
    for name, child in children:
        _add(project, chance, child, partial(_submodule, name, "", child, body=False))
        grand = f"{chance.choice('az')}_grand_{child}"
        _add(project, chance, grand, partial(_submodule, name, child, grand, body=True))
    used = chance.sample(names, min(len(names), 2))
    _add(project, chance, "main", partial(_program, used))
    project.main = project.order[-1]
    if project.kind == "missing name" and not any(
        "no_such_name" in text.lower() for text in project.files.values()
    ):
        project.kind = "right"
    return project


class _Writer:
    """Writes statements in one of the two forms, with the peculiarities that `chance` chooses."""

    def __init__(self, chance: random.Random, *, fixed: bool) -> None:
        self._chance = chance
        self._fixed = fixed
        self._lines: list[str] = []
        self._case: Callable[[str], str] = chance.choice((str.lower, str.upper, str.title))

    def text(self, end: str) -> str:
        """All lines, each with that end."""
        return "".join(line + end for line in self._lines)

    def plain(self, statement: str) -> None:
        """A statement in one line."""
        indent = "      " if self._fixed else self._chance.choice(("", "  ", "\t"))
        self._lines.append(indent + statement)

    def comment(self) -> None:
        """A comment that looks like a statement, an empty line, or nothing."""
        marks = ("C ", "* ", "!") if self._fixed else ("! ", "  !", "!")
        self._lines += self._chance.choice(
            ([], [], [""], [f"{self._chance.choice(marks)}use nothing_here & ; module not_one"])
        )

    def statement(self, *words: str) -> None:
        """A statement of `words`, between which blanks, continuations and comments may be."""
        self.comment()
        cased = [self._case(word) for word in words]
        (self._in_fixed_form if self._fixed else self._in_free_form)(cased)

    def _in_free_form(self, words: list[str]) -> None:
        label = f"{len(self._lines) + 1} " if words[0].lower() == "use" else " "
        indent = self._chance.choice(("", "  ", "\t", label))
        style = self._chance.randrange(6)
        if style == 0 and len(words) > 1:
            self._lines += [
                f"{indent}{words[0]} & ! goes on",
                "",
                "  ! between",
                f"    {' '.join(words[1:])}",
            ]
        elif style == 1 and len(words) > 1:
            self._lines += [f"{indent}{words[0]} &", f"   & {' '.join(words[1:])} ! end"]
        elif style == 2 and len(words[-1]) > 2:
            head, tail = words[-1][:2], words[-1][2:]
            self._lines += [f"{indent}{' '.join([*words[:-1], head])}&", f"  &{tail}"]
        elif style == 3 and self._lines and words[0].lower() == "use" and self._can_follow():
            self._lines[-1] += f" ; {' '.join(words)}"
        else:
            self._lines.append(f"{indent}{' '.join(words)}")

    def _can_follow(self) -> bool:
        last = self._lines[-1].lower()
        return last.strip().startswith("use") and "!" not in last and "&" not in last

    def _in_fixed_form(self, words: list[str]) -> None:
        text = "".join(words) if self._chance.random() < 0.4 else " ".join(words)
        style = self._chance.randrange(5)
        if style == 0 and len(text) > 8:
            cut = self._chance.randrange(2, len(text) - 2)
            mark = self._chance.choice("1&x!")
            self._lines += [f"      {text[:cut]}", "C BETWEEN", f"     {mark}{text[cut:]}"]
        elif style == 1:
            self._lines.append(f"\t{text}")
        elif style == 2 and 2 * len(text) < _COLUMNS:
            self._lines.append("      " + " ".join(text.replace(" ", "")))
        elif style == 3:
            self._lines.append(f"      {text}".ljust(_COLUMNS + 6) + "USE SEQUENCE")
        else:
            self._lines.append(f"      {text}")


def _add(
    project: GraphProject, chance: random.Random, name: str, write_unit: Callable[[_Writer], None]
) -> None:
    """Write a program unit into a file of its own, whose name says nothing about the order."""
    fixed = chance.random() < 0.35
    writer = _Writer(chance, fixed=fixed)
    write_unit(writer)
    ending = chance.choice(_FIXED_ENDINGS if fixed else _FREE_ENDINGS)
    folder = chance.choice(("", "", "src/"))
    stem = chance.choice((name, f"{chance.choice('abyz')}{len(project.order)}_{name}"))
    text = writer.text(chance.choice(("\n", "\n", "\r\n")))
    if chance.random() < 0.15 and not fixed:
        text = f"\ufeff{text}"
    file = f"{folder}{stem}{ending}"
    project.files[file] = text
    project.order.append(file)


def _use(writer: _Writer, name: str) -> None:
    writer.statement("use", name)


def _module(name: str, used: list[str], writer: _Writer, *, bad: bool, interface: bool) -> None:
    writer.comment()
    writer.statement("module", name)
    writer.statement("use, intrinsic ::", "iso_c_binding")
    for other in used:
        _use(writer, other)
    if bad:
        writer.plain(f"use {used[0]}, only: no_such_name")
    writer.plain("implicit none")
    writer.plain("character(40) :: t = 'use nothing ; use &x ! '")
    writer.plain(f"integer :: n_{name} = 1")
    if interface:
        writer.plain("interface")
        writer.plain(f"module subroutine s_{name}()")
        writer.plain("end subroutine")
        writer.plain("end interface")
    writer.plain("private :: t")
    writer.plain("end module")


def _submodule(module: str, parent: str, name: str, writer: _Writer, *, body: bool) -> None:
    ancestor = f"({module}:{parent})" if parent else f"({module})"
    writer.statement("submodule", ancestor, name)
    writer.plain("implicit none")
    if body:
        writer.plain("contains")
        writer.plain(f"module procedure s_{module}")
        writer.plain(f"n_{module} = 2")
        writer.plain("end procedure")
    writer.plain("end submodule")


def _program(used: list[str], writer: _Writer) -> None:
    writer.plain("program main")
    for other in used:
        _use(writer, other)
    writer.plain("implicit none")
    writer.plain(f"print *, n_{used[0]}")
    writer.plain("end program")
