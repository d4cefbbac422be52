"""Which zones a new network uses, and that it keeps them; and the service-linked roles."""

import pytest

from infra import service_role, zones
from infra.errors import UsageError
from infra.stacks import Stack
from infra.stage import Stage
from tests.aws.cloud import REGION, Fault
from tests.aws.conftest import STAGE, Cli


def _ids(cli: Cli, region: str) -> dict[str, str]:
    """Name → id of the zones of a region."""
    response = cli.context(region).client("ec2").describe_availability_zones()
    return {zone["ZoneName"]: zone["ZoneId"] for zone in response["AvailabilityZones"]}


def test_a_new_network_is_in_zones_that_have_everything(cli: Cli) -> None:
    """In us-east-1 the network uses two of the zones that have every service, whatever their letters."""
    ids = _ids(cli, REGION)
    first_two = [ids[name] for name in sorted(ids)[:2]]
    assert not set(first_two) <= zones.PREFERRED_ZONES, "otherwise this test proves nothing"
    chosen = zones.choose(cli.context(REGION), Stage(STAGE))
    assert len(set(chosen.values())) == 2
    assert {ids[name] for name in chosen.values()} < zones.PREFERRED_ZONES


def test_a_network_in_another_region_uses_the_first_two_zones(cli: Cli) -> None:
    """That is where no zone is known to lack a service."""
    chosen = zones.choose(cli.context("eu-central-1"), Stage(STAGE))
    assert chosen == {"ZoneA": "eu-central-1a", "ZoneB": "eu-central-1b"}


def test_a_network_stays_in_its_zones(cli: Cli) -> None:
    """A stage keeps its zones, whatever would be chosen now, because a subnet cannot move."""
    context = cli.context(REGION)
    configured = {"ZoneA": "us-east-1f", "ZoneB": "us-east-1b"}
    assert zones.choose(context, Stage(STAGE, configured)) == {}, "the settings file has them already"
    change_set = Stack(context, Stage(STAGE, configured), "network").prepare({"Stage": STAGE})
    assert change_set is not None
    change_set.execute()
    subnets = cli.client("ec2").describe_subnets(Filters=[{"Name": "default-for-az", "Values": ["false"]}])
    in_zones = sorted(subnet["AvailabilityZone"] for subnet in subnets["Subnets"])
    assert in_zones == ["us-east-1b", "us-east-1f"]
    assert zones.choose(context, Stage(STAGE)) == configured


def test_one_zone_alone_is_invalid(cli: Cli) -> None:
    """A stage names two zones or none; with an existing network none is chosen."""
    with pytest.raises(UsageError, match="ZoneA is set alone"):
        zones.choose(cli.context(REGION), Stage(STAGE, {"ZoneA": "us-east-1a"}))
    assert zones.choose(cli.context(REGION), Stage(STAGE, {"ExistingVpcId": "vpc-1"})) == {}


def test_service_linked_roles_are_made_once(cli: Cli) -> None:
    """The first deployment in an account makes all three, a plan only says so, and later ones find them."""
    cli.cloud.faults = [Fault("ec2", "DescribeManagedPrefixLists", "Stop", "here")]
    _, out, _ = cli.run("plan")
    for name in service_role.SERVICES.values():
        assert f"would make the service-linked role of {name}," in out
    assert ("iam", "CreateServiceLinkedRole") not in cli.cloud.calls
    for _ in range(2):
        cli.run("deploy")
    assert cli.cloud.calls.count(("iam", "CreateServiceLinkedRole")) == len(service_role.SERVICES)
    _, out, _ = cli.run("plan")
    assert "would make the service-linked role" not in out
