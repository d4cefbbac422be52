"""`python -m infra doctor` asks an account what will not work, changes nothing, and is a part of `plan`."""

import json

import pytest

from infra.image import size_bytes, source_tag
from infra.stage import Stage
from tests.aws.cloud import REGION, Fault
from tests.aws.conftest import STAGE, Cli
from tests.aws.test_deploy import READ_ONLY, holdings

SPOT, ON_DEMAND, NETWORKS = "L-36FBB829", "L-3032A538", "L-F678F1CE"


def doctor(cli: Cli, settings: str = "") -> tuple[int, str]:
    """Its exit code and its lines; standard error must be empty."""
    path = cli.project / "stage.toml"
    path.write_text(settings)
    code, out, err = cli.run("doctor", "--settings", str(path))
    assert err == "", err
    return code, out


def test_an_ordinary_account_is_ready(cli: Cli) -> None:
    """Nothing is in the way, the answers name the numbers, and nothing was changed."""
    code, out = doctor(cli, 'AlarmEmail = "ops@example.org"\n')
    assert code == 0
    assert "NOT" not in out
    assert "the network is in us-east-1" in out
    assert "Fargate Spot: 20 runners of 256" in out
    assert "202 of 1000 calls at the same time are for this stage" in out
    assert "iam:CreateServiceLinkedRole" in out and "container engine" in out
    assert [call for call in cli.cloud.calls if not READ_ONLY.match(call[1])] == []
    assert holdings(cli) == {} and cli.engines == []


def test_a_new_account_is_told_what_it_lacks(cli: Cli) -> None:
    """A small concurrency and small quotas are lines that say what to raise; none of them is a failure."""
    cli.cloud.account.concurrency = 10
    cli.cloud.account.quotas[SPOT] = 6
    code, out = doctor(cli)
    assert code == 0
    assert "the account allows 10 calls at the same time" in out and "raise the quota of Lambda" in out
    assert "the quota of 6 vCPUs allows 6 runners, and MaxTasks asks for 20" in out
    assert "nobody gets the alarms" in out


@pytest.mark.parametrize(
    ("quota", "value", "settings", "message"),
    [
        (SPOT, 1, "TaskCpu = 2048\n", "Fargate Spot: the quota of 1 vCPUs allows 0 runners"),
        (ON_DEMAND, 0, "OnDemandTasks = 1\n", "Fargate on-demand: the quota of 0 vCPUs allows 0 runners"),
        (NETWORKS, 1, "", "may have 1: raise the quota (VPCs per Region), or set ExistingVpcId"),
        (NETWORKS, 5, 'ExistingVpcId = "vpc-1"\n', "ExistingSubnetIds must name two private subnets"),
    ],
    ids=["spot", "on-demand", "networks", "no-subnets"],
)
def test_what_will_not_work_is_a_failure(
    cli: Cli, quota: str, value: float, settings: str, message: str
) -> None:
    """No runner at all, no room for a network, a network without subnets: exit code 1 and what to do."""
    cli.cloud.account.quotas[quota] = value
    code, out = doctor(cli, settings)
    assert code == 1
    [line] = [line for line in out.splitlines() if line.startswith("  NOT ")]
    assert message in line


def test_an_existing_network_needs_a_way_to_aws(cli: Cli) -> None:
    """Subnets of one zone, and no route and no endpoints, are found; with endpoints the network is fine."""
    ec2 = cli.client("ec2")
    network = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    zones = [f"{REGION}a", f"{REGION}b"]
    subnets = [
        ec2.create_subnet(VpcId=network, CidrBlock=f"10.9.{number}.0/24", AvailabilityZone=zone)["Subnet"][
            "SubnetId"
        ]
        for number, zone in enumerate(zones)
    ]
    settings = f'ExistingVpcId = "{network}"\nExistingSubnetIds = "{",".join(subnets)}"\n'
    code, out = doctor(cli, settings)
    assert code == 1
    assert "no endpoint with private DNS for ecr.api, ecr.dkr, logs, secretsmanager, s3" in out
    beside = ec2.create_subnet(VpcId=network, CidrBlock="10.9.9.0/24", AvailabilityZone=zones[0])
    same_zone = f"{subnets[0]},{beside['Subnet']['SubnetId']}"
    for names, message in ((same_zone, "are in one zone"), ("subnet-1,subnet-2", "does not exist")):
        code, out = doctor(cli, f'ExistingVpcId = "{network}"\nExistingSubnetIds = "{names}"\n')
        assert code == 1 and message in out, out
    for name in ("ecr.api", "ecr.dkr", "logs", "secretsmanager"):
        ec2.create_vpc_endpoint(
            VpcId=network,
            ServiceName=f"com.amazonaws.{REGION}.{name}",
            VpcEndpointType="Interface",
            PrivateDnsEnabled=True,
            SubnetIds=subnets,
        )
    table = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [network]}])["RouteTables"][0]
    ec2.create_vpc_endpoint(
        VpcId=network, ServiceName=f"com.amazonaws.{REGION}.s3", RouteTableIds=[table["RouteTableId"]]
    )
    code, out = doctor(cli, settings)
    assert code == 0 and f"{network} has all endpoints" in out


@pytest.mark.parametrize(
    ("fault", "check"),
    [
        (Fault("iam", "ListRoles", "AccessDenied"), "the service-linked roles"),
        (Fault("ec2", "DescribeAvailabilityZones", "UnauthorizedOperation"), "the zones"),
        (Fault("ec2", "DescribeVpcs", "UnauthorizedOperation"), "the quota of networks"),
        (Fault("ecr", "DescribeImages", "AccessDeniedException"), "the size of the image"),
        (Fault("servicequotas", "GetServiceQuota", "AccessDeniedException"), "the quota of Fargate"),
        (
            Fault("lambda", "account-settings", "AccessDeniedException", status=403),
            "the concurrency of Lambda",
        ),
    ],
    ids=lambda value: value.operation if isinstance(value, Fault) else "",
)
def test_a_missing_right_to_ask_is_no_failure(cli: Cli, fault: Fault, check: str) -> None:
    """The line says what cannot be asked for, and the other checks still answer."""
    cli.cloud.faults = [fault]
    code, out = doctor(cli)
    assert fault.seen
    assert code == 0 and f"look {check} cannot be asked for: " in out
    assert out.count("\n") >= 6


def test_an_image_that_is_too_large_is_found(cli: Cli) -> None:
    """An image that does not fit into a task's disk, fetched and unpacked, is a failure; ours fits."""
    stage, context = Stage(STAGE), cli.context()
    cli.client("ecr").create_repository(repositoryName=stage.app)
    for size, message in (
        (2_400_000_000, "the image fits: 2.4 GB"),
        (10_000_000_000, "the image is too large"),
    ):
        manifest = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
            "config": {"digest": f"sha256:{size:0>64}", "size": size},
            "layers": [{"digest": f"sha256:{size:0>64}"}],
        }
        cli.client("ecr").put_image(
            repositoryName=stage.app, imageManifest=json.dumps(manifest), imageTag=source_tag(cli.project)
        )
        _, out = doctor(cli)
        assert message in out, out
    assert size_bytes(context, stage, "another") is None


def test_a_plan_includes_what_doctor_says(cli: Cli) -> None:
    """`plan` prints the same lines before the changes, and still ends well."""
    cli.cloud.account.concurrency = 10
    out = cli.succeed("plan")
    head, _, rest = out.partition("stack will-it-compile-test-network")
    assert "doctor\n" in head and "the account allows 10 calls" in head and "add    Vpc" in rest
