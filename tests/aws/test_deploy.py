"""The life of a stage: deploy, deploy again, plan, status and destroy, against a simulated AWS."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from infra import call_limits
from infra.context import Reply
from infra.stage import STACKS
from infra.status import MISSING
from tests.aws import missing_resources
from tests.aws.cloud import REGION
from tests.aws.conftest import STAGE, Cli, working_service
from tests.support.documents import text_of

pytestmark = pytest.mark.timeout(900)  # seconds, only for a hang; chalice packs, and the machine may be busy

READ_ONLY = re.compile("Get|Describe|List|GET ")
# Everything that an account may hold: service, operation that lists it, arguments, and the key of the list.
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


def holdings(cli: Cli) -> dict[str, list[str]]:
    """Everything that the account holds, by the operation that lists it; empty lists are left out."""
    lists = {}
    for service, operation, arguments, key in HOLDINGS:
        items = getattr(cli.client(service), operation)(**arguments)[key]
        items = [item for item in items if not (isinstance(item, dict) and _belongs_to_aws(item))]
        if operation == "list_clusters" and items:
            # AWS does not list a deleted cluster; moto does, as an inactive one.
            clusters = cli.client(service).describe_clusters(clusters=items)["clusters"]
            items = [cluster["clusterArn"] for cluster in clusters if cluster["status"] == "ACTIVE"]
        if items:
            lists[f"{service}.{operation}"] = [str(item)[:200] for item in items]
    recorded = {kind: sorted(names) for kind, names in missing_resources.RECORDED.items() if names}
    return lists | recorded


def _belongs_to_aws(item: dict[str, Any]) -> bool:
    """ElastiCache's default user, and the role that all clusters of an account share."""
    return item.get("UserId") == "default" or "service-role" in item.get("Path", "")


@pytest.mark.parametrize(
    ("cache", "egress", "egress_resource"),
    [
        ("nodes", "endpoints", "EcrApiEndpoint"),
        ("serverless", "nat", "Nat"),
        ("durable", "endpoints", "EcrApiEndpoint"),
    ],
    ids=["nodes-endpoints", "serverless-nat", "durable-endpoints"],
)
def test_deploy_twice_then_status_then_destroy(
    cli: Cli, cache: str, egress: str, egress_resource: str
) -> None:
    """A first deployment succeeds, a second changes nothing, status agrees, and destroy leaves nothing."""
    settings = cli.project / "stage.toml"
    settings.write_text(f'Cache = "{cache}"\nEgress = "{egress}"\nLogDays = 14\nCallsPerSecond = 50\n')
    with_settings = ("--settings", str(settings))

    code, out, err = cli.run("status")
    assert (code, err) == (1, "") and out.count(MISSING) == len(STACKS) + 5

    cli.http = _not_ready_at_first()
    out = cli.succeed("deploy", *with_settings)
    if cache == "nodes":
        _check_walk_through(out)
    for resource in ("Service", egress_resource):
        assert f"create complete: {resource}\n" in out, "each resource is reported"
    assert "gave a good and a bad program their verdicts" in out
    assert [len(engine.pushed) for engine in cli.engines] == [1]
    assert re.search(r"built src-\w+: 3\.2 GB\n", out), "the size of the image is printed"
    before, section = holdings(cli), cli.config()
    record_version = _deployment_record(cli)["Version"]

    calls_before = len(cli.cloud.calls)
    out = cli.succeed("deploy", *with_settings)
    assert {call for call in cli.cloud.calls[calls_before:] if not READ_ONLY.match(call[1])} == {
        # CloudFormation shows in a change set whether something would change; that is deleted at once.
        ("cloudformation", "CreateChangeSet"),
        ("cloudformation", "DeleteChangeSet"),
    }
    assert out.count("nothing to change") == len(STACKS) + 2
    assert "complete:" not in out
    assert len(cli.engines) == 1, "ECR has the image, so the engine is not used"
    assert (holdings(cli), cli.config()) == (before, section)
    assert _deployment_record(cli)["Version"] == record_version, "chalice did not run again"

    assert "0 changes" in cli.succeed("plan", *with_settings)
    assert "NOT" not in cli.succeed("status")
    _check_functions(cli, cache)

    cli.succeed("destroy", "--yes")
    assert holdings(cli) == {}
    assert cli.run("status")[0] == 1
    assert "subnet_ids" not in cli.config()
    cli.succeed("destroy", "--yes")  # that everything is gone already is not a failure


