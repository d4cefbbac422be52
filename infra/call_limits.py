"""How much of the account the API's callers may use: rates of API Gateway, concurrency of Lambda, a web ACL.

chalice makes the functions and the API, and can set none of these. Each is read first, so that a second run
changes nothing. Everybody may call the API: without these limits, some clients that wait could use up the
Lambda concurrency of the whole account, and no runner would be started any more.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from infra.context import DeployContext
from infra.stage import Stage

# The methods that submit a job or fetch one; the others compile nothing and get a lower rate.
FULL_RATE_METHODS = (
    ("POST", "/api/v1/compile"),
    ("GET", "/api/v1/compile/{job_id}"),
    ("POST", "/api/v1/matrix"),
    ("GET", "/api/v1/matrix/{matrix_id}"),
)
# The scheduled function: one call a minute; the second is for a call that takes longer than a minute.
SWEEP_CONCURRENCY = 2
# What Lambda keeps for functions without a reservation; it refuses reservations that leave less.
LEAST_UNRESERVED = 100
# Of the template of the API.
RATE_PARAMETERS = ("CallsPerSecond", "CallsAtOnce", "OtherCallsPerSecond")


@dataclass(frozen=True)
class Concurrency:
    """How many calls the account's functions may handle at the same time, and what this stage can reserve."""

    account: int
    # Of the account, without a reservation; what this stage has reserved already counts as free.
    free: int

    def reservations(self, stage: Stage, api: int) -> dict[str, int]:
        """Function → calls to reserve, as far as the account allows; `api` is what the API should get."""
        requests = {f"{stage.app}-sweep": SWEEP_CONCURRENCY}
        if api:
            requests[stage.app] = api
        reserved, free = {}, self.free - LEAST_UNRESERVED
        for name, calls in requests.items():
            if calls <= free:
                reserved[name] = calls
                free -= calls
        return reserved


def read_concurrency(context: DeployContext, stage: Stage) -> Concurrency:
    """The account's concurrency, as Lambda says."""
    client = context.client("lambda")
    limit = client.get_account_settings()["AccountLimit"]
    own = sum(_reserved(client, name) or 0 for name in (stage.app, f"{stage.app}-sweep"))
    return Concurrency(limit["ConcurrentExecutions"], limit["UnreservedConcurrentExecutions"] + own)


def apply(context: DeployContext, stage: Stage, root: Path, api: str, values: Mapping[str, str]) -> None:
    """Sets all limits; `api` is the id of the REST API, `values` are the outputs of the stacks.

    What the stage says is not read from the outputs: CloudFormation may find nothing to update where only an
    output changes, and would keep the old one.
    """
    chosen = {name: stage.parameter("api", name) for name in RATE_PARAMETERS}
    changes = [
        *_limit_rates(context, stage, api, chosen),
        *_reserve(context, stage, root, int(stage.parameter("api", "ApiConcurrency"))),
        *_use_web_acl(context, stage, api, values["WebAclArn"]),
    ]
    for change in changes or ["nothing to change"]:
        context.say(f"  {change}")


# -- rates


def wanted_rates(values: Mapping[str, str]) -> dict[str, tuple[float, int]]:
    """Path and method → calls a second, and calls at the same time; `*/*` stands for all others."""
    others = values["OtherCallsPerSecond"]
    rates = {"*/*": (float(others), 2 * int(others))}
    for method, path in FULL_RATE_METHODS:
        rates[f"{path}/{method}"] = (float(values["CallsPerSecond"]), int(values["CallsAtOnce"]))
    return rates


