"""The order of Fortran files: statements are read as gfortran reads them, in linear time."""

import time
import tracemalloc

import pytest

from chalicelib.catalog.fortran_order import order_of

# How a file can use the module `geo`, by name of the file, where gfortran says that it does.
_USES = {
    "plain.f90": "use geo\n",
    "carriage_returns.f90": "program p\r\nuse geo\r\nend\r\n",
    "byte_order_mark.f90": "\ufeffuse geo\n",
    "second_statement.f90": "program p; use geo; end\n",
    "list.f90": "USE GEO, ONLY: X\n",
    "colons.f90": "use::geo\n",
    "non_intrinsic.f90": "use , non_intrinsic :: geo\n",
    "label.f90": "10 use geo\n",
    "tab.f90": "\tuse\tgeo\n",
    "name_below.f90": "use &\n  geo\n",
    "comments_between.f90": "use & ! a ; b\n\n  ! use other\n  & geo\n",
    "inside_of_a_name.f90": "use ge&\n  &o\n",
    "inside_of_the_word.f90": "us&\n&e geo\n",
    "ampersand_alone.f90": "use &\n &\n geo\n",
    "after_a_string.f90": "print *, 'it''s ; ! &' ; use geo\n",
    "after_a_long_string.f90": 'print *, "a&\n  ! no comment\n  &b" ; use geo\n',
    "after_an_open_string.f90": "print *, 'open\nuse geo\n",
    "submodule.f90": "submodule (geo) s\nend submodule\n",
    "submodule_below.f90": "submodule &\n (geo) &\n s\n",
    "fixed.f": "      use geo\n",
    "blanks.f": "      U S E G E O\n",
    "no_blanks.FOR": "      USEGEO\n",
    "continued.ftn": "      use ge\nc comment\n\n     1o\n",
    "continued_by_a_mark.F": "      use\n     !geo\n",
    "tabs.f": "\tuse\n\t1geo\n",
    "fixed_label.fpp": " 10   use geo\n",
    "sequence_number.f": "      use geo".ljust(72) + "other\n",
    "fixed_second.FTN": "      program p;use geo;end\n",
    "in_a_condition.F90": "#ifdef WITH\n  use geo\n#endif\n",
    "macro.F90": "#define MODULE_NAME geo\nuse MODULE_NAME\n",
    "included.f90": "include 'lib/use_geo.inc'\n",
    "included_twice.f90": 'include "lib/include.inc" ! both\n',
    "included_by_the_preprocessor.F90": '#include "lib/use_geo.inc"\n',
    "blanks_in_include.f": "      I N C L U D E 'lib/use_geo.inc'\n",
}
_DOES_NOT_USE = {
    "intrinsic.f90": "use, intrinsic :: geo\n",
    "string.f90": "print *, 'x&\n  &; use geo'\n",
    "comment.f90": "x = 1 ! ; use geo\n",
    "comment_line.f": "c use geo\n*use geo\n! use geo\n",
    "comment_column.f": "      x = 1 !; use geo\n",
    "variable.f90": "use = geo\n",
    "call.f90": "call use (geo)\n",
    "longer.f90": "use geometry\n",
    "cut_off.f": "      x=1".ljust(72) + "; use geo\n",
    "no_blank.f90": "usegeo\n",
}
_FILES = {
    "zz_geo.f90": "module geo\nend module\n",
    "lib/use_geo.inc": "      use geo\n",
    "lib/include.inc": "include 'use_geo.inc'\n",
}


@pytest.mark.parametrize("name", _USES)
def test_a_use_is_seen_however_it_is_written(name: str) -> None:
    """A file that uses a module comes after the one that defines it."""
    files = {**_FILES, name: _USES[name]}
    assert order_of([name, "zz_geo.f90"], files).units == ("zz_geo.f90", name)


@pytest.mark.parametrize("name", _DOES_NOT_USE)
def test_what_only_looks_like_a_use_changes_nothing(name: str) -> None:
    """Text, comments, variables and intrinsic modules leave the order as it was."""
    files = {**_FILES, name: _DOES_NOT_USE[name]}
    assert order_of([name, "zz_geo.f90"], files).units == (name, "zz_geo.f90")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("plain.f90", "module geo\n"),
        ("carriage_returns.f90", "module geo\r\nend module geo\r\n"),
        ("second.f90", "module other; end module; MODULE GEO ! x\n"),
        ("continued.f90", "module &\n & ge&\n &o\n"),
        ("nothing_between.f90", "modulegeo\n"),
        ("fixed.f", "      M O D U L E G E O\n"),
        ("included.f90", "include 'define.inc'\n"),
    ],
)
def test_a_module_is_seen_however_it_is_written(name: str, text: str) -> None:
    """The file that defines it comes before the one that uses it."""
    files = {"a.f90": "use geo\n", name: text, "define.inc": "module geo\nend module\n"}
    assert order_of(["a.f90", name], files).units == (name, "a.f90")


