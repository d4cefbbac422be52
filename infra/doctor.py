"""`doctor`: asks an account what would make a deployment fail or starve, before anything is made.

It only reads. A check that lacks the right to ask says so and is no failure. For another check, write a
function that yields findings and add it to `examine`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from infra import call_limits, image, service_role, zones
from infra.context import DeployContext
from infra.errors import DeployError
from infra.stacks import Stack
from infra.stage import ROOT, Stage

# What Service Quotas calls them (docs.aws.amazon.com: general/latest/gr/ecs-service.html, vpc-service.html).
FARGATE_ON_DEMAND_VCPUS, FARGATE_SPOT_VCPUS, NETWORKS = "L-3032A538", "L-36FBB829", "L-F678F1CE"
# Of a Fargate task. An image is there twice while a task starts: as it was fetched, and unpacked.
TASK_DISK_BYTES = 20 * 1024**3
# The image was 2.4 GB as fetched and 5.1 GB unpacked.
UNPACKED_RATIO = 2.2
# CloudFormation has no AWS::Budgets::Budget there (its registry of October 2026).
REGIONS_WITHOUT_BUDGETS = frozenset(
    (
        *("af-south-1", "ap-east-1", "ap-east-2", "ap-northeast-3", "ap-south-2", "ap-southeast-3"),
        *("ap-southeast-4", "ap-southeast-5", "ap-southeast-6", "ap-southeast-7", "ca-west-1"),
        *("eu-central-2", "eu-north-1", "eu-south-1", "eu-south-2", "il-central-1", "me-central-1"),
        *("mx-central-1", "us-gov-east-1", "us-gov-west-1"),
    )
)
# 1,024 units are one core.
CPU_UNITS_PER_VCPU = 1024
# A network with endpoints needs these (infra/templates/network.yml).
ENDPOINTS = ("ecr.api", "ecr.dkr", "logs", "secretsmanager")

OK, NOTE, FAULT = "ok", "look", "NOT"


@dataclass(frozen=True)
class Finding:
    """One line: `FAULT` will not work, `NOTE` works with a limit that somebody should know, or `OK`."""

    level: str
    sentence: str


def examine(context: DeployContext, stage: Stage, *, root: Path = ROOT) -> list[Finding]:
    """All findings, in the order of the steps of `deploy`."""
    checks: list[tuple[str, Callable[[], Iterator[Finding]]]] = [
        ("the service-linked roles", lambda: _roles(context)),
        ("the zones", lambda: _network(context, stage)),
        ("the quota of networks", lambda: _networks(context, stage)),
        ("the size of the image", lambda: _image(context, stage, root)),
        ("the quota of Fargate", lambda: _fargate(context, stage)),
        ("the concurrency of Lambda", lambda: _concurrency(context, stage)),
        ("the alarms", lambda: _alarms(context, stage)),
    ]
    findings = []
    for name, check in checks:
        try:
            findings += list(check())
        except DeployError as error:
            findings.append(Finding(FAULT, f"{error.message}: {error.hint}"))
        except (ClientError, BotoCoreError) as error:
            code = error.response["Error"]["Code"] if isinstance(error, ClientError) else ""
            # What the settings name does not exist; anything else is a right that is missing, or a bad day.
            wrong = code.startswith("Invalid") or "NotFound" in code
            if wrong:
                findings.append(Finding(FAULT, f"{name}: {error}"))
            else:
                findings.append(Finding(NOTE, f"{name} cannot be asked for: {error}"))
    return findings


def report(context: DeployContext, findings: list[Finding]) -> bool:
    """Prints the findings; returns whether nothing is in the way."""
    for finding in findings:
        context.say(f"  {finding.level:<4} {finding.sentence}")
    return not any(finding.level == FAULT for finding in findings)


def _roles(context: DeployContext) -> Iterator[Finding]:
    missing = [service_role.SERVICES[service] for service in service_role.missing(context)]
    if missing:
        yield Finding(
            NOTE,
            f"deploy makes the service-linked roles of {', '.join(missing)}: that needs "
            "iam:CreateServiceLinkedRole",
        )
    else:
        yield Finding(OK, "the account has all service-linked roles")


def _network(context: DeployContext, stage: Stage) -> Iterator[Finding]:
    network = stage.parameters.get("ExistingVpcId")
    if network:
        yield from _existing_network(context, stage, network)
        return
    chosen = zones.choose(context, stage) or stage.parameters
    yield Finding(OK, f"the network is in {chosen['ZoneA']} and {chosen['ZoneB']}")


def _existing_network(context: DeployContext, stage: Stage, network: str) -> Iterator[Finding]:
    """Without a way to AWS a task stops after minutes, with a message that does not say why."""
    ec2 = context.client("ec2")
    subnets = [
        name.strip() for name in stage.parameters.get("ExistingSubnetIds", "").split(",") if name.strip()
    ]
    if len(subnets) < 2:
        yield Finding(FAULT, "ExistingSubnetIds must name two private subnets, in two zones")
        return
    described = ec2.describe_subnets(SubnetIds=subnets)["Subnets"]
    if len({subnet["AvailabilityZone"] for subnet in described}) < 2:
        yield Finding(FAULT, f"{', '.join(subnets)} are in one zone: name subnets of two")
    tables = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [network]}])["RouteTables"]
    own = [
        table
        for table in tables
        if any(link.get("SubnetId") in subnets for link in table.get("Associations", []))
    ]
    main = [table for table in tables if any(link.get("Main") for link in table.get("Associations", []))]
    routes = [route for table in own or main for route in table["Routes"]]
    if any(route.get("DestinationCidrBlock") == "0.0.0.0/0" for route in routes):
        yield Finding(OK, f"{network} has a way out for the runners")
        return
    endpoints = ec2.describe_vpc_endpoints(Filters=[{"Name": "vpc-id", "Values": [network]}])["VpcEndpoints"]
    private = {
        endpoint["ServiceName"].removeprefix(f"com.amazonaws.{context.region_name}.")
        for endpoint in endpoints
        if endpoint.get("PrivateDnsEnabled") or endpoint.get("VpcEndpointType") == "Gateway"
    }
    missing = [name for name in (*ENDPOINTS, "s3") if name not in private]
    if missing:
        yield Finding(
            FAULT,
            f"{network} has no route to the internet and no endpoint with private DNS for "
            f"{', '.join(missing)}: no runner could start",
        )
    else:
        yield Finding(
            NOTE,
            f"{network} has all endpoints; their security groups must let in the group of the runners on 443",
        )


def _networks(context: DeployContext, stage: Stage) -> Iterator[Finding]:
    if stage.parameters.get("ExistingVpcId") or Stack(context, stage, "network").status():
        return
    allowed = _quota(context, "vpc", NETWORKS)
    present = len(context.client("ec2").describe_vpcs()["Vpcs"])
    if present >= allowed:
        yield Finding(
            FAULT,
            f"the account has {present} networks in this region and may have {allowed:.0f}: raise the quota "
            "(VPCs per Region), or set ExistingVpcId",
        )
    else:
        yield Finding(OK, f"the account has {present} networks of {allowed:.0f}")


def _image(context: DeployContext, stage: Stage, root: Path) -> Iterator[Finding]:
    uri = Stack(context, stage, "runners").parameters().get("ImageUri", "")
    tag = uri.rpartition(":")[2] or image.source_tag(root)
    size = image.size_bytes(context, stage, tag)
    if size is None:
        yield Finding(
            NOTE, "the image is not in ECR yet: deploy builds it, which needs a container engine here"
        )
        return
    needed = size * (1 + UNPACKED_RATIO)
    disk = f"{needed / 1e9:.0f} of the {TASK_DISK_BYTES / 1e9:.0f} GB that a task has"
    sizes = f"{size / 1e9:.1f} GB to fetch, with its copy about {disk}"
    if needed > TASK_DISK_BYTES:
        yield Finding(FAULT, f"the image is too large ({sizes}): leave compilers out (docs/deploy.md)")
    else:
        yield Finding(OK, f"the image fits: {sizes}")


def _fargate(context: DeployContext, stage: Stage) -> Iterator[Finding]:
    vcpus = int(stage.parameter("runners", "TaskCpu")) / CPU_UNITS_PER_VCPU
    most = int(stage.parameter("runners", "MaxTasks"))
    on_demand = min(most, int(stage.parameter("runners", "OnDemandTasks")))
    for name, code, tasks in (
        ("on-demand", FARGATE_ON_DEMAND_VCPUS, on_demand),
        ("Spot", FARGATE_SPOT_VCPUS, most - on_demand),
    ):
        if not tasks:
            continue
        allowed = _quota(context, "fargate", code)
        can = int(allowed / vcpus)
        if can >= tasks:
            yield Finding(OK, f"Fargate {name}: {tasks} runners of {can} that the quota allows")
        else:
            # The first one decides whether the stack can be made; the others only come later, or never.
            yield Finding(
                FAULT if can < 1 else NOTE,
                f"Fargate {name}: the quota of {allowed:.0f} vCPUs allows {can} runners, and MaxTasks asks "
                f"for {tasks}: raise the quota (Fargate {name} vCPU resource count)",
            )


def _concurrency(context: DeployContext, stage: Stage) -> Iterator[Finding]:
    concurrency = call_limits.read_concurrency(context, stage)
    wanted = int(stage.parameter("api", "ApiConcurrency"))
    reserved = concurrency.reservations(stage, wanted)
    for name in (f"{stage.app}-sweep", *([stage.app] if wanted else [])):
        if name not in reserved:
            yield Finding(NOTE, call_limits.not_reserved(name, concurrency))
    if reserved:
        total = sum(reserved.values())
        yield Finding(
            OK, f"Lambda: {total} of {concurrency.account} calls at the same time are for this stage"
        )


def _alarms(context: DeployContext, stage: Stage) -> Iterator[Finding]:
    if context.region_name in REGIONS_WITHOUT_BUDGETS:
        yield Finding(
            NOTE,
            f"CloudFormation makes no budgets in {context.region_name}: make one in the console of Billing",
        )
    if stage.parameters.get("AlarmEmail"):
        yield Finding(
            OK, f"alarms go to {stage.parameters['AlarmEmail']}, after the mail of AWS is confirmed"
        )
    else:
        yield Finding(NOTE, "nobody gets the alarms, and there is no budget: set AlarmEmail")


def _quota(context: DeployContext, service: str, code: str) -> float:
    quota = context.client("service-quotas").get_service_quota(ServiceCode=service, QuotaCode=code)["Quota"]
    return float(quota["Value"])
