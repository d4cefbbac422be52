"""The SARIF document of a job, or of a matrix: one run for each compiler.

    driver        the compiler; `conversion` says that it was us who made SARIF of what it printed
    invocation    one job: its command, exit status, verdict; without a verdict a notification says why
    result        one diagnostic; its notes are related locations, its proposed edits one fix, those of each
                  note another. In a matrix, what several jobs of one compiler say is one result
    rule          the code of a diagnostic, or its severity where it has none

What the standard says in words and its schema does not: braces in messages are doubled (3.11.5), and what
would read as a link is not one.
"""

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from chalicelib.matrix.groups import Group
from chalicelib.models import Diagnostic, Environment, Job, Result, Severity, Stage, Verdict
from chalicelib.sarif.locations import BASE, COLUMN_KIND, Places
from chalicelib.timestamps import format_time

VERSION = "2.1.0"
SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
CONVERTER = "will-it-compile"

_LEVELS = {
    Severity.FATAL: "error",
    Severity.ERROR: "error",
    Severity.WARNING: "warning",
    Severity.NOTE: "note",
}
_LINK = re.compile(r"\[([^\[\]]*)\]\(")
_SEMANTIC = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+")

Json = dict[str, Any]


def document(runs: Iterable[Mapping[str, Any]]) -> Json:
    """A whole log."""
    return {"$schema": SCHEMA, "version": VERSION, "runs": list(runs)}


def job_document(job: Job, result: Result) -> Json:
    """The log of one job that has ended."""
    request = job.request
    run = Run(request.compiler, result.environment, request.files)
    target = f"{request.architecture}-{request.os}"
    times = {"startTimeUtc": format_time(job.started_at), "endTimeUtc": format_time(job.completed_at)}
    run.add(result, request.standard, target, request.stage, times)
    groups = [Group(diagnostic, [0]) for diagnostic in result.diagnostics]
    return document([run.to_json(f"{CONVERTER}/{request.compiler}/{job.id}", groups)])


class Run:
    """One compiler, and the jobs that it did. Add the jobs, then tell what they said."""

    def __init__(self, compiler: str, environment: Environment | None, files: Mapping[str, str]) -> None:
        self._compiler = compiler
        self._environment = environment
        self._places = Places(files)
        self._invocations: list[Json] = []
        self._notifications: dict[str, None] = {}

    def add(self, result: Result, standard: str, target: str, stage: Stage, times: Mapping[str, str]) -> int:
        """A job's invocation; returns its number.

        `times` are `startTimeUtc` and `endTimeUtc`; those that are empty are left out.
        """
        invocation: Json = {
            "executionSuccessful": result.verdict is not Verdict.INCONCLUSIVE,
            "properties": {
                "job_id": result.job_id,
                "verdict": result.verdict.value,
                "reason": result.reason.value if result.reason else None,
                "standard": standard or None,
                "target": target,
                "stage": stage.value,
            },
        }
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
            text = "What the compiler printed was cut at a limit: there may have been more."
            notifications.append(self._notification("truncated", "warning", text))
        if notifications:
            invocation["toolExecutionNotifications"] = notifications
        self._invocations.append(invocation)
        return len(self._invocations) - 1

    def omitted(self, count: int) -> None:
        """Says that so many diagnostics were left out for want of room."""
        text = f"{count} diagnostics were left out: the jobs themselves have them all."
        told = self._invocations[0].setdefault("toolExecutionNotifications", [])
        told.append(self._notification("omitted", "warning", text))

    def _notification(self, identifier: str, level: str, text: str) -> Json:
        self._notifications[identifier] = None
        return {
            "descriptor": {"id": identifier},
            "level": level,
            "message": {"text": message_text(text or identifier)},
        }

    def to_json(self, identifier: str, groups: Sequence[Group]) -> Json:
        """The run. The cells of a group are the numbers of invocations, in the order of `add`."""
        rules: dict[str, Severity] = {}
        results = [self._result(group, rules) for group in groups]
        return {
            "tool": {"driver": self._driver(rules)},
            "conversion": {"tool": {"driver": {"name": CONVERTER}}},
            "automationDetails": {"id": identifier},
            "invocations": self._invocations,
            "originalUriBaseIds": {BASE: {"description": {"text": "The folder with the request's files."}}},
            "artifacts": self._places.artifacts(),
            "columnKind": COLUMN_KIND,
            "results": results,
        }

    def _driver(self, rules: Mapping[str, Severity]) -> Json:
        driver: Json = {
            "name": self._compiler,
            "rules": [
                {"id": rule, "defaultConfiguration": {"level": _LEVELS[severity]}}
                for rule, severity in rules.items()
            ],
            "notifications": [{"id": identifier} for identifier in self._notifications],
        }
        environment = self._environment
        if environment is None:
            return driver
        driver |= {
            "fullName": environment.version_text or f"{environment.family} {environment.version}",
            "version": environment.version,
            "properties": {"language": environment.language, "image": environment.image},
        }
        if _SEMANTIC.fullmatch(environment.version):
            driver["semanticVersion"] = environment.version
        return driver

    def _result(self, group: Group, rules: dict[str, Severity]) -> Json:
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
        location = self._places.location(diagnostic)
        if location is not None:
            result["locations"] = [{"physicalLocation": location}]
        notes = _descendants(diagnostic)
        if notes:
            result["relatedLocations"] = [self._note(number, note) for number, note in enumerate(notes)]
        fixes = [self._fix(each) for each in (diagnostic, *notes) if each.fixes]
        if fixes:
            # Two notes may propose the same, and the list must not hold it twice.
            result["fixes"] = [fix for number, fix in enumerate(fixes) if fix not in fixes[:number]]
        return result

    def _note(self, number: int, note: Diagnostic) -> Json:
        location = self._places.location(note)
        place = {"physicalLocation": location} if location is not None else {}
        return {"id": number, "message": {"text": message_text(note.message)}, **place}

    def _fix(self, diagnostic: Diagnostic) -> Json:
        """The edits of one message, which belong together."""
        changes: dict[str, list[Json]] = {}
        for fix in diagnostic.fixes:
            changes.setdefault(fix.file, []).append(self._places.replacement(fix))
        return {
            "description": {"text": message_text(diagnostic.message)},
            "artifactChanges": [
                {"artifactLocation": self._places.artifact(name), "replacements": replacements}
                for name, replacements in changes.items()
            ],
        }


def _descendants(diagnostic: Diagnostic) -> list[Diagnostic]:
    return [each for child in diagnostic.children for each in (child, *_descendants(child))]


def message_text(text: str) -> str:
    """A text that means itself: no placeholder, no link."""
    doubled = text.replace("{", "{{").replace("}", "}}")
    return _LINK.sub(r"\\[\1\\](", doubled)
