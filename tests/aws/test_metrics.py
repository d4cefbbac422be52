"""The deployed scheduled function prints the metrics that the stacks read, and fixes a lost stream.

CloudWatch turns the lines that a function prints in the embedded metric format into metrics. moto stores
lines and metrics, but does not do that, so `metrics_in` does it, following Amazon's specification of the
format.
"""

import json
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from chalicelib.storage.redis.store import RedisStore
from infra.stage import STACKS
from tests.aws.conftest import STAGE, Cli
from tests.aws.deployed import fetch
from tests.aws.templates import METRICS, NAMESPACE, template, walk
from tests.integration.test_package import _CLEAN
from tests.support.factories import make_job, make_settings
from tests.support.servers import RedisServer

pytestmark = pytest.mark.timeout(900)  # seconds, only for a hang; chalice packs, and the machine may be busy

NAME = f"will-it-compile-{STAGE}-sweep"
# Looks the handler up by its name and calls it with an event of EventBridge, as Lambda does.
_CALL = """
import importlib, json, sys
sys.path.insert(0, sys.argv[1])
module, name = sys.argv[2].split(".")
event = {"version": "0", "id": "1", "detail-type": "Scheduled Event", "source": "aws.events", "account": "1",
         "time": "2026-01-01T00:00:00Z", "region": "us-east-1", "resources": [], "detail": {}}
answer = getattr(importlib.import_module(module), name)(event, None)
print(json.dumps(answer), file=sys.stderr)
"""


def metrics_in(line: str, *, now_seconds: float) -> list[dict[str, Any]]:
    """The metrics that CloudWatch makes of a log line, as arguments of PutMetricData."""
    try:
        document = json.loads(line)
    except ValueError:
        return []
    if not isinstance(document, dict) or "_aws" not in document:
        return []
    at = document["_aws"]["Timestamp"]
    # In milliseconds; CloudWatch accepts times up to two weeks ago and two hours ahead.
    assert isinstance(at, int) and now_seconds - 14 * 86_400 < at / 1000 < now_seconds + 7200
    metrics = []
    for directive in document["_aws"]["CloudWatchMetrics"]:
        assert len(directive["Metrics"]) <= 100
        for names in directive["Dimensions"]:
            dimensions = [{"Name": name, "Value": document[name]} for name in names]
            assert all(
                isinstance(item["Value"], str) and 0 < len(item["Value"]) <= 1024 for item in dimensions
            )
            for metric in directive["Metrics"]:
                value = document[metric["Name"]]
                assert isinstance(value, int | float) and not isinstance(value, bool)
                data = {
                    "MetricName": metric["Name"],
                    "Dimensions": dimensions,
                    "Timestamp": datetime.fromtimestamp(at / 1000, UTC),
                    "Value": value,
                    "Unit": metric["Unit"],
                }
                metrics.append({"Namespace": directive["Namespace"], "MetricData": [data]})
    return metrics


def metrics_of_the_stacks() -> set[tuple[str, str]]:
    """Metric and statistic of every alarm and policy that reads the function's metrics."""
    metrics = set()
    for part in STACKS:
        for value in walk(template(part)["Resources"]):
            if not isinstance(value, dict):
                continue
            metric = value.get("Metric", value)
            if isinstance(metric, dict) and metric.get("Namespace") == NAMESPACE:
                assert metric["Dimensions"] == [{"Name": "Stage", "Value": {"Ref": "Stage"}}]
                if statistic := value.get("Stat") or value.get("Statistic"):
                    metrics.add((metric["MetricName"], statistic))
    return metrics


def test_the_function_prints_the_metrics_that_the_stacks_read(
    cli: Cli, clean_redis: RedisServer, tmp_path: Path
) -> None:
    """With three queued jobs, a lost stream and no runner, one call restores the stream and publishes every
    metric with the name, dimension and unit that alarms and scaling read."""
    cli.succeed("deploy")
    function = fetch(cli, NAME, tmp_path / "unpacked")
    assert function.handler == "app.sweep"
    submitting = time.monotonic()
    store = RedisStore(make_settings(redis_enabled=True, redis_addr=clean_redis.address))
    for _ in range(3):
        store.submit(make_job())
    store.close()
    clean_redis.admin.delete("job:stream")

    run = subprocess.run(
        [*_CLEAN, "-c", _CALL, str(function.package.folder), function.handler],
        env={"AWS_LAMBDA_FUNCTION_NAME": NAME, "PATH": "/usr/bin"} | function.env_with(clean_redis),
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    longest_wait_seconds = time.monotonic() - submitting
    assert run.returncode == 0, run.stderr
    assert clean_redis.admin.xlen("job:stream") == 3, "the stream is restored, without a runner"

    # Lambda writes what the function prints into its log group, which a stack makes.
    logs, group = cli.client("logs"), f"/aws/lambda/{NAME}"
    logs.create_log_stream(logGroupName=group, logStreamName="1")
    events = [{"timestamp": int(time.time() * 1000), "message": line} for line in run.stdout.splitlines()]
    logs.put_log_events(logGroupName=group, logStreamName="1", logEvents=events)
    for event in logs.get_log_events(logGroupName=group, logStreamName="1")["events"]:
        for data in metrics_in(event["message"], now_seconds=time.time()):
            cli.client("cloudwatch").put_metric_data(**data)

    stored = cli.client("cloudwatch").list_metrics(Namespace=NAMESPACE)["Metrics"]
    dimensions = [{"Name": "Stage", "Value": STAGE}]
    assert sorted(metric["MetricName"] for metric in stored) == sorted(METRICS)
    assert all(metric["Dimensions"] == dimensions for metric in stored)

    def value(name: str, statistic: str) -> tuple[float, str]:
        """The value of the last minutes, and its unit."""
        now = datetime.now(UTC)
        [point] = cli.client("cloudwatch").get_metric_statistics(
            Namespace=NAMESPACE,
            MetricName=name,
            Dimensions=dimensions,
            StartTime=now - timedelta(minutes=5),
            EndTime=now + timedelta(minutes=5),
            Period=3600,
            Statistics=[statistic],
        )["Datapoints"]
        return point[statistic], point["Unit"]

    values = {name: value(name, "Maximum") for name in METRICS}
    oldest, unit = values.pop("OldestQueuedSeconds")
    assert 0 <= oldest <= longest_wait_seconds and unit == "Seconds"
    assert values == {
        "QueuedJobs": (3, "Count"),
        "ProcessingJobs": (0, "Count"),
        "Backlog": (3, "Count"),
        "BacklogPerTask": (3, "Count"),
        "EndedJobs": (0, "Count"),
        "Runners": (0, "Count"),
    }
    metrics = metrics_of_the_stacks()
    assert {name for name, _ in metrics} == METRICS - {"QueuedJobs", "ProcessingJobs"}
    for name, statistic in metrics:
        assert value(name, statistic)[0] >= 0, (name, statistic)
