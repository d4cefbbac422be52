"""In which two availability zones a new network is.

Not every zone has every service: a function, a task or an endpoint in one that lacks it makes a stack fail,
and which letter such a zone has differs from account to account. A network that is there keeps its zones,
because a subnet cannot move. Another zone that lacks something: one more id in `LACKING`.
"""

from infra.context import Outside
from infra.errors import Problem, WrongUse
from infra.stacks import NOT_MADE, Stack
from infra.stage import Stage

PARAMETERS = ("ZoneA", "ZoneB")
# By the ids that all accounts have in common. Neither Lambda nor Fargate is here …
LACKING = frozenset(["use1-az3"])
# … and of the region's other five, these are the ones that a serverless cache is known to be in.
PREFERRED = frozenset(["use1-az2", "use1-az4", "use1-az6"])
# Endpoints of infra/templates/network.yml that are made in a zone.
_ENDPOINTS = ("ecr.api", "ecr.dkr", "logs", "secretsmanager")


def choose(outside: Outside, stage: Stage) -> dict[str, str]:
    """Values of the network's parameters; none when the stage's file has them, or a network of its own."""
    given = [name for name in PARAMETERS if name in stage.values]
    if len(given) == 1:
        raise WrongUse(f"{given[0]} is given alone", "give ZoneA and ZoneB, or neither of them")
    if given or stage.values.get("ExistingVpcId"):
        return {}
    stack = Stack(outside, stage, "network")
    if stack.status() not in ("", "REVIEW_IN_PROGRESS", NOT_MADE):
        had = stack.parameters()
        return {name: had.get(name, "") for name in PARAMETERS}
    found = _able(outside, with_endpoints=stage.values.get("Egress", "endpoints") == "endpoints")
    if len(found) < len(PARAMETERS):
        raise Problem(
            f"the region {outside.region_name} has less than two zones with all that is needed",
            "choose another --region, or give ZoneA and ZoneB in the stage's file",
        )
    return dict(zip(PARAMETERS, found, strict=False))


def _able(outside: Outside, *, with_endpoints: bool) -> list[str]:
    """The names of the zones to take, best first."""
    ec2 = outside.client("ec2")
    listed = ec2.describe_availability_zones(
        Filters=[
            {"Name": "state", "Values": ["available"]},
            {"Name": "zone-type", "Values": ["availability-zone"]},
        ]
    )["AvailabilityZones"]
    # By name, and not by chance: the same account gets the same zones.
    able = sorted(
        (zone["ZoneId"] not in PREFERRED, zone["ZoneName"])
        for zone in listed
        if zone["ZoneId"] not in LACKING
    )
    names = [name for _, name in able]
    if with_endpoints:
        services = [f"com.amazonaws.{outside.region_name}.{name}" for name in _ENDPOINTS]
        for service in ec2.describe_vpc_endpoint_services(ServiceNames=services)["ServiceDetails"]:
            names = [name for name in names if name in service["AvailabilityZones"]]
    return names
