"""Redis dies (SIGKILL) under load and comes back, or a replica takes over: no job hangs or ends twice."""

import time
from collections.abc import Callable
from typing import Any, Literal

import pytest

from chalicelib.storage.redis.keys import Keys
from tests.faults.harness import LEASE_SECONDS, SmallRunner, assert_settled, fault_settings
from tests.faults.load import Load, outcome
from tests.support.processes import ApiProcess
from tests.support.servers import RedisCluster, RedisServer, SentinelGroup, wait_until

JOBS_BEFORE_A_FAULT = 20
WAIT_SECONDS = 120.0


def wait_for_jobs(load: Load) -> None:
    """Returns when some more jobs were accepted: the service works, and there is something to lose."""
    enough = len(load.accepted) + JOBS_BEFORE_A_FAULT
    wait_until(lambda: len(load.accepted) >= enough, "jobs to be accepted", timeout_seconds=WAIT_SECONDS)


def wait_for_503(load: Load) -> None:
    """Returns when the API has noticed that Redis is away."""
    before = load.statuses.get(503, 0)
    wait_until(lambda: load.statuses.get(503, 0) > before, "a 503", timeout_seconds=WAIT_SECONDS)


@pytest.mark.parametrize("fsync", ["always", "everysec"])
def test_jobs_survive_a_redis_that_is_killed_under_load(
    start_redis: Callable[..., RedisServer], fsync: Literal["always", "everysec"]
) -> None:
    """Redis is killed twice under load. With appendfsync always every accepted job ends; with everysec the
    loss is counted and no job hangs. Meanwhile the API answers 503, and never 500."""
    server = start_redis(appendonly=fsync)
    settings = fault_settings(server)
    with SmallRunner(settings) as runner, ApiProcess(settings) as api:
        with Load(api) as load:
            for _ in range(2):
                wait_for_jobs(load)
                server.kill()
                wait_for_503(load)
                server.start()
            wait_for_jobs(load)
        result = outcome(api, load.accepted)
        print(
            f"\nappendfsync {fsync}: {len(load.accepted)} accepted, {result.ended} ended, "
            f"{result.lost} lost, {len(result.hanging)} hang; answers {load.statuses}"
        )
        assert set(load.statuses) <= {202, 503}, load.statuses
        assert not load.broken
        assert not result.hanging
        assert result.lost == 0 or fsync == "everysec"
        assert len(load.accepted) >= 3 * JOBS_BEFORE_A_FAULT
        assert runner.running
        # A job whose submit was answered with 503 may have been queued all the same; then it ends, too.
        wait_until(lambda: server.admin.hlen("job:live") == 0, "the last job", timeout_seconds=WAIT_SECONDS)
        redis: Any = server.admin
        everything = [key.removeprefix("job:") for key in redis.keys("job:" + "[0-9a-f]" * 32)]
        assert set(load.accepted) <= set(everything)
        # A record without a result was written by a submit that failed before it queued the job.
        queued = [job_id for job_id in everything if redis.exists(f"result:{job_id}")]
        assert_settled(server, queued)


def test_the_service_survives_a_sentinel_failover(start_sentinels: Callable[..., SentinelGroup]) -> None:
    """The master dies under load: the service resumes by itself. What the dead master had not replicated
    is lost and counted; no job hangs."""
    group = start_sentinels()
    fail_over(
        "sentinel", group.environment(), find_master=group.master, wait=group.wait_for_master_other_than
    )
    assert_no_double(group.client(), prefix="")


def test_the_service_survives_a_cluster_failover(start_cluster: Callable[..., RedisCluster]) -> None:
    """The master that holds the coordination keys dies under load; the service goes on with its replica."""
    cluster, keys = start_cluster(), Keys(cluster=True)
    fail_over(
        "cluster",
        cluster.environment(),
        find_master=lambda: cluster.node_for(keys.stream),
        wait=cluster.wait_for_failover_of,
    )
    assert_no_double(cluster.client(), prefix=keys.together)


def fail_over(
    kind: str,
    env: dict[str, str],
    *,
    find_master: Callable[[], RedisServer],
    wait: Callable[[RedisServer], object],
) -> None:
    """Kills a master under load, waits for the next one, and counts how the accepted jobs ended."""
    settings = env | {"LEASE_SECONDS": str(LEASE_SECONDS), "QUEUE_SIZE": "5000"}
    with SmallRunner(settings) as runner, ApiProcess(settings) as api:
        with Load(api) as load:
            wait_for_jobs(load)
            former = find_master()
            former.kill()
            began = time.monotonic()
            wait(former)
            elected = time.monotonic() - began
            wait_for_jobs(load)
            resumed = time.monotonic() - began
        result = outcome(api, load.accepted)
        print(
            f"\n{kind} failover: new master after {elected:.1f} s, service after {resumed:.1f} s; "
            f"{len(load.accepted)} accepted, {result.ended} ended, {result.lost} lost, "
            f"{len(result.hanging)} hang; answers {load.statuses}"
        )
        assert set(load.statuses) <= {202, 503}, load.statuses
        assert not result.hanging
        assert result.ended + result.lost == len(load.accepted)
        assert runner.running


def assert_no_double(client: Any, *, prefix: str) -> None:
    """No id is in two status sets."""
    seen: dict[str, str] = {}
    for status in ("queued", "processing", "completed", "failed", "timeout", "error", "cancelled"):
        for job_id in client.smembers(f"{prefix}job:index:status:{status}"):
            assert job_id not in seen, f"{job_id} is in {seen[job_id]} and {status}"
            seen[job_id] = status
