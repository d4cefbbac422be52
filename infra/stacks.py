"""One CloudFormation stack: preview a change, carry it out while reporting progress, read outputs, delete.

Every change goes through a change set, so a template that changes nothing is recognised as that. A failure is
reported by the first resource that failed, not by the dozen that CloudFormation cancelled after it.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from infra.context import DeployContext
from infra.errors import AGAIN, FIX_AND_REPEAT, DeployError
from infra.stage import TEMPLATES, Stage, parameter_names

# A Redis with replicas takes a quarter of an hour; an hour is for a day on which AWS is slow.
LONGEST_WAIT_SECONDS = 3600
# The creation failed and was rolled back: such a stack is empty and cannot be updated.
CREATION_FAILED = "ROLLBACK_COMPLETE"
# Other statuses in which a stack cannot be updated → what to do.
_DESTROY_FIRST = "run `python -m infra destroy` for this stage, then deploy"
_CANNOT_BE_UPDATED = {
    "CREATE_FAILED": _DESTROY_FIRST,
    "ROLLBACK_FAILED": _DESTROY_FIRST,
    "DELETE_FAILED": _DESTROY_FIRST,
    "UPDATE_ROLLBACK_FAILED": f"let CloudFormation continue the rollback (in its console), then {AGAIN}",
}
# Types of resources that fail for reasons which AWS does not name → what may help.
_HINTS_BY_TYPE = {
    "AWS::Budgets::Budget": "without rights in Billing, set MonthlyBudget = 0 in the stage's settings file",
    "AWS::ECS::Service": "if Spot has no capacity, set OnDemandTasks = 1 in the stage's settings file",
    "AWS::ElastiCache::ReplicationGroup": "if a zone lacks this type, set CacheNodeType or other zones",
    "AWS::ElastiCache::ServerlessCache": "if a zone lacks serverless caches, set ZoneA and ZoneB",
}
_SEE_EVENTS = "see the stack's events in the console"
# CloudFormation's own words for a change set without changes.
_NO_CHANGES = ("didn't contain changes", "No updates are to be performed", "submitted information didn't")


@dataclass(frozen=True)
class Change:
    """What would happen to one resource: `action` is Add, Modify or Remove."""

    action: str
    resource: str
    type: str
    replaced: bool = False

    def __str__(self) -> str:
        replaced = ", replaced by a new one" if self.replaced else ""
        return f"{self.action.lower():<6} {self.resource} ({self.type}{replaced})"


class Stack:
    """The stack of `part` (a file in infra/templates) of a stage."""

    def __init__(self, context: DeployContext, stage: Stage, part: str) -> None:
        self._context = context
        self._client = context.client("cloudformation")
        self._stage = stage
        self.part = part
        self.name = stage.stack(part)
        self.template = (TEMPLATES / f"{part}.yml").read_text()

    # -- its state

    def describe(self) -> dict[str, Any] | None:
        """CloudFormation's description, or None if the stack does not exist."""
        try:
            description: dict[str, Any] = self._client.describe_stacks(StackName=self.name)["Stacks"][0]
        except ClientError as error:
            if "does not exist" in str(error):
                return None
            raise
        return description

    def status(self) -> str:
        """CloudFormation's status; empty if the stack does not exist."""
        description = self.describe()
        return description["StackStatus"] if description else ""

    def outputs(self) -> dict[str, str]:
        """The outputs; empty if the stack does not exist."""
        description = self.describe() or {}
        return {item["OutputKey"]: item["OutputValue"] for item in description.get("Outputs", [])}

    def parameters(self) -> dict[str, str]:
        """The current values of its parameters; empty if the stack does not exist."""
        description = self.describe() or {}
        return {item["ParameterKey"]: item["ParameterValue"] for item in description.get("Parameters", [])}

    # -- preview of a change

    def prepare(self, values: Mapping[str, str]) -> "ChangeSet | None":
        """A change set from template, stage parameters and `values`; None if nothing would change."""
        status = self.status()
        if status == CREATION_FAILED:
            self.delete()
            status = ""
        if status in _CANNOT_BE_UPDATED:
            raise DeployError(f"{self.name} cannot be updated ({status})", _CANNOT_BE_UPDATED[status])
        if status.endswith("_IN_PROGRESS") and status != "REVIEW_IN_PROGRESS":
            raise DeployError(
                f"{self.name} is being changed by somebody else ({status})",
                f"wait until that is done, then {AGAIN}",
            )
        values = {**self._stage.parameters, **values}
        new = status in ("", "REVIEW_IN_PROGRESS")
        created = self._client.create_change_set(
            StackName=self.name,
            ChangeSetName=f"deploy-{int(time.time() * 1000)}",
            ChangeSetType="CREATE" if new else "UPDATE",
            TemplateBody=self.template,
            Parameters=[
                {"ParameterKey": name, "ParameterValue": values[name]}
                for name in sorted(parameter_names(self.template))
                if name in values
            ],
            Capabilities=["CAPABILITY_IAM"],
            Tags=[
                {"Key": "Application", "Value": "will-it-compile"},
                {"Key": "Stage", "Value": self._stage.name},
            ],
        )
        return self._await_change_set(created["Id"], new=new)

    def _await_change_set(self, identifier: str, *, new: bool) -> "ChangeSet | None":
        deadline = self._context.now() + LONGEST_WAIT_SECONDS
        while True:
            change_set = self._client.describe_change_set(ChangeSetName=identifier, StackName=self.name)
            if change_set["Status"] == "CREATE_COMPLETE":
                return ChangeSet(self, identifier, _changes(change_set.get("Changes", [])), new=new)
            if change_set["Status"] == "FAILED":
                reason = change_set.get("StatusReason", "")
                unchanged = any(words in reason for words in _NO_CHANGES)
                if not unchanged:
                    reason = self._validation_errors(identifier) or reason
                self.discard(identifier, new=new)
                if unchanged:
                    return None
                raise DeployError(f"CloudFormation cannot change {self.name}: {reason}", _hint(reason))
            if self._context.now() > deadline:
                raise DeployError(
                    f"CloudFormation needs more than an hour to compare {self.name} with its template"
                )
            self._context.sleep(self._context.poll_seconds)

    def _validation_errors(self, identifier: str) -> str:
        """What CloudFormation found when it validated a change set: a name in use, a missing property.

        The change set itself only says that there is something.
        """
        try:
            pages = self._client.get_paginator("describe_events").paginate(
                ChangeSetName=identifier, Filters={"FailedEvents": True}
            )
            events = [event for page in pages for event in page["OperationEvents"]]
        except ClientError:  # older policies lack this right; the change set's own reason must do then
            return ""
        errors = [
            f"{event.get('LogicalResourceId', '')} ({event.get('ResourceType', '')}): {reason}"
            for event in events
            if event.get("ValidationFailureMode") != "WARN"
            if (reason := event.get("ValidationStatusReason") or event.get("HookStatusReason"))
        ]
        return "; ".join(errors)

    def discard(self, identifier: str, *, new: bool) -> None:
        """Deletes a change set, and the empty stack that was made to hold it."""
        self._client.delete_change_set(ChangeSetName=identifier, StackName=self.name)
        if new:
            self._client.delete_stack(StackName=self.name)

    # -- changing it

    def execute(self, identifier: str) -> None:
        """Carries a change set out and reports each resource; `DeployError` when it fails."""
        earlier = self._event_ids()
        self._client.execute_change_set(ChangeSetName=identifier, StackName=self.name)
        status = self._follow(earlier)
        if not status.endswith("_COMPLETE") or "ROLLBACK" in status:
            raise self._first_failure(status, earlier)

    def delete(self) -> None:
        """Deletes the stack, if it exists, and waits until it is gone."""
        description = self.describe()
        if description is None:
            return
        earlier = self._event_ids()
        # By its id: CloudFormation does not know the name of a deleted stack.
        name, self.name = self.name, description["StackId"]
        try:
            self._client.delete_stack(StackName=self.name)
            status = self._follow(earlier, deleting=True)
            if status not in ("DELETE_COMPLETE", ""):
                raise self._first_failure(status, earlier)
        finally:
            self.name = name

    def _follow(self, earlier: set[str], *, deleting: bool = False) -> str:
        """Reports each event until the change has ended; returns the stack's status."""
        reported = set(earlier)
        deadline = self._context.now() + LONGEST_WAIT_SECONDS
        while True:
            status = self.status()
            events = self._events_after(earlier)
            for event in events:
                if event["EventId"] not in reported:
                    reported.add(event["EventId"])
                    self._report(event)
            # For a moment a stack still shows the status from before the change; its events do not.
            ended = any(_is_of_stack(event) and event["ResourceStatus"] == status for event in events)
            if deleting:
                ended = status in ("", "DELETE_COMPLETE", "DELETE_FAILED")
            if ended and not status.endswith("_IN_PROGRESS"):
                return status
            if self._context.now() > deadline:
                hint = _SEE_EVENTS
                if self.part == "runners":
                    hint = f"{hint}; {_HINTS_BY_TYPE['AWS::ECS::Service']}"
                raise DeployError(f"{self.name} is still {status} after an hour", hint)
            self._context.sleep(self._context.poll_seconds)

    def _report(self, event: dict[str, Any]) -> None:
        state = event["ResourceStatus"]
        if state.endswith("_IN_PROGRESS") or _is_of_stack(event):
            return
        self._context.say(f"    {state.lower().replace('_', ' ')}: {event['LogicalResourceId']}")

    def _events(self) -> Iterator[list[dict[str, Any]]]:
        """The newest first, page by page; nothing for a deleted stack."""
        try:
            for page in self._client.get_paginator("describe_stack_events").paginate(StackName=self.name):
                yield page["StackEvents"]
        except ClientError as error:
            if "does not exist" not in str(error):
                raise

    def _events_after(self, earlier: set[str]) -> list[dict[str, Any]]:
        """The oldest first. A large stack that is rolled back has more of them than one page holds."""
        new: list[dict[str, Any]] = []
        for page in self._events():
            new += [event for event in page if event["EventId"] not in earlier]
            if any(event["EventId"] in earlier for event in page):
                break
        return new[::-1]

    def _event_ids(self) -> set[str]:
        # The newest page is enough to find out where later events begin.
        return {event["EventId"] for event in next(self._events(), [])}

    def _first_failure(self, status: str, earlier: set[str]) -> DeployError:
        for event in self._events_after(earlier):
            reason = event.get("ResourceStatusReason", "")
            if event["ResourceStatus"].endswith("_FAILED") and "cancelled" not in reason:
                resource = f"{event['LogicalResourceId']} ({event['ResourceType']})"
                return DeployError(f"{self.name}: {resource}: {reason}", _hint(reason, event["ResourceType"]))
        return DeployError(f"{self.name} ended as {status}", _SEE_EVENTS)


@dataclass(frozen=True)
class ChangeSet:
    """What would change in a stack; `new` when the stack does not exist yet."""

    stack: Stack
    identifier: str
    changes: list[Change]
    new: bool

    def execute(self) -> None:
        """Carries it out."""
        self.stack.execute(self.identifier)

    def discard(self) -> None:
        """Deletes it; nothing was changed."""
        self.stack.discard(self.identifier, new=self.new)


def _hint(reason: str, resource_type: str = "") -> str:
    """What to do about a resource that cannot be made."""
    if "already exists" in reason:
        return f"something else has this name: choose another --stage, or remove it, then {AGAIN}"
    also = _HINTS_BY_TYPE.get(resource_type)
    return f"{FIX_AND_REPEAT}; {also}" if also else FIX_AND_REPEAT


def _is_of_stack(event: dict[str, Any]) -> bool:
    return bool(event["ResourceType"] == "AWS::CloudFormation::Stack")


def _changes(items: list[dict[str, Any]]) -> list[Change]:
    resource_changes = [item["ResourceChange"] for item in items]
    return [
        Change(
            item["Action"],
            item["LogicalResourceId"],
            item["ResourceType"],
            replaced=item.get("Replacement") == "True",
        )
        for item in resource_changes
    ]