@pytest.mark.parametrize("text", ["module procedure geo\n", "end module geo\n", "module function geo()\n"])
def test_other_statements_that_begin_like_a_module_define_none(text: str) -> None:
    """A module procedure, a separate function and the end of a module are no modules."""
    files = {"a.f90": "use geo\n", "b.f90": text}
    assert order_of(["a.f90", "b.f90"], files).units == ("a.f90", "b.f90")


def test_a_submodule_comes_after_its_parent() -> None:
    """The parent of `(module:parent)` is another submodule; names of two modules' submodules may be equal."""
    files = {
        "a.f90": "submodule (one:child) grand\n",
        "b.f90": "submodule (one) child\n",
        "c.f90": "submodule (two) child\n",
        "d.f90": "module one\nend module\nmodule two\nend module\n",
    }
    assert order_of(sorted(files), files).units == ("d.f90", "b.f90", "a.f90", "c.f90")


def test_options_change_the_form() -> None:
    """`-ffixed-form`, `-ffree-form`, the line length, debug lines and OpenMP are as for gfortran."""
    define = {"z.f90": "      module geo\n"}
    for name, text, option in (
        ("a.f90", "      U S E G E O\n", "-ffixed-form"),
        ("a.f", "use geo\n", "-ffree-form"),
        ("a.f", "      use      ".ljust(80) + "geo\n", "-ffixed-line-length-none"),
        ("a.f", "d     use geo\n", "-fd-lines-as-code"),
        ("a.f90", "!$ use geo\n", "-fopenmp"),
        ("a.f90", "use NAME\n", "-DNAME=geo"),
    ):
        files = {**define, name: text}
        assert order_of([name, "z.f90"], files, [option]).units == ("z.f90", name), option
        if "d-lines" not in option:
            assert order_of([name, "z.f90"], files).units == (name, "z.f90"), option


def test_a_circle_is_named_and_what_the_preprocessor_may_leave_out_makes_none() -> None:
    """Files that use each other stay in their order, after those that all of them need."""
    files = {
        "a.f90": "use x\n",
        "b.f90": "module x\nuse y\nuse z\n",
        "c.f90": "module y\nuse x\n",
        "d.f90": "module z\n",
    }
    in_order = order_of(sorted(files), files)
    assert in_order.units == ("d.f90", "b.f90", "a.f90", "c.f90")
    assert set(in_order.circle) == {"b.f90", "c.f90"}
    files["b.f90"] = "module x\n#if 0\nuse y\n#endif\nuse z\n"
    in_order = order_of(sorted(files), files)
    assert (in_order.units, in_order.circle) == (("d.f90", "b.f90", "a.f90", "c.f90"), ())


def test_what_the_compiler_missed_comes_first_in_another_attempt() -> None:
    """A name that only the preprocessor makes is learnt from the compiler, also within an included file."""
    files = {
        "a.F90": "#include 'b.inc'\nuse CAT(ge,o)\n",
        "b.F90": "include 'use.inc'\n",
        "c.F90": "#define M module geo\nM\nend module\n",
        "use.inc": "use MACRO\n",
    }
    units = sorted(name for name in files if name.endswith(".F90"))
    assert order_of(units, files).units == ("a.F90", "b.F90", "c.F90")
    missing = {"a.F90": {"geo"}, "use.inc": {"geo"}}
    assert order_of(units, files, missing=missing).units == ("c.F90", "a.F90", "b.F90")


@pytest.mark.parametrize(
    "piece",
    [
        "'", '"', ";", "&", "!", "&\n", " ", "\t", "use ", "use a\n", "'&\n", "& &", "\r", "\0", "(", "#",
        "1", "include 'a'\n", "module ", "submodule (", "#if\n", "use, intrinsic ::", "\n     1x", "x&\n&",
        "#define a b\n",
    ],
)  # fmt: skip
@pytest.mark.parametrize("ending", [".f90", ".f"])
def test_reading_takes_linear_time(piece: str, ending: str) -> None:
    """Four times as much hostile text takes about four times as long."""

    def seconds(size: int) -> float:
        files = {f"a{ending}": piece * (size // len(piece)), "b.f90": "module b\n"}
        started = time.process_time()
        order_of(sorted(files), files)
        return time.process_time() - started

    short = min(seconds(65_536) for _ in range(2))
    assert seconds(262_144) <= max(8 * short, 0.1)


def test_files_that_include_each_other_are_read_once() -> None:
    """Sixty files that include all others, themselves included, end soon."""
    names = [f"f{number}.f90" for number in range(60)]
    text = "".join(f"include '{name}'\n" for name in names)
    started = time.process_time()
    assert order_of(names, dict.fromkeys(names, text)).units == tuple(names)
    assert time.process_time() - started < 5


def test_names_of_a_long_included_file_are_not_kept_for_each_that_includes_it() -> None:
    """Sixty files that include one with fifty thousand names need hardly more memory than that one."""
    text = "".join(f"use a{number}\n" for number in range(50_000))
    files = {f"f{number}.f90": "include 'long.inc'\n" for number in range(60)}
    tracemalloc.start()
    order_of(sorted(files), {**files, "long.inc": text})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # 600 KiB of text: twenty copies of it, and Python's objects, are far less than sixty sets of its names.
    assert peak < 64 * 1024 * 1024
