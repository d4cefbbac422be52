"""The source files of a request: `source_code`, `code` or `files` as names and texts, with the main file."""

import base64
import binascii
import re
from collections.abc import Collection
from typing import Annotated

from pydantic import Field

from chalicelib.api.validation import ClientModel, invalid, joined, quoted
from chalicelib.catalog import MAX_FILE_NAME_BYTES, Catalog, Language, check_file_names, why_objects_collide
from chalicelib.errors import SourceTooLarge
from chalicelib.models import Stage

# 1 MiB of source is some 30,000 lines: enough for an amalgamated library, too little for an archive.
MAX_SOURCE_BYTES = 1024 * 1024
MAX_FILES = 64
# A stored job is JSON, which writes each of these in six characters: without a bound a source of 1 MiB would
# be stored as 6 MiB. A test of what a compiler does with them needs a few.
MAX_CONTROL_CHARACTERS = 16 * 1024

# Tab, line feed, carriage return, form feed and backspace have a form of two characters.
_NO_WHITE_SPACE = str.maketrans("", "", " \t\r\n")
_CONTROL = re.compile(r"[\x00-\x07\x0b\x0e-\x1f]")


class ClientSources(ClientModel):
    """The fields of a request that say what is to be compiled."""

    source_code: str | None = None
    code: str | None = None
    files: dict[str, str] | None = None
    main: Annotated[str, Field(max_length=MAX_FILE_NAME_BYTES)] | None = None


def read_files(request: ClientSources, language: Language, catalog: Catalog) -> tuple[dict[str, str], str]:
    """The files by name, and the name of the main file.

    Raises `InvalidRequest`, or `SourceTooLarge` when all files together exceed `MAX_SOURCE_BYTES`.
    """
    sent = [name for name in ("source_code", "code", "files") if getattr(request, name) is not None]
    if not sent:
        raise invalid(
            "source_code",
            "`source_code` is missing: send the source there, as `code` (Base64), or as `files`.",
        )
    if len(sent) > 1:
        raise invalid(sent[1], f"Send one of `source_code`, `code` and `files`, not {' and '.join(sent)}.")
    if request.files is None:
        if request.main is not None:
            raise invalid("main", "`main` names one of `files`; leave it out when you send a single source.")
        source = request.source_code if request.source_code is not None else _decode(request.code or "")
        files, main = {language.default_main: source}, language.default_main
    else:
        files = request.files
        _check_files(files, language, catalog)
        main = _main(files, request.main, language)
        problem = why_objects_collide(language, files, main)
        if problem:
            raise invalid("files", problem)
    _check_size(sum(len(text.encode()) for text in files.values()))
    _check_control_characters(files)
    return files, main


def check_stage(files: Collection[str], language: Language, catalog: Catalog, stage: Stage) -> None:
    """Raises `InvalidRequest` for a file that is not checked in that stage."""
    for name in files:
        problem = catalog.why_invalid_file(language, name, stage)
        if problem:
            raise invalid("files", problem)


def _check_size(size_bytes: int) -> None:
    if size_bytes > MAX_SOURCE_BYTES:
        raise SourceTooLarge(
            f"The source has {size_bytes} bytes; at most {MAX_SOURCE_BYTES} (1 MiB) are allowed."
        )


def _check_control_characters(files: dict[str, str]) -> None:
    count = sum(len(_CONTROL.findall(text)) for text in files.values())
    if count > MAX_CONTROL_CHARACTERS:
        raise SourceTooLarge(
            f"The source has {count} control characters; at most {MAX_CONTROL_CHARACTERS} are allowed "
            "(tabs and ends of lines do not count)."
        )


def _decode(code: str) -> str:
    try:
        # `base64`, Ruby and MIME break its lines after 60 to 76 characters.
        raw = base64.b64decode(code.translate(_NO_WHITE_SPACE), validate=True)
    except (binascii.Error, ValueError):
        raise invalid(
            "code",
            "`code` is not valid Base64 (RFC 4648 with + and /, with padding; line breaks are allowed); "
            "or send it as `source_code`.",
        ) from None
    _check_size(len(raw))
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        message = f"The source in `code` is not UTF-8: byte {error.start} is 0x{raw[error.start]:02x}."
        raise invalid("code", message) from None


def _main(files: dict[str, str], requested: str | None, language: Language) -> str:
    main = _choose_main(files, requested, language)
    if not language.can_be_main(main):
        ends = joined(language.source_extensions)
        but = f", but not in {joined(language.not_sources)}" if language.not_sources else ""
        raise invalid(
            "files" if requested is None else "main",
            f"The main file {quoted(main)} is not named like a {language.name} source: "
            f"its name must end in {ends}{but}.",
        )
    return main


def _choose_main(files: dict[str, str], requested: str | None, language: Language) -> str:
    if requested is not None:
        if requested not in files:
            raise invalid("main", f"`main` is {quoted(requested)}, which is not one of `files`.")
        return requested
    if len(files) == 1:
        return next(iter(files))
    if language.default_main in files:
        return language.default_main
    raise invalid(
        "main",
        f"`main` is missing: say which of `files` is the main one (or name it {language.default_main}).",
    )


def _check_files(files: dict[str, str], language: Language, catalog: Catalog) -> None:
    if not files:
        raise invalid("files", "`files` is empty: send at least one file.")
    problem = check_file_names(list(files))
    if problem:
        raise invalid("files", problem)
    for name in files:
        problem = catalog.why_invalid_file(language, name)
        if problem:
            raise invalid("files", problem)
    skipped = catalog.uncompiled_source(language, files)
    if skipped is not None:
        project = language.project.file if language.project else ""
        what = f"is in a folder, which {language.name} compiles only with a {project} in the top folder"
        raise invalid("files", f"{quoted(skipped)} {what}: add one.")
