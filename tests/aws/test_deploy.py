"""The command from the first deploy to the last trace, against a server that answers as AWS does."""

import json
import re
from typing import Any

import pytest

from infra.stage import STACKS
from tests.aws import missing_resources
from tests.aws.conftest import STAGE, Desk

pytestmark = pytest.mark.timeout(300)  # chalice packs twice, on a machine that does other things as well

READ_ONLY = re.compile("Get|Describe|List|GET ")
# Services and what lists everything that they hold, with the names of what is there without us.
HOLDINGS: list[tuple[str, str, dict[str, Any], str]] = [
    (
        "cloudformation",
        "list_stacks",
        {"StackStatusFilter": ["CREATE_COMPLETE", "UPDATE_COMPLETE"]},
        "StackSummaries",
    ),
    ("ecr", "describe_repositories", {}, "repositories"),
    ("ecs", "list_clusters", {}, "clusterArns"),
    ("ecs", "list_task_definitions", {"status": "ACTIVE"}, "taskDefinitionArns"),
    ("logs", "describe_log_groups", {}, "logGroups"),
    ("iam", "list_roles", {}, "Roles"),
    ("lambda", "list_functions", {}, "Functions"),
    ("apigateway", "get_rest_apis", {}, "items"),
    ("events", "list_rules", {}, "Rules"),
    ("ecs", "list_task_definitions", {"status": "INACTIVE"}, "taskDefinitionArns"),
    ("secretsmanager", "list_secrets", {}, "SecretList"),
    ("ssm", "describe_parameters", {}, "Parameters"),
    ("sns", "list_topics", {}, "Topics"),
    ("cloudwatch", "describe_alarms", {}, "MetricAlarms"),
    ("cloudwatch", "list_dashboards", {}, "DashboardEntries"),
    ("elasticache", "describe_users", {}, "Users"),
    ("elasticache", "describe_cache_subnet_groups", {}, "CacheSubnetGroups"),
    ("ec2", "describe_vpcs", {"Filters": [{"Name": "is-default", "Values": ["false"]}]}, "Vpcs"),
    ("ec2", "describe_vpc_endpoints", {}, "VpcEndpoints"),
    (
        "ec2",
        "describe_nat_gateways",
        {"Filters": [{"Name": "state", "Values": ["available"]}]},
        "NatGateways",
    ),
    ("ec2", "describe_addresses", {}, "Addresses"),
    ("ec2", "describe_network_interfaces", {}, "NetworkInterfaces"),
    ("ec2", "describe_subnets", {"Filters": [{"Name": "default-for-az", "Values": ["false"]}]}, "Subnets"),
    ("ec2", "describe_internet_gateways", {}, "InternetGateways"),
    (
        "ec2",
        "describe_security_groups",
        {"Filters": [{"Name": "description", "Values": ["*Redis*", "*runners*", "*functions*"]}]},
        "SecurityGroups",
    ),
    ("sns", "list_subscriptions", {}, "Subscriptions"),
    ("application-autoscaling", "describe_scaling_policies", {"ServiceNamespace": "ecs"}, "ScalingPolicies"),
    (
        "application-autoscaling",
        "describe_scalable_targets",
        {"ServiceNamespace": "ecs"},
        "ScalableTargets",
    ),
]


def holdings(desk: Desk) -> dict[str, list[str]]:
    """Everything that the account holds, by what lists it; services that hold nothing are left out."""
    found = {}
    for service, operation, arguments, key in HOLDINGS:
        listed = getattr(desk.client(service), operation)(**arguments)[key]
        # AWS's own user, which every account has.
        kept = [item for item in listed if not (isinstance(item, dict) and item.get("UserId") == "default")]
        # A role of AWS's own, which all clusters of an account share.
        kept = [
            item for item in kept if not (isinstance(item, dict) and "service-role" in item.get("Path", ""))
        ]
        if operation == "list_clusters" and kept:
            # AWS does not list a cluster that is gone; moto does, as an inactive one.
            described = desk.client(service).describe_clusters(clusters=kept)["clusters"]
            kept = [each["clusterArn"] for each in described if each["status"] == "ACTIVE"]
        if kept:
            found[f"{service}.{operation}"] = [str(item)[:200] for item in kept]
    noted = {kind: sorted(names) for kind, names in missing_resources.NOTED.items() if names}
    return found | noted


