"""Secrets that no job may see, hidden where a job would look for them, and the search for them in output."""

import base64
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.sandbox.support import let_everybody_in

# Where hosts keep settings and sources below /usr, by the words that cases use for a canary in them.
PLACES_BELOW_USR = {"local_etc": "/usr/local/etc", "usr_etc": "/usr/etc", "usr_src": "/usr/src"}


class Secrets:
    """What no job may see: an environment variable, files of the runner and below /usr, the host's users."""

    def __init__(self, canary: Path, home: Path, below_usr: Mapping[str, Path], word: str) -> None:
        self.paths = {"canary": str(canary), "home": str(home), "word": word}
        self.paths |= {name: str(path) for name, path in below_usr.items()}
        users = [line for line in Path("/etc/passwd").read_text().splitlines() if line.count(":") == 6]
        self.texts = (word[::-1], *users)

    def found_in(self, text: str) -> list[str]:
        """Those that are in `text`, plain or encoded."""
        encoded = [base64.b64encode(secret.encode()).decode()[:-4] for secret in self.texts]
        return [secret for secret in (*self.texts, *encoded) if secret in text]


@contextmanager
def hide(folder: Path) -> Iterator[Secrets]:
    """Secrets in the runner's environment, in its home, in `folder`, which everybody may read, and in /usr.

    Below /usr only root can hide any, and nobody in a container whose root is read-only.
    """
    word = secrets.token_hex(16)
    canary, home = folder / "canary", Path.home() / f".canary-{word}"
    below_usr = {name: Path(folder, f".canary-{word}") for name, folder in PLACES_BELOW_USR.items()}
    planted = [path for path in below_usr.values() if os.access(path.parent, os.W_OK)]
    os.environ["WIC_CANARY"] = word[::-1]
    try:
        for path in (canary, home, *planted):
            # The job is told the file's name, which holds the word. So the content is another: its reverse.
            path.write_text(f"{word[::-1]}\n" * 3)
            path.chmod(0o644)
        let_everybody_in(folder)
        yield Secrets(canary, home, below_usr, word)
    finally:
        for path in (home, *planted):
            path.unlink(missing_ok=True)
        del os.environ["WIC_CANARY"]
