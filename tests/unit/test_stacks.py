"""Why CloudFormation rejects a change set: it validates one, and lists what it found only as events."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

from infra.context import DeployContext
from infra.errors import DeployError
from infra.stacks import Stack
from infra.stage import Stage

# CloudFormation's own sentence, whatever it found.
STATUS_REASON = (
    "The following hook(s)/validation failed: [AWS::EarlyValidation::ResourceExistenceCheck]. To "
    "troubleshoot Early Validation errors, use the DescribeEvents API for detailed failure information."
)
NAME_IN_USE = "Resource of type 'AWS::ECR::Repository' with identifier 'will-it-compile-test' already exists."


def _client_error(code: str, message: str, operation: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, operation)


@dataclass
class CloudFormation:
    """A client as `Stack` uses it, for a change set that fails; a deleted one has no events."""

    events: list[dict[str, Any]] = field(default_factory=list)
    reason: str = STATUS_REASON
    forbidden: bool = False
    removed: list[str] = field(default_factory=list)

    def describe_stacks(self, **_: Any) -> dict[str, Any]:
        """The stack does not exist yet."""
        raise _client_error("ValidationError", "Stack does not exist", "DescribeStacks")

    def create_change_set(self, **_: Any) -> dict[str, Any]:
        """Succeeds."""
        return {"Id": "arn:change-set"}

    def describe_change_set(self, **_: Any) -> dict[str, Any]:
        """The change set has failed."""
        return {"Status": "FAILED", "StatusReason": self.reason}

    def get_paginator(self, operation: str) -> "CloudFormation":
        """Knows one operation."""
        assert operation == "describe_events"
        return self

    def paginate(self, **arguments: Any) -> Iterator[dict[str, Any]]:
        """The events; CloudFormation lists them by the id of the change set, not by its name."""
        assert arguments == {"ChangeSetName": "arn:change-set", "Filters": {"FailedEvents": True}}
        assert not self.removed
        if self.forbidden:
            raise _client_error("AccessDenied", "cloudformation:DescribeEvents", "DescribeEvents")
        for event in self.events:
            yield {"OperationEvents": [event]}

    def delete_change_set(self, **_: Any) -> None:
        """Records the call."""
        self.removed.append("change set")

    def delete_stack(self, **_: Any) -> None:
        """Records the call."""
        self.removed.append("stack")


@dataclass
class FakeContext:
    """What `Stack` uses of a `DeployContext`."""

    cloudformation: CloudFormation

    def client(self, service: str) -> CloudFormation:
        """The client of CloudFormation."""
        assert service == "cloudformation"
        return self.cloudformation

    def now(self) -> float:
        """No time passes."""
        return 0.0


def _prepare(client: CloudFormation) -> Any:
    return Stack(cast(DeployContext, FakeContext(client)), Stage("test"), "store").prepare({"Stage": "test"})


def test_a_failed_validation_names_the_resource() -> None:
    """The message has the resource and CloudFormation's reason for it, but no warnings."""
    event = {
        "EventType": "VALIDATION_ERROR",
        "LogicalResourceId": "Images",
        "ResourceType": "AWS::ECR::Repository",
        "ValidationFailureMode": "FAIL",
        "ValidationStatusReason": NAME_IN_USE,
    }
    warning = {**event, "ValidationFailureMode": "WARN", "ValidationStatusReason": "a warning"}
    client = CloudFormation([{"EventType": "STACK_EVENT"}, warning, event])
    with pytest.raises(DeployError) as caught:
        _prepare(client)
    assert f"Images (AWS::ECR::Repository): {NAME_IN_USE}".rstrip(".") in caught.value.message
    assert "a warning" not in caught.value.message and "DescribeEvents" not in caught.value.message
    assert "choose another --stage" in caught.value.hint
    assert client.removed == ["change set", "stack"], "nothing is left"


@pytest.mark.parametrize(
    "client", [CloudFormation(), CloudFormation(forbidden=True)], ids=["none", "forbidden"]
)
def test_without_events_the_message_has_the_reason_of_the_change_set(client: CloudFormation) -> None:
    """When there are no events, or they may not be read, the change set's own reason is the message."""
    with pytest.raises(DeployError) as caught:
        _prepare(client)
    assert (
        STATUS_REASON.rstrip(".") in caught.value.message
        and "fix what this message says" in caught.value.hint
    )
    assert client.removed == ["change set", "stack"]


def test_a_change_set_without_changes_is_not_an_error() -> None:
    """CloudFormation gives such a change set the status FAILED too; there is nothing to do."""
    client = CloudFormation(reason="The submitted information didn't contain changes.")
    assert _prepare(client) is None
    assert client.removed == ["change set", "stack"]
