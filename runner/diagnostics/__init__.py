"""From a compiler's messages to `Diagnostic` values: one module for each format of messages.

Nothing is invented and nothing is lost: each error and warning line becomes one diagnostic, in the
order printed, and notes become children of what they explain. The text is as hostile as the source
that caused it (`#error` prints any line), so a parser works in linear time, keeps to the limits in
`collector.py`, and never raises.

To add a format: a module with a ``parse(text, files, folder)``, one `Parser` in `PARSERS` here, and
its name in `MessageFormat` of `chalicelib/catalog/schema.py`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from chalicelib.models import Diagnostic
from runner.diagnostics import byte_order_mark, gfortran, gnu, go, javac, python, rustc, tsc, zig


def _unchanged(text: str) -> str:
    return text


@dataclass(frozen=True, slots=True)
class Parser:
    """What is known about one format of messages.

    `strip` removes from a text what the family's `parser_arguments` added to it: lines that begin with
    `own_line`. Where these stand for the whole output, at least `keep_bytes` are read, and `error_object`
    finds the errors among them. `counts_bom` says that these compilers' columns count a byte order mark.
    """

    parse: Callable[[str, Mapping[str, str], str], tuple[Diagnostic, ...]]
    strip: Callable[[str], str] = _unchanged
    own_line: bytes = b""
    keep_bytes: int = 0
    error_object: str = ""
    counts_bom: bool = False

    def is_own(self, cut_line: bytes) -> bool:
        """Whether a line that was cut is, or may be, one that `strip` would remove."""
        start = cut_line[: len(self.own_line)]
        return bool(self.own_line) and self.own_line.startswith(start)


PARSERS: Mapping[str, Parser] = {
    "clang": Parser(gnu.parse, strip=gnu.strip, own_line=gnu.OWN_LINE, counts_bom=True),
    "gfortran": Parser(gfortran.parse),
    "gnu": Parser(gnu.parse, strip=gnu.strip, own_line=gnu.OWN_LINE),
    "go": Parser(go.parse, counts_bom=True),
    "javac": Parser(javac.parse),
    "python": Parser(python.parse),
    "rustc": Parser(
        rustc.parse,
        strip=rustc.strip,
        own_line=rustc.OWN_LINE,
        keep_bytes=rustc.KEEP_BYTES,
        error_object=rustc.ERROR_OBJECT,
    ),
    "tsc": Parser(tsc.parse),
    "zig": Parser(zig.parse, counts_bom=True),
}


def parse(message_format: str, text: str, files: Mapping[str, str], folder: str) -> tuple[Diagnostic, ...]:
    """The diagnostics in `text`, which a compiler with messages of that format wrote.

    `files` are the request's (name → text), `folder` is the absolute path where the compiler saw them: a
    name below it becomes the request's own name. Lines and columns count from 1; columns are in bytes and
    do not count a byte order mark; an end is exclusive, and given only if the text leaves no doubt.
    """
    parser = PARSERS[message_format]
    diagnostics = parser.parse(text, files, folder)
    return byte_order_mark.without_mark(diagnostics, files) if parser.counts_bom else diagnostics


def without_parser_output(message_format: str, text: str) -> str:
    """`text` as the compiler prints it for a person, without what was requested for the parser."""
    return PARSERS[message_format].strip(text)
