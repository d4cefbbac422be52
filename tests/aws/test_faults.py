"""Each step of a deployment fails as AWS would let it fail: one clear message, and the next run goes on."""

from dataclasses import dataclass, field

import pytest

from tests.aws.cloud import FailingStack, Fault
from tests.aws.conftest import Desk

pytestmark = pytest.mark.timeout(300)  # chalice packs, on a machine that does other things as well


@dataclass
class Case:
    """What goes wrong; the step that must say so, words of its reason, and words of what to do."""

    name: str
    step: str
    why: str
    remedy: str
    faults: list[Fault] = field(default_factory=list)
    failing: list[FailingStack] = field(default_factory=list)
    push: str = ""
    python: tuple[int, int] = (3, 13)


APP = "will-it-compile-test"
CASES = [
    Case("python", "python", "this is Python 3.11", "PYTHON=python3.13", python=(3, 11)),
    Case(
        "expired token",
        "credentials",
        "security token included in the request is expired",
        "session has run out",
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
        "throttled for good",
        "network",
        "Rate exceeded",
        "asks for patience",
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
        "mend what this says",
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
        push="denied: User is not authorized to perform ecr:PutImage",
    ),
    Case(
        "the image cannot start",
        "runners",
        "Service (AWS::ECS::Service): ECS Deployment Circuit Breaker was triggered",
        "mend what this says",
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
        "no right to make a role",
        "api",
        "FunctionRole (AWS::IAM::Role): not authorized to perform: iam:CreateRole",
        "mend what this says",
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
        "session has run out",
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
]


def test_every_step_fails_clearly_and_the_next_run_goes_on(desk: Desk) -> None:
    """One fault after the other: each run names step, reason and remedy, and the last one succeeds."""
    for case in CASES:
        desk.cloud.faults, desk.cloud.failing = list(case.faults), list(case.failing)
        desk.refuses_push, desk.python_version = case.push, case.python
        code, out, err = desk.run("deploy")
        assert code == 1, (case.name, out, err)
        why, remedy = err.strip().splitlines()
        assert why.startswith(f"step {case.step}: ") and case.why in why, (case.name, err)
        assert remedy.startswith("what to do: ") and case.remedy in remedy, (case.name, err)
        assert "Traceback" not in out + err
        assert all(fault.seen for fault in desk.cloud.faults), case.name
        assert desk.cloud.failing == [], case.name
        desk.cloud.faults, desk.refuses_push, desk.python_version = [], "", (3, 13)
    code, out, err = desk.run("deploy")
    assert (code, err) == (0, ""), out + err
    code, out, err = desk.run("status")
    assert (code, err) == (0, ""), out


def test_throttling_is_waited_out(desk: Desk) -> None:
    """A plan succeeds though each call of CloudFormation is first told to slow down."""
    desk.attempts = 4
    desk.cloud.faults = [Fault("cloudformation", "Describe|Create", "Throttling", "Rate exceeded", times=3)]
    code, out, err = desk.run("plan")
    assert (code, err) == (0, ""), out + err
    assert desk.cloud.faults[0].seen == 3


def test_a_service_that_gives_a_wrong_verdict_fails_the_check(desk: Desk) -> None:
    """The deployment fails at `check` when a program that compiles is rejected, and says where to look."""
    from infra.context import Reply

    desk.http = lambda *_: Reply(200, {"job_id": "1", "verdict": "rejected"})
    code, out, err = desk.run("deploy")
    assert code == 1 and err.startswith("step check: "), out + err
    assert "'rejected'" in err and "CloudWatch" in err
    answers = iter(
        [Reply(503, {"message": "no runner yet"}), Reply(202, {"job_id": "7", "status": "queued"})]
    )
    asked = []

    def slow(method: str, url: str, body: object = None) -> Reply:
        asked.append((method, url.partition("/api/v1")[2]))
        verdict = "compiles" if body is None or "return 0" in str(body) else "rejected"
        return next(answers, Reply(200, {"job_id": "7", "verdict": verdict}))

    desk.http = slow
    code, out, err = desk.run("deploy")
    assert (code, err) == (0, ""), out + err
    assert out.count("nothing to change") == 5 and out.count("not yet") == 2
    assert asked[:3] == [
        ("POST", "/compile?wait=25"),
        ("POST", "/compile?wait=25"),
        ("GET", "/compile/7?wait=25"),
    ], "a job that was taken is asked for, and no second one is made"
