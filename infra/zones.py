"""Which two availability zones a new network uses.

Not every zone has every service: a function, a task or an endpoint in a zone without it makes a stack fail.
The letter of such a zone differs from account to account, its id does not. An existing network keeps its
zones, because a subnet cannot move. To exclude another zone, add its id to `UNSUITABLE_ZONES`.
"""

from infra.context import DeployContext
from infra.errors import DeployError, UsageError
from infra.stacks import CREATION_FAILED, Stack
from infra.stage import Stage

PARAMETERS = ("ZoneA", "ZoneB")
# Fargate is not in these (docs.aws.amazon.com: AWS_Fargate-Regions); the one of us-east-1 lacks Lambda, too …
UNSUITABLE_ZONES = frozenset(["use1-az3", "apne1-az3", "usw1-az2"])
# … and of the other five of us-east-1, these are known to have serverless caches.
PREFERRED_ZONES = frozenset(["use1-az2", "use1-az4", "use1-az6"])
# Endpoints of infra/templates/network.yml that are made in a zone.
_ENDPOINTS = ("ecr.api", "ecr.dkr", "logs", "secretsmanager")


def choose(context: DeployContext, stage: Stage) -> dict[str, str]:
    """Values of `PARAMETERS`; empty when the stage's settings name the zones, or an existing network."""
    configured = [name for name in PARAMETERS if name in stage.parameters]
    if len(configured) == 1:
        raise UsageError(f"{configured[0]} is set alone", "set both ZoneA and ZoneB, or neither of them")
    if configured or stage.parameters.get("ExistingVpcId"):
        return {}
    stack = Stack(context, stage, "network")
    if stack.status() not in ("", "REVIEW_IN_PROGRESS", CREATION_FAILED):
        current = stack.parameters()
        return {name: current.get(name, "") for name in PARAMETERS}
    with_endpoints = stage.parameters.get("Egress", "endpoints") == "endpoints"
    suitable = _suitable_zones(context, with_endpoints=with_endpoints)
    if len(suitable) < len(PARAMETERS):
        raise DeployError(
            f"the region {context.region_name} has fewer than two zones with every service that is needed",
            "choose another --region, or set ZoneA and ZoneB in the stage's settings file",
        )
    return dict(zip(PARAMETERS, suitable, strict=False))


def _suitable_zones(context: DeployContext, *, with_endpoints: bool) -> list[str]:
    """The names of the zones, the best first."""
    ec2 = context.client("ec2")
    zones = ec2.describe_availability_zones(
        Filters=[
            {"Name": "state", "Values": ["available"]},
            {"Name": "zone-type", "Values": ["availability-zone"]},
        ]
    )["AvailabilityZones"]
    # Sorted by name, so that the same account always gets the same zones.
    ranked = sorted(
        (zone["ZoneId"] not in PREFERRED_ZONES, zone["ZoneName"])
        for zone in zones
        if zone["ZoneId"] not in UNSUITABLE_ZONES
    )
    names = [name for _, name in ranked]
    if with_endpoints:
        services = [f"com.amazonaws.{context.region_name}.{name}" for name in _ENDPOINTS]
        for service in ec2.describe_vpc_endpoint_services(ServiceNames=services)["ServiceDetails"]:
            names = [name for name in names if name in service["AvailabilityZones"]]
    return names
