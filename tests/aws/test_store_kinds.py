"""The kinds of store: what each template says, switching between them, and snapshots."""

import json

import pytest

from infra import elasticache
from infra.stage import TEMPLATES, Stage, parameter_default
from tests.aws.conftest import STAGE, Cli
from tests.aws.templates import resources, template

pytestmark = pytest.mark.timeout(900)  # seconds, only for a hang; the machine may be busy

# Only these have the log that a durable store writes to (docs.aws.amazon.com/AmazonElastiCache: Durability).
DURABLE_GENERATIONS = ("m6g", "r6g", "m7g", "r7g", "c7gn", "m8g", "r8g")


def with_settings(cli: Cli, name: str, text: str) -> tuple[str, str]:
    """The option that names a settings file with this text."""
    path = cli.project / name
    path.write_text(text)
    return "--settings", str(path)


def test_a_durable_store_has_what_aws_requires_for_it() -> None:
    """Valkey 9.0 as a cluster of one shard in two zones, on a fitting node type; writes are synchronous."""
    store = resources("AWS::ElastiCache::ReplicationGroup")["DurableCache"]
    assert (store["Engine"], store["EngineVersion"]) == ("valkey", "9.0")
    assert (store["Durability"], store["ClusterMode"], store["NumNodeGroups"]) == ("sync", "enabled", 1)
    assert store["MultiAZEnabled"] is True and store["TransitEncryptionEnabled"] is True
    assert store["CacheNodeType"]["Fn::If"][2].split(".")[1] in DURABLE_GENERATIONS
    parameters = resources("AWS::ElastiCache::ParameterGroup")["DurableParameters"]
    assert parameters["CacheParameterGroupFamily"] == "valkey9"
    assert parameters["Properties"] == {"maxmemory-policy": "noeviction", "cluster-enabled": "yes"}
    assert template("store")["Outputs"]["RedisMode"]["Value"] == {
        "Fn::If": ["Nodes", "standalone", "cluster"]
    }


def test_both_stacks_know_the_same_kinds_with_the_same_default() -> None:
    """The store and its alarms agree, and a stage that says nothing gets nodes."""
    kinds = [template(part)["Parameters"]["Cache"] for part in ("store", "api")]
    assert kinds[0]["AllowedValues"] == kinds[1]["AllowedValues"] == ["nodes", "durable", "serverless"]
    defaults = [
        parameter_default((TEMPLATES / f"{part}.yml").read_text(), "Cache") for part in ("store", "api")
    ]
    assert defaults == [kinds[0]["Default"], kinds[1]["Default"]] == ["nodes", "nodes"]


def test_a_store_can_start_from_a_snapshot() -> None:
    """Each kind restores SnapshotToRestore; without it, and without snapshots, properties are left out."""
    none = {"Ref": "AWS::NoValue"}
    for group in resources("AWS::ElastiCache::ReplicationGroup").values():
        assert group["SnapshotName"] == {"Fn::If": ["Restore", {"Ref": "SnapshotToRestore"}, none]}
    [serverless] = resources("AWS::ElastiCache::ServerlessCache").values()
    assert serverless["SnapshotArnsToRestore"] == {
        "Fn::If": ["Restore", [{"Ref": "SnapshotToRestore"}], none]
    }
    assert serverless["DailySnapshotTime"] == {"Fn::If": ["WithSnapshots", "04:00", none]}


def test_a_change_that_deletes_jobs_is_announced_and_needs_a_word(cli: Cli) -> None:
    """A plan warns of another kind of store; deploy refuses it, unless --delete-jobs permits it."""
    serverless = with_settings(cli, "a.toml", 'Cache = "serverless"\n')
    cli.succeed("deploy", *serverless)

    out = cli.succeed("plan")  # the default is another kind
    assert "WARNING: this change deletes the store with all its jobs and results" in out
    assert "Cache changes from serverless to nodes" in out and 'Cache = "serverless"' in out

    code, _, err = cli.run("deploy")
    assert code == 1 and err.startswith("step store: this change deletes the store"), err
    assert "--delete-jobs" in err and 'Cache = "serverless"' in err
    assert elasticache.kind(cli.context(), Stage(STAGE)) == "serverless"
    assert "WARNING" not in cli.succeed("plan", *serverless)

    cli.succeed("deploy", "--delete-jobs")
    assert elasticache.kind(cli.context(), Stage(STAGE)) == "nodes"
    cli.succeed("status")


@pytest.mark.parametrize(
    ("cache", "asked"),
    [
        ("nodes", {"CacheClusterId": f"wic-{STAGE}-002"}),
        ("durable", {"ReplicationGroupId": f"wicd-{STAGE}"}),
    ],
    ids=["nodes", "durable"],
)
def test_a_last_snapshot_is_of_what_elasticache_takes_snapshots_of(
    cli: Cli, cache: str, asked: dict[str, str]
) -> None:
    """Of a node outside of cluster mode, else of the group; both are found again, those of others stay."""
    stage = Stage(STAGE, {"Cache": cache})
    cli.client("cloudformation").create_stack(
        StackName=stage.stack("store"),
        TemplateBody=json.dumps(
            {"Parameters": {"Cache": {"Type": "String"}}, "Resources": _group(stage, cache)}
        ),
        Parameters=[{"ParameterKey": "Cache", "ParameterValue": cache}],
    )
    elasticache.take_snapshot(cli.context(), stage)
    [snapshot] = cli.cloud.account.snapshots.values()
    assert {key: snapshot[key] for key in asked} == asked
    assert len({"CacheClusterId", "ReplicationGroupId"} & set(snapshot)) == 1
    other = {"SnapshotName": "other", "CacheClusterId": f"wic-{STAGE}-2-001"}
    cli.cloud.account.snapshots["other"] = other
    elasticache.delete_snapshots(cli.context(), stage)
    assert list(cli.cloud.account.snapshots) == ["other"]


def _group(stage: Stage, cache: str) -> dict[str, object]:
    name = stage.durable_cache if cache == "durable" else stage.cache
    return {
        "Group": {"Type": "AWS::ElastiCache::ReplicationGroup", "Properties": {"ReplicationGroupId": name}}
    }
