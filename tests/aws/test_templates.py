"""The templates: cfn-lint, the definition of the task, the logs, and what must agree with other files."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from chalicelib.errors import SettingsError
from chalicelib.settings import Settings
from chalicelib.storage.redis.client import CONNECT_TIMEOUT_SECONDS, RETRIES, SOCKET_TIMEOUT_SECONDS
from infra.image import DOCKERFILE
from infra.stage import COMMAND_PARAMETERS, ROOT, STACKS, TEMPLATES, parameter_names
from runner.task_protection import Pace
from tests.aws.templates import METRICS, NAMESPACE, resources, template, walk

# The longest template that CloudFormation accepts as text; a longer one would need a bucket.
LONGEST_TEMPLATE_BYTES = 51_200


def test_cfn_lint_finds_nothing() -> None:
    """cfn-lint reports nothing, not even a warning."""
    paths = [str(TEMPLATES / f"{part}.yml") for part in STACKS]
    program = Path(sys.executable).with_name("cfn-lint")
    run = subprocess.run([program, *paths], capture_output=True, text=True, timeout=100, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


@pytest.mark.parametrize("part", STACKS)
def test_a_template_can_be_sent_as_text(part: str) -> None:
    """It is short, uses only the YAML that CloudFormation knows, and all its parameters are found."""
    text = (TEMPLATES / f"{part}.yml").read_text()
    assert len(text.encode()) < LONGEST_TEMPLATE_BYTES
    assert not re.search(r":\s+[&*]\w+\s*$|<<:", text, re.MULTILINE), (
        "CloudFormation knows neither aliases nor merges"
    )
    assert parameter_names(text) == set(template(part)["Parameters"])


def test_every_parameter_gets_a_value() -> None:
    """Each parameter has a default, is an output of an earlier template, or is set by the command."""
    known = {"Stage", "S3PrefixListId", "ImageUri", "SecretVersion"}
    for part in STACKS:
        parameters = template(part)["Parameters"]
        without_default = {name for name, item in parameters.items() if "Default" not in item}
        assert without_default <= known, part
        assert set(parameters) & (known | COMMAND_PARAMETERS) <= COMMAND_PARAMETERS
        known |= set(template(part)["Outputs"])


def test_every_skipped_check_has_a_reason() -> None:
    """Each skip of a check of checkov names the check and says why in a sentence."""
    skips = [
        skip
        for part in STACKS
        for item in template(part)["Resources"].values()
        for skip in item.get("Metadata", {}).get("checkov", {}).get("skip", [])
    ]
    assert skips
    for skip in skips:
        assert re.fullmatch(r"CKV2?_AWS_\d+", skip["id"]) and len(skip["comment"].split()) >= 6, skip


def test_the_task_agrees_with_the_dockerfile() -> None:
    """No privilege, a read-only root, an init process, and the tmpfs that the Dockerfile names."""
    [task] = resources("AWS::ECS::TaskDefinition").values()
    [container] = task["ContainerDefinitions"]
    assert (container["Privileged"], container["ReadonlyRootFilesystem"]) == (False, True)
    assert "User" not in container
    assert container["LinuxParameters"]["InitProcessEnabled"] is True
    [tmpfs] = container["LinuxParameters"]["Tmpfs"]
    in_dockerfile = re.search(r"--tmpfs (/\S+?):(\S+)", (ROOT / DOCKERFILE).read_text())
    assert in_dockerfile is not None
    # Fargate takes bare words for sure, so options with a value are left out.
    options = {option for option in in_dockerfile[2].split(",") if "=" not in option}
    assert (tmpfs["ContainerPath"], set(tmpfs["MountOptions"])) == (in_dockerfile[1], options)
    assert [each["Name"] for each in container["Secrets"]] == ["REDIS_PASSWORD"]
    assert "REDIS_PASSWORD" not in {each["Name"] for each in container["Environment"]}


def test_a_task_has_time_to_stop() -> None:
    """The longest time that Fargate allows is enough for the grace and for calls to Redis and ECS."""
    [task] = resources("AWS::ECS::TaskDefinition").values()
    [container] = task["ContainerDefinitions"]
    assert container["StopTimeout"] == 120
    env = {each["Name"]: each["Value"] for each in container["Environment"]}
    settings = Settings.from_env({"STOP_GRACE_SECONDS": env["STOP_GRACE_SECONDS"]})
    # Ending a compile takes a second. Both calls to Redis, and the one to the agent, may run into their
    # timeouts.
    rest_seconds = (
        1 + 2 * (RETRIES + 1) * (CONNECT_TIMEOUT_SECONDS + SOCKET_TIMEOUT_SECONDS) + Pace().close_seconds
    )
    assert settings.stop_grace_seconds + rest_seconds < container["StopTimeout"]


def test_the_task_has_the_health_check_of_the_dockerfile() -> None:
    """ECS reads only the task definition, so that repeats the command and the times of runner/Dockerfile."""
    [task] = resources("AWS::ECS::TaskDefinition").values()
    [container] = task["ContainerDefinitions"]
    check = container["HealthCheck"]
    in_dockerfile = re.search(
        r"^HEALTHCHECK --interval=(\d+)s --timeout=(\d+)s --start-period=(\d+)s --retries=(\d+) CMD (.+)$",
        (ROOT / DOCKERFILE).read_text(),
        re.MULTILINE,
    )
    assert in_dockerfile is not None
    times = [check[name] for name in ("Interval", "Timeout", "StartPeriod", "Retries")]
    assert times == list(map(int, in_dockerfile.groups()[:4]))
    assert check["Command"] == ["CMD", *json.loads(in_dockerfile[5])]
    # The bounds of ECS.
    assert 5 <= check["Interval"] <= 300 and 2 <= check["Timeout"] <= 60
    assert 1 <= check["Retries"] <= 10 and 0 <= check["StartPeriod"] <= 300


def test_a_failed_deployment_is_rolled_back() -> None:
    """The circuit breaker is on, and during an update there are at least as many runners as before."""
    [service] = resources("AWS::ECS::Service").values()
    assert service["DeploymentConfiguration"] == {
        "MinimumHealthyPercent": 100,
        "MaximumPercent": 200,
        "DeploymentCircuitBreaker": {"Enable": True, "Rollback": True},
    }
    assert service["AvailabilityZoneRebalancing"] == "DISABLED", "AWS would switch it on by default"
    assert "DesiredCount" not in service, "an update of the stack must not undo scaling"


def test_every_log_group_has_a_retention() -> None:
    """All three, of the two functions and the runners, keep their logs for LogDays."""
    groups = resources("AWS::Logs::LogGroup")
    assert len(groups) == 3
    assert all(group["RetentionInDays"] == {"Ref": "LogDays"} for group in groups.values())
    assert all(template(part)["Parameters"]["LogDays"]["Default"] == 30 for part in ("runners", "api"))


def test_a_parameter_allows_only_values_that_later_steps_accept() -> None:
    """Days that CloudWatch does not offer, or a log level that no runner knows, fail at once."""
    days = [template(part)["Parameters"]["LogDays"]["AllowedValues"] for part in ("runners", "api")]
    assert days[0] == days[1] and {7, 14, 30} < set(days[0]) and 10 not in days[0]
    for level in template("runners")["Parameters"]["LogLevel"]["AllowedValues"]:
        assert Settings.from_env({"LOG_LEVEL": level}).log_level == level
    with pytest.raises(SettingsError):
        Settings.from_env({"LOG_LEVEL": "verbose"})
    assert "1024" in template("runners")["Parameters"]["TaskCpu"]["AllowedValues"]


def test_alarms_scaling_and_dashboard_use_published_metrics() -> None:
    """Alarms, policies and the dashboard use all published metrics and no others, by stage only."""
    used = set()
    for part in STACKS:
        for value in walk(template(part)["Resources"]):
            if isinstance(value, dict) and value.get("Namespace") == NAMESPACE:
                used.add(value["MetricName"])
                assert value["Dimensions"] == [{"Name": "Stage", "Value": {"Ref": "Stage"}}]
    [dashboard] = resources("AWS::CloudWatch::Dashboard").values()
    body = json.loads(dashboard["DashboardBody"]["Fn::Sub"])
    for widget in body["widgets"]:
        metrics = widget["properties"].get("metrics", [])
        if metrics and metrics[0][0] == NAMESPACE:
            used |= {metric[1] for metric in metrics}
            assert metrics[0][2:] == ["Stage", "${Stage}"]
    assert used == METRICS
