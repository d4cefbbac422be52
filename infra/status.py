"""`status`: what there is of a stage, asked of AWS now. Nothing is remembered."""

from dataclasses import dataclass

from botocore.exceptions import ClientError

from infra import chalice_deploy, elasticache, image
from infra.context import Outside
from infra.errors import step
from infra.stacks import Stack
from infra.stage import STACKS, Stage


@dataclass(frozen=True)
class Part:
    """One part of a deployment: whether it is as it should be, and how it is."""

    name: str
    good: bool
    words: str


def status(outside: Outside, stage: Stage) -> bool:
    """Prints every part; returns whether all of them are good."""
    with step("status"):
        parts = [
            *_stacks(outside, stage),
            _redis(outside, stage),
            _secret(outside, stage),
            _image(outside, stage),
            _runners(outside, stage),
            _function(outside, stage),
        ]
    for part in parts:
        outside.say(f"{'ok ' if part.good else 'NOT'} {part.name:<10} {part.words}")
    return all(part.good for part in parts)


def _stacks(outside: Outside, stage: Stage) -> list[Part]:
    found = []
    for name in STACKS:
        state = Stack(outside, stage, name).status()
        good = state in ("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE")
        found.append(Part(name, good, state or "is not there"))
    return found


# A stack does not notice when somebody deletes what it has made, so what the service cannot do without is
# asked for itself.


def _redis(outside: Outside, stage: Stage) -> Part:
    state = elasticache.status(outside, stage)
    return Part("redis", state in ("available", "snapshotting", "modifying"), state or "is not there")


def _secret(outside: Outside, stage: Stage) -> Part:
    try:
        found = outside.client("secretsmanager").describe_secret(SecretId=stage.secret)
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceNotFoundException":
            raise
        return Part("secret", good=False, words="is not there")
    if found.get("DeletedDate"):
        return Part(
            "secret", good=False, words="waits for its deletion; see `aws secretsmanager restore-secret`"
        )
    return Part("secret", good=True, words=stage.secret)


def _image(outside: Outside, stage: Stage) -> Part:
    uri = Stack(outside, stage, "runners").parameters().get("ImageUri", "")
    repository, _, tag = uri.rpartition(":")
    if not uri or not image.is_there(outside, stage, image.Image(repository, tag)):
        return Part("image", good=False, words=f"ECR has no {uri}; deploy again" if uri else "is not there")
    return Part("image", good=True, words=tag)


def _runners(outside: Outside, stage: Stage) -> Part:
    ecs = outside.client("ecs")
    # A cluster that is gone has no services either, but says so with an exception.
    clusters = ecs.describe_clusters(clusters=[stage.app])["clusters"]
    if not [each for each in clusters if each["status"] == "ACTIVE"]:
        return Part("service", good=False, words="is not there")
    services = ecs.describe_services(cluster=stage.app, services=["runner"])["services"]
    if not services or services[0]["status"] != "ACTIVE":
        return Part("service", good=False, words="is not there")
    service = services[0]
    words = f"{service['runningCount']} of {service['desiredCount']} wanted runners"
    failed = [each for each in service.get("deployments", []) if each.get("rolloutState") == "FAILED"]
    if failed:
        return Part("service", good=False, words=f"{words}; {failed[0].get('rolloutStateReason')}")
    return Part("service", good=True, words=words)


def _function(outside: Outside, stage: Stage) -> Part:
    deployed = chalice_deploy.recorded(outside, stage)
    if deployed is None:
        return Part("function", good=False, words="is not there")
    if not chalice_deploy.is_there(outside, deployed):
        return Part("function", good=False, words="part of it is gone or switched off; deploy again")
    if not deployed.fingerprint:
        return Part("function", good=False, words="its last deployment failed half way; deploy again")
    return Part("function", good=True, words=deployed.url)
