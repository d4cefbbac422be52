"""The templates by themselves: what cfn-lint says, the task, the logs, and what they promise elsewhere."""

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
from infra.stage import FILLED_IN, ROOT, STACKS, TEMPLATES, parameters_of
from runner.task_protection import Pace
from tests.aws.templates import METRICS, NAMESPACE, resources, template, walk

# What CloudFormation takes as a text; a longer template would need a bucket.
MOST_BYTES = 51_200


def test_cfn_lint_finds_nothing() -> None:
    """cfn-lint is clean, warnings included."""
    paths = [str(TEMPLATES / f"{part}.yml") for part in STACKS]
    program = Path(sys.executable).with_name("cfn-lint")
    run = subprocess.run([program, *paths], capture_output=True, text=True, timeout=100, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


@pytest.mark.parametrize("part", STACKS)
def test_every_template_is_sent_as_it_is(part: str) -> None:
    """It is small, uses nothing that CloudFormation's YAML lacks, and its parameters are found."""
    text = (TEMPLATES / f"{part}.yml").read_text()
    assert len(text.encode()) < MOST_BYTES
    assert not re.search(r":\s+[&*]\w+\s*$|<<:", text, re.MULTILINE), (
        "aliases and merges are not CloudFormation's"
    )
    assert parameters_of(text) == set(template(part)["Parameters"])


def test_what_a_template_takes_another_gives() -> None:
    """Each parameter has a default, is an earlier template's output, or is filled in."""
    given = {"Stage", "S3PrefixListId", "ImageUri", "SecretVersion"}
    for part in STACKS:
        read = template(part)
        without = {name for name, item in read["Parameters"].items() if "Default" not in item}
        assert without <= given, part
        assert set(read["Parameters"]) & (given | FILLED_IN) <= FILLED_IN
        given |= set(read["Outputs"])


def test_a_suppressed_check_has_its_reason() -> None:
    """Each check of checkov that is skipped names it, and says why in a sentence."""
    skips = [
        skip
        for part in STACKS
        for item in template(part)["Resources"].values()
        for skip in item.get("Metadata", {}).get("checkov", {}).get("skip", [])
    ]
    assert skips
    for skip in skips:
        assert re.fullmatch(r"CKV2?_AWS_\d+", skip["id"]) and len(skip["comment"].split()) >= 6, skip


def test_the_task_runs_as_the_image_says() -> None:
    """No privilege, a read-only root, an init, and the tmpfs of the Dockerfile."""
    [task] = resources("AWS::ECS::TaskDefinition").values()
    [container] = task["ContainerDefinitions"]
    assert (container["Privileged"], container["ReadonlyRootFilesystem"]) == (False, True)
    assert "User" not in container and "Capabilities" not in container["LinuxParameters"]
    assert container["LinuxParameters"]["InitProcessEnabled"] is True
    [tmpfs] = container["LinuxParameters"]["Tmpfs"]
    said = re.search(r"--tmpfs (/\S+?):(\S+)", (ROOT / DOCKERFILE).read_text())
    assert said is not None
    options = {option for option in said[2].split(",") if not option.startswith("size=")}
    assert (tmpfs["ContainerPath"], set(tmpfs["MountOptions"])) == (said[1], options)
    assert [each["Name"] for each in container["Secrets"]] == ["REDIS_PASSWORD"]
    assert "REDIS_PASSWORD" not in {each["Name"] for each in container["Environment"]}


def test_a_task_has_time_to_stop() -> None:
    """The longest that Fargate allows: beside the grace there is enough to tell Redis and ECS."""
    [task] = resources("AWS::ECS::TaskDefinition").values()
    [container] = task["ContainerDefinitions"]
    assert container["StopTimeout"] == 120
    given = {each["Name"]: each["Value"] for each in container["Environment"]}
    settings = Settings.from_env({"STOP_GRACE_SECONDS": given["STOP_GRACE_SECONDS"]})
    # Ending a compile takes a second. Each of two calls to Redis, and the one to the agent, may have to be
    # given up on.
    rest_seconds = (
        1 + 2 * (RETRIES + 1) * (CONNECT_TIMEOUT_SECONDS + SOCKET_TIMEOUT_SECONDS) + Pace().close_seconds
    )
    assert settings.stop_grace_seconds + rest_seconds < container["StopTimeout"]


def test_a_task_is_checked_as_its_image_is() -> None:
    """ECS looks at the task definition only, so that has the command and the times of runner/Dockerfile."""
    [task] = resources("AWS::ECS::TaskDefinition").values()
    [container] = task["ContainerDefinitions"]
    check = container["HealthCheck"]
    found = re.search(
        r"^HEALTHCHECK --interval=(\d+)s --timeout=(\d+)s --start-period=(\d+)s --retries=(\d+) CMD (.+)$",
        (ROOT / DOCKERFILE).read_text(),
        re.MULTILINE,
    )
    assert found is not None
    times = [check[name] for name in ("Interval", "Timeout", "StartPeriod", "Retries")]
    assert times == list(map(int, found.groups()[:4]))
    assert check["Command"] == ["CMD", *json.loads(found[5])]
    # What ECS allows.
    assert 5 <= check["Interval"] <= 300 and 2 <= check["Timeout"] <= 60
    assert 1 <= check["Retries"] <= 10 and 0 <= check["StartPeriod"] <= 300


def test_a_failed_deployment_is_taken_back() -> None:
    """The circuit breaker is on, and an update has at least as many runners as before."""
    [service] = resources("AWS::ECS::Service").values()
    assert service["DeploymentConfiguration"] == {
        "MinimumHealthyPercent": 100,
        "MaximumPercent": 200,
        "DeploymentCircuitBreaker": {"Enable": True, "Rollback": True},
    }
    assert service["AvailabilityZoneRebalancing"] == "DISABLED", "which AWS would switch on by itself"
    assert "DesiredCount" not in service, "an update of the stack must not undo what scaling did"


def test_every_log_group_forgets() -> None:
    """Each has a retention, and the functions and the task log into one of them."""
    groups = resources("AWS::Logs::LogGroup")
    assert len(groups) == 3
    assert all(group["RetentionInDays"] == {"Ref": "LogDays"} for group in groups.values())
    assert all(template(part)["Parameters"]["LogDays"]["Default"] == 30 for part in ("runners", "api"))


def test_a_value_that_the_last_step_would_refuse_is_refused_by_the_parameter() -> None:
    """Days that logs cannot be kept for, or a level that no runner knows, are wrong from the start."""
    days = [template(part)["Parameters"]["LogDays"]["AllowedValues"] for part in ("runners", "api")]
    assert days[0] == days[1] and {7, 14, 30} < set(days[0]) and 10 not in days[0]
    for level in template("runners")["Parameters"]["LogLevel"]["AllowedValues"]:
        assert Settings.from_env({"LOG_LEVEL": level}).log_level == level
    with pytest.raises(SettingsError):
        Settings.from_env({"LOG_LEVEL": "verbose"})
    assert "1024" in template("runners")["Parameters"]["TaskCpu"]["AllowedValues"]


def test_only_published_metrics_are_watched() -> None:
    """Alarms, policies and the dashboard use the published metrics, with the stage as their one dimension."""
    named = set()
    for part in STACKS:
        for value in walk(template(part)["Resources"]):
            if isinstance(value, dict) and value.get("Namespace") == NAMESPACE:
                named.add(value["MetricName"])
                assert value["Dimensions"] == [{"Name": "Stage", "Value": {"Ref": "Stage"}}]
    [dashboard] = resources("AWS::CloudWatch::Dashboard").values()
    body = json.loads(dashboard["DashboardBody"]["Fn::Sub"])
    for widget in body["widgets"]:
        metrics = widget["properties"].get("metrics", [])
        if metrics and metrics[0][0] == NAMESPACE:
            named |= {metric[1] for metric in metrics}
            assert metrics[0][2:] == ["Stage", "${Stage}"]
    assert named == METRICS
