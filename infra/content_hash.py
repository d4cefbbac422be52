"""A hash of files: the same names, contents and executable bits give the same hash on every machine.

The tag of the runner's image and the fingerprint of a deployment are made with it.
"""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path


def files_of(root: Path, names: Iterable[str]) -> Iterator[Path]:
    """The files with these names below `root`; a folder stands for all files in it but Python's caches."""
    for name in names:
        path = root / name
        if path.is_file():
            yield path
        else:
            yield from (
                file for file in path.rglob("*") if file.is_file() and "__pycache__" not in file.parts
            )


def content_hash(root: Path, files: Iterable[Path], *, also: str = "") -> str:
    """SHA-256 of the files, named as seen from `root`, and of the text `also`; as hexadecimal digits."""
    digest = hashlib.sha256(also.encode())
    for path in sorted(files):
        digest.update(f"{path.relative_to(root)}\0{path.stat().st_mode & 0o111}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
