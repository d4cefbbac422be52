"""Messages that quote source text of several lines between backquotes.

Go prints a raw string and TypeScript a template literal type as it stands in the source, with its
line breaks, so what follows may look like a message of its own. Inside of backquotes there can be no
backquote, so the next one ends the quotation, whatever else is in there. Shared by `go` and `tsc`.
"""

import re
from collections.abc import Sequence

# Quoted text that ends on its line, left to right: strings and characters may hold a backquote. A string
# that does not end reaches to the end of the line, so that no part of a line is read twice.
_CLOSED = re.compile(r'"(?:[^"\\]|\\.)*"?|' + r"'(?:[^'\\]|\\[^']+)'|`[^`]*`")


def end_of_quotation(lines: Sequence[str], index: int) -> int:
    """The line after the message whose first line is at `index`: further on while a quotation is open.

    A quotation that nothing ends is none.
    """
    rest = lines[index]
    end = index + 1
    while "`" in _CLOSED.sub("", rest):
        closing = next((at for at in range(end, len(lines)) if "`" in lines[at]), None)
        if closing is None:
            return index + 1
        rest = lines[closing].partition("`")[2]
        end = closing + 1
    return end
