"""Which file names a request may use.

A name becomes a path inside the workspace, an argument of a compiler and a part of messages. Any printable
text will do: it cannot lead out of the workspace, it cannot be taken for another name by a reader, and it is
passed so that it cannot read as an option (`chalicelib/catalog/command.py`). What else is invalid is there
because a file of that name would change what a compiler does, or be overwritten by it.
"""

import re
import unicodedata
from collections.abc import Iterable

# The usual limit for one component of a path on Linux. Here it holds for the whole name, so that the full
# path is within every limit wherever the workspace is.
MAX_FILE_NAME_BYTES = 255
# More than a project of at most 64 files needs.
MAX_FILE_NAME_LEVELS = 8

# Printable for Python, and nothing to see: letters without a form, and marks that change nothing or the form
# of the character before (Unicode's Default_Ignorable_Code_Point), and the blank of Braille.
_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
# tsc takes it for a slash, and a client on Windows means one.
_BACKSLASH = "\\"
# The go command asks git (hg, svn, …) about such a folder, whose files may name programs that git starts.
_REPOSITORIES = frozenset({".git", ".hg", ".svn", ".bzr", ".jj"})
# Where the commands of the catalogue write (`-o`, `-d`, `--outDir` in its families), and where a linker does.
_OUTPUT = re.compile(r"\.out(?:\..*)?|a\.out")
_OBJECTS = (".o", ".obj")


def check_file_name(name: str) -> str | None:
    """A sentence on why a request cannot have a file with that name, or None when it can."""
    if not name:
        return "A file name must not be empty."
    if len(name.encode("utf-8", "surrogatepass")) > MAX_FILE_NAME_BYTES:
        return f"A file name may be at most {MAX_FILE_NAME_BYTES} bytes long."
    segments = name.split("/")
    if len(segments) > MAX_FILE_NAME_LEVELS:
        return f"A file name may have at most {MAX_FILE_NAME_LEVELS} parts between slashes."
    where = f"{name!r} is not a valid file name"
    if not name.isprintable() or _INVISIBLE.search(name):
        return f"{where}: every character must be printable and visible."
    if _BACKSLASH in name:
        return f"{where}: write / between folders, and no backslash."
    for segment in segments:
        if segment in ("", ".", ".."):
            return f"{where}: it must be relative, without empty parts, '.' and '..'."
        if segment in _REPOSITORIES:
            return f"{where}: {segment!r} is the folder of a repository; leave it out."
    if _OUTPUT.fullmatch(segments[0]):
        return f"{where}: compilers write to {segments[0]!r} here."
    return None


def check_file_names(names: list[str]) -> str | None:
    """A sentence on why one request cannot have files with these names, or None when it can.

    In addition to the check of each name, no file may have the name of another file's folder, and no two
    names may be the same text in different forms of Unicode.
    """
    for name in names:
        problem = check_file_name(name)
        if problem is not None:
            return problem
    folders = {name[:end] for name in names for end in range(len(name)) if name[end] == "/"}
    clash = next((name for name in names if name in folders), None)
    if clash is not None:
        return f"{clash!r} cannot be both a file and a folder."
    return _same_when_normalised([*names, *sorted(folders)])


def _same_when_normalised(paths: Iterable[str]) -> str | None:
    """A sentence about two names that differ only in how Unicode encodes their letters, such as é."""
    seen: dict[str, str] = {}
    for path in paths:
        other = seen.setdefault(unicodedata.normalize("NFC", path), path)
        if other != path:
            return f"{other!a} and {path!a} are the same name in two forms of Unicode: send one of them."
    return None


def check_objects(names: Iterable[str], units: Iterable[str]) -> str | None:
    """A sentence about a file or folder where a compiler would write the object of one of `units`, or None.

    The compilers of C, C++ and Fortran do, into the top folder; of `src/util.c` it is `util.o`.
    """
    stems = {unit.rpartition("/")[2].rpartition(".")[0]: unit for unit in units}
    for name in names:
        top = name.partition("/")[0]
        stem, dot, extension = top.rpartition(".")
        unit = stems.get(stem)
        if dot + extension in _OBJECTS and unit is not None:
            return f"{name!r} cannot be beside {unit!r}: its object is written to {top!r}."
    return None
