"""Operations of AWS that moto's server lacks: quotas, the concurrency of an account, and faults of a cache.

`answer` gives the body of a response, or None for an operation that moto has. The state is in `Account`,
which a test can change: `Cloud.account`.
"""

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from moto.awslambda.models import lambda_backends
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.ecs.models import ecs_backends
from moto.elasticache.models import elasticache_backends

from tests.aws import missing_resources


@dataclass
class Account:
    """What an account allows, and what was done to its caches and tasks."""

    # Lambda: calls at the same time.
    concurrency: int = 1000
    # Quota code → value. By default those of an account that is some months old.
    quotas: dict[str, float] = field(
        default_factory=lambda: {"L-3032A538": 256.0, "L-36FBB829": 256.0, "L-F678F1CE": 5.0}
    )
    # The exit code of a task that a rehearsal starts, and its log.
    exit_code: int = 0
    rights: list[str] = field(default_factory=list)
    failovers: list[str] = field(default_factory=list)
    stopped_tasks: list[str] = field(default_factory=list)
    # Snapshots: name → what was asked for.
    snapshots: dict[str, dict[str, str]] = field(default_factory=dict)


def answer(account: Account, region: str, service: str, operation: str, body: bytes) -> bytes | None:
    """The body of the response to an operation that moto lacks; None for all others."""
    if (
        service == "lambda"
        and operation.startswith("GET ")
        and operation.rstrip("/").endswith("account-settings")
    ):
        reserved = sum(
            int(function.reserved_concurrency or 0)
            for function in lambda_backends[DEFAULT_ACCOUNT_ID][region].list_functions()
        )
        limit = {
            "ConcurrentExecutions": account.concurrency,
            "UnreservedConcurrentExecutions": account.concurrency - reserved,
        }
        return json.dumps({"AccountLimit": limit}).encode()
    if operation == "GetServiceQuota":
        code = json.loads(body)["QuotaCode"]
        return json.dumps({"Quota": {"QuotaCode": code, "Value": account.quotas[code]}}).encode()
    if service == "elasticache":
        return _elasticache(account, region, operation, {k: v[0] for k, v in parse_qs(body.decode()).items()})
    if service == "ecs":
        return _ecs(account, region, operation, json.loads(body or b"{}"))
    return None


def _elasticache(account: Account, region: str, operation: str, values: dict[str, str]) -> bytes | None:
    result = ""
    if operation == "ModifyUser":
        user = elasticache_backends[DEFAULT_ACCOUNT_ID][region].users[values["UserId"]]
        user.access_string = values["AccessString"]
        account.rights.append(user.access_string)
    elif operation == "TestFailover":
        account.failovers.append(values["ReplicationGroupId"])
    elif operation == "CreateSnapshot":
        account.snapshots[values["SnapshotName"]] = values
    elif operation == "DeleteSnapshot":
        del account.snapshots[values["SnapshotName"]]
    elif operation == "DescribeSnapshots":
        names = ("SnapshotName", "ReplicationGroupId", "CacheClusterId")
        items = "".join(
            "<Snapshot><SnapshotStatus>available</SnapshotStatus>"
            + "".join(f"<{name}>{asked[name]}</{name}>" for name in names if name in asked)
            + "</Snapshot>"
            for asked in account.snapshots.values()
        )
        result = f"<Snapshots>{items}</Snapshots>"
    elif operation == "DescribeReplicationGroups":
        name = values.get("ReplicationGroupId", "")
        if name not in missing_resources.RECORDED.get("AWS::ElastiCache::ReplicationGroup", set()):
            return None
        nodes = "".join(f"<ClusterId>{name}-00{number}</ClusterId>" for number in (1, 2))
        result = (
            f"<ReplicationGroups><ReplicationGroup><Status>available</Status><MemberClusters>{nodes}"
            "</MemberClusters></ReplicationGroup></ReplicationGroups>"
        )
    else:
        return None
    return (
        f"<{operation}Response><{operation}Result>{result}</{operation}Result></{operation}Response>".encode()
    )


def _ecs(account: Account, region: str, operation: str, values: dict[str, Any]) -> bytes | None:
    """A task that somebody starts ends at once; a service has as many runners as it should."""
    backend = ecs_backends[DEFAULT_ACCOUNT_ID][region]
    if operation == "RunTask":
        network = values["networkConfiguration"]["awsvpcConfiguration"]
        assert len(network["subnets"]) == 2 and network["assignPublicIp"] == "DISABLED"
        backend.describe_task_definition(values["taskDefinition"])  # raises for an unknown one
        arn = f"arn:aws:ecs:{region}:{DEFAULT_ACCOUNT_ID}:task/x/started"
        return json.dumps({"tasks": [{"taskArn": arn}]}).encode()
    if operation == "DescribeTasks":
        containers = [{"name": "contract", "exitCode": account.exit_code}]
        tasks = [
            {
                "taskArn": arn,
                "lastStatus": "STOPPED",
                "stoppedReason": "Essential container exited",
                "containers": containers,
            }
            for arn in values["tasks"]
        ]
        return json.dumps({"tasks": tasks}).encode()
    if operation == "DescribeServices":
        for service in backend.services.values():
            service.running_count = service.desired_count
        return None
    if operation == "ListTasks":
        count = sum(service.desired_count for service in backend.services.values())
        arns = [f"arn:aws:ecs:{region}:{DEFAULT_ACCOUNT_ID}:task/x/{number}" for number in range(count)]
        return json.dumps({"taskArns": arns}).encode()
    if operation == "StopTask":
        account.stopped_tasks.append(values["task"])
        return json.dumps({"task": {"taskArn": values["task"]}}).encode()
    return None
