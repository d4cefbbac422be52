"""The hostile corpus: what an attacker would send, as tables, and what the runner must answer.

A table is a file `cases/*.toml` with one theme and any number of cases:

    [[cases]]
    id = "word_for_the_log"            # unique in the whole corpus
    claim = "One sentence."            # what the case shows
    language = "c"                     # default; or "cpp"
    main = "main.c"                    # default: the language's
    compilers = ["gcc"]                # default: gcc and clang, whichever version is there; or "clang-19"
    standard = "gnu17"                 # default: the compiler's own
    stage = "compile"                  # default
    options = []                       # default
    limits = { cpu_seconds = 1 }       # changes `LIMITS`
    verdict = "rejected"
    reasons = ["memory"]               # of an inconclusive verdict; several where they race
    says = "No such file"              # optional: text that must be in stderr
    never = ["root:"]                  # optional: text that must be nowhere in the answer
    unless = [{ compilers = ["clang-*"], sandboxes = ["docker"], verdict = … }]
    [cases.files]                      # name → text; {canary}, {home} and others are paths of secret files
    [cases.repeated]                   # name → pieces [text, times], for a file that is too long to write

At the top of a table, `language` and `limits` apply to all of its cases. Cases in languages other than C and
C++ are compiled by the newest compiler of the language that is there.

To add a case, add an entry; that needs no code. A source that is not UTF-8, so that no JSON request can carry
it, says `encoding = "latin-1"` and goes straight to the sandbox.
"""

import fnmatch
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from chalicelib.catalog import load_catalog
from chalicelib.models import CompileRequest, Reason, Stage, Verdict
from runner.sandbox.base import Limits
from runner.sandbox.limits import MIB, default_limits
from runner.toolchains.model import native_target

FOLDER = Path(__file__).parent

# The compilers of a case that names none: one of each family.
COMPILERS = ("gcc", "clang")

# Small enough that a bomb goes off within seconds; large enough that an honest program is far from
# each of them. The wall clock is generous, because CPU time decides and the machine may be busy.
LIMITS = replace(
    default_limits(timeout_seconds=2, memory_mib=384, output_kib=64),
    wall_seconds=40,
    disk_bytes=32 * MIB,
    processes=48,
)


class _Outcome(BaseModel):
    """The verdict that is expected, and for which compilers and sandboxes."""

    model_config = ConfigDict(extra="forbid")

    compilers: tuple[str, ...] = ("*",)
    sandboxes: tuple[str, ...] = ("*",)
    verdict: Verdict
    reasons: tuple[Reason, ...] = ()
    says: str = ""

    def covers(self, compiler: str, sandbox: str) -> bool:
        """Whether this is about that compiler in that sandbox."""
        return any(fnmatch.fnmatchcase(compiler, pattern) for pattern in self.compilers) and any(
            fnmatch.fnmatchcase(sandbox, pattern) for pattern in self.sandboxes
        )


class Case(BaseModel):
    """One entry of a table."""

    model_config = ConfigDict(extra="forbid")

    id: str = Field(pattern=r"^[a-z0-9_]+$")
    claim: str
    verdict: Verdict
    reasons: tuple[Reason, ...] = ()
    says: str = ""
    never: tuple[str, ...] = ()
    unless: tuple[_Outcome, ...] = ()
    language: str = "c"
    main: str = ""
    compilers: tuple[str, ...] = COMPILERS
    standard: str = ""
    stage: Stage = Stage.COMPILE
    options: tuple[str, ...] = ()
    limits: dict[str, float] = {}
    encoding: Literal["utf-8", "latin-1"] = "utf-8"
    files: dict[str, str] = {}
    repeated: dict[str, list[tuple[str, int]]] = {}

    def outcome(self, compiler: str, sandbox: str) -> _Outcome:
        """The outcome that is expected with that compiler in that sandbox."""
        for exception in self.unless:
            if exception.covers(compiler, sandbox):
                return exception
        return _Outcome(verdict=self.verdict, reasons=self.reasons, says=self.says)

    def sources(self, paths: Mapping[str, str]) -> dict[str, str]:
        """The files by name; `paths` has the paths for {canary} and the like."""
        repeated = {
            name: "".join(text * times for text, times in parts) for name, parts in self.repeated.items()
        }
        files = {**self.files, **repeated}
        for word, path in paths.items():
            files = {name: text.replace(f"{{{word}}}", path) for name, text in files.items()}
        return files

    def limits_of(self) -> Limits:
        """`LIMITS` with the case's own."""
        whole = {
            name: value if name.endswith("_seconds") else int(value) for name, value in self.limits.items()
        }
        changes: dict[str, Any] = dict(whole)
        return replace(LIMITS, **changes)

    def request(self, compiler: str, default_standard: str, paths: Mapping[str, str]) -> CompileRequest:
        """As the API would store it, had it let it pass."""
        architecture, system = native_target()
        return CompileRequest(
            files=self.sources(paths),
            main=self.main or _main_of(self.language),
            language=self.language,
            compiler=compiler,
            standard=self.standard or default_standard,
            architecture=architecture,
            os=system,
            stage=self.stage,
            options=self.options,
        )


def _main_of(language: str) -> str:
    entry = load_catalog().language(language)
    assert entry is not None, language
    return entry.default_main


def load_corpus(*, others: bool = False) -> list[Case]:
    """Every case of every table in C and C++; or, with `others`, of those in other languages."""
    cases = []
    for path in sorted((FOLDER / "cases").glob("*.toml")):
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        for entry in table["cases"]:
            entry.setdefault("language", table.get("language", "c"))
            entry["limits"] = {**table.get("limits", {}), **entry.get("limits", {})}
            cases.append(Case.model_validate(entry))
    return [case for case in cases if (case.language not in ("c", "cpp")) is others]
