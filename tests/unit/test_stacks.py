"""Why CloudFormation refuses a change set: it checks one beforehand, and tells its findings apart from it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

from infra.context import Outside
from infra.errors import Problem
from infra.stacks import Stack
from infra.stage import Stage

# As CloudFormation words it, whatever it found.
SAID = (
    "The following hook(s)/validation failed: [AWS::EarlyValidation::ResourceExistenceCheck]. To "
    "troubleshoot Early Validation errors, use the DescribeEvents API for detailed failure information."
)
TAKEN = "Resource of type 'AWS::ECR::Repository' with identifier 'will-it-compile-test' already exists."


def _refused(code: str, message: str, operation: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, operation)


@dataclass
class CloudFormation:
    """What `Stack` uses of the client, for a change set that fails; a removed one has no events any more."""

    events: list[dict[str, Any]] = field(default_factory=list)
    reason: str = SAID
    forbidden: bool = False
    removed: list[str] = field(default_factory=list)

    def describe_stacks(self, **_: Any) -> dict[str, Any]:
        """There is none yet."""
        raise _refused("ValidationError", "Stack does not exist", "DescribeStacks")

    def create_change_set(self, **_: Any) -> dict[str, Any]:
        """Takes it."""
        return {"Id": "arn:change-set"}

    def describe_change_set(self, **_: Any) -> dict[str, Any]:
        """Has refused it."""
        return {"Status": "FAILED", "StatusReason": self.reason}

    def get_paginator(self, operation: str) -> "CloudFormation":
        """Of one operation only."""
        assert operation == "describe_events"
        return self

    def paginate(self, **asked: Any) -> Iterator[dict[str, Any]]:
        """The findings, by the id of the change set: by its name, CloudFormation knows none."""
        assert asked == {"ChangeSetName": "arn:change-set", "Filters": {"FailedEvents": True}}
        assert not self.removed
        if self.forbidden:
            raise _refused("AccessDenied", "cloudformation:DescribeEvents", "DescribeEvents")
        for event in self.events:
            yield {"OperationEvents": [event]}

    def delete_change_set(self, **_: Any) -> None:
        """Notes it."""
        self.removed.append("change set")

    def delete_stack(self, **_: Any) -> None:
        """Notes it."""
        self.removed.append("stack")


@dataclass
class World:
    """What `Stack` uses of an `Outside`."""

    answers: CloudFormation

    def client(self, service: str) -> CloudFormation:
        """That of CloudFormation."""
        assert service == "cloudformation"
        return self.answers

    def now(self) -> float:
        """No time passes."""
        return 0.0


def _prepare(client: CloudFormation) -> Any:
    return Stack(cast(Outside, World(client)), Stage("test"), "store").prepare({"Stage": "test"})


def test_a_refused_change_set_says_what_was_found() -> None:
    """The problem names the resource and CloudFormation's reason, and what is only a warning is left out."""
    event = {
        "EventType": "VALIDATION_ERROR",
        "LogicalResourceId": "Images",
        "ResourceType": "AWS::ECR::Repository",
        "ValidationFailureMode": "FAIL",
        "ValidationStatusReason": TAKEN,
    }
    warning = {**event, "ValidationFailureMode": "WARN", "ValidationStatusReason": "a warning"}
    client = CloudFormation([{"EventType": "STACK_EVENT"}, warning, event])
    with pytest.raises(Problem) as caught:
        _prepare(client)
    assert f"Images (AWS::ECR::Repository): {TAKEN}".rstrip(".") in caught.value.why
    assert "a warning" not in caught.value.why and "DescribeEvents" not in caught.value.why
    assert "choose another --stage" in caught.value.remedy
    assert client.removed == ["change set", "stack"], "nothing of it stays"


@pytest.mark.parametrize("client", [CloudFormation(), CloudFormation(forbidden=True)])
def test_without_findings_the_change_set_s_own_words_are_told(client: CloudFormation) -> None:
    """Where there are none, or they may not be read, the reason of the change set is all there is to say."""
    with pytest.raises(Problem) as caught:
        _prepare(client)
    assert SAID.rstrip(".") in caught.value.why and "mend what this says" in caught.value.remedy
    assert client.removed == ["change set", "stack"]


def test_a_change_set_without_changes_is_no_problem() -> None:
    """CloudFormation fails such a change set, too; it means that there is nothing to do."""
    client = CloudFormation(reason="The submitted information didn't contain changes.")
    assert _prepare(client) is None
    assert client.removed == ["change set", "stack"]
