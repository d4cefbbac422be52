"""Runners die (SIGKILL) at every step, or one after the other: every job ends once."""

import random
import time

import pytest

from tests.faults.harness import (
    DEADLINE_SECONDS,
    LEASE_SECONDS,
    SmallRunner,
    assert_settled,
    c_job,
    fault_settings,
    slow_c,
    wait_for_end,
)
from tests.support.servers import RedisServer, wait_until
from tests.support.stores import redis_store

# move_sealed changes the status and acknowledges the entry in one script, so a runner cannot die in between.
STEPS = ("read", "claim", "update_job", "compile", "seal", "write_result", "move_sealed")
# How often one of three runners is killed, at most, while 300 jobs are done.
MOST_KILLS = 40


@pytest.mark.parametrize("step", STEPS)
def test_a_job_survives_a_runner_that_dies_after(clean_redis: RedisServer, step: str) -> None:
    """Whatever the step after which its runner died, another runner brings the job to its one end."""
    settings = fault_settings(clean_redis)
    store = redis_store(settings)
    job = c_job(source=slow_c(20) if step == "compile" else None)
    with SmallRunner(settings | {"DIE_AFTER": step}) as doomed:
        store.submit(job)
        doomed.wait(timeout_seconds=120)
    with SmallRunner(settings):
        wait_for_end(store, [job.id])
    assert assert_settled(clean_redis, [job.id]) == {job.id: "completed"}
    stored = store.get(job.id)
    assert stored is not None
    # Before the claim there was no attempt yet; after the result there is no need for another.
    assert stored.attempts == (1 if step in ("read", "write_result", "move_sealed") else 2)


def test_three_hundred_jobs_while_runners_die_every_second(clean_redis: RedisServer) -> None:
    """Each second one of three runners is killed and started again: 300 jobs all end, each once."""
    settings = fault_settings(clean_redis, MAX_ATTEMPTS="50")
    store = redis_store(settings)
    choose = random.Random(7)
    jobs = [c_job(source=slow_c(16) + f"int y{number};") for number in range(300)]
    runners = [SmallRunner(settings, name=f"small runner {number}") for number in range(3)]
    kills = 0
    try:
        for runner in runners:
            runner.start()
        began = time.monotonic()
        for job in jobs[:150]:
            store.submit(job)
        pending = list(jobs[150:])
        while kills < MOST_KILLS:
            for job in pending[:15]:
                store.submit(job)
            del pending[:15]
            time.sleep(choose.uniform(0.7, 1.3))
            victim = choose.choice(runners)
            victim.kill()
            kills += 1
            victim.start()
            if not pending and store.counts().totals.processed == len(jobs):
                break
        wait_for_end(store, [job.id for job in jobs])
        seconds = time.monotonic() - began
    finally:
        for runner in runners:
            runner.close()
    wait_until(lambda: clean_redis.admin.hlen("job:live") == 0, "the last acknowledgement")
    statuses = assert_settled(clean_redis, [job.id for job in jobs])
    assert set(statuses.values()) == {"completed"}
    attempts = [stored.attempts for job in jobs if (stored := store.get(job.id))]
    again = sum(number > 1 for number in attempts)
    print(f"\n300 jobs, {kills} runners killed: {seconds:.0f} s, {again} jobs done again, 0 lost, 0 twice")
    assert kills >= 5


def test_a_job_that_kills_its_runners_ends_and_the_jobs_behind_it_are_compiled(
    clean_redis: RedisServer,
) -> None:
    """A poison job ends in error after MAX_ATTEMPTS, and says so; the others compile."""
    settings = fault_settings(clean_redis, MAX_WORKERS="1", MAX_ATTEMPTS="3", DIE_ON="poison")
    store = redis_store(settings)
    poison, behind = c_job(source="int poison;"), [c_job(number) for number in range(5)]
    deaths = 0
    with SmallRunner(settings) as runner:
        for job in (poison, *behind):
            store.submit(job)
        deadline = time.monotonic() + DEADLINE_SECONDS
        while (stored := store.get(poison.id)) is None or not stored.status.terminal:
            assert time.monotonic() < deadline, "the poison job does not end"
            if not runner.running:
                deaths += 1
                runner.start()
            time.sleep(0.05)
        wait_for_end(store, [job.id for job in behind])
    statuses = assert_settled(clean_redis, [poison.id, *(job.id for job in behind)])
    result = store.get_result(poison.id)
    assert result is not None
    assert (statuses[poison.id], result.reason, result.attempts) == ("error", "infrastructure", 3)
    assert "3 times" in result.error
    assert deaths == 3
    print(f"\npoison job: {deaths} runners died, then: {result.error}")


def test_a_paused_runners_late_result_has_no_effect(clean_redis: RedisServer) -> None:
    """A runner is stopped (SIGSTOP) before it seals, for longer than the lease: the second runner's result
    counts, and the first logs that it came too late."""
    settings = fault_settings(clean_redis)
    store, job = redis_store(settings), c_job()
    with SmallRunner(settings | {"STOP_BEFORE": "seal"}, name="paused runner") as paused:
        store.submit(job)
        wait_until(
            lambda: (stored := store.get(job.id)) is not None and stored.attempts == 1,
            "the claim",
            timeout_seconds=DEADLINE_SECONDS,
        )
        time.sleep(LEASE_SECONDS)
        with SmallRunner(settings) as second:
            wait_for_end(store, [job.id])
            winner = store.get(job.id)
            assert winner is not None
            before = clean_redis.admin.hgetall(f"result:{job.id}")
            paused.resume()
            paused.wait_for_log("its result is dropped")
            assert clean_redis.admin.hgetall(f"result:{job.id}") == before
            assert winner.attempts == 2
            assert second.running
    assert_settled(clean_redis, [job.id])
