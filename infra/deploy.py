"""`deploy` and `plan`: the steps in order. Each step looks first at what is there, so it can be repeated.

A step says in one line what it found or made. The command must never continue after a failure: the next run
starts at the top and finds what is done. For another step, add a `with step(…)` below and a row to the table
in docs/deploy.md.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from infra import call_limits, chalice_deploy, doctor, image, service_role, smoke_test, zones
from infra.context import DeployContext
from infra.errors import DeployError, step
from infra.stacks import CREATION_FAILED, ChangeSet, Stack
from infra.stage import ROOT, STACKS, Stage, parameter_default

# A plan uses this in place of a value that only exists after an earlier stack is made.
UNKNOWN = "made-by-this-deployment"

# The types of resources that hold jobs.
STORES = ("AWS::ElastiCache::ServerlessCache", "AWS::ElastiCache::ReplicationGroup")

# What each step passes on to the later ones: parameters of the stacks, and the outputs of those already made.
StackValues = dict[str, str]


def deploy(
    context: DeployContext,
    stage: Stage,
    *,
    chosen_image: str | None = None,
    delete_jobs: bool = False,
    root: Path = ROOT,
) -> str:
    """All steps; returns the URL of the API. Without `delete_jobs` a store is never replaced."""
    with step("python"):
        chalice_deploy.check_python(context.python_version)
    stack_values = {"Stage": stage.name}
    with step("credentials"):
        _identify(context, stage)
    with step("account"):
        for service in service_role.missing(context):
            service_role.create(context, service)
            name = service_role.SERVICES[service]
            context.say(f"  made the service-linked role of {name}, once for this account")
    with step("network"):
        stack_values |= {"S3PrefixListId": s3_prefix_list(context), **zones.choose(context, stage)}
        _change(context, stage, "network", stack_values)
    with step("store"):
        _change(context, stage, "store", stack_values, delete_jobs=delete_jobs)
        password, stack_values["SecretVersion"] = _read_secret(context, stack_values["RedisSecretArn"])
    with step("image"):
        context.say("image")
        repository = stack_values["RepositoryUri"]
        stack_values["ImageUri"] = image.ensure(context, stage, repository, chosen_image, root).uri
    with step("runners"):
        _change(context, stage, "runners", stack_values)
    with step("api"):
        _release_web_acl(context, stage)
        _change(context, stage, "api", stack_values)
        if stack_values["AlarmsByEmail"] == "no":
            context.say("  nobody gets the alarms: set AlarmEmail in the stage's settings file")
    with step("function"):
        deployment = _deploy_function(context, stage, stack_values, password, root)
    with step("limits"):
        context.say("limits")
        call_limits.apply(context, stage, root, deployment.api(), stack_values)
    with step("check"):
        context.say("check")
        _start_runner(context, stage)
        context.say(f"  {smoke_test.check_service(context, deployment.url)}")
    return deployment.url


def plan(context: DeployContext, stage: Stage, *, root: Path = ROOT) -> int:
    """Shows what `deploy` would do and what will not work; returns the number of changes, and makes none."""
    changes = 0
    with step("credentials"):
        _identify(context, stage)
    with step("doctor"):
        context.say("doctor")
        doctor.report(context, doctor.examine(context, stage, root=root))
    stack_values = {"Stage": stage.name}
    with step("account"):
        for service in service_role.missing(context):
            changes += 1
            name = service_role.SERVICES[service]
            context.say(f"  would make the service-linked role of {name}, once for this account")
    with step("network"):
        stack_values |= {"S3PrefixListId": s3_prefix_list(context), **zones.choose(context, stage)}
    for part in STACKS:
        with step(part):
            changes += _show(context, stage, part, stack_values, root)
    with step("function"):
        last = chalice_deploy.last_deployment(context, stage)
        context.say("function")
        if last is None:
            changes += 1
            context.say("  would be deployed")
        elif not chalice_deploy.exists(context, last) or last.fingerprint != chalice_deploy.fingerprint_of(
            root, stage, stack_values
        ):
            changes += 1
            context.say(f"  would be deployed again to {last.url}")
        else:
            context.say("  nothing to change")
    return changes


def _identify(context: DeployContext, stage: Stage) -> None:
    context.say(f"stage {stage.name}, region {context.region_name}")
    identity = context.client("sts").get_caller_identity()
    context.say(f"  account {identity['Account']}, as {identity['Arn']}")


def s3_prefix_list(context: DeployContext) -> str:
    """The id of the region's managed prefix list with the addresses of S3; empty if it has no such list."""
    name = f"com.amazonaws.{context.region_name}.s3"
    lists = context.client("ec2").describe_managed_prefix_lists(
        Filters=[{"Name": "prefix-list-name", "Values": [name]}]
    )["PrefixLists"]
    return str(lists[0]["PrefixListId"]) if lists else ""


