"""The request's files as parsers need them: their names as a compiler may write them, and their lines.

Shared by all parsers. It reads no disk: all that it knows is the request.
"""

import posixpath
import re
from collections.abc import Mapping

from chalicelib.source_lines import split_lines
from runner.diagnostics.line_cursor import lines_of

# Columns are converted up to this many characters of a line: a source of one line of a megabyte with a
# thousand errors would otherwise cost seconds.
MAX_COUNTED = 65_536
BYTE_ORDER_MARK = "\ufeff"

# Names that every parser can find in a line.
_PLAIN = re.compile(r"[A-Za-z0-9_./+-]*")
# What may be in front of a file's name where a message starts: the name of a linker or of vet, or gcc's words
# for a step on the way to a place.
_BEFORE = re.compile(r"(?:(?:[^\s:]*/)?ld: ){1,2}|vet: ")
_STEP = "    inlined from "
_STAND_IN = "\x01"
_WHOLE_STAND_IN = re.compile(rf"{_STAND_IN}([0-9]{{1,3}}){_STAND_IN}")


class SourceIndex:
    """The files of one request, which the compiler saw below `folder` (absolute).

    `message_format` says which compilers these are, and so where their lines end.
    """

    def __init__(self, files: Mapping[str, str], folder: str, message_format: str) -> None:
        self._files = files
        self._message_format = message_format
        self._folder = folder.rstrip("/") + "/"
        self._lines: dict[str, list[str]] = {}
        # Names that could be taken for another part of a line, and the last parts of such names (a linker
        # prints those), the longest first: one may be the beginning of another.
        odd = {name for name in files if not _PLAIN.fullmatch(name)}
        odd |= {part for name in odd if not _PLAIN.fullmatch(part := name.rpartition("/")[2])}
        self._odd = sorted(odd, key=lambda name: (-len(name), name))
        alternatives = "|".join(map(re.escape, self._odd))
        place = rf"((?:\./|{re.escape(self._folder)})?(?:{alternatives}))(?=[:(])"
        self._odd_place = re.compile(place) if odd else None

    def lines(self, text: str) -> list[str]:
        """The lines of an output, with a stand-in for an odd file name (`a b: c.h`) where a message starts.

        A stand-in has no blank, colon or bracket, so that patterns for places can be simple. It is between
        characters that no output has (`runner/sanitize.py`); `rename` makes the file's name of it.
        """
        lines = lines_of(text)
        if self._odd_place is None:
            return lines
        return [self._with_stand_in(line, self._odd_place) for line in lines]

    def _with_stand_in(self, line: str, odd_place: re.Pattern[str]) -> str:
        before = _BEFORE.match(line)
        start = before.end() if before else 0
        if line.startswith(_STEP):
            start = line.rfind(" at ") + len(" at ")
        match = odd_place.match(line, start)
        if match is None:
            return line
        name = match[1].removeprefix("./").removeprefix(self._folder)
        return f"{line[:start]}{_STAND_IN}{self._odd.index(name)}{_STAND_IN}{line[match.end() :]}"

    def _without_stand_in(self, path: str) -> str:
        match = _WHOLE_STAND_IN.fullmatch(path)
        return self._odd[int(match[1])] if match and int(match[1]) < len(self._odd) else path

    def known(self, name: str) -> bool:
        """Whether the request has a file of exactly that name."""
        return name in self._files

    def rename(self, path: str) -> str:
        """The request's own name for `path`; a path of the system stays as it is."""
        inside = self._without_stand_in(path).removeprefix(self._folder)
        normal = posixpath.normpath(inside) if inside else inside
        return normal if normal in self._files else inside

    def rename_last_part(self, path: str) -> str | None:
        """As `rename`, for a program that cuts folders off; None if several files have that last part."""
        path = self._without_stand_in(path)
        if "/" in path:
            return self.rename(path)
        candidates = [name for name in self._files if name.rpartition("/")[2] == path]
        if len(candidates) > 1:
            return None
        return candidates[0] if candidates else path

    def without_folder(self, text: str) -> str:
        """`text` with the names of files below the folder as the request wrote them."""
        return text.replace(self._folder, "")

    def line(self, name: str | None, number: int | None) -> str | None:
        """That line of that file without line end and byte order mark, or None if it does not exist."""
        if name is None or number is None or name not in self._files:
            return None
        if name not in self._lines:
            self._lines[name] = split_lines(
                self._files[name].removeprefix(BYTE_ORDER_MARK), self._message_format
            )
        lines = self._lines[name]
        return lines[number - 1] if 1 <= number <= len(lines) else None


def squeezed(line: str) -> str:
    """A line without its white space: compilers widen tabs in snippets."""
    return "".join(line.split())


def byte_column(line: str, characters: int) -> int | None:
    """The column in bytes, from 1, of the character with that many code points of `line` before it.

    None beyond `MAX_COUNTED` if the line is not ASCII.
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
    # Lone surrogates cannot be in a request, but a forged text may contain them.
    return len(text.encode("utf-8", "surrogatepass"))
