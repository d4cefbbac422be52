"""`destroy`: the steps of `deploy` backwards, until nothing is left that could cost or be found.

One thing is not backwards: the functions' role stays until Lambda has given its network interfaces back,
because Lambda deletes them with that role. Without it they would stay for ever, and the network with them.

What AWS keeps of its own accord goes too: log groups that came back when a function logged once more,
versions of the task definition, snapshots (unless they are wanted). Each step takes what is gone already for
done.
"""

from pathlib import Path

from botocore.exceptions import ClientError

from infra import chalice_deploy, elasticache
from infra.context import Outside
from infra.errors import AGAIN, Problem, step
from infra.stacks import Stack
from infra.stage import ROOT, Stage

# Redis and the runners go while Lambda takes its time.
ORDER = ("runners", "store", "api", "network")
# Lambda gives the addresses of a function back some time after it was deleted; AWS says up to 20 minutes.
LONGEST_WAIT_FOR_INTERFACES_SECONDS = 1800
# The most that ECS describes in one call.
DELETED_AT_ONCE = 10


def destroy(outside: Outside, stage: Stage, *, keep_snapshot: bool = False, root: Path = ROOT) -> None:
    """All steps."""
    with step("credentials"):
        outside.say(f"stage {stage.name}, region {outside.region_name}")
        outside.client("sts").get_caller_identity()
    groups = _group_of_functions(outside, stage)
    with step("function"):
        for each in chalice_deploy.delete(outside, stage):
            outside.say(f"deleted {each}")
        chalice_deploy.remove_section(root, stage)
    if keep_snapshot:
        with step("snapshot"):
            elasticache.take_snapshot(outside, stage)
    for part in ORDER:
        with step(part):
            if part == "store":
                _empty_repository(outside, stage)
            if part == "api":
                _await_interfaces(outside, groups)
            if Stack(outside, stage, part).status():
                outside.say(f"stack {stage.stack(part)}")
                Stack(outside, stage, part).delete()
    with step("leftovers"):
        _forget_tasks(outside, stage)
        _delete_logs(outside, stage)
        _delete_secret(outside, stage)
        if not keep_snapshot:
            elasticache.delete_snapshots(outside, stage)
    outside.say(f"nothing is left of {stage.name}" + (", but the snapshot" if keep_snapshot else ""))


def _group_of_functions(outside: Outside, stage: Stage) -> str:
    with step("network"):
        return Stack(outside, stage, "network").outputs().get("FunctionGroupId", "")


def _await_interfaces(outside: Outside, group: str) -> None:
    """Waits until Lambda has given its network interfaces back: its role is needed for that, and before no
    subnet can be deleted."""
    if not group:
        return
    filters = [{"Name": "group-id", "Values": [group]}]
    deadline = outside.now() + LONGEST_WAIT_FOR_INTERFACES_SECONDS
    while found := outside.client("ec2").describe_network_interfaces(Filters=filters)["NetworkInterfaces"]:
        if outside.now() > deadline:
            raise Problem(
                f"Lambda still holds {len(found)} network interfaces in {group}",
                f"later, {AGAIN}; if they stay, `aws ec2 delete-network-interface` each of them first",
            )
        outside.say(f"  waiting for Lambda to give back {len(found)} network interfaces (up to 20 minutes)")
        outside.sleep(10 * outside.poll_seconds)


def _empty_repository(outside: Outside, stage: Stage) -> None:
    """CloudFormation would do it too; but a deletion that half failed before is mended only so."""
    ecr = outside.client("ecr")
    try:
        listed = ecr.get_paginator("list_images").paginate(repositoryName=stage.app)
        images = [item for page in listed for item in page["imageIds"]]
    except ClientError as error:
        if error.response["Error"]["Code"] == "RepositoryNotFoundException":
            return
        raise
    # A hundred is what one call takes.
    for start in range(0, len(images), 100):
        ecr.batch_delete_image(repositoryName=stage.app, imageIds=images[start : start + 100])


def _forget_tasks(outside: Outside, stage: Stage) -> None:
    """Deletes every version of the task definition; CloudFormation leaves them as inactive ones."""
    ecs = outside.client("ecs")
    family = f"{stage.app}-runner"
    for state in ("ACTIVE", "INACTIVE"):
        listed = ecs.get_paginator("list_task_definitions").paginate(familyPrefix=family, status=state)
        arns = [arn for page in listed for arn in page["taskDefinitionArns"] if f"/{family}:" in arn]
        for arn in arns if state == "ACTIVE" else ():
            ecs.deregister_task_definition(taskDefinition=arn)
        for start in range(0, len(arns), DELETED_AT_ONCE):
            ecs.delete_task_definitions(taskDefinitions=arns[start : start + DELETED_AT_ONCE])


def _delete_logs(outside: Outside, stage: Stage) -> None:
    """The log groups of the stage; Lambda makes a function's again when it logs once more."""
    logs = outside.client("logs")
    for prefix in (f"/will-it-compile/{stage.name}/", f"/aws/lambda/{stage.app}"):
        for page in logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=prefix):
            for group in page["logGroups"]:
                # `prod` must not take what belongs to `prod-2`.
                if prefix.endswith("/") or group["logGroupName"] in (prefix, f"{prefix}-sweep"):
                    logs.delete_log_group(logGroupName=group["logGroupName"])


def _delete_secret(outside: Outside, stage: Stage) -> None:
    """At once: a secret that waits for its deletion keeps its name from the next deployment."""
    client = outside.client("secretsmanager")
    name = stage.secret
    listed = client.list_secrets(IncludePlannedDeletion=True, Filters=[{"Key": "name", "Values": [name]}])
    for secret in listed["SecretList"]:
        if secret["Name"] == name:
            client.delete_secret(SecretId=secret["ARN"], ForceDeleteWithoutRecovery=True)
