"""Which file names a request may use.

A name becomes a path inside the workspace and an argument of a compiler, so it must not
lead out of the workspace, read as an option (`-o`), a response file (`@x`) or a hidden
file, nor be one that the compiler writes itself. Letters are ASCII: the same letter can be
encoded in two ways in Unicode, and then two names differ that look alike, in messages too.
"""

import re

# The usual limit of a path component in Linux file systems; here for the whole name, which
# keeps a path short of every limit whatever folder the workspace is in.
MAX_FILE_NAME_BYTES = 255
# Deeper than any project of 64 files needs.
MAX_FILE_NAME_LEVELS = 8

_SEGMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")
# The compiler writes its objects and its program beside the sources; a file or a folder of
# that name would be overwritten, or would make the compiler fail where the source is fine.
_WRITTEN = re.compile(r"(?i:.*\.(?:o|obj|out|gch|pch|pcm))")


def check_file_name(name: str) -> str | None:
    """A sentence that says why `name` cannot be a file of a request, or None when it can."""
    if not name:
        return "A file name must not be empty."
    if len(name.encode("utf-8", "surrogatepass")) > MAX_FILE_NAME_BYTES:
        return f"A file name is at most {MAX_FILE_NAME_BYTES} bytes long."
    segments = name.split("/")
    if len(segments) > MAX_FILE_NAME_LEVELS:
        return f"A file name has at most {MAX_FILE_NAME_LEVELS} parts separated by slashes."
    for segment in segments:
        if not _SEGMENT.fullmatch(segment):
            return (
                f"{name!r} is not a usable file name: each part between slashes starts with a letter, "
                "a digit or an underscore and goes on with those, dots, plus and minus signs (ASCII)."
            )
        if _WRITTEN.fullmatch(segment):
            return f"{name!r} is not a usable file name: the compiler writes files ending like {segment!r}."
    return None


def check_file_names(names: list[str]) -> str | None:
    """A sentence that says why `names` cannot be the files of one request, or None when they can.

    Besides each name by itself: a name must not also be the folder of another.
    """
    for name in names:
        problem = check_file_name(name)
        if problem is not None:
            return problem
    folders = {name[:end] for name in names for end in range(len(name)) if name[end] == "/"}
    clash = next((name for name in names if name in folders), None)
    return None if clash is None else f"{clash!r} cannot be both a file and a folder."
