"""From a compiler's messages to `Diagnostic` values: one module per shape of messages.

Nothing is invented and nothing is lost: each error and warning line becomes one
diagnostic, in the order printed, and notes become children of what they explain. The text
is as hostile as the source that caused it (`#error` prints what it is told), so a parser
works in linear time, keeps to the bounds in `bounds.py`, and never raises.

To add a shape: a module with a ``parse(text, files, folder)``, its name in `_PARSERS` here
and in the field `diagnostics` of the catalogue's family model.
"""

from collections.abc import Callable, Mapping

from chalicelib.catalog import Family
from chalicelib.models import Diagnostic
from runner.diagnostics import gnu

_PARSERS: dict[str, Callable[[str, Mapping[str, str], str], tuple[Diagnostic, ...]]] = {
    "gnu": gnu.parse,
}


def parse(family: Family, text: str, files: Mapping[str, str], folder: str) -> tuple[Diagnostic, ...]:
    """The diagnostics in `text`, which a compiler of `family` wrote to stderr.

    `files` are the request's (name → text), `folder` is the absolute path where the
    compiler saw them: a name below it is given back as the request wrote it.
    """
    return _PARSERS[family.diagnostics](text, files, folder)
