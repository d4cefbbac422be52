"""Redis on ElastiCache, beyond what its stack knows: its status and its snapshots.

A serverless cache and one made of nodes (`nodes`, `durable`) have different calls for the same things; the
stack's parameters say which kind a stage has.
"""

import time

from botocore.exceptions import ClientError

from infra.context import DeployContext
from infra.errors import AGAIN, DeployError
from infra.stacks import Stack
from infra.stage import Stage

# A snapshot of some GB takes minutes.
LONGEST_WAIT_FOR_SNAPSHOT_SECONDS = 1800
_NOT_FOUND = ("ServerlessCacheNotFoundFault", "ReplicationGroupNotFoundFault")


def is_serverless(context: DeployContext, stage: Stage) -> bool:
    """Whether the stage's cache is serverless; false also when the stage has none."""
    return kind(context, stage) == "serverless"


def kind(context: DeployContext, stage: Stage) -> str:
    """The parameter `Cache` of the stage's store as it is now; empty when the stage has none."""
    return Stack(context, stage, "store").parameters().get("Cache", "")


def group(context: DeployContext, stage: Stage) -> str:
    """The name of the replication group of a stage whose cache is not serverless."""
    return stage.durable_cache if kind(context, stage) == "durable" else stage.cache


def status(context: DeployContext, stage: Stage) -> str:
    """ElastiCache's word for the cache's status, `available` when it works; empty without a cache."""
    client = context.client("elasticache")
    try:
        if is_serverless(context, stage):
            caches = client.describe_serverless_caches(ServerlessCacheName=stage.cache)["ServerlessCaches"]
        else:
            caches = client.describe_replication_groups(ReplicationGroupId=group(context, stage))[
                "ReplicationGroups"
            ]
    except ClientError as error:
        if error.response["Error"]["Code"] in _NOT_FOUND:
            return ""
        raise
    return str(caches[0]["Status"]) if caches else ""


def take_snapshot(context: DeployContext, stage: Stage) -> None:
    """Takes a snapshot that outlives the stack, and waits for it."""
    if not Stack(context, stage, "store").status():
        return
    name = f"{stage.cache}-{int(time.time())}"
    client = context.client("elasticache")
    context.say(f"  taking the snapshot {name}")
    if is_serverless(context, stage):
        client.create_serverless_cache_snapshot(
            ServerlessCacheSnapshotName=name, ServerlessCacheName=stage.cache
        )
    elif kind(context, stage) == "durable":
        client.create_snapshot(SnapshotName=name, ReplicationGroupId=stage.durable_cache)
    else:
        # Outside of cluster mode ElastiCache takes the snapshot of one node; its documents name no group.
        groups = client.describe_replication_groups(ReplicationGroupId=stage.cache)["ReplicationGroups"]
        node = max(groups[0]["MemberClusters"])
        client.create_snapshot(SnapshotName=name, CacheClusterId=node)
    deadline = context.now() + LONGEST_WAIT_FOR_SNAPSHOT_SECONDS
    while _snapshot_status(context, stage, name) not in ("available", "complete"):
        if context.now() > deadline:
            raise DeployError(f"the snapshot {name} is not done after half an hour", f"later, {AGAIN}")
        context.sleep(context.poll_seconds)


def _snapshot_status(context: DeployContext, stage: Stage, name: str) -> str:
    client = context.client("elasticache")
    if is_serverless(context, stage):
        response = client.describe_serverless_cache_snapshots(ServerlessCacheSnapshotName=name)
        return str(response["ServerlessCacheSnapshots"][0]["Status"])
    return str(client.describe_snapshots(SnapshotName=name)["Snapshots"][0]["SnapshotStatus"])


def delete_snapshots(context: DeployContext, stage: Stage) -> None:
    """Deletes the snapshots of earlier `destroy --keep-snapshot`; automatic ones go with their cache.

    It reads the list of the whole account, because ElastiCache does not list by the name of a deleted cache.
    """
    client = context.client("elasticache")
    for page in client.get_paginator("describe_snapshots").paginate():
        for snapshot in page["Snapshots"]:
            # The snapshot of one node may lack the name of its group; the node's is that and a number.
            node = snapshot.get("CacheClusterId", "")
            names = {snapshot.get("ReplicationGroupId"), node.rpartition("-")[0]}
            if names & {stage.cache, stage.durable_cache}:
                client.delete_snapshot(SnapshotName=snapshot["SnapshotName"])
    for page in client.get_paginator("describe_serverless_cache_snapshots").paginate():
        for snapshot in page["ServerlessCacheSnapshots"]:
            if snapshot.get("ServerlessCacheConfiguration", {}).get("ServerlessCacheName") == stage.cache:
                client.delete_serverless_cache_snapshot(
                    ServerlessCacheSnapshotName=snapshot["ServerlessCacheSnapshotName"]
                )
