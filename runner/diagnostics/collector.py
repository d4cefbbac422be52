"""The diagnostics of one output while they are collected, and the limits on how much of it is kept."""

from dataclasses import dataclass, field

from chalicelib.models import Diagnostic, Fix, Severity

# Compilers stop by themselves after 20 (clang) or a few hundred (gcc) errors; nobody reads on, and each one
# costs some 300 bytes of JSON in Redis. Children count as well.
MAX_DIAGNOSTICS = 1_000
# As many edits in all: a diagnostic rarely has more than one.
MAX_FIXES = 1_000
# The longest template errors of the standard library are about this long; the full text is in stderr.
MAX_MESSAGE_CHARACTERS = 8_192
# A message plus its location. Of a longer line the rest is not read.
MAX_LINE_CHARACTERS = MAX_MESSAGE_CHARACTERS + 1_024
# A message with more lines is cut; the candidates of an overload or the explanation of a type rarely have
# more. It also limits every search from one line onwards, and so keeps parsing linear.
MAX_MESSAGE_LINES = 32
# The largest number that `#line` may set. Compilers that count on from there print larger or negative ones.
MAX_NUMBER = 2_147_483_647


def _number(number: int | None) -> int | None:
    """A line or column; None if there cannot be such a one."""
    return number if number is not None and 1 <= number <= MAX_NUMBER else None


def count(diagnostics: tuple[Diagnostic, ...]) -> int:
    """How many there are, children included."""
    return sum(1 + count(diagnostic.children) for diagnostic in diagnostics)


@dataclass(slots=True)
class DiagnosticBuilder:
    """A diagnostic that is still being read. `line` and `column` are None if the compiler names none."""

    severity: Severity
    message: str
    code: str | None = None
    file: str | None = None
    line: int | None = None
    column: int | None = None
    end_line: int | None = None
    end_column: int | None = None
    fixes: list[Fix] = field(default_factory=list)
    children: list["DiagnosticBuilder"] = field(default_factory=list)

    def build(self) -> Diagnostic:
        """The value, with its message cut to the limit. Without a line there is no column."""
        line, end_line = _number(self.line), _number(self.end_line)
        return Diagnostic(
            severity=self.severity,
            message=self.message[:MAX_MESSAGE_CHARACTERS],
            code=self.code,
            file=self.file,
            line=line,
            column=_number(self.column) if line else None,
            end_line=end_line if line else None,
            end_column=_number(self.end_column) if line and end_line else None,
            fixes=tuple(self.fixes),
            children=tuple(child.build() for child in self.children),
        )


class Collector:
    """Collects diagnostics in the order printed; a note becomes a child of the error or warning before it."""

    def __init__(self) -> None:
        self.top: list[DiagnosticBuilder] = []
        self._last: DiagnosticBuilder | None = None
        self._count = 0
        self._fixes = 0

    @property
    def full(self) -> bool:
        """True when the limit is reached and the rest of the text need not be read."""
        return self._count >= MAX_DIAGNOSTICS

    def add(self, diagnostic: DiagnosticBuilder, *, explains_previous: bool = True) -> None:
        """Add one more, with its children and fixes. A note that explains nothing is not made a child."""
        if self.full:
            return
        self._count_in(diagnostic)
        self._last = diagnostic
        if diagnostic.severity is Severity.NOTE and explains_previous and self.top:
            self.top[-1].children.append(diagnostic)
        else:
            self.top.append(diagnostic)

    def add_fix(self, fix: Fix) -> None:
        """Add an edit to the diagnostic that was added last; without one the edit is dropped."""
        if self._last is not None and self._fixes < MAX_FIXES:
            self._fixes += 1
            self._last.fixes.append(fix)

    def build(self) -> tuple[Diagnostic, ...]:
        """The values of everything that was added."""
        return tuple(diagnostic.build() for diagnostic in self.top)

    def _count_in(self, diagnostic: DiagnosticBuilder) -> None:
        """Count `diagnostic` with its children and fixes, and cut off what is beyond the limits."""
        self._count += 1
        # A truncated edit would be wrong: drop the whole edit.
        if len(diagnostic.fixes) > MAX_FIXES - self._fixes:
            diagnostic.fixes.clear()
        self._fixes += len(diagnostic.fixes)
        kept = 0
        for child in diagnostic.children:
            if self.full:
                break
            self._count_in(child)
            kept += 1
        del diagnostic.children[kept:]