def _limit_rates(context: DeployContext, stage: Stage, api: str, values: Mapping[str, str]) -> Iterator[str]:
    client = context.client("apigateway")
    settings = client.get_stage(restApiId=api, stageName=stage.name).get("methodSettings", {})
    current = {
        key.replace("~1", "/"): (item.get("throttlingRateLimit"), item.get("throttlingBurstLimit"))
        for key, item in settings.items()
    }
    patches = []
    for key, (rate, burst) in wanted_rates(values).items():
        if current.get(key) == (rate, burst):
            continue
        path, _, method = key.rpartition("/")
        for name, value in (("rateLimit", f"{rate:g}"), ("burstLimit", str(burst))):
            patch_path = f"/{path.replace('/', '~1')}/{method}/throttling/{name}"
            patches.append({"op": "replace", "path": patch_path, "value": value})
    if patches:
        client.update_stage(restApiId=api, stageName=stage.name, patchOperations=patches)
        yield (
            f"limited the rate: {values['CallsPerSecond']} calls a second for each method that submits or "
            f"fetches, {values['OtherCallsPerSecond']} for each other"
        )


# -- concurrency


def _reserve(context: DeployContext, stage: Stage, root: Path, api_concurrency: int) -> Iterator[str]:
    if _reserved_by_owner(root, stage):
        return
    client = context.client("lambda")
    concurrency = read_concurrency(context, stage)
    reservations = concurrency.reservations(stage, api_concurrency)
    for name in (f"{stage.app}-sweep", stage.app):
        calls, current = reservations.get(name), _reserved(client, name)
        if calls is None and (name != stage.app or api_concurrency):
            context.say(f"  {not_reserved(name, concurrency)}")
        if calls == current:
            continue
        if calls is None:
            client.delete_function_concurrency(FunctionName=name)
            yield f"{name}: no longer reserves calls"
        else:
            client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=calls)
            yield f"{name}: {calls} calls at the same time are reserved, and are the most"


def not_reserved(name: str, concurrency: Concurrency) -> str:
    """What it means that nothing is reserved for a function."""
    return (
        f"{name}: nothing is reserved, because the account allows {concurrency.account} calls at the same "
        f"time and {LEAST_UNRESERVED} of them must stay free; clients that wait can use them up: raise the "
        "quota of Lambda (Concurrent executions)"
    )


def _reserved(client: Any, name: str) -> int | None:
    try:
        response = client.get_function_concurrency(FunctionName=name)
    except ClientError as error:
        if error.response["Error"]["Code"] == "ResourceNotFoundException":
            return None
        raise
    calls: int | None = response.get("ReservedConcurrentExecutions")
    return calls


def _reserved_by_owner(root: Path, stage: Stage) -> bool:
    """Whether the stage's section of `.chalice/config.json` has reservations, which chalice then sets."""
    section = json.loads((root / ".chalice" / "config.json").read_text())["stages"][stage.name]
    sections = [section, *section.get("lambda_functions", {}).values()]
    return any("reserved_concurrency" in each for each in sections)


# -- the web ACL


def _use_web_acl(context: DeployContext, stage: Stage, api: str, acl: str) -> Iterator[str]:
    """Associates the stack's web ACL with the API's stage; one that somebody else associated stays."""
    if not acl:
        return
    client = context.client("wafv2")
    resource = _stage_arn(context, stage, api)
    current = client.get_web_acl_for_resource(ResourceArn=resource).get("WebACL", {}).get("ARN", "")
    if current == acl:
        return
    if current:
        context.say(f"  the API has another web ACL, which stays: {current}")
        return
    client.associate_web_acl(WebACLArn=acl, ResourceArn=resource)
    yield "the web ACL limits the calls of each address"


def release_web_acl(context: DeployContext, stage: Stage, api: str, acl: str) -> None:
    """Takes the stack's web ACL off the API's stage: CloudFormation cannot delete one that is in use."""
    client = context.client("wafv2")
    resource = _stage_arn(context, stage, api)
    if client.get_web_acl_for_resource(ResourceArn=resource).get("WebACL", {}).get("ARN") == acl:
        client.disassociate_web_acl(ResourceArn=resource)
        context.say("  took the web ACL off the API")


def _stage_arn(context: DeployContext, stage: Stage, api: str) -> str:
    partition = context.client("sts").get_caller_identity()["Arn"].split(":")[1]
    return f"arn:{partition}:apigateway:{context.region_name}::/restapis/{api}/stages/{stage.name}"
