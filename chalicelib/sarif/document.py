"""The SARIF document of a job or of a matrix: a run for each compiler, or for each family if they are many.

    driver        the compiler, or the family, whose compilers are `extensions`; `conversion` says that
                  this service made SARIF of the compiler's output
    invocation    one job: its command, exit status and verdict; without a verdict a notification says why
    result        one diagnostic; its notes are related locations, its proposed edits are one fix, and
                  those of each note another. In a matrix, the jobs of a compiler share equal diagnostics
    rule          the code of a diagnostic, or its severity where it has no code

Two rules of the standard are not in its schema: braces in messages are doubled (3.11.5), and text that would
read as a link is escaped.
"""

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from chalicelib.catalog import load_catalog
from chalicelib.diagnostic_groups import DiagnosticGroup
from chalicelib.models import Diagnostic, Environment, Job, Result, Severity, Stage, Target, Verdict
from chalicelib.sarif.locations import BASE, COLUMN_KIND, Locations
from chalicelib.source_lines import LINE_ENDS
from chalicelib.timestamps import format_time

VERSION = "2.1.0"
SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
CONVERTER = "will-it-compile"
# GitHub's code scanning rejects a file with more: see "SARIF results exceed one or more limits" in its
# documentation. It also takes at most 25,000 results and rules in a run (and shows 5,000, the worst first, as
# ours are), 1,000 locations of a result, 100 extensions, and 10 MB after gzip. A job has at most 1,000
# diagnostics, notes included, and a matrix 1.5 MB of them, some 10,000.
MAX_RUNS = 20

_LEVELS = {
    Severity.FATAL: "error",
    Severity.ERROR: "error",
    Severity.WARNING: "warning",
    Severity.NOTE: "note",
}
_LINK = re.compile(r"\[([^\[\]]*)\]\(")
_SEMANTIC_VERSION = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+")

Json = dict[str, Any]


def sarif_document(runs: Iterable[Mapping[str, Any]]) -> Json:
    """A whole document of these runs."""
    return {"$schema": SCHEMA, "version": VERSION, "runs": list(runs)}


def job_document(job: Job, result: Result) -> Json:
    """The document of one job that has ended."""
    request = job.request
    run = CompilerRun(request.compiler, result.environment, request.files)
    times = {"startTimeUtc": format_time(job.started_at), "endTimeUtc": format_time(job.completed_at)}
    run.add_job(result, request.standard, request.target, request.stage, times)
    groups = [DiagnosticGroup(diagnostic, [0]) for diagnostic in result.diagnostics]
    return sarif_document([run.to_json(run_id(request.compiler, job.id), groups)])


def run_id(compiler: str, subject_id: str) -> str:
    """The id of a compiler's run in the document of that job or matrix."""
    return f"{CONVERTER}/{compiler}/{subject_id}"


