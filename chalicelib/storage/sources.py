"""How the requests of jobs are stored: what they share once, and under the hash of its text.

A small request is in the record of its job, whole. Where the copies would be large (a matrix, or one large
source), the record has only what is the job's own, such as its compiler, and names texts by their SHA-256:
one that says what the jobs share (files, options, `expect`), and one for each larger file. A text may be
named by any number of jobs. Old releases cannot read such a record, and end its job in `error`.

Pure: this module stores nothing. `unpack` is the inverse of `pack`.
"""

import hashlib
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from chalicelib.models import CompileRequest, is_sha256

# What all copies of a request may take: a page of source for a matrix of a few cells. Below this the texts
# would cost more round trips than they save memory.
MAX_COPIES_BYTES = 16 * 1024
# Smaller files are not worth a key of their own, which takes some 150 bytes and a command for each job.
MIN_OWN_TEXT_BYTES = 4 * 1024
# What is read back is never longer: 1 MiB of source whose every character JSON writes in two, and the rest.
MAX_TEXT_BYTES = 4 * 1024 * 1024
# Sources shrink to a third in a few milliseconds; higher levels take ten times as long for a tenth less.
COMPRESSION_LEVEL = 1
# What jobs of a matrix have in common. The rest of a request is a few short names.
_SHARED = {"files", "main", "options", "expect"}


class SourceLost(ValueError):
    """A text that a request names is not in the store any more, or is not the one that was stored."""


@dataclass(frozen=True, slots=True)
class Packed:
    """What is stored for some jobs: a record's `request` for each, texts by their hash, compressed.

    `weights` are the bytes of each job: its own, and its part of what it shares.
    """

    records: tuple[str, ...]
    texts: Mapping[str, bytes]
    weights: tuple[int, ...]


def pack(requests: Sequence[CompileRequest]) -> Packed:
    """What to store for requests that are submitted together."""
    records: list[str] = []
    weights: list[int] = []
    texts: dict[str, bytes] = {}
    # Cells of a matrix follow each other, and hold the same texts: comparing them costs nothing.
    for (files, main, options, expect), group in groupby(requests, key=_shared_part):
        same = list(group)
        size_bytes = len(same[0].model_dump_json().encode())
        if size_bytes * len(same) <= MAX_COPIES_BYTES:
            new = [request.model_dump_json() for request in same]
            part_bytes = 0
        else:
            apart: dict[str, bytes] = {}
            listed = {name: _text_or_name(text, apart) for name, text in files.items()}
            shared = {
                "files": listed,
                "main": main,
                "options": options,
                "expect": expect.model_dump(mode="json") if expect else None,
            }
            named = [_add(_json(shared), apart), *sorted(apart)]
            names = list(dict.fromkeys(named))  # the shared one first
            new = [
                _json(request.model_dump(mode="json", exclude=_SHARED) | {"texts": names}) for request in same
            ]
            part_bytes = -(-sum(map(len, apart.values())) // len(same))
            texts |= apart
        records += new
        weights += [len(record.encode()) + part_bytes for record in new]
    return Packed(tuple(records), texts, tuple(weights))


def _shared_part(request: CompileRequest) -> tuple[Any, ...]:
    return request.files, request.main, request.options, request.expect


def _text_or_name(text: str, apart: dict[str, bytes]) -> str | dict[str, str]:
    return text if len(text.encode()) < MIN_OWN_TEXT_BYTES else {"sha256": _add(text, apart)}


def _add(text: str, apart: dict[str, bytes]) -> str:
    encoded = text.encode()
    name = hashlib.sha256(encoded).hexdigest()
    if name not in apart:
        apart[name] = zlib.compress(encoded, COMPRESSION_LEVEL)
    return name


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def names_in(record: str) -> tuple[str, ...]:
    """The hashes of the texts that a record's `request` names; none, if it is whole. Raises `ValueError`."""
    value = json.loads(record)
    names = value.get("texts", ()) if isinstance(value, dict) else ()
    # Only such names may become parts of keys.
    if not isinstance(names, (list, tuple)) or not all(isinstance(n, str) and is_sha256(n) for n in names):
        raise ValueError("texts: these are no hashes")
    return tuple(names)


def unpack(record: str, texts: Mapping[str, bytes | None]) -> CompileRequest:
    """The request of a record. Raises `SourceLost`, or `ValueError` and its like for what is not ours."""
    names = names_in(record)
    if not names:
        return CompileRequest.model_validate_json(record)
    shared = json.loads(_text(names[0], texts))
    files = {
        name: entry if isinstance(entry, str) else _text(entry["sha256"], texts)
        for name, entry in shared["files"].items()
    }
    return CompileRequest.model_validate(json.loads(record) | shared | {"files": files})


def _text(name: str, texts: Mapping[str, bytes | None]) -> str:
    packed = texts.get(name)
    if packed is None:
        raise SourceLost(f"source:{name} is not there")
    unpacker = zlib.decompressobj()
    try:
        encoded = unpacker.decompress(packed, MAX_TEXT_BYTES)
    except zlib.error:
        encoded = b""
    if hashlib.sha256(encoded).hexdigest() != name:
        raise SourceLost(f"source:{name} is not the text of that name")
    return encoded.decode()


def chunks(texts: Mapping[str, bytes], size_bytes: int) -> Iterator[list[tuple[str, bytes]]]:
    """The texts in parts of about that size, so that each part is sent in time."""
    part: list[tuple[str, bytes]] = []
    part_bytes = 0
    for name, text in texts.items():
        part.append((name, text))
        part_bytes += len(text)
        if part_bytes >= size_bytes:
            yield part
            part, part_bytes = [], 0
    if part:
        yield part
