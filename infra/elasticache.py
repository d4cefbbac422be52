"""Redis itself, beyond what its stack says: whether it is up, and its snapshots.

A serverless cache and one of nodes have different calls for the same things; which of them a stage has, its
stack knows.
"""

import time

from botocore.exceptions import ClientError

from infra.context import Outside
from infra.errors import AGAIN, Problem
from infra.stacks import Stack
from infra.stage import Stage

# A snapshot of some GB takes minutes.
LONGEST_WAIT_FOR_SNAPSHOT_SECONDS = 1800
_GONE = ("ServerlessCacheNotFoundFault", "ReplicationGroupNotFoundFault")


def is_serverless(outside: Outside, stage: Stage) -> bool:
    """Which kind the stage has; as good as serverless when it has none."""
    return Stack(outside, stage, "store").parameters().get("Cache", "serverless") == "serverless"


def status(outside: Outside, stage: Stage) -> str:
    """ElastiCache's status, `available` when all is well; empty when there is none."""
    client = outside.client("elasticache")
    try:
        if is_serverless(outside, stage):
            found = client.describe_serverless_caches(ServerlessCacheName=stage.cache)["ServerlessCaches"]
        else:
            found = client.describe_replication_groups(ReplicationGroupId=stage.cache)["ReplicationGroups"]
    except ClientError as error:
        if error.response["Error"]["Code"] in _GONE:
            return ""
        raise
    return str(found[0]["Status"]) if found else ""


def take_snapshot(outside: Outside, stage: Stage) -> None:
    """Takes a snapshot, which outlives the stack; waits for it."""
    if not Stack(outside, stage, "store").status():
        return
    name = f"{stage.cache}-{int(time.time())}"
    client = outside.client("elasticache")
    outside.say(f"  taking the snapshot {name}")
    if is_serverless(outside, stage):
        client.create_serverless_cache_snapshot(
            ServerlessCacheSnapshotName=name, ServerlessCacheName=stage.cache
        )
    else:
        client.create_snapshot(SnapshotName=name, ReplicationGroupId=stage.cache)
    deadline = outside.now() + LONGEST_WAIT_FOR_SNAPSHOT_SECONDS
    while _snapshot_status(outside, stage, name) not in ("available", "complete"):
        if outside.now() > deadline:
            raise Problem(f"the snapshot {name} is not done after half an hour", f"later, {AGAIN}")
        outside.sleep(outside.poll_seconds)


def _snapshot_status(outside: Outside, stage: Stage, name: str) -> str:
    client = outside.client("elasticache")
    if is_serverless(outside, stage):
        found = client.describe_serverless_cache_snapshots(ServerlessCacheSnapshotName=name)
        return str(found["ServerlessCacheSnapshots"][0]["Status"])
    return str(client.describe_snapshots(SnapshotName=name)["Snapshots"][0]["SnapshotStatus"])


def delete_snapshots(outside: Outside, stage: Stage) -> None:
    """Snapshots that an earlier `destroy --keep-snapshot` has left; automatic ones go with their cache.

    All of the account are listed and looked through: asked for those of a cache that is gone, ElastiCache
    answers that there is no such cache.
    """
    client = outside.client("elasticache")
    for page in client.get_paginator("describe_snapshots").paginate():
        for snapshot in page["Snapshots"]:
            if snapshot.get("ReplicationGroupId") == stage.cache:
                client.delete_snapshot(SnapshotName=snapshot["SnapshotName"])
    for page in client.get_paginator("describe_serverless_cache_snapshots").paginate():
        for snapshot in page["ServerlessCacheSnapshots"]:
            if snapshot.get("ServerlessCacheConfiguration", {}).get("ServerlessCacheName") == stage.cache:
                client.delete_serverless_cache_snapshot(
                    ServerlessCacheSnapshotName=snapshot["ServerlessCacheSnapshotName"]
                )