def _change(
    context: DeployContext, stage: Stage, part: str, stack_values: StackValues, *, delete_jobs: bool = True
) -> None:
    """Brings a stack up to date with its template, and adds its outputs to the values."""
    context.say(f"stack {stage.stack(part)}")
    stack = Stack(context, stage, part)
    current_kind = stack.parameters().get("Cache", "")
    change_set = stack.prepare(stack_values)
    if change_set is None:
        context.say("  nothing to change")
    else:
        loss = "" if delete_jobs else _loss(stage, change_set, current_kind)
        if loss:
            change_set.discard()
            raise DeployError(loss, _keep_or_delete(current_kind))
        context.say(f"  {len(change_set.changes)} changes")
        change_set.execute()
    stack_values.update(stack.outputs())


def _show(context: DeployContext, stage: Stage, part: str, stack_values: StackValues, root: Path) -> int:
    """Prints what would change in a stack, and adds its present outputs to the values."""
    context.say(f"stack {stage.stack(part)}")
    stack = Stack(context, stage, part)
    outputs = stack.outputs()
    if part == "runners":
        repository = stack_values.get("RepositoryUri", UNKNOWN)
        stack_values["ImageUri"] = image.Image(repository, image.source_tag(root)).uri
        stack_values["SecretVersion"] = UNKNOWN
        if stack_values.get("RedisSecretArn", UNKNOWN) != UNKNOWN:
            stack_values["SecretVersion"] = _read_secret(context, stack_values["RedisSecretArn"])[1]
    if stack.status() == CREATION_FAILED:
        # To compare it with its template it would have to be deleted first, and a plan deletes nothing.
        context.say("  would be made again, because its creation failed")
        return 1
    current_kind = stack.parameters().get("Cache", "")
    change_set = stack.prepare({**_PLACEHOLDERS, **stack_values})
    if change_set is None:
        context.say("  nothing to change")
    else:
        for change in change_set.changes:
            context.say(f"  {change}")
        if part == "store" and (loss := _loss(stage, change_set, current_kind)):
            context.say(f"  WARNING: {loss}; {_keep_or_delete(current_kind)}")
        change_set.discard()
    stack_values.update(outputs)
    return len(change_set.changes) if change_set else 0


def _loss(stage: Stage, change_set: ChangeSet, current_kind: str) -> str:
    """What a change of the stack `store` would delete, in a sentence; empty when it keeps all jobs."""
    kind = stage.parameters.get("Cache", parameter_default(change_set.stack.template, "Cache"))
    stores = [change for change in change_set.changes if change.type in STORES]
    if current_kind and current_kind != kind:
        why = f"Cache changes from {current_kind} to {kind}"
    elif lost := [change for change in stores if change.replaced or change.action == "Remove"]:
        why = f"{lost[0].resource} is replaced by a new one"
    else:
        return ""
    return f"this change deletes the store with all its jobs and results, because {why}"


def _keep_or_delete(current_kind: str) -> str:
    return (
        f'to keep it, set the parameter back (Cache = "{current_kind}") in the stage\'s settings file; to go '
        "on and lose the jobs, deploy with --delete-jobs"
    )


# Parameters without a value until an earlier stack is made; a change set needs some value for each.
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


def _read_secret(context: DeployContext, arn: str) -> tuple[str, str]:
    """The password of Redis, and the version of the secret that holds it."""
    secret = context.client("secretsmanager").get_secret_value(SecretId=arn)
    return json.loads(secret["SecretString"])["password"], secret["VersionId"]


def _release_web_acl(context: DeployContext, stage: Stage) -> None:
    """Before a change that deletes the web ACL."""
    acl = Stack(context, stage, "api").outputs().get("WebAclArn")
    last = chalice_deploy.last_deployment(context, stage)
    if acl and last is not None and stage.parameters.get("WebAclRate", "0") == "0":
        call_limits.release_web_acl(context, stage, last.api(), acl)


def _deploy_function(
    context: DeployContext, stage: Stage, stack_values: StackValues, password: str, root: Path
) -> chalice_deploy.Deployment:
    context.say("function")
    section = chalice_deploy.config_section(stage, stack_values)
    if chalice_deploy.write_config_section(root, stage, section):
        context.say(f"  wrote the section {stage.name} of .chalice/config.json")
    fingerprint = chalice_deploy.fingerprint_of(root, stage, stack_values)
    last = chalice_deploy.last_deployment(context, stage)
    if last is not None and last.fingerprint == fingerprint and chalice_deploy.exists(context, last):
        context.say("  nothing to change")
        return last
    deployment = chalice_deploy.deploy(context, stage, root, password, fingerprint)
    context.say(f"  {deployment.url}")
    return deployment


def _start_runner(context: DeployContext, stage: Stage) -> None:
    """Starts a runner if none is running, so that the check need not wait until scaling starts one."""
    ecs = context.client("ecs")
    services = ecs.describe_services(cluster=stage.app, services=["runner"])["services"]
    if not services:
        raise DeployError(f"the cluster {stage.app} has no service called runner")
    if services[0]["desiredCount"] == 0:
        context.say("  no runner is running; starting one for the check")
        ecs.update_service(cluster=stage.app, service="runner", desiredCount=1)
