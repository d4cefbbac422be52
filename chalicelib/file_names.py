"""Which file names a request may use.

A name becomes a path inside the workspace and an argument of a compiler. So it must not lead out of the
workspace, read as an option (`-o`) or a response file (`@x`), be hidden, or be one that the compiler writes.
Letters are ASCII, because Unicode can encode the same letter in two ways: two different names would look
alike, in messages as well.
"""

import re

# The usual limit for one component of a path on Linux. Here it holds for the whole name, so that the full
# path is within every limit wherever the workspace is.
MAX_FILE_NAME_BYTES = 255
# More than a project of at most 64 files needs.
MAX_FILE_NAME_LEVELS = 8

_SEGMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")
# The compiler writes its objects and its program next to the sources. A file or folder with such a name would
# be overwritten, or would make the compiler fail although the source is fine.
_COMPILER_OUTPUT = re.compile(r"(?i:.*\.(?:o|obj|out|gch|pch|pcm))")


def check_file_name(name: str) -> str | None:
    """A sentence on why a request cannot have a file with that name, or None when it can."""
    if not name:
        return "A file name must not be empty."
    if len(name.encode("utf-8", "surrogatepass")) > MAX_FILE_NAME_BYTES:
        return f"A file name may be at most {MAX_FILE_NAME_BYTES} bytes long."
    segments = name.split("/")
    if len(segments) > MAX_FILE_NAME_LEVELS:
        return f"A file name may have at most {MAX_FILE_NAME_LEVELS} parts between slashes."
    for segment in segments:
        if not _SEGMENT.fullmatch(segment):
            return (
                f"{name!r} is not a valid file name: each part between slashes must start with an "
                "ASCII letter, a digit or an underscore, and go on with these, dots, plus or minus signs."
            )
        if _COMPILER_OUTPUT.fullmatch(segment):
            return f"{name!r} is not a valid file name: names like {segment!r} are the compiler's own output."
    return None


def check_file_names(names: list[str]) -> str | None:
    """A sentence on why one request cannot have files with these names, or None when it can.

    In addition to the check of each name, no file may have the name of another file's folder.
    """
    for name in names:
        problem = check_file_name(name)
        if problem is not None:
            return problem
    folders = {name[:end] for name in names for end in range(len(name)) if name[end] == "/"}
    clash = next((name for name in names if name in folders), None)
    return None if clash is None else f"{clash!r} cannot be both a file and a folder."
