"""`status`: what there is of a stage, asked of AWS each time. Nothing is remembered between runs."""

from dataclasses import dataclass

from botocore.exceptions import ClientError

from infra import chalice_deploy, elasticache, image
from infra.context import DeployContext
from infra.errors import step
from infra.stacks import Stack
from infra.stage import STACKS, Stage

MISSING = "is not there"


@dataclass(frozen=True)
class PartStatus:
    """One part of a deployment, and whether it is as it should be."""

    name: str
    ok: bool
    details: str


def status(context: DeployContext, stage: Stage) -> bool:
    """Prints the status of every part; returns whether all of them are as they should be."""
    with step("status"):
        parts = [
            *_stacks(context, stage),
            _redis(context, stage),
            _secret(context, stage),
            _image(context, stage),
            _service(context, stage),
            _function(context, stage),
        ]
    for part in parts:
        context.say(f"{'ok ' if part.ok else 'NOT'} {part.name:<10} {part.details}")
    return all(part.ok for part in parts)


def _stacks(context: DeployContext, stage: Stage) -> list[PartStatus]:
    parts = []
    for name in STACKS:
        state = Stack(context, stage, name).status()
        ok = state in ("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE")
        parts.append(PartStatus(name, ok, state or MISSING))
    return parts


# A stack does not notice when somebody deletes one of its resources, so those that the service cannot do
# without are asked for themselves.


def _redis(context: DeployContext, stage: Stage) -> PartStatus:
    state = elasticache.status(context, stage)
    return PartStatus("redis", state in ("available", "snapshotting", "modifying"), state or MISSING)


def _secret(context: DeployContext, stage: Stage) -> PartStatus:
    try:
        secret = context.client("secretsmanager").describe_secret(SecretId=stage.secret)
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceNotFoundException":
            raise
        return PartStatus("secret", ok=False, details=MISSING)
    if secret.get("DeletedDate"):
        return PartStatus(
            "secret", ok=False, details="will be deleted; see `aws secretsmanager restore-secret`"
        )
    return PartStatus("secret", ok=True, details=stage.secret)


def _image(context: DeployContext, stage: Stage) -> PartStatus:
    uri = Stack(context, stage, "runners").parameters().get("ImageUri", "")
    repository, _, tag = uri.rpartition(":")
    if not uri:
        return PartStatus("image", ok=False, details=MISSING)
    if not image.exists(context, stage, image.Image(repository, tag)):
        return PartStatus("image", ok=False, details=f"ECR has no {uri}; deploy again")
    return PartStatus("image", ok=True, details=tag)


def _service(context: DeployContext, stage: Stage) -> PartStatus:
    ecs = context.client("ecs")
    # For a deleted cluster, ECS answers the question for its services with an exception.
    clusters = ecs.describe_clusters(clusters=[stage.app])["clusters"]
    if not [cluster for cluster in clusters if cluster["status"] == "ACTIVE"]:
        return PartStatus("service", ok=False, details=MISSING)
    services = ecs.describe_services(cluster=stage.app, services=["runner"])["services"]
    if not services or services[0]["status"] != "ACTIVE":
        return PartStatus("service", ok=False, details=MISSING)
    service = services[0]
    details = f"{service['runningCount']} of {service['desiredCount']} runners are running"
    failed = [each for each in service.get("deployments", []) if each.get("rolloutState") == "FAILED"]
    if failed:
        details = f"{details}; {failed[0].get('rolloutStateReason')}"
    return PartStatus("service", not failed, details)


def _function(context: DeployContext, stage: Stage) -> PartStatus:
    deployment = chalice_deploy.last_deployment(context, stage)
    if deployment is None:
        return PartStatus("function", ok=False, details=MISSING)
    if not chalice_deploy.exists(context, deployment):
        return PartStatus("function", ok=False, details="part of it is deleted or switched off; deploy again")
    if not deployment.fingerprint:
        return PartStatus("function", ok=False, details="its last deployment failed half way; deploy again")
    return PartStatus("function", ok=True, details=deployment.url)
