"""How much of a compiler's output becomes diagnostics, and the collector that keeps to it."""

from dataclasses import dataclass, field

from chalicelib.models import Diagnostic, Severity

# A compiler stops by itself after 20 (clang) or some hundred (gcc) errors in practice; nobody
# reads on, and each one costs some 300 bytes of JSON in Redis. Children count as well.
MAX_DIAGNOSTICS = 1_000
# The longest template errors of the standard library are about this long; the full text is in stderr.
MAX_MESSAGE_CHARACTERS = 8_192
# As the message, plus a location. A longer line is read up to here.
MAX_LINE_CHARACTERS = MAX_MESSAGE_CHARACTERS + 1_024


def count(diagnostics: tuple[Diagnostic, ...]) -> int:
    """How many there are, children included."""
    return sum(1 + count(diagnostic.children) for diagnostic in diagnostics)


@dataclass(slots=True)
class Found:
    """A diagnostic in the making. `line` and `column` are None where the compiler named none."""

    severity: Severity
    message: str
    code: str | None = None
    file: str | None = None
    line: int | None = None
    column: int | None = None
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
            children=tuple(child.build() for child in self.children),
        )


class Collector:
    """Takes diagnostics in the order printed; hangs a note under the error or warning before it."""

    def __init__(self) -> None:
        self._top: list[Found] = []
        self._count = 0

    @property
    def full(self) -> bool:
        """True when the bound is reached and the rest of the text need not be read."""
        return self._count >= MAX_DIAGNOSTICS

    def add(self, found: Found, *, explains_previous: bool = True) -> None:
        """Take one more. A note that explains nothing before it stands alone."""
        if self.full:
            return
        self._count += 1
        if found.severity is Severity.NOTE and explains_previous and self._top:
            self._top[-1].children.append(found)
        else:
            self._top.append(found)

    def finish(self) -> tuple[Diagnostic, ...]:
        """Everything that was taken."""
        return tuple(found.build() for found in self._top)
