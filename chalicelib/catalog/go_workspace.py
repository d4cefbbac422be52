"""Which folders a go.work names as modules of a workspace: those of its `use` directives, as Go reads them.

Go describes the file at https://go.dev/ref/mod#go-work-file. Comments and other directives name none,
and a string has Go's escapes.
"""

import ast
import re
from collections.abc import Iterator

# A word of a go.work: a comment, a parenthesis, a string, or all up to the next of these.
_WORK_WORD = re.compile(r"//.*|[()]|\"(?:[^\"\\]|\\.)*\"|`[^`]*`|(?:(?!//)[^\s()\"`])+")
_GO_STRING = re.compile(r'"(?:[^"\\]|\\(?:[abfnrtv\\"]|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|[0-7]{3}))*"')


def used_folders(workspace: str) -> Iterator[str]:
    """The folders of the `use` directives of a go.work: those in comments and in `replace` are no modules."""
    block = ""
    # For Go only a line feed ends a line.
    for line in workspace.split("\n"):
        words = [match[0] for match in _WORK_WORD.finditer(line)]
        words = words[: next((at for at, word in enumerate(words) if word.startswith("//")), None)]
        if not words:
            continue
        if block:
            if words[0] == ")":
                block = ""
            elif block == "use":
                yield _unquoted(words[0])
        elif words[1:2] == ["("]:
            block = words[0]
        elif words[0] == "use" and len(words) > 1:
            yield _unquoted(words[1])


def _unquoted(word: str) -> str:
    if word.startswith("`"):
        return word.strip("`")
    # The escapes of a string of Go are those of Python.
    return str(ast.literal_eval(word)) if word.startswith('"') and _GO_STRING.fullmatch(word) else word
