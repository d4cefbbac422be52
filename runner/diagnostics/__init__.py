"""From a compiler's messages to `Diagnostic` values: one module per shape of messages.

Nothing is invented and nothing is lost: each error and warning line becomes one
diagnostic, in the order printed, and notes become children of what they explain. The text
is as hostile as the source that caused it (`#error` prints what it is told), so a parser
works in linear time, keeps to the bounds in `bounds.py`, and never raises.

To add a shape: a module with a ``parse(text, files, folder)``, its name in `_PARSERS` here
and among the shapes of `chalicelib/catalog/schema.py`. Where the compiler is asked to print more
than a person would see, a ``shown(text)`` that takes it away again, in `_SHOWN`.
"""

from collections.abc import Callable, Mapping

from chalicelib.models import Diagnostic
from runner.diagnostics import byte_order_mark, gfortran, gnu, go, javac, python, rustc, tsc, zig

_PARSERS: dict[str, Callable[[str, Mapping[str, str], str], tuple[Diagnostic, ...]]] = {
    "clang": gnu.parse,
    "gfortran": gfortran.parse,
    "gnu": gnu.parse,
    "go": go.parse,
    "javac": javac.parse,
    "python": python.parse,
    "rustc": rustc.parse,
    "tsc": tsc.parse,
    "zig": zig.parse,
}
# Those whose compilers count a byte order mark.
_COUNT_MARKS = frozenset({"clang", "go", "zig"})
_SHOWN: dict[str, Callable[[str], str]] = {
    "clang": gnu.shown,
    "gnu": gnu.shown,
    "rustc": rustc.shown,
}


def parse(shape: str, text: str, files: Mapping[str, str], folder: str) -> tuple[Diagnostic, ...]:
    """The diagnostics in `text`, which a compiler with messages of that shape wrote.

    `files` are the request's (name → text), `folder` is the absolute path where the
    compiler saw them: a name below it is given back as the request wrote it. Lines and columns
    count from 1, columns are bytes and count no byte order mark, an end is exclusive and there only where
    the text leaves no doubt.
    """
    found = _PARSERS[shape](text, files, folder)
    return byte_order_mark.uncounted(found, files) if shape in _COUNT_MARKS else found


def shown(shape: str, text: str) -> str:
    """`text` as the compiler prints it to a person, without what it was asked to add for this parser."""
    return _SHOWN[shape](text) if shape in _SHOWN else text
