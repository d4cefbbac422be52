"""The scheduled function as it was deployed: what it prints becomes the metrics that the stacks read, and it
mends what was lost though no runner is up.

CloudWatch makes metrics of the lines in the embedded metric format that a function prints. moto keeps lines
and metrics and does not make the one of the other, so `published` does, by Amazon's specification of it.
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
from tests.aws.conftest import STAGE, Desk
from tests.aws.deployed import fetch
from tests.aws.templates import METRICS, NAMESPACE, template, walk
from tests.integration.test_package import _CLEAN
from tests.support.factories import make_job, make_settings
from tests.support.servers import RedisServer

pytestmark = pytest.mark.timeout(300)  # chalice packs, on a machine that does other things as well

NAME = f"will-it-compile-{STAGE}-sweep"
# As Lambda: the handler is looked up by its name and called with an event of EventBridge.
_CALL = """
import importlib, json, sys
sys.path.insert(0, sys.argv[1])
module, name = sys.argv[2].split(".")
event = {"version": "0", "id": "1", "detail-type": "Scheduled Event", "source": "aws.events", "account": "1",
         "time": "2026-01-01T00:00:00Z", "region": "us-east-1", "resources": [], "detail": {}}
answer = getattr(importlib.import_module(module), name)(event, None)
print(json.dumps(answer), file=sys.stderr)
"""


def published(line: str, *, now_seconds: float) -> list[dict[str, Any]]:
    """What CloudWatch makes of a line of a log: arguments of PutMetricData; nothing for an ordinary line."""
    try:
        document = json.loads(line)
    except ValueError:
        return []
    if not isinstance(document, dict) or "_aws" not in document:
        return []
    at = document["_aws"]["Timestamp"]
    # Milliseconds, at most two weeks old and two hours ahead.
    assert isinstance(at, int) and now_seconds - 14 * 86_400 < at / 1000 < now_seconds + 7200
    made = []
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
                made.append({"Namespace": directive["Namespace"], "MetricData": [data]})
    return made


def read_by_the_stacks() -> set[tuple[str, str]]:
    """Metric and statistic of every alarm and policy that reads the function's metrics."""
    found = set()
    for part in STACKS:
        for value in walk(template(part)["Resources"]):
            if not isinstance(value, dict):
                continue
            metric = value.get("Metric", value)
            if isinstance(metric, dict) and metric.get("Namespace") == NAMESPACE:
                assert metric["Dimensions"] == [{"Name": "Stage", "Value": {"Ref": "Stage"}}]
                if statistic := value.get("Stat") or value.get("Statistic"):
                    found.add((metric["MetricName"], statistic))
    return found


def test_what_the_function_prints_is_what_the_stacks_read(
    desk: Desk, clean_redis: RedisServer, tmp_path: Path
) -> None:
    """With three jobs queued, their stream lost and no runner, one call repairs the stream and publishes each
    metric under the name, dimension and unit by which alarms and scaling ask for it."""
    assert desk.run("deploy")[0] == 0
    function = fetch(desk, NAME, tmp_path / "unpacked")
    assert function.handler == "app.sweep"
    store = RedisStore(make_settings(redis_enabled=True, redis_addr=clean_redis.address))
    for _ in range(3):
        store.submit(make_job())
    store.close()
    clean_redis.admin.delete("job:stream")

    run = subprocess.run(
        [*_CLEAN, "-c", _CALL, str(function.package.folder), function.handler],
        env={"AWS_LAMBDA_FUNCTION_NAME": NAME, "PATH": "/usr/bin"} | function.over(clean_redis),
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert clean_redis.admin.xlen("job:stream") == 3, "repaired, with no runner up"

    # Lambda writes what is printed into the function's log group, which is the stack's.
    logs, group = desk.client("logs"), f"/aws/lambda/{NAME}"
    logs.create_log_stream(logGroupName=group, logStreamName="1")
    events = [{"timestamp": int(time.time() * 1000), "message": line} for line in run.stdout.splitlines()]
    logs.put_log_events(logGroupName=group, logStreamName="1", logEvents=events)
    for event in logs.get_log_events(logGroupName=group, logStreamName="1")["events"]:
        for data in published(event["message"], now_seconds=time.time()):
            desk.client("cloudwatch").put_metric_data(**data)

    listed = desk.client("cloudwatch").list_metrics(Namespace=NAMESPACE)["Metrics"]
    dimensions = [{"Name": "Stage", "Value": STAGE}]
    assert sorted(metric["MetricName"] for metric in listed) == sorted(METRICS)
    assert all(metric["Dimensions"] == dimensions for metric in listed)

    def asked(name: str, statistic: str) -> tuple[float, str]:
        now = datetime.now(UTC)
        [point] = desk.client("cloudwatch").get_metric_statistics(
            Namespace=NAMESPACE,
            MetricName=name,
            Dimensions=dimensions,
            StartTime=now - timedelta(minutes=5),
            EndTime=now + timedelta(minutes=5),
            Period=3600,
            Statistics=[statistic],
        )["Datapoints"]
        return point[statistic], point["Unit"]

    values = {name: asked(name, "Maximum") for name in METRICS}
    oldest, unit = values.pop("OldestQueuedSeconds")
    assert 0 <= oldest < 60 and unit == "Seconds"
    assert values == {
        "QueuedJobs": (3, "Count"),
        "ProcessingJobs": (0, "Count"),
        "Backlog": (3, "Count"),
        "BacklogPerTask": (3, "Count"),
        "EndedJobs": (0, "Count"),
        "Runners": (0, "Count"),
    }
    read = read_by_the_stacks()
    assert {name for name, _ in read} == METRICS - {"QueuedJobs", "ProcessingJobs"}
    for name, statistic in read:
        assert asked(name, statistic)[0] >= 0, (name, statistic)
