"""`python -m tools.reference`: writes the generated parts of the documents, and names what changed."""

import sys

from tools.reference.pages import ROOT, stale


def main() -> int:
    """Writes what is not current; with `--check` it only exits with 1 when there is something."""
    check = sys.argv[1:] == ["--check"]
    changes = stale()
    for path, text in changes.items():
        if not check:
            path.write_text(text, encoding="utf-8")
        sys.stdout.write(f"{'not current' if check else 'written'}: {path.relative_to(ROOT)}\n")
    return 1 if check and changes else 0


if __name__ == "__main__":
    sys.exit(main())
