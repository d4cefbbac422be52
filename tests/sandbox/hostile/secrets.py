"""Secrets that no job may see, hidden where a job would look for them, and the search for them in output."""

import base64
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.sandbox.support import let_everybody_in


class Secrets:
    """What no job may see: an environment variable, two files of the runner, the users of this host."""

    def __init__(self, canary: Path, home: Path, word: str) -> None:
        self.paths = {"canary": str(canary), "home": str(home), "word": word}
        users = [line for line in Path("/etc/passwd").read_text().splitlines() if line.count(":") == 6]
        self.texts = (word[::-1], *users)

    def found_in(self, text: str) -> list[str]:
        """Those that are in `text`, plain or encoded."""
        encoded = [base64.b64encode(secret.encode()).decode()[:-4] for secret in self.texts]
        return [secret for secret in (*self.texts, *encoded) if secret in text]


@contextmanager
def hide(folder: Path) -> Iterator[Secrets]:
    """Secrets in the runner's environment, in its home, and in `folder`, which everybody may read."""
    word = secrets.token_hex(16)
    canary, home = folder / "canary", Path.home() / f".canary-{word}"
    os.environ["WIC_CANARY"] = word[::-1]
    try:
        for path in (canary, home):
            # The job is told the file's name, which holds the word. So the content is another: its reverse.
            path.write_text(f"{word[::-1]}\n" * 3)
            path.chmod(0o644)
        let_everybody_in(folder)
        yield Secrets(canary, home, word)
    finally:
        home.unlink(missing_ok=True)
        del os.environ["WIC_CANARY"]
