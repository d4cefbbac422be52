"""`deploy` and `plan`: the steps, in order. Every step looks at what is there first, so each can be repeated.

A step says what it found or made in one line. It must never go on after a failure: the next run starts again
at the top and finds what is done. Another step: one more `with step(…)` below, and a row in docs/deploy.md.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from infra import chalice_deploy, image, service_role, smoke_test, zones
from infra.context import Outside
from infra.errors import Problem, step
from infra.stacks import NOT_MADE, Stack
from infra.stage import ROOT, STACKS, Stage

# What a plan shows in place of what only exists after an earlier stack was made.
UNKNOWN = "made-by-this-deployment"


@dataclass
class Values:
    """What the steps hand on: everything that stacks take and give."""

    known: dict[str, str]

    def __getitem__(self, name: str) -> str:
        return self.known[name]


def deploy(outside: Outside, stage: Stage, *, given_image: str | None = None, root: Path = ROOT) -> str:
    """All steps; returns the URL of the API."""
    with step("python"):
        chalice_deploy.check_python(outside.python_version)
    values = Values({"Stage": stage.name})
    with step("credentials"):
        _identify(outside, stage)
    with step("account"):
        if service_role.lacks_role(outside):
            service_role.make_role(outside)
            outside.say("  made the role that ECS works with, the first time in this account")
    with step("network"):
        values.known |= {"S3PrefixListId": s3_prefix_list(outside), **zones.choose(outside, stage)}
        _change(outside, stage, "network", values)
    with step("store"):
        _change(outside, stage, "store", values)
        password, values.known["SecretVersion"] = _secret(outside, values["RedisSecretArn"])
    with step("image"):
        outside.say("image")
        repository = values["RepositoryUri"]
        values.known["ImageUri"] = image.ensure(outside, stage, repository, given_image, root).uri
    with step("runners"):
        _change(outside, stage, "runners", values)
    with step("api"):
        _change(outside, stage, "api", values)
    with step("function"):
        deployed = _function(outside, stage, values, password, root)
    with step("check"):
        outside.say("check")
        _wake(outside, stage)
        outside.say(f"  {smoke_test.compile_through(outside, deployed.url)}")
    return deployed.url


def plan(outside: Outside, stage: Stage, *, root: Path = ROOT) -> int:
    """Shows what `deploy` would do, and changes nothing; returns how many things would change."""
    changes = 0
    with step("credentials"):
        _identify(outside, stage)
    values = Values({"Stage": stage.name})
    with step("account"):
        if service_role.lacks_role(outside):
            changes += 1
            outside.say("  would make the role that ECS works with, the first time in this account")
    with step("network"):
        values.known |= {"S3PrefixListId": s3_prefix_list(outside), **zones.choose(outside, stage)}
    for part in STACKS:
        with step(part):
            changes += _show(outside, stage, part, values, root)
    with step("function"):
        deployed = chalice_deploy.recorded(outside, stage)
        outside.say("function")
        if deployed is None:
            changes += 1
            outside.say("  would be deployed")
        elif not chalice_deploy.is_there(
            outside, deployed
        ) or deployed.fingerprint != chalice_deploy.fingerprint(root, stage, values.known):
            changes += 1
            outside.say(f"  would be deployed again to {deployed.url}")
        else:
            outside.say("  nothing to change")
    return changes


def _identify(outside: Outside, stage: Stage) -> None:
    outside.say(f"stage {stage.name}, region {outside.region_name}")
    found = outside.client("sts").get_caller_identity()
    outside.say(f"  account {found['Account']}, as {found['Arn']}")


def s3_prefix_list(outside: Outside) -> str:
    """The region's managed list of S3's addresses; empty where there is none."""
    name = f"com.amazonaws.{outside.region_name}.s3"
    found = outside.client("ec2").describe_managed_prefix_lists(
        Filters=[{"Name": "prefix-list-name", "Values": [name]}]
    )["PrefixLists"]
    return str(found[0]["PrefixListId"]) if found else ""


def _change(outside: Outside, stage: Stage, part: str, values: Values) -> None:
    """Makes a stack what its template says, and adds its outputs to the values."""
    outside.say(f"stack {stage.stack(part)}")
    stack = Stack(outside, stage, part)
    prepared = stack.prepare(values.known)
    if prepared is None:
        outside.say("  nothing to change")
    else:
        outside.say(f"  {len(prepared.changes)} changes")
        prepared.execute()
    values.known.update(stack.outputs())


def _show(outside: Outside, stage: Stage, part: str, values: Values, root: Path) -> int:
    outside.say(f"stack {stage.stack(part)}")
    stack = Stack(outside, stage, part)
    outputs = stack.outputs()
    if part == "runners":
        repository = values.known.get("RepositoryUri", UNKNOWN)
        values.known["ImageUri"] = image.Image(repository, image.source_tag(root)).uri
        values.known["SecretVersion"] = UNKNOWN
        if values.known.get("RedisSecretArn", UNKNOWN) != UNKNOWN:
            values.known["SecretVersion"] = _secret(outside, values["RedisSecretArn"])[1]
    if stack.status() == NOT_MADE:
        # To compare it with its template it would have to be deleted first, and a plan deletes nothing.
        outside.say("  would be made anew, because its creation failed")
        return 1
    prepared = stack.prepare({**_PLACEHOLDERS, **values.known})
    if prepared is None:
        outside.say("  nothing to change")
    else:
        for change in prepared.changes:
            outside.say(f"  {change}")
        prepared.discard()
    values.known.update(outputs)
    return len(prepared.changes) if prepared else 0


# Parameters that only have a value once an earlier stack is there; CloudFormation wants one for a change set.
_PLACEHOLDERS: Mapping[str, str] = dict.fromkeys(
    (
        "SubnetIds",
        "RedisGroupId",
        "RunnerGroupId",
        "RedisAddress",
        "RedisMode",
        "RedisUsername",
        "RedisSecretArn",
    ),
    UNKNOWN,
)


def _secret(outside: Outside, arn: str) -> tuple[str, str]:
    """The password, and the version of the secret that it is."""
    found = outside.client("secretsmanager").get_secret_value(SecretId=arn)
    return json.loads(found["SecretString"])["password"], found["VersionId"]


def _function(
    outside: Outside, stage: Stage, values: Values, password: str, root: Path
) -> chalice_deploy.Deployed:
    outside.say("function")
    if chalice_deploy.write_section(root, stage, chalice_deploy.section(stage, values.known)):
        outside.say(f"  wrote the stage {stage.name} into .chalice/config.json")
    mark = chalice_deploy.fingerprint(root, stage, values.known)
    deployed = chalice_deploy.recorded(outside, stage)
    if deployed is not None and deployed.fingerprint == mark and chalice_deploy.is_there(outside, deployed):
        outside.say("  nothing to change")
        return deployed
    deployed = chalice_deploy.deploy(outside, stage, root, password, values.known, mark)
    outside.say(f"  {deployed.url}")
    return deployed


def _wake(outside: Outside, stage: Stage) -> None:
    """Starts a runner where there is none, so that the check need not wait for the metrics to ask for one."""
    ecs = outside.client("ecs")
    found = ecs.describe_services(cluster=stage.app, services=["runner"])["services"]
    if not found:
        raise Problem(f"the cluster {stage.app} has no service called runner")
    if found[0]["desiredCount"] == 0:
        outside.say("  no runner is up; starting one for the check")
        ecs.update_service(cluster=stage.app, service="runner", desiredCount=1)
