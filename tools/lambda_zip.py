"""Makes the bytes of the Lambda's zip depend on nothing but its contents, and says where they come from.

    python -m tools.lambda_zip build/package/deployment.zip

chalice takes the order of the files and their modes from the machine that packs. This writes the zip again:
names in order, one mode, one time, one level of compression. Beside it comes provenance.json, with the commit
and the SHA-256 of the zip and of every file in it: from that commit the zip can be made again, and compared.
The same bytes need the same minor version of Python, whose zlib compresses; the hashes of the files do not.
"""

import argparse
import hashlib
import json
import os
import platform
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

# The earliest time that a zip can hold.
_TIME = (1980, 1, 1, 0, 0, 0)
# Readable by all, as Lambda needs it; nothing in the zip is executed as a program.
_MODE = 0o644
_LEVEL = 9


def normalize(path: Path) -> dict[str, str]:
    """Write the zip at `path` again in normal form; returns the SHA-256 of each file by its name."""
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist() if not name.endswith("/")}
    fresh = path.with_suffix(".new")
    with zipfile.ZipFile(fresh, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL) as archive:
        for name in sorted(contents):
            entry = zipfile.ZipInfo(name, _TIME)
            entry.create_system = 3  # Unix, whatever packs it: the mode means nothing otherwise
            entry.external_attr = _MODE << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, contents[name], compresslevel=_LEVEL)
    os.replace(fresh, path)
    return {name: hashlib.sha256(data).hexdigest() for name, data in sorted(contents.items())}


def provenance(path: Path, files: dict[str, str], source: Path) -> dict[str, object]:
    """Where the zip at `path` comes from: the commit of the checkout `source`, if any, and hashes."""
    commit = _git(source, "rev-parse", "HEAD")
    return {
        "commit": commit,
        # Files that git ignores are not packed, so they do not count.
        "modified": bool(_git(source, "status", "--porcelain", "--untracked-files=no")) if commit else None,
        "python": platform.python_version(),
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "files": files,
    }


def _git(source: Path, *arguments: str) -> str:
    """What git prints; empty without git or outside of a checkout."""
    try:
        return subprocess.run(
            ["git", "-C", str(source), *arguments], capture_output=True, text=True, check=True, timeout=60
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def main(arguments: Sequence[str] | None = None) -> None:
    """Normalize the zip and write provenance.json beside it."""
    parser = argparse.ArgumentParser(prog="python -m tools.lambda_zip", description=__doc__.split("\n")[0])
    parser.add_argument("zip", type=Path, help="the zip that `chalice package` made")
    path = parser.parse_args(arguments).zip
    record = provenance(path, normalize(path), Path.cwd())
    path.with_name("provenance.json").write_text(json.dumps(record, indent=2) + "\n")
    sys.stdout.write(f"{record['sha256']}  {path}\n")


if __name__ == "__main__":
    main()
