"""One CloudFormation stack: what would change, changing it while saying what appears, its outputs, its end.

Every change goes through a change set, so a template that changes nothing is seen as that. A failure is told
by the first resource that failed, not by the dozen that were cancelled after it.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from infra.context import Outside
from infra.errors import AGAIN, Problem
from infra.stage import TEMPLATES, Stage, parameters_of

# A Redis with replicas takes a quarter of an hour; an hour is for a day on which AWS is slow.
LONGEST_WAIT_SECONDS = 3600
# Its creation failed and was taken back: such a stack holds nothing and takes no update.
NOT_MADE = "ROLLBACK_COMPLETE"
# What takes no update either, and what to do then.
_STUCK = {
    "CREATE_FAILED": "run `python -m infra destroy` for this stage, then deploy",
    "ROLLBACK_FAILED": "run `python -m infra destroy` for this stage, then deploy",
    "DELETE_FAILED": "run `python -m infra destroy` for this stage, then deploy",
    "UPDATE_ROLLBACK_FAILED": "let CloudFormation continue the rollback (in its console), then " + AGAIN,
}
# CloudFormation's own words for a change set that has nothing to do.
_NOTHING = ("didn't contain changes", "No updates are to be performed", "submitted information didn't")


@dataclass(frozen=True)
class Change:
    """What would happen to one resource: `action` is Add, Modify or Remove."""

    action: str
    resource: str
    kind: str
    replaced: bool = False

    def __str__(self) -> str:
        replaced = ", replaced by a new one" if self.replaced else ""
        return f"{self.action.lower():<6} {self.resource} ({self.kind}{replaced})"


class Stack:
    """The stack of `part` (a file in infra/templates) of a stage."""

    def __init__(self, outside: Outside, stage: Stage, part: str) -> None:
        self._outside = outside
        self._client = outside.client("cloudformation")
        self._stage = stage
        self.part = part
        self.name = stage.stack(part)
        self.template = (TEMPLATES / f"{part}.yml").read_text()

    # -- what is

    def describe(self) -> dict[str, Any] | None:
        """CloudFormation's description; None when there is no such stack."""
        try:
            found: dict[str, Any] = self._client.describe_stacks(StackName=self.name)["Stacks"][0]
        except ClientError as error:
            if "does not exist" in str(error):
                return None
            raise
        return found

    def status(self) -> str:
        """CloudFormation's status; empty when there is no such stack."""
        found = self.describe()
        return found["StackStatus"] if found else ""

    def outputs(self) -> dict[str, str]:
        """The outputs; empty when there is no such stack."""
        found = self.describe() or {}
        return {item["OutputKey"]: item["OutputValue"] for item in found.get("Outputs", [])}

    def parameters(self) -> dict[str, str]:
        """The values that its parameters have now; empty when there is no such stack."""
        found = self.describe() or {}
        return {item["ParameterKey"]: item["ParameterValue"] for item in found.get("Parameters", [])}

    # -- what would be

    def prepare(self, filled_in: Mapping[str, str]) -> "ChangeSet | None":
        """A change set from the template and these values; None when nothing would change."""
        status = self.status()
        if status == NOT_MADE:
            self.delete()
            status = ""
        if status in _STUCK:
            raise Problem(f"{self.name} takes no change ({status})", _STUCK[status])
        if status.endswith("_IN_PROGRESS") and status != "REVIEW_IN_PROGRESS":
            raise Problem(
                f"{self.name} is being changed by somebody ({status})", f"wait until it is done, then {AGAIN}"
            )
        wanted = {**self._stage.values, **filled_in}
        known = parameters_of(self.template)
        created = self._client.create_change_set(
            StackName=self.name,
            ChangeSetName=f"deploy-{int(time.time() * 1000)}",
            ChangeSetType="UPDATE" if status not in ("", "REVIEW_IN_PROGRESS") else "CREATE",
            TemplateBody=self.template,
            Parameters=[
                {"ParameterKey": key, "ParameterValue": wanted[key]} for key in sorted(known) if key in wanted
            ],
            Capabilities=["CAPABILITY_IAM"],
            Tags=[
                {"Key": "Application", "Value": "will-it-compile"},
                {"Key": "Stage", "Value": self._stage.name},
            ],
        )
        return self._await_change_set(created["Id"], new=status in ("", "REVIEW_IN_PROGRESS"))

    def _await_change_set(self, identifier: str, *, new: bool) -> "ChangeSet | None":
        deadline = self._outside.now() + LONGEST_WAIT_SECONDS
        while True:
            found = self._client.describe_change_set(ChangeSetName=identifier, StackName=self.name)
            if found["Status"] == "CREATE_COMPLETE":
                return ChangeSet(self, identifier, _changes(found.get("Changes", [])), new=new)
            if found["Status"] == "FAILED":
                reason = found.get("StatusReason", "")
                nothing = any(words in reason for words in _NOTHING)
                why = "" if nothing else self._refusal(identifier) or reason
                self.discard(identifier, new=new)
                if nothing:
                    return None
                raise Problem(f"{self.name} cannot be changed so: {why}", _remedy(why))
            if self._outside.now() > deadline:
                raise Problem(f"CloudFormation takes too long to compare {self.name} with its template")
            self._outside.sleep(self._outside.poll_seconds)

    def _refusal(self, identifier: str) -> str:
        """What CloudFormation found by looking at a change set beforehand: a taken name, a property that a
        resource lacks. The change set itself says no more than that there is something."""
        try:
            pages = self._client.get_paginator("describe_events").paginate(
                ChangeSetName=identifier, Filters={"FailedEvents": True}
            )
            events = [event for page in pages for event in page["OperationEvents"]]
        except ClientError:  # a right that older policies lack; what there is to say then is the change set's
            return ""
        found = [
            f"{event.get('LogicalResourceId', '')} ({event.get('ResourceType', '')}): {reason}"
            for event in events
            if event.get("ValidationFailureMode") != "WARN"
            if (reason := event.get("ValidationStatusReason") or event.get("HookStatusReason"))
        ]
        return "; ".join(found)

    def discard(self, identifier: str, *, new: bool) -> None:
        """Takes back a change set, and the empty stack that was made to hold it."""
        self._client.delete_change_set(ChangeSetName=identifier, StackName=self.name)
        if new:
            self._client.delete_stack(StackName=self.name)

    # -- changing it

    def execute(self, identifier: str) -> None:
        """Carries a change set out; says what appears; `Problem` when it fails."""
        seen = self._events_so_far()
        self._client.execute_change_set(ChangeSetName=identifier, StackName=self.name)
        status = self._follow(seen)
        if not status.endswith("_COMPLETE") or "ROLLBACK" in status:
            raise Problem(*self._first_failure(status, seen))

    def delete(self) -> None:
        """Deletes the stack and waits for its end; does nothing when there is none."""
        found = self.describe()
        if found is None:
            return
        seen = self._events_so_far()
        # By its id: the name of a stack that is gone is unknown.
        name, self.name = self.name, found["StackId"]
        try:
            self._client.delete_stack(StackName=self.name)
            status = self._follow(seen, deleting=True)
            if status not in ("DELETE_COMPLETE", ""):
                raise Problem(*self._first_failure(status, seen))
        finally:
            self.name = name

    def _follow(self, seen: set[str], *, deleting: bool = False) -> str:
        """Says each event until the stack rests; returns its status."""
        told = set(seen)
        deadline = self._outside.now() + LONGEST_WAIT_SECONDS
        while True:
            status = self.status()
            new = self._events_after(seen)
            for event in new:
                if event["EventId"] not in told:
                    told.add(event["EventId"])
                    self._tell(event)
            # For a moment a stack still shows the rest that it had before; its events do not.
            rested = any(_is_of_stack(event) and event["ResourceStatus"] == status for event in new)
            if deleting:
                rested = status in ("", "DELETE_COMPLETE", "DELETE_FAILED")
            if rested and not status.endswith("_IN_PROGRESS"):
                return status
            if self._outside.now() > deadline:
                raise Problem(
                    f"{self.name} still is {status} after an hour", "see the stack's events in the console"
                )
            self._outside.sleep(self._outside.poll_seconds)

    def _tell(self, event: dict[str, Any]) -> None:
        state = event["ResourceStatus"]
        if state.endswith("_IN_PROGRESS") or _is_of_stack(event):
            return
        self._outside.say(f"    {state.lower().replace('_', ' ')}: {event['LogicalResourceId']}")

    def _events(self) -> Iterator[list[dict[str, Any]]]:
        """Newest first, page by page; nothing for a stack that is gone."""
        try:
            for page in self._client.get_paginator("describe_stack_events").paginate(StackName=self.name):
                yield page["StackEvents"]
        except ClientError as error:
            if "does not exist" not in str(error):
                raise

    def _events_after(self, seen: set[str]) -> list[dict[str, Any]]:
        """Oldest first. A large stack that fails and is taken back has more of them than a page holds."""
        new: list[dict[str, Any]] = []
        for page in self._events():
            new += [event for event in page if event["EventId"] not in seen]
            if any(event["EventId"] in seen for event in page):
                break
        return new[::-1]

    def _events_so_far(self) -> set[str]:
        # The newest page is enough to tell where the later ones end.
        return {event["EventId"] for event in next(self._events(), [])}

    def _first_failure(self, status: str, seen: set[str]) -> tuple[str, str]:
        """Why, and what to do."""
        for event in self._events_after(seen):
            reason = event.get("ResourceStatusReason", "")
            failed = event["ResourceStatus"].endswith("_FAILED") and "cancelled" not in reason
            if failed:
                why = f"{self.name}: {event['LogicalResourceId']} ({event['ResourceType']}): {reason}"
                return why, _remedy(reason)
        return f"{self.name} ended as {status}", "see the stack's events in the console"


@dataclass(frozen=True)
class ChangeSet:
    """What would change in a stack."""

    stack: Stack
    identifier: str
    changes: list[Change]
    new: bool

    def execute(self) -> None:
        """Carries it out."""
        self.stack.execute(self.identifier)

    def discard(self) -> None:
        """Takes it back; nothing was changed."""
        self.stack.discard(self.identifier, new=self.new)


def _remedy(reason: str) -> str:
    """What to do about a resource that cannot be made."""
    if "already exists" in reason:
        return f"something else has this name: choose another --stage, or remove it, then {AGAIN}"
    return f"mend what this says, then {AGAIN}"


def _is_of_stack(event: dict[str, Any]) -> bool:
    return bool(event["ResourceType"] == "AWS::CloudFormation::Stack")


def _changes(listed: list[dict[str, Any]]) -> list[Change]:
    found = [item["ResourceChange"] for item in listed]
    return [
        Change(
            item["Action"],
            item["LogicalResourceId"],
            item["ResourceType"],
            replaced=item.get("Replacement") == "True",
        )
        for item in found
    ]
