"""In which zones a new network is, and that it stays there."""

import pytest

from infra import zones
from infra.errors import WrongUse
from infra.stacks import Stack
from infra.stage import Stage
from tests.aws.cloud import REGION, Fault
from tests.aws.conftest import STAGE, Desk


def _ids(desk: Desk, region: str) -> dict[str, str]:
    listed = desk.outside(region).client("ec2").describe_availability_zones()["AvailabilityZones"]
    return {zone["ZoneName"]: zone["ZoneId"] for zone in listed}


def test_a_new_network_is_in_zones_that_have_everything(desk: Desk) -> None:
    """Whatever letters they have: in N. Virginia the two are of those where every service is."""
    ids = _ids(desk, REGION)
    first_two = [ids[name] for name in sorted(ids)[:2]]
    assert not set(first_two) <= zones.PREFERRED, "here the region's first two would not do"
    chosen = zones.choose(desk.outside(REGION), Stage(STAGE))
    assert len(set(chosen.values())) == 2
    assert {ids[name] for name in chosen.values()} < zones.PREFERRED


def test_other_regions_take_their_first_two(desk: Desk) -> None:
    """Where no zone is known to lack anything."""
    chosen = zones.choose(desk.outside("eu-central-1"), Stage(STAGE))
    assert chosen == {"ZoneA": "eu-central-1a", "ZoneB": "eu-central-1b"}


def test_a_network_stays_in_its_zones(desk: Desk) -> None:
    """Zones that a stage has are kept, whatever would be chosen now: a subnet cannot move."""
    world = desk.outside(REGION)
    given = {"ZoneA": "us-east-1f", "ZoneB": "us-east-1b"}
    assert zones.choose(world, Stage(STAGE, given)) == {}, "what somebody wrote down is not filled in"
    prepared = Stack(world, Stage(STAGE, given), "network").prepare({"Stage": STAGE})
    assert prepared is not None
    prepared.execute()
    listed = desk.client("ec2").describe_subnets(Filters=[{"Name": "default-for-az", "Values": ["false"]}])[
        "Subnets"
    ]
    assert sorted(subnet["AvailabilityZone"] for subnet in listed) == ["us-east-1b", "us-east-1f"]
    assert zones.choose(world, Stage(STAGE)) == given


def test_zones_that_cannot_be_meant_are_refused(desk: Desk) -> None:
    """One zone alone is a mistake, and an existing network has its own."""
    with pytest.raises(WrongUse, match="ZoneA is given alone"):
        zones.choose(desk.outside(REGION), Stage(STAGE, {"ZoneA": "us-east-1a"}))
    assert zones.choose(desk.outside(REGION), Stage(STAGE, {"ExistingVpcId": "vpc-1"})) == {}


def test_the_role_of_ecs_is_made_once(desk: Desk) -> None:
    """The first stage of an account makes it, a plan only says so, and a later one finds it."""
    desk.cloud.faults = [Fault("ec2", "DescribeManagedPrefixLists", "Stop", "here")]
    _, out, _ = desk.run("plan")
    assert "would make the role that ECS works with" in out
    assert ("iam", "CreateServiceLinkedRole") not in desk.cloud.calls
    for _ in range(2):
        desk.run("deploy")
    assert desk.cloud.calls.count(("iam", "CreateServiceLinkedRole")) == 1
    _, out, _ = desk.run("plan")
    assert "ECS works with" not in out
