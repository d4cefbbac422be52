"""Each step of a deployment fails as it can on AWS: one clear message, and the next run continues."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from infra.context import Reply
from tests.aws.cloud import FailingStack, Fault
from tests.aws.conftest import Cli, working_service

pytestmark = pytest.mark.timeout(900)  # seconds, only for a hang; chalice packs, and the machine may be busy


@dataclass
class Case:
    """What goes wrong, the step that must fail, and parts of its message and its hint."""

    name: str
    step: str
    message: str
    hint: str
    faults: list[Fault] = field(default_factory=list)
    failing: list[FailingStack] = field(default_factory=list)
    push_error: str = ""
    python: tuple[int, int] = (3, 13)
    http: Callable[..., Reply] = working_service


APP = "will-it-compile-test"
CASES = [
    Case("python", "python", "this is Python 3.11", "PYTHON=python3.13", python=(3, 11)),
    Case(
        "expired token",
        "credentials",
        "security token included in the request is expired",
        "session has expired",
        [
            Fault(
                "sts",
                "GetCallerIdentity",
                "ExpiredToken",
                "The security token included in the request is expired",
            )
        ],
    ),
    Case(
        "unknown credentials",
        "credentials",
        "security token included in the request is invalid",
        "does not know",
        [
            Fault(
                "sts",
                "GetCallerIdentity",
                "InvalidClientTokenId",
                "The security token included in the request is invalid",
            )
        ],
    ),
    Case(
        "no right to make a role for ElastiCache",
        "account",
        "not authorized to perform: iam:CreateServiceLinkedRole",
        "ask for the right",
        [
            Fault(
                "iam",
                "CreateServiceLinkedRole",
                "AccessDenied",
                "not authorized to perform: iam:CreateServiceLinkedRole",
                403,
            )
        ],
    ),
    Case(
        "throttled for good",
        "network",
        "Rate exceeded",
        "limits the rate of calls",
        [Fault("cloudformation", "CreateChangeSet", "Throttling", "Rate exceeded")],
    ),
    Case(
        "no right to make a stack",
        "network",
        "is not authorized to perform",
        "ask for the right",
        [
            Fault(
                "cloudformation",
                "CreateChangeSet",
                "AccessDenied",
                "User: x is not authorized to perform: cloudformation:CreateChangeSet",
                403,
            )
        ],
    ),
    Case(
        "a stack that fails",
        "network",
        "SubnetB (AWS::EC2::Subnet): The CIDR '10.80.16.0/20' is invalid",
        "fix what this message says",
        failing=[
            FailingStack(
                f"{APP}-network", "SubnetB", "AWS::EC2::Subnet", "The CIDR '10.80.16.0/20' is invalid"
            )
        ],
    ),
    Case(
        "a taken name",
        "store",
        "Images (AWS::ECR::Repository): will-it-compile-test already exists",
        "choose another --stage",
        failing=[
            FailingStack(f"{APP}-store", "Images", "AWS::ECR::Repository", f"{APP} already exists in stack x")
        ],
    ),
    Case(
        "a node type that a zone lacks",
        "store",
        "CacheNodes (AWS::ElastiCache::ReplicationGroup): not available",
        "set CacheNodeType",
        failing=[
            FailingStack(f"{APP}-store", "CacheNodes", "AWS::ElastiCache::ReplicationGroup", "not available")
        ],
    ),
    Case(
        "the secret may not be read",
        "store",
        "GetSecretValue",
        "ask for the right",
        [Fault("secretsmanager", "GetSecretValue", "AccessDeniedException", "not authorized")],
    ),
    Case(
        "no right to push",
        "image",
        "denied: User is not authorized to perform ecr:PutImage",
        "ecr:InitiateLayerUpload",
        push_error="denied: User is not authorized to perform ecr:PutImage",
    ),
    Case(
        "the image cannot start",
        "runners",
        "Service (AWS::ECS::Service): ECS Deployment Circuit Breaker was triggered",
        "it continues where it stopped; if Spot has no capacity, set OnDemandTasks = 1",
        failing=[
            FailingStack(
                f"{APP}-runners",
                "Service",
                "AWS::ECS::Service",
                "ECS Deployment Circuit Breaker was triggered",
            )
        ],
    ),
    Case(
        "no right in Billing",
        "api",
        "Budget (AWS::Budgets::Budget): not authorized to perform: budgets:ModifyBudget",
        "set MonthlyBudget = 0",
        failing=[
            FailingStack(
                f"{APP}-api",
                "Budget",
                "AWS::Budgets::Budget",
                "not authorized to perform: budgets:ModifyBudget",
            )
        ],
    ),
    Case(
        "no right to make a role",
        "api",
        "FunctionRole (AWS::IAM::Role): not authorized to perform: iam:CreateRole",
        "fix what this message says",
        failing=[
            FailingStack(
                f"{APP}-api", "FunctionRole", "AWS::IAM::Role", "not authorized to perform: iam:CreateRole"
            )
        ],
    ),
    Case(
        "no right to make a function",
        "function",
        "not authorized to perform: lambda:CreateFunction",
        "ask for the right",
        [
            Fault(
                "lambda",
                "POST /2015-03-31/functions$",
                "AccessDeniedException",
                "not authorized to perform: lambda:CreateFunction",
                403,
            )
        ],
    ),
    Case(
        "a session that runs out while chalice works",
        "function",
        "security token included in the request is expired",
        "session has expired",
        [
            Fault(
                "apigateway",
                "POST /restapis$",
                "ExpiredTokenException",
                "The security token included in the request is expired",
                403,
            )
        ],
    ),
    Case(
        "no right to note what was made",
        "function",
        "not authorized to perform: ssm:PutParameter",
        "ask for the right",
        [
            Fault(
                "ssm", "PutParameter", "AccessDeniedException", "not authorized to perform: ssm:PutParameter"
            )
        ],
    ),
    Case(
        "the rates may not be set",
        "limits",
        "not authorized to perform: apigateway:PATCH",
        "ask for the right",
        [
            Fault(
                "apigateway",
                "PATCH /restapis/.*/stages/",
                "AccessDeniedException",
                "not authorized to perform: apigateway:PATCH",
                403,
            )
        ],
    ),
    Case(
        "the concurrency may not be read",
        "limits",
        "not authorized to perform: lambda:GetAccountSettings",
        "ask for the right",
        [
            Fault(
                "lambda",
                "account-settings",
                "AccessDeniedException",
                "not authorized to perform: lambda:GetAccountSettings",
                403,
            )
        ],
    ),
    Case(
        "the service may not be looked at",
        "check",
        "not authorized to perform: ecs:DescribeServices",
        "ask for the right",
        [
            Fault(
                "ecs",
                "DescribeServices",
                "AccessDeniedException",
                "not authorized to perform: ecs:DescribeServices",
            )
        ],
    ),
    Case(
        "a wrong verdict",
        "check",
        "answers 'rejected'",
        "CloudWatch",
        http=lambda *_: Reply(200, {"job_id": "1", "verdict": "rejected"}),
    ),
]


def test_every_step_fails_with_a_message_and_the_next_run_continues(cli: Cli) -> None:
    """With one fault after the other, each run says what happened and what to do; the last one succeeds."""
    for case in CASES:
        cli.cloud.faults, cli.cloud.failing = list(case.faults), list(case.failing)
        cli.push_error, cli.python_version = case.push_error, case.python
        cli.http = case.http
        code, out, err = cli.run("deploy")
        assert code == 1, (case.name, out, err)
        message, hint = err.strip().splitlines()
        assert message.startswith(f"step {case.step}: ") and case.message in message, (case.name, err)
        assert hint.startswith("what to do: ") and case.hint in hint, (case.name, err)
        assert "Traceback" not in out + err
        assert all(fault.seen for fault in cli.cloud.faults), case.name
        assert cli.cloud.failing == [], case.name
        cli.cloud.faults, cli.push_error, cli.python_version = [], "", (3, 13)
    cli.http = working_service
    cli.succeed("deploy")
    cli.succeed("status")


def test_throttled_calls_are_repeated(cli: Cli) -> None:
    """A plan succeeds although AWS limits the rate of the first three calls of CloudFormation."""
    cli.attempts = 4
    cli.cloud.faults = [Fault("cloudformation", "Describe|Create", "Throttling", "Rate exceeded", times=3)]
    cli.succeed("plan")
    assert cli.cloud.faults[0].seen == 3
