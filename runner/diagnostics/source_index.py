"""The request's files as parsers need them: their names as a compiler may write them, and their lines.

Shared by all shapes. It never reads a disk: what it knows is the request.
"""

import posixpath
import re
from collections.abc import Mapping

# What ends a line for every compiler here. Others (form feed, U+2028) are part of one.
_NEWLINE = re.compile(r"\r\n|\n|\r")
# So far into a line its characters are counted to tell a column. A source of one line of a megabyte
# with a thousand errors would otherwise cost seconds.
MAX_COUNTED = 65_536
BYTE_ORDER_MARK = "\ufeff"


class Sources:
    """The files of one request, which the compiler saw below `folder` (absolute)."""

    def __init__(self, files: Mapping[str, str], folder: str) -> None:
        self._files = files
        self._folder = folder.rstrip("/") + "/"
        self._lines: dict[str, list[str]] = {}

    def known(self, name: str) -> bool:
        """Whether the request has a file of exactly that name."""
        return name in self._files

    def rename(self, path: str) -> str:
        """The request's own name for `path`; a path of the system stays as it is."""
        inside = path.removeprefix(self._folder)
        normal = posixpath.normpath(inside) if inside else inside
        return normal if normal in self._files else inside

    def rename_last_part(self, path: str) -> str | None:
        """As `rename`, for a program that cuts folders off; None where several files are called so."""
        if "/" in path:
            return self.rename(path)
        same = [name for name in self._files if name.rpartition("/")[2] == path]
        if len(same) > 1:
            return None
        return same[0] if same else path

    def without_folder(self, text: str) -> str:
        """`text` with names below the folder as the request wrote them."""
        return text.replace(self._folder, "")

    def line(self, name: str | None, number: int | None) -> str | None:
        """That line of that file, without its end and without a byte order mark; None when there is none."""
        if name is None or number is None or name not in self._files:
            return None
        if name not in self._lines:
            self._lines[name] = _NEWLINE.split(self._files[name].removeprefix(BYTE_ORDER_MARK))
        lines = self._lines[name]
        return lines[number - 1] if 1 <= number <= len(lines) else None


def squeezed(line: str) -> str:
    """A line without its white space: compilers widen tabs in snippets."""
    return "".join(line.split())


def byte_column(line: str, characters: int) -> int | None:
    """The column in bytes, from 1, of what has that many code points of `line` before it.

    None beyond `MAX_COUNTED` where the line is not ASCII.
    """
    if line.isascii():
        return characters + 1
    if characters > MAX_COUNTED:
        return None
    past_the_end = max(0, characters - len(line))
    return 1 + _byte_count(line[:characters]) + past_the_end


def byte_column_utf16(line: str, units: int) -> int | None:
    """As `byte_column`, for programs that count UTF-16 code units (Java, JavaScript)."""
    if line.isascii() or units > MAX_COUNTED:
        return byte_column(line, units)
    before = line[:units].encode("utf-16-le", "surrogatepass")
    if len(before) <= 2 * units:
        return byte_column(line, units)
    return 1 + _byte_count(before[: 2 * units].decode("utf-16-le", "ignore"))


def _byte_count(text: str) -> int:
    # Lone surrogates cannot be in a request; a forged text may hold them all the same.
    return len(text.encode("utf-8", "surrogatepass"))
