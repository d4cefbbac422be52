"""How much of an account callers of the API may use: rates, concurrency, a web ACL, alarms, a budget."""

import json
import re
from typing import Any

import pytest
from cfnlint.helpers import REGIONS  # type: ignore[import-untyped]  # has no types
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER  # type: ignore[import-untyped]  # has no types either

from app import app
from infra import call_limits
from infra.doctor import REGIONS_WITHOUT_BUDGETS
from infra.stage import STACKS, Stage
from tests.aws.conftest import STAGE, Cli
from tests.aws.templates import resources, template, walk
from tools.capacity import cost, prices

pytestmark = pytest.mark.timeout(900)  # seconds, only for a hang; chalice packs, and the machine may be busy

API, SWEEP = f"will-it-compile-{STAGE}", f"will-it-compile-{STAGE}-sweep"


def test_every_method_that_submits_or_fetches_has_the_full_rate() -> None:
    """The list names routes of the API, and every route whose handler submits or fetches."""
    routes: dict[str, dict[str, Any]] = app.routes
    full = {
        (method, path)
        for path, methods in routes.items()
        for method, entry in methods.items()
        if re.match("submit|fetch", entry.view_name)
    }
    assert full == set(call_limits.FULL_RATE_METHODS)


def test_a_stranger_can_make_fewer_calls_than_before() -> None:
    """All methods together let in at most half of what one rate for each of them would."""
    defaults = {name: str(item.get("Default")) for name, item in template("api")["Parameters"].items()}
    rates = call_limits.wanted_rates(defaults)
    routes: dict[str, dict[str, Any]] = app.routes
    methods = sum(len(entries) for entries in routes.values())
    full = len(call_limits.FULL_RATE_METHODS)
    total = full * int(defaults["CallsPerSecond"]) + (methods - full) * rates["*/*"][0]
    assert list(rates["*/*"]) == [20, 40]
    assert total <= methods * int(defaults["CallsPerSecond"]) / 2


def test_what_a_stranger_can_cost_is_what_the_document_says() -> None:
    """All month at every limit: calls, functions, runners and log lines are about 10,000 dollars."""
    api, runners = template("api")["Parameters"], template("runners")["Parameters"]
    values = {name: str(item.get("Default")) for name, item in api.items()}
    rates = call_limits.wanted_rates(values)
    routes: dict[str, dict[str, Any]] = app.routes
    methods, full = sum(len(each) for each in routes.values()), len(call_limits.FULL_RATE_METHODS)
    calls_a_second = full * int(values["CallsPerSecond"]) + (methods - full) * rates["*/*"][0]
    calls = calls_a_second * prices.HOURS_PER_MONTH * 3600
    functions = int(values["ApiConcurrency"]) * cost.FUNCTION_GB * prices.HOURS_PER_MONTH * 3600
    dollars = {
        "API Gateway": calls * prices.API_GATEWAY_REQUEST,
        "calls of Lambda": calls * prices.LAMBDA_REQUEST,
        "functions": functions * prices.LAMBDA_GB_SECOND,
        "log lines": calls * cost.LOG_BYTES_PER_COMPILE / 1e9 * prices.LOG_GB,
        "runners": int(runners["MaxTasks"]["Default"]) * prices.HOURS_PER_MONTH * cost.task_hour(),
    }
    print({name: round(value) for name, value in dollars.items()}, round(calls))
    assert sum(dollars.values()) < 11_000, dollars


@pytest.mark.parametrize(
    ("free", "api", "expected"),
    [
        (1000, 200, {SWEEP: 2, API: 200}),
        (302, 200, {SWEEP: 2, API: 200}),
        (301, 200, {SWEEP: 2}),
        (101, 200, {}),
        (10, 200, {}),
        (1000, 0, {SWEEP: 2}),
    ],
)
def test_what_is_reserved_leaves_the_account_what_lambda_requires(
    free: int, api: int, expected: dict[str, int]
) -> None:
    """The scheduled function comes first, and 100 calls always stay unreserved."""
    assert call_limits.Concurrency(1000, free).reservations(Stage(STAGE), api) == expected


def _reserved(cli: Cli, name: str) -> int | None:
    response = cli.client("lambda").get_function_concurrency(FunctionName=name)
    calls: int | None = response.get("ReservedConcurrentExecutions")
    return calls