class CompilerRun:
    """One compiler, or one family, and its jobs. Add all jobs first, then build the run with `to_json`.

    `environment` is the compiler's. That of a family is any of its compilers, each of which is added with
    `add_compiler`.
    """

    def __init__(self, name: str, environment: Environment | None, files: Mapping[str, str]) -> None:
        self._name = name
        self._environment = environment
        self._locations = Locations(files, _message_format(environment))
        # Of a family: its compilers, and that of each invocation.
        self._extensions: dict[str, Json] = {}
        self._compilers: list[str] = []
        self._invocations: list[Json] = []
        self._notifications: dict[str, None] = {}

    def add_compiler(self, compiler: str, environment: Environment | None) -> None:
        """Adds one more compiler to the run of a family; jobs that are added next are its own."""
        self._extensions.setdefault(compiler, _component(compiler, environment))
        self._compilers.append(compiler)

    def add_job(
        self, result: Result, standard: str, target: Target, stage: Stage, times: Mapping[str, str]
    ) -> int:
        """Adds a job as an invocation; returns the invocation's number.

        `times` are `startTimeUtc` and `endTimeUtc`; empty ones are left out.
        """
        invocation: Json = {
            "executionSuccessful": result.verdict is not Verdict.INCONCLUSIVE,
            "properties": {
                "job_id": result.job_id,
                "verdict": result.verdict.value,
                "reason": result.reason.value if result.reason else None,
                "standard": standard or None,
                "target": str(target),
                "stage": stage.value,
            },
        }
        if self._extensions:
            invocation["properties"]["compiler"] = self._compilers[-1]
        if result.command:
            invocation["commandLine"] = shlex.join(result.command)
            invocation["arguments"] = list(result.command[1:])
        if result.command_environment:
            invocation["environmentVariables"] = dict(result.command_environment)
        if result.exit_code is not None:
            invocation["exitCode"] = result.exit_code
        invocation |= {name: moment for name, moment in times.items() if moment}
        notifications = []
        if result.verdict is Verdict.INCONCLUSIVE and result.reason is not None:
            notifications.append(self._notification(result.reason.value, "error", result.error))
        if result.truncated:
            text = "The compiler's output was cut off at a limit: there may be more diagnostics."
            notifications.append(self._notification("truncated", "warning", text))
        if notifications:
            invocation["toolExecutionNotifications"] = notifications
        self._invocations.append(invocation)
        return len(self._invocations) - 1

    def note_omitted(self, count: int) -> None:
        """Adds a notification: `count` diagnostics were left out, or the document would be too long."""
        text = f"{count} diagnostics were left out here: the results of the single jobs have all of them."
        notifications = self._invocations[0].setdefault("toolExecutionNotifications", [])
        notifications.append(self._notification("omitted", "warning", text))

    def _notification(self, identifier: str, level: str, text: str) -> Json:
        self._notifications[identifier] = None
        return {
            "descriptor": {"id": identifier},
            "level": level,
            "message": {"text": message_text(text or identifier)},
        }

    def to_json(self, identifier: str, groups: Sequence[DiagnosticGroup]) -> Json:
        """The run. The cells of a group are numbers of invocations, as `add_job` returned them."""
        rules: dict[str, Severity] = {}
        results = [self._result(group, rules) for group in groups]
        return {
            "tool": self._tool(rules),
            "conversion": {"tool": {"driver": {"name": CONVERTER}}},
            "automationDetails": {"id": identifier},
            "invocations": self._invocations,
            "originalUriBaseIds": {BASE: {"description": {"text": "The folder with the request's files."}}},
            "artifacts": self._locations.artifacts(),
            "columnKind": COLUMN_KIND,
            "newlineSequences": self._locations.newline_sequences(),
            "results": results,
        }

    def _tool(self, rules: Mapping[str, Severity]) -> Json:
        driver = {"name": self._name} if self._extensions else _component(self._name, self._environment)
        driver |= {
            "rules": [
                {"id": rule, "defaultConfiguration": {"level": _LEVELS[severity]}}
                for rule, severity in rules.items()
            ],
            "notifications": [{"id": identifier} for identifier in self._notifications],
        }
        extensions = {"extensions": list(self._extensions.values())} if self._extensions else {}
        return {"driver": driver, **extensions}

    def _result(self, group: DiagnosticGroup, rules: dict[str, Severity]) -> Json:
        diagnostic = group.diagnostic
        rule = diagnostic.code or diagnostic.severity.value
        rules.setdefault(rule, diagnostic.severity)
        result: Json = {
            "ruleId": rule,
            "ruleIndex": list(rules).index(rule),
            "level": _LEVELS[diagnostic.severity],
            "message": {"text": message_text(diagnostic.message)},
            "provenance": {"invocationIndex": group.cells[0]},
        }
        if len(self._invocations) > 1:
            result["occurrenceCount"] = len(group.cells)
            result["properties"] = {"invocations": group.cells}
            if self._extensions:
                compilers = dict.fromkeys(self._compilers[cell] for cell in group.cells)
                result["properties"]["compilers"] = list(compilers)
        location = self._locations.physical_location(diagnostic)
        if location is not None:
            result["locations"] = [{"physicalLocation": location}]
        notes = _descendants(diagnostic)
        if notes:
            result["relatedLocations"] = [self._note(number, note) for number, note in enumerate(notes)]
        fixes = [self._fix(item) for item in (diagnostic, *notes) if item.fixes]
        if fixes:
            # Two notes may propose the same fix, and the list must not contain it twice.
            result["fixes"] = [fix for number, fix in enumerate(fixes) if fix not in fixes[:number]]
        return result

    def _note(self, number: int, note: Diagnostic) -> Json:
        location = self._locations.physical_location(note)
        where = {"physicalLocation": location} if location is not None else {}
        return {"id": number, "message": {"text": message_text(note.message)}, **where}

    def _fix(self, diagnostic: Diagnostic) -> Json:
        """The edits of one diagnostic, which belong together, as one fix."""
        changes: dict[str, list[Json]] = {}
        for fix in diagnostic.fixes:
            changes.setdefault(fix.file, []).append(self._locations.replacement(fix))
        return {
            "description": {"text": message_text(diagnostic.message)},
            "artifactChanges": [
                {"artifactLocation": self._locations.artifact_location(name), "replacements": replacements}
                for name, replacements in changes.items()
            ],
        }


def _component(compiler: str, environment: Environment | None) -> Json:
    """A compiler as a component of a tool."""
    component: Json = {"name": compiler}
    if environment is None:
        return component
    component |= {
        "fullName": environment.version_text or f"{environment.family} {environment.version}",
        "version": environment.version,
        "properties": {"language": environment.language, "image": environment.image},
    }
    if _SEMANTIC_VERSION.fullmatch(environment.version):
        component["semanticVersion"] = environment.version
    return component


def _message_format(environment: Environment | None) -> str:
    """The format of a compiler's messages; any, where no compiler ran or the catalogue no longer has it."""
    family = load_catalog().families.get(environment.family) if environment else None
    return family.message_format if family else next(iter(LINE_ENDS))


def _descendants(diagnostic: Diagnostic) -> list[Diagnostic]:
    return [item for child in diagnostic.children for item in (child, *_descendants(child))]


def message_text(text: str) -> str:
    """Text escaped for a SARIF message, in which braces are placeholders and brackets may be links."""
    doubled = text.replace("{", "{{").replace("}", "}}")
    return _LINK.sub(r"\\[\1\\](", doubled)
