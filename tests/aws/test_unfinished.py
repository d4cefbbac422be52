"""Deployments that were stopped half way, of which parts were deleted, or next to another stage."""

import json

import pytest

from infra.stage import ROOT
from tests.aws import missing_resources
from tests.aws.cloud import Fault, stack_called
from tests.aws.conftest import STAGE, Cli
from tests.aws.test_deploy import holdings

pytestmark = pytest.mark.timeout(900)  # seconds, only for a hang; chalice packs, and the machine may be busy

APP = f"will-it-compile-{STAGE}"


def test_resources_without_a_deployment_record_are_reused_and_deleted(cli: Cli) -> None:
    """Without a record of what chalice made, deploy makes no second API, and destroy finds everything."""
    # Everything is made, but the record cannot be saved.
    cli.cloud.faults = [Fault("ssm", "PutParameter", "AccessDeniedException", "no")]
    assert cli.run("deploy")[0] == 1
    [api] = cli.client("apigateway").get_rest_apis()["items"]
    cli.cloud.faults = []
    out = cli.succeed("deploy")
    assert [each["id"] for each in cli.client("apigateway").get_rest_apis()["items"]] == [api["id"]]
    assert f"done: https://{api['id']}." in out
    cli.succeed("status")

    cli.client("ssm").delete_parameter(Name=f"/will-it-compile/{STAGE}/deployed")
    cli.succeed("destroy", "--yes")
    assert holdings(cli) == {}

    # The functions and the rule are made, the API is not.
    cli.cloud.faults = [Fault("apigateway", "POST /restapis$", "AccessDeniedException", "no", 403)]
    assert cli.run("deploy")[0] == 1
    for command in ("status", "plan"):
        _, out, err = cli.run(command)
        assert "Traceback" not in out + err and err == "", command
    out = cli.succeed("destroy", "--yes")
    assert f"deleted function {APP}\n" in out and f"deleted rule {APP}-sweep-event\n" in out
    assert holdings(cli) == {}


def test_status_finds_every_deleted_part(cli: Cli) -> None:
    """status fails for each part that somebody deletes or switches off; deploy restores the function and its
    schedule, and destroy deletes what is left."""
    settings = cli.project / "stage.toml"
    settings.write_text('Cache = "nodes"\n')
    cli.succeed("deploy", "--settings", str(settings))
    cli.succeed("status")

    def is_missing(part: str) -> bool:
        code, out, err = cli.run("status")
        assert err == ""
        return code == 1 and f"NOT {part} " in out

    rule = f"{APP}-sweep-event"
    cli.client("events").disable_rule(Name=rule)
    assert is_missing("function")
    cli.client("lambda").delete_function(FunctionName=APP)
    assert is_missing("function")
    cli.succeed("deploy", "--settings", str(settings))
    assert cli.client("events").describe_rule(Name=rule)["State"] == "ENABLED"
    cli.succeed("status")

    images = cli.client("ecr").list_images(repositoryName=APP)["imageIds"]
    cli.client("ecr").batch_delete_image(repositoryName=APP, imageIds=images)
    assert is_missing("image")
    missing_resources.RECORDED["AWS::ElastiCache::ReplicationGroup"].clear()
    assert is_missing("redis")
    cli.client("secretsmanager").delete_secret(SecretId=f"will-it-compile/{STAGE}/redis")
    assert is_missing("secret")
    cli.client("ecs").delete_service(cluster=APP, service="runner", force=True)
    assert is_missing("service")
    cli.client("lambda").delete_function(FunctionName=f"{APP}-sweep")
    assert is_missing("function")
    cli.succeed("destroy", "--yes")
    assert holdings(cli) == {}


def test_a_plan_leaves_a_failed_stack_as_it_is(cli: Cli) -> None:
    """A plan says that a stack whose creation failed would be made again, and does not delete it."""
    cli.client("cloudformation").create_stack(
        StackName=f"{APP}-network", TemplateBody=json.dumps({"Resources": {}})
    )
    stack_called(f"{APP}-network").status = "ROLLBACK_COMPLETE"
    assert "would be made again" in cli.succeed("plan")
    [stack] = cli.client("cloudformation").describe_stacks()["Stacks"]
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"


@pytest.mark.parametrize(
    ("status", "hint"),
    [
        ("DELETE_FAILED", "python -m infra destroy"),
        ("UPDATE_ROLLBACK_FAILED", "continue the rollback"),
        ("UPDATE_IN_PROGRESS", "wait until that is done"),
    ],
    ids=["DELETE_FAILED", "UPDATE_ROLLBACK_FAILED", "UPDATE_IN_PROGRESS"],
)
def test_a_stack_that_cannot_be_updated_says_what_to_do(cli: Cli, status: str, hint: str) -> None:
    """A stack that is broken or busy is not changed; the message says what to do."""
    cli.client("cloudformation").create_stack(
        StackName=f"{APP}-network", TemplateBody=json.dumps({"Resources": {}})
    )
    stack_called(f"{APP}-network").status = status
    code, _, err = cli.run("deploy")
    assert code == 1 and err.startswith("step network: ") and status in err and hint in err, err


def test_two_stages_side_by_side(cli: Cli) -> None:
    """Deploying and destroying a second stage changes nothing of the first."""
    before = json.loads((cli.project / ".chalice" / "config.json").read_text())["stages"]
    cli.succeed("deploy")
    first = holdings(cli)
    second = f"{STAGE}-2"
    for command in (["deploy"], ["destroy", "--yes"]):
        cli.succeed(*command, stage=second)
        cli.succeed("status")
    assert holdings(cli) == first
    sections = json.loads((cli.project / ".chalice" / "config.json").read_text())["stages"]
    assert {name: sections[name] for name in before} == before, "the sections of other stages stay"
    assert json.loads((ROOT / ".chalice" / "config.json").read_text())["stages"] == before