@pytest.mark.parametrize(
    ("cache", "egress", "way"), [("serverless", "endpoints", "EcrApiEndpoint"), ("nodes", "nat", "Nat")]
)
def test_deploy_twice_then_status_then_destroy(desk: Desk, cache: str, egress: str, way: str) -> None:
    """A deployment runs to its end, the second changes nothing, status is true, destroy leaves nothing."""
    settings = desk.project / "stage.toml"
    settings.write_text(f'Cache = "{cache}"\nEgress = "{egress}"\nLogDays = 14\nCallsPerSecond = 50\n')
    given = ("--settings", str(settings))

    code, out, err = desk.run("status")
    assert (code, err) == (1, "") and out.count("is not there") == len(STACKS) + 5

    code, out, err = desk.run("deploy", *given)
    assert (code, err) == (0, ""), out + err
    for resource in ("Service", way):
        assert f"create complete: {resource}\n" in out, "resources are shown as they appear"
    assert "a good and a bad program got their verdicts" in out
    assert [len(engine.pushed) for engine in desk.engines] == [1]
    assert re.search(r"built src-\w+: 3\.2 GB\n", out), "the size of the image is told"
    before, section = holdings(desk), desk.config()
    record = desk.client("ssm").get_parameter(Name=f"/will-it-compile/{STAGE}/deployed")["Parameter"][
        "Version"
    ]

    done = len(desk.cloud.calls)
    code, out, err = desk.run("deploy", *given)
    assert (code, err) == (0, ""), out + err
    assert {call for call in desk.cloud.calls[done:] if not READ_ONLY.match(call[1])} == {
        # Whether something would change, CloudFormation says in a change set that is taken back at once.
        ("cloudformation", "CreateChangeSet"),
        ("cloudformation", "DeleteChangeSet"),
    }
    assert out.count("nothing to change") == len(STACKS) + 1
    assert "complete:" not in out
    assert len(desk.engines) == 1, "no engine is asked for an image that is there"
    assert (holdings(desk), desk.config()) == (before, section)
    again = desk.client("ssm").get_parameter(Name=f"/will-it-compile/{STAGE}/deployed")["Parameter"][
        "Version"
    ]
    assert again == record, "chalice did not run again"

    code, out, err = desk.run("plan", *given)
    assert (code, err) == (0, "") and "0 changes" in out, out + err
    code, out, err = desk.run("status")
    assert (code, err) == (0, "") and "NOT" not in out, out + err
    _the_function_is_the_stacks_own(desk, cache)

    # Somebody deletes the function by hand: status says so, and the next run brings it back.
    desk.client("lambda").delete_function(FunctionName=f"will-it-compile-{STAGE}")
    code, out, err = desk.run("status")
    assert code == 1 and "NOT function" in out and "is gone" in out
    code, out, err = desk.run("deploy", *given)
    assert code == 0, out + err
    assert desk.run("status")[0] == 0

    code, out, err = desk.run("destroy", "--yes")
    assert (code, err) == (0, ""), out + err
    assert holdings(desk) == {}
    assert desk.run("status")[0] == 1
    assert "subnet_ids" not in desk.config()
    code, out, err = desk.run("destroy", "--yes")
    assert (code, err) == (0, ""), "what is gone already is no failure"


def _the_function_is_the_stacks_own(desk: Desk, cache: str) -> None:
    """Environment, network and role of the deployed functions are those that the stacks made."""
    outputs: dict[str, str] = {}
    for part in STACKS:
        [stack] = desk.client("cloudformation").describe_stacks(StackName=f"will-it-compile-{STAGE}-{part}")[
            "Stacks"
        ]
        outputs |= {item["OutputKey"]: item["OutputValue"] for item in stack.get("Outputs", [])}
    secret = desk.client("secretsmanager").get_secret_value(SecretId=outputs["RedisSecretArn"])
    password = json.loads(secret["SecretString"])["password"]
    assert len(password) == 48
    functions = desk.client("lambda").list_functions()["Functions"]
    assert {each["FunctionName"] for each in functions} == {
        f"will-it-compile-{STAGE}",
        f"will-it-compile-{STAGE}-sweep",
    }
    for each in functions:
        assert each["Environment"]["Variables"] == {
            "ENVIRONMENT": STAGE,
            "REDIS_ENABLED": "true",
            "REDIS_ADDR": outputs["RedisAddress"],
            "REDIS_MODE": "cluster" if cache == "serverless" else "standalone",
            "REDIS_USERNAME": "wic",
            "REDIS_PASSWORD": password,
            "REDIS_TLS": "true",
            "QUEUE_SIZE": "5000",
        }
        assert each["Role"] == outputs["FunctionRoleArn"]
        assert sorted(each["VpcConfig"]["SubnetIds"]) == sorted(outputs["SubnetIds"].split(","))
        assert each["VpcConfig"]["SecurityGroupIds"] == [outputs["FunctionGroupId"]]
    [api] = desk.client("apigateway").get_rest_apis()["items"]
    limits = desk.client("apigateway").get_stage(restApiId=api["id"], stageName=STAGE)["methodSettings"][
        "*/*"
    ]
    assert (limits["throttlingRateLimit"], limits["throttlingBurstLimit"]) == (50, 200)
    # The password is in the function and in Secrets Manager, and in no file.
    files = [path for path in desk.project.rglob("*") if path.is_file()]
    assert files and not [path for path in files if password.encode() in path.read_bytes()]
    record = desk.client("ssm").get_parameter(Name=f"/will-it-compile/{STAGE}/deployed")["Parameter"]["Value"]
    assert password not in record


def test_a_plan_changes_nothing(desk: Desk) -> None:
    """A plan of a new stage shows what would be made and leaves the account and the project as they were."""
    before = (desk.project / ".chalice" / "config.json").read_text()
    code, out, err = desk.run("plan")
    assert (code, err) == (0, ""), out + err
    for resource in ("Vpc", "ServerlessCache", "Service", "FunctionRole"):
        assert f"add    {resource} (" in out
    assert holdings(desk) == {}
    assert desk.client("cloudformation").list_stacks()["StackSummaries"] == [] or all(
        each["StackStatus"] == "DELETE_COMPLETE"
        for each in desk.client("cloudformation").list_stacks()["StackSummaries"]
    )
    assert (desk.project / ".chalice" / "config.json").read_text() == before
    assert desk.engines == []
