"""How much of a compiler's output becomes diagnostics, and the collector that keeps to it."""

from dataclasses import dataclass, field

from chalicelib.models import Diagnostic, Fix, Severity

# A compiler stops by itself after 20 (clang) or some hundred (gcc) errors in practice; nobody
# reads on, and each one costs some 300 bytes of JSON in Redis. Children count as well.
MAX_DIAGNOSTICS = 1_000
# As many edits in all: one diagnostic rarely has more than one.
MAX_FIXES = 1_000
# The longest template errors of the standard library are about this long; the full text is in stderr.
MAX_MESSAGE_CHARACTERS = 8_192
# As the message, plus a location. A longer line is read up to here.
MAX_LINE_CHARACTERS = MAX_MESSAGE_CHARACTERS + 1_024
# A message of more lines than this is cut; the candidates of an overload or a type's explanation are
# rarely more. It also bounds every search from one line onwards, and so keeps parsing linear.
MAX_MESSAGE_LINES = 32
# No line or column is beyond this; a larger number is a forged one.
MAX_NUMBER = 999_999_999


def count(diagnostics: tuple[Diagnostic, ...]) -> int:
    """How many there are, children included."""
    return sum(1 + count(diagnostic.children) for diagnostic in diagnostics)


def lines_of(text: str) -> list[str]:
    """The lines of `text`, each cut to what is read of it."""
    return [line[:MAX_LINE_CHARACTERS].rstrip("\r") for line in text.split("\n")]


@dataclass(slots=True)
class Found:
    """A diagnostic in the making. `line` and `column` are None where the compiler named none."""

    severity: Severity
    message: str
    code: str | None = None
    file: str | None = None
    line: int | None = None
    column: int | None = None
    end_line: int | None = None
    end_column: int | None = None
    fixes: list[Fix] = field(default_factory=list)
    children: list["Found"] = field(default_factory=list)

    def build(self) -> Diagnostic:
        """The finished value, with the message cut to its bound."""
        return Diagnostic(
            severity=self.severity,
            message=self.message[:MAX_MESSAGE_CHARACTERS],
            code=self.code,
            file=self.file,
            line=self.line,
            column=self.column,
            end_line=self.end_line,
            end_column=self.end_column,
            fixes=tuple(self.fixes),
            children=tuple(child.build() for child in self.children),
        )


class Collector:
    """Takes diagnostics in the order printed; hangs a note under the error or warning before it."""

    def __init__(self) -> None:
        self._top: list[Found] = []
        self._last: Found | None = None
        self._count = 0
        self._fixes = 0

    @property
    def full(self) -> bool:
        """True when the bound is reached and the rest of the text need not be read."""
        return self._count >= MAX_DIAGNOSTICS

    def add(self, found: Found, *, explains_previous: bool = True) -> None:
        """Take one more, with its children and fixes. A note that explains nothing stands alone."""
        if self.full:
            return
        self._take(found)
        self._last = found
        if found.severity is Severity.NOTE and explains_previous and self._top:
            self._top[-1].children.append(found)
        else:
            self._top.append(found)

    def add_fix(self, fix: Fix) -> None:
        """An edit that belongs to the diagnostic taken last; without one it is dropped."""
        if self._last is not None and self._fixes < MAX_FIXES:
            self._fixes += 1
            self._last.fixes.append(fix)

    def finish(self) -> tuple[Diagnostic, ...]:
        """Everything that was taken."""
        return tuple(found.build() for found in self._top)

    def _take(self, found: Found) -> None:
        """Count `found` and what hangs on it, and cut off what is beyond the bounds."""
        self._count += 1
        # A part of an edit is none.
        if len(found.fixes) > MAX_FIXES - self._fixes:
            found.fixes.clear()
        self._fixes += len(found.fixes)
        kept = 0
        for child in found.children:
            if self.full:
                break
            self._take(child)
            kept += 1
        del found.children[kept:]
