"""Deployments that were stopped half way, that somebody took parts out of, and that have a neighbour."""

import json

import pytest

from infra.stage import ROOT
from tests.aws import missing_resources
from tests.aws.cloud import Fault, stack_called
from tests.aws.conftest import STAGE, Desk
from tests.aws.test_deploy import holdings

pytestmark = pytest.mark.timeout(300)  # chalice packs, on a machine that does other things as well

APP = f"will-it-compile-{STAGE}"


def test_what_no_record_names_is_gone_on_with_and_removed(desk: Desk) -> None:
    """chalice is stopped before it could write its record: no second API is made, and destroy finds all."""
    # Everything is made, and the note of it is lost.
    desk.cloud.faults = [Fault("ssm", "PutParameter", "AccessDeniedException", "no")]
    assert desk.run("deploy")[0] == 1
    [api] = desk.client("apigateway").get_rest_apis()["items"]
    desk.cloud.faults = []
    code, out, err = desk.run("deploy")
    assert (code, err) == (0, ""), out + err
    assert [each["id"] for each in desk.client("apigateway").get_rest_apis()["items"]] == [api["id"]]
    assert f"done: https://{api['id']}." in out and desk.run("status")[0] == 0

    desk.client("ssm").delete_parameter(Name=f"/will-it-compile/{STAGE}/deployed")
    code, out, err = desk.run("destroy", "--yes")
    assert (code, err) == (0, ""), out + err
    assert holdings(desk) == {}

    # Functions and rule are made, the API is not.
    desk.cloud.faults = [Fault("apigateway", "POST /restapis$", "AccessDeniedException", "no", 403)]
    assert desk.run("deploy")[0] == 1
    for command in ("status", "plan"):
        code, out, err = desk.run(command)
        assert "Traceback" not in out + err and err == "", command
    code, out, err = desk.run("destroy", "--yes")
    assert (code, err) == (0, ""), out + err
    assert f"deleted function {APP}\n" in out and f"deleted rule {APP}-sweep-event\n" in out
    assert holdings(desk) == {}


def test_status_sees_what_somebody_deleted(desk: Desk) -> None:
    """Each part that the service cannot do without is missed when it is deleted or switched off by hand, and
    destroy ends what is left."""
    settings = desk.project / "stage.toml"
    settings.write_text('Cache = "nodes"\n')
    assert desk.run("deploy", "--settings", str(settings))[0] == 0
    assert desk.run("status")[0] == 0

    def missed(part: str) -> bool:
        code, out, err = desk.run("status")
        assert err == ""
        return code == 1 and f"NOT {part} " in out

    rule = f"{APP}-sweep-event"
    desk.client("events").disable_rule(Name=rule)
    assert missed("function")
    assert desk.run("deploy", "--settings", str(settings))[0] == 0
    assert desk.client("events").describe_rule(Name=rule)["State"] == "ENABLED"
    assert desk.run("status")[0] == 0

    images = desk.client("ecr").list_images(repositoryName=APP)["imageIds"]
    desk.client("ecr").batch_delete_image(repositoryName=APP, imageIds=images)
    assert missed("image")
    missing_resources.NOTED["AWS::ElastiCache::ReplicationGroup"].clear()
    assert missed("redis")
    desk.client("secretsmanager").delete_secret(SecretId=f"will-it-compile/{STAGE}/redis")
    assert missed("secret")
    desk.client("ecs").delete_service(cluster=APP, service="runner", force=True)
    assert missed("service")
    desk.client("lambda").delete_function(FunctionName=f"{APP}-sweep")
    assert missed("function")
    code, out, err = desk.run("destroy", "--yes")
    assert (code, err) == (0, ""), out + err
    assert holdings(desk) == {}


def test_a_plan_leaves_a_failed_stack_as_it_is(desk: Desk) -> None:
    """A stack whose creation failed is shown as one to be made anew, and is still there afterwards."""
    desk.client("cloudformation").create_stack(
        StackName=f"{APP}-network", TemplateBody=json.dumps({"Resources": {}})
    )
    stack_called(f"{APP}-network").status = "ROLLBACK_COMPLETE"
    code, out, err = desk.run("plan")
    assert (code, err) == (0, ""), out + err
    assert "would be made anew" in out
    [left] = desk.client("cloudformation").describe_stacks()["Stacks"]
    assert left["StackStatus"] == "ROLLBACK_COMPLETE"


@pytest.mark.parametrize(
    ("status", "remedy"),
    [
        ("DELETE_FAILED", "python -m infra destroy"),
        ("UPDATE_ROLLBACK_FAILED", "continue the rollback"),
        ("UPDATE_IN_PROGRESS", "wait until it is done"),
    ],
)
def test_a_stack_that_takes_no_change_says_what_to_do(desk: Desk, status: str, remedy: str) -> None:
    """A stack that is stuck or busy is not changed; the message says which way out there is."""
    desk.client("cloudformation").create_stack(
        StackName=f"{APP}-network", TemplateBody=json.dumps({"Resources": {}})
    )
    stack_called(f"{APP}-network").status = status
    code, _, err = desk.run("deploy")
    assert code == 1 and err.startswith("step network: ") and status in err and remedy in err, err


def test_two_stages_side_by_side(desk: Desk) -> None:
    """A second stage changes nothing of the first, and takes nothing of it along when it is destroyed."""
    before = json.loads((desk.project / ".chalice" / "config.json").read_text())["stages"]
    assert desk.run("deploy")[0] == 0
    first = holdings(desk)
    neighbour = f"{STAGE}-2"
    for command in ("deploy", "destroy"):
        more = ("--yes",) if command == "destroy" else ()
        code, out, err = desk.run(command, *more, stage=neighbour)
        assert (code, err) == (0, ""), out + err
        code, out, err = desk.run("status")
        assert (code, err) == (0, ""), (command, out)
    assert holdings(desk) == first
    sections = json.loads((desk.project / ".chalice" / "config.json").read_text())["stages"]
    assert {name: sections[name] for name in before} == before, "the sections of others stay"
    assert json.loads((ROOT / ".chalice" / "config.json").read_text())["stages"] == before
