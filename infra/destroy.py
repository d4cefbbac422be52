"""`destroy`: the steps of `deploy` in reverse, until nothing is left that costs money or shows up in a list.

One step is out of order: the role of the functions stays until Lambda has deleted its network interfaces,
because Lambda needs that role to delete them. Without it they would stay for ever, and the network with them.

What AWS keeps is deleted too: log groups that a function made again, versions of the task definition, and
snapshots (unless `--keep-snapshot` asks for one). A step whose resources are already gone counts as done.
"""

import itertools
from pathlib import Path

from botocore.exceptions import ClientError

from infra import chalice_deploy, elasticache
from infra.context import DeployContext
from infra.errors import AGAIN, DeployError, step
from infra.stacks import Stack
from infra.stage import ROOT, Stage

# Redis and the runners are deleted while Lambda needs time for its interfaces.
ORDER = ("runners", "store", "api", "network")
# Lambda deletes the interfaces of a function some time after the function; AWS says up to 20 minutes.
LONGEST_WAIT_FOR_INTERFACES_SECONDS = 1800
# Limits of one call.
TASK_DEFINITIONS_PER_CALL = 10
IMAGES_PER_CALL = 100


def destroy(context: DeployContext, stage: Stage, *, keep_snapshot: bool = False, root: Path = ROOT) -> None:
    """All steps."""
    with step("credentials"):
        context.say(f"stage {stage.name}, region {context.region_name}")
        context.client("sts").get_caller_identity()
    group = _group_of_functions(context, stage)
    with step("function"):
        for resource in chalice_deploy.delete(context, stage):
            context.say(f"deleted {resource}")
        chalice_deploy.remove_config_section(root, stage)
    if keep_snapshot:
        with step("snapshot"):
            elasticache.take_snapshot(context, stage)
    for part in ORDER:
        with step(part):
            if part == "store":
                _empty_repository(context, stage)
            if part == "api":
                _await_interfaces(context, group)
            if Stack(context, stage, part).status():
                context.say(f"stack {stage.stack(part)}")
                Stack(context, stage, part).delete()
    with step("leftovers"):
        _delete_task_definitions(context, stage)
        _delete_logs(context, stage)
        _delete_secret(context, stage)
        if not keep_snapshot:
            elasticache.delete_snapshots(context, stage)
    context.say(f"nothing is left of {stage.name}" + (" except the snapshot" if keep_snapshot else ""))


def _group_of_functions(context: DeployContext, stage: Stage) -> str:
    with step("network"):
        return Stack(context, stage, "network").outputs().get("FunctionGroupId", "")


def _await_interfaces(context: DeployContext, group: str) -> None:
    """Waits until Lambda has deleted its network interfaces.

    Lambda needs the functions' role for that, and while there are interfaces no subnet can be deleted.
    """
    if not group:
        return
    filters = [{"Name": "group-id", "Values": [group]}]
    deadline = context.now() + LONGEST_WAIT_FOR_INTERFACES_SECONDS
    ec2 = context.client("ec2")
    while interfaces := ec2.describe_network_interfaces(Filters=filters)["NetworkInterfaces"]:
        if context.now() > deadline:
            raise DeployError(
                f"Lambda still holds {len(interfaces)} network interfaces in {group}",
                f"later, {AGAIN}; if they stay, first delete each with `aws ec2 delete-network-interface`",
            )
        context.say(f"  waiting for Lambda to delete {len(interfaces)} network interfaces (up to 20 minutes)")
        context.sleep(10 * context.poll_seconds)


def _empty_repository(context: DeployContext, stage: Stage) -> None:
    """CloudFormation would do this too, but it cannot continue its own deletion that failed half way."""
    ecr = context.client("ecr")
    try:
        pages = ecr.get_paginator("list_images").paginate(repositoryName=stage.app)
        images = [item for page in pages for item in page["imageIds"]]
    except ClientError as error:
        if error.response["Error"]["Code"] == "RepositoryNotFoundException":
            return
        raise
    for start in range(0, len(images), IMAGES_PER_CALL):
        ecr.batch_delete_image(repositoryName=stage.app, imageIds=images[start : start + IMAGES_PER_CALL])


def _delete_task_definitions(context: DeployContext, stage: Stage) -> None:
    """Deletes every version of the task definitions; CloudFormation leaves inactive ones."""
    ecs = context.client("ecs")
    # The second family is that of a rehearsal.
    families = (f"{stage.app}-runner", f"{stage.app}-contract")
    for family, state in itertools.product(families, ("ACTIVE", "INACTIVE")):
        pages = ecs.get_paginator("list_task_definitions").paginate(familyPrefix=family, status=state)
        arns = [arn for page in pages for arn in page["taskDefinitionArns"] if f"/{family}:" in arn]
        for arn in arns if state == "ACTIVE" else ():
            ecs.deregister_task_definition(taskDefinition=arn)
        for start in range(0, len(arns), TASK_DEFINITIONS_PER_CALL):
            ecs.delete_task_definitions(taskDefinitions=arns[start : start + TASK_DEFINITIONS_PER_CALL])


def _delete_logs(context: DeployContext, stage: Stage) -> None:
    """Deletes the stage's log groups; Lambda makes a function's group again when the function still logs."""
    logs = context.client("logs")
    for prefix in (f"/will-it-compile/{stage.name}/", f"/aws/lambda/{stage.app}"):
        for page in logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=prefix):
            for group in page["logGroups"]:
                # `prod` must not delete what belongs to `prod-2`.
                if prefix.endswith("/") or group["logGroupName"] in (prefix, f"{prefix}-sweep"):
                    logs.delete_log_group(logGroupName=group["logGroupName"])


def _delete_secret(context: DeployContext, stage: Stage) -> None:
    """Deletes it at once: a secret that waits for its deletion blocks its name for the next deployment."""
    client = context.client("secretsmanager")
    name = stage.secret
    response = client.list_secrets(IncludePlannedDeletion=True, Filters=[{"Key": "name", "Values": [name]}])
    for secret in response["SecretList"]:
        if secret["Name"] == name:
            client.delete_secret(SecretId=secret["ARN"], ForceDeleteWithoutRecovery=True)