def _associated_acl(cli: Cli) -> str:
    [api] = cli.client("apigateway").get_rest_apis()["items"]
    stage = cli.client("apigateway").get_stage(restApiId=api["id"], stageName=STAGE)
    return str(stage.get("webAclArn") or "")


def test_limits_follow_the_settings_and_the_account(cli: Cli) -> None:
    """A new account gets no reservation and a line that says so; later runs reserve, change and take back."""
    settings = cli.project / "stage.toml"

    def deploy(text: str) -> str:
        settings.write_text(text)
        return cli.succeed("deploy", "--settings", str(settings))

    cli.cloud.account.concurrency = 10
    out = deploy("")
    assert out.count("nothing is reserved, because the account allows 10 calls") == 2
    assert (_reserved(cli, API), _reserved(cli, SWEEP), _associated_acl(cli)) == (None, None, "")

    cli.cloud.account.concurrency = 1000
    out = deploy(
        "WebAclRate = 3000\nApiConcurrency = 300\nOtherCallsPerSecond = 5\nAlarmEmail = 'a@b.example'\n"
    )
    assert (_reserved(cli, API), _reserved(cli, SWEEP)) == (300, 2)
    assert "the web ACL limits the calls of each address" in out and "5 for each other" in out
    assert f"webacl/will-it-compile-{STAGE}/" in _associated_acl(cli)
    assert "nobody gets the alarms" not in out
    assert "limits\n  nothing to change\n" in cli.succeed("deploy", "--settings", str(settings))

    # What chalice's section reserves is left alone; a web ACL is taken off before it is deleted.
    config = cli.project / ".chalice" / "config.json"
    document = json.loads(config.read_text())
    document["stages"][STAGE]["lambda_functions"] = {"sweep": {"reserved_concurrency": 7}}
    config.write_text(json.dumps(document))
    out = deploy("AlarmEmail = 'a@b.example'\n")
    assert _reserved(cli, SWEEP) == 7
    assert "took the web ACL off the API" in out and _associated_acl(cli) == ""
    cli.succeed("destroy", "--yes")


def test_a_web_acl_of_somebody_else_stays(cli: Cli) -> None:
    """Where the API has another web ACL, the stack's own is not put in its place."""
    settings = cli.project / "stage.toml"
    settings.write_text("WebAclRate = 3000\n")
    cli.succeed("deploy")
    [api] = cli.client("apigateway").get_rest_apis()["items"]
    visibility = {"SampledRequestsEnabled": False, "CloudWatchMetricsEnabled": False, "MetricName": "x"}
    other = cli.client("wafv2").create_web_acl(
        Name="other", Scope="REGIONAL", DefaultAction={"Allow": {}}, VisibilityConfig=visibility
    )["Summary"]["ARN"]
    resource = f"arn:aws:apigateway:us-east-1::/restapis/{api['id']}/stages/{STAGE}"
    cli.client("wafv2").associate_web_acl(WebACLArn=other, ResourceArn=resource)
    out = cli.succeed("deploy", "--settings", str(settings))
    assert f"the API has another web ACL, which stays: {other}" in out
    assert _associated_acl(cli) == other


def test_the_web_acl_limits_addresses_and_is_wider_for_keys() -> None:
    """One rule counts calls without a key, another all calls with ten times as many; both answer 429."""
    [acl] = resources("AWS::WAFv2::WebACL").values()
    without, with_key = acl["Rules"]
    for rule in (without, with_key):
        statement = rule["Statement"]["RateBasedStatement"]
        assert statement["AggregateKeyType"] == "IP"
        assert rule["Action"]["Block"]["CustomResponse"]["ResponseCode"] == 429
    assert without["Statement"]["RateBasedStatement"]["Limit"] == {"Ref": "WebAclRate"}
    assert with_key["Statement"]["RateBasedStatement"]["Limit"] == {"Ref": "WebAclRateWithKey"}
    headers = {
        each["SingleHeader"]["Name"]
        for each in walk(without)
        if isinstance(each, dict) and "SingleHeader" in each
    }
    assert headers == {"authorization", "x-api-key"}
    assert template("api")["Resources"]["WebAcl"]["Condition"] == "WithWebAcl"
    assert template("api")["Parameters"]["WebAclRate"]["Default"] == "0"