def _not_ready_at_first() -> Callable[..., Reply]:
    """A service whose first two answers are 503, because no runner is ready yet."""
    message = "No runner has registered its compilers yet: start a runner, or try again in a moment."
    first = iter([Reply(503, {"error": "not_ready", "message": message})] * 2)
    return lambda *call: next(first, None) or working_service(*call)


def _check_walk_through(out: str) -> None:
    """docs/deploy.md shows this output, for another stage and region, with `…` for what it leaves out."""
    blocks = re.findall(r"^```\n(.*?)^```$", text_of("docs/deploy.md"), re.MULTILINE | re.DOTALL)
    [block] = [block for block in blocks if block.startswith("stage prod, ")]
    shown = block.replace("prod", STAGE).replace("eu-central-1", REGION)
    pattern = re.escape(shown).replace("…", ".*")
    assert re.fullmatch(pattern, out, re.DOTALL), out


def _deployment_record(cli: Cli) -> dict[str, Any]:
    name = f"/will-it-compile/{STAGE}/deployed"
    record: dict[str, Any] = cli.client("ssm").get_parameter(Name=name)["Parameter"]
    return record


def _check_functions(cli: Cli, cache: str) -> None:
    """The deployed functions have the variables, the network and the role that the stacks made."""
    outputs: dict[str, str] = {}
    for part in STACKS:
        [stack] = cli.client("cloudformation").describe_stacks(StackName=f"will-it-compile-{STAGE}-{part}")[
            "Stacks"
        ]
        outputs |= {item["OutputKey"]: item["OutputValue"] for item in stack.get("Outputs", [])}
    secret = cli.client("secretsmanager").get_secret_value(SecretId=outputs["RedisSecretArn"])
    password = json.loads(secret["SecretString"])["password"]
    assert len(password) == 48
    functions = cli.client("lambda").list_functions()["Functions"]
    assert {function["FunctionName"] for function in functions} == {
        f"will-it-compile-{STAGE}",
        f"will-it-compile-{STAGE}-sweep",
    }
    for function in functions:
        assert function["Environment"]["Variables"] == {
            "ENVIRONMENT": STAGE,
            "REDIS_ENABLED": "true",
            "REDIS_ADDR": outputs["RedisAddress"],
            "REDIS_MODE": "standalone" if cache == "nodes" else "cluster",
            "REDIS_USERNAME": "wic",
            "REDIS_PASSWORD": password,
            "REDIS_TLS": "true",
            "QUEUE_SIZE": "5000",
        }
        assert function["Role"] == outputs["FunctionRoleArn"]
        assert sorted(function["VpcConfig"]["SubnetIds"]) == sorted(outputs["SubnetIds"].split(","))
        assert function["VpcConfig"]["SecurityGroupIds"] == [outputs["FunctionGroupId"]]
    [api] = cli.client("apigateway").get_rest_apis()["items"]
    settings = cli.client("apigateway").get_stage(restApiId=api["id"], stageName=STAGE)["methodSettings"]
    limits = {
        key.replace("~1", "/"): (each["throttlingRateLimit"], each["throttlingBurstLimit"])
        for key, each in settings.items()
    }
    assert limits.pop("*/*") == (20, 40)
    assert limits == {f"{path}/{method}": (50, 200) for method, path in call_limits.FULL_RATE_METHODS}
    reserved = {
        function["FunctionName"]: cli.client("lambda").get_function_concurrency(
            FunctionName=function["FunctionName"]
        )["ReservedConcurrentExecutions"]
        for function in functions
    }
    assert reserved == {f"will-it-compile-{STAGE}": 200, f"will-it-compile-{STAGE}-sweep": 2}
    # The password is in the functions and in Secrets Manager, but not in a file or in the record.
    files = [path for path in cli.project.rglob("*") if path.is_file()]
    assert files and not [path for path in files if password.encode() in path.read_bytes()]
    assert password not in _deployment_record(cli)["Value"]


def test_a_plan_changes_nothing(cli: Cli) -> None:
    """A plan of a new stage shows what would be made, and changes neither the account nor the project."""
    before = (cli.project / ".chalice" / "config.json").read_text()
    out = cli.succeed("plan")
    for resource in ("Vpc", "CacheNodes", "Service", "FunctionRole"):
        assert f"add    {resource} (" in out
    assert holdings(cli) == {}
    stacks = cli.client("cloudformation").list_stacks()["StackSummaries"]
    assert {stack["StackStatus"] for stack in stacks} <= {"DELETE_COMPLETE"}
    assert (cli.project / ".chalice" / "config.json").read_text() == before
    assert cli.engines == []