def test_a_budget_tells_whoever_gets_the_alarms() -> None:
    """It warns at 80 % and when the forecast exceeds it, by mail to AlarmEmail."""
    budget = template("api")["Resources"]["Budget"]
    assert budget["Condition"] == "WithBudget"
    notifications = budget["Properties"]["NotificationsWithSubscribers"]
    assert [
        (each["Notification"]["NotificationType"], each["Notification"]["Threshold"])
        for each in notifications
    ] == [("ACTUAL", 80), ("FORECASTED", 100)]
    assert all(each["Subscribers"][0]["Address"] == {"Ref": "AlarmEmail"} for each in notifications)
    # A new address replaces it, and CloudFormation makes the new one before it deletes the old one.
    assert "BudgetName" not in budget["Properties"]["Budget"]


def test_every_resource_exists_in_every_region_or_is_left_out_there() -> None:
    """CloudFormation lacks budgets in some regions; the template has none there, and `doctor` says so."""
    types = {each["Type"] for part in STACKS for each in template(part)["Resources"].values()}
    lacking = {
        (region, kind)
        for region in REGIONS
        for kind in types - set(PROVIDER_SCHEMA_MANAGER.get_resource_types(region))
    }
    assert lacking == {(region, "AWS::Budgets::Budget") for region in REGIONS_WITHOUT_BUDGETS & set(REGIONS)}
    conditions = template("api")["Conditions"]
    excluded = {
        str(equals["Fn::Equals"][1])
        for name in ("WithoutBudgets", "WithoutBudgetsEither")
        for equals in conditions[name]["Fn::Or"]
    }
    assert excluded == REGIONS_WITHOUT_BUDGETS


def test_alarms_see_what_users_see() -> None:
    """5xx answers, a sweep that fails or is throttled, a serverless cache that refuses, and both nodes."""

    def metrics(alarm: dict[str, Any]) -> set[str]:
        return {
            str(each["MetricName"]) for each in walk(alarm) if isinstance(each, dict) and "MetricName" in each
        }

    alarms = resources("AWS::CloudWatch::Alarm")
    assert metrics(alarms["ServerErrors"]) == {"5XXError"}
    assert alarms["ServerErrors"]["Dimensions"] == [
        {"Name": "ApiName", "Value": "will-it-compile"},
        {"Name": "Stage", "Value": {"Ref": "Stage"}},
    ]
    assert metrics(alarms["SweepFails"]) == {"Errors", "Throttles"}
    assert metrics(alarms["RedisRefuses"]) == {"Evictions", "ThrottledCmds"}
    nodes = {
        each["Fn::Sub"] for each in walk(alarms["RedisFull"]) if isinstance(each, dict) and "Fn::Sub" in each
    }
    assert {
        "wic-${Stage}-001",
        "wic-${Stage}-002",
        "wicd-${Stage}-0001-001",
        "wicd-${Stage}-0001-002",
    } < nodes


def test_starting_from_zero_ends_when_nothing_starts() -> None:
    """After twenty minutes without a runner no more tasks are added: one that tries remains."""
    alarms = resources("AWS::CloudWatch::Alarm")
    assert alarms["BacklogWithoutRunners"]["Metrics"][0]["Expression"] == (
        "IF(runners < 1 AND oldest < 1200, backlog, 0)"
    )
    nothing = alarms["NothingStarts"]
    assert nothing["Metrics"][0]["Expression"] == "IF(runners < 1, oldest, 0)"
    assert nothing["Threshold"] == 1200 and nothing["AlarmActions"] == [{"Ref": "OneTask"}]
    policy = resources("AWS::ApplicationAutoScaling::ScalingPolicy")["OneTask"][
        "StepScalingPolicyConfiguration"
    ]
    assert policy["AdjustmentType"] == "ExactCapacity"
    assert policy["StepAdjustments"] == [{"MetricIntervalLowerBound": 0, "ScalingAdjustment": 1}]


def test_endpoints_let_in_this_account_only() -> None:
    """Whoever escaped a sandbox cannot use an endpoint with credentials of another account."""
    for name, endpoint in resources("AWS::EC2::VPCEndpoint").items():
        [statement] = endpoint["PolicyDocument"]["Statement"]
        if name == "S3Endpoint":
            continue  # narrowed to the buckets of ECR
        assert statement["Condition"] == {"StringEquals": {"aws:PrincipalAccount": {"Ref": "AWS::AccountId"}}}
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        assert not [action for action in actions if "*" in action], name
