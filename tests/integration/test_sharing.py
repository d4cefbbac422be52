"""Several API processes and runners over one Redis, as in a deployment: real processes, real compilers."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from chalicelib.models import Status
from chalicelib.storage.redis.store import RedisStore
from tests.support.factories import slow_cpp
from tests.support.processes import ApiProcess, RunnerProcess
from tests.support.servers import RedisServer
from tests.support.stores import redis_store
from tests.support.tiers import in_tier

# `syntax` is the cheapest stage: these tests are about the queue, not the compiler.
GOOD = {"source_code": "int f(void) { return 0; }", "language": "c", "stage": "syntax"}
DEADLINE_SECONDS = 120.0
# Enough that both runners get some.
JOBS = in_tier(fast=40, full=200)


def submit(api: ApiProcess, number: int) -> str:
    """Submits one job with a source of its own; returns its id."""
    source = f"int f{number}(void) {{ return {number}; }}"
    reply = api.call("POST", "/api/v1/compile", GOOD | {"source_code": source})
    assert reply.status == 202, reply.body
    return str(reply.json()["job_id"])


def wait_for_all(store: RedisStore, job_ids: Sequence[str]) -> None:
    """Returns when every job has ended."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    for job_id in job_ids:
        job = store.wait(job_id, max(0.0, deadline - time.monotonic()))
        assert job is not None, f"job {job_id} is gone"
        assert job.status.terminal, f"job {job_id} is still {job.status} after {DEADLINE_SECONDS:g} s"


def test_two_apis_and_two_runners_share_two_hundred_jobs(clean_redis: RedisServer) -> None:
    """Of 200 jobs that are submitted at once through two APIs each is completed once, and both runners work;
    a restart of an API in between loses nothing."""
    settings = clean_redis.environment() | {"QUEUE_SIZE": "300", "MAX_WORKERS": "2"}
    store = redis_store(clean_redis.environment())
    with ExitStack() as stack:
        runners = [stack.enter_context(RunnerProcess(settings, name=f"runner {n}")) for n in (1, 2)]
        apis = [stack.enter_context(ApiProcess(settings)) for _ in range(2)]
        started = time.monotonic()
        with ThreadPoolExecutor(20) as pool:
            job_ids = list(pool.map(lambda number: submit(apis[number % 2], number), range(JOBS)))
        apis[0].stop()
        apis[0].start()
        wait_for_all(store, job_ids)
        print(f"\n{JOBS} jobs, 2 runners with 2 workers each: {time.monotonic() - started:.1f} s")
        assert len(set(job_ids)) == JOBS
        claimers = set()
        for job_id in job_ids:
            reply = apis[0].call("GET", f"/api/v1/compile/{job_id}")
            answer = reply.json()
            assert (reply.status, answer["verdict"], answer["attempts"]) == (200, "compiles", 1)
            job = store.get(job_id)
            assert job is not None
            claimers.add(job.runner)
        assert len(claimers) == len(runners)
        counts = store.counts()
        assert counts.totals.processed == JOBS
        assert counts.by_status == {**dict.fromkeys(Status, 0), Status.COMPLETED: JOBS}
        assert apis[1].call("GET", "/api/v1/workers/stats").json()["total_processed"] == JOBS


def test_one_worker_does_jobs_in_order_of_submission(clean_redis: RedisServer) -> None:
    """Jobs that were queued before the runner starts are started and completed in that order."""
    settings = clean_redis.environment() | {"MAX_WORKERS": "1"}
    store = redis_store(clean_redis.environment())
    with RunnerProcess(settings) as runner, ApiProcess(settings) as api:
        warm = submit(api, 0)
        wait_for_all(store, [warm])
        runner.stop()
        job_ids = [submit(api, number) for number in range(1, 41)]
        runner.start()
        wait_for_all(store, job_ids)
    jobs = [store.get(job_id) for job_id in job_ids]
    started = [job.started_at for job in jobs if job and job.started_at]
    ended = [job.completed_at for job in jobs if job and job.completed_at]
    assert len(started) == len(ended) == len(job_ids)
    assert started == sorted(started)
    assert ended == sorted(ended)


def test_a_full_queue_is_429_until_there_is_room(clean_redis: RedisServer) -> None:
    """The job past QUEUE_SIZE gets 429 with Retry-After and stores nothing; with room it is queued."""
    settings = clean_redis.environment() | {"QUEUE_SIZE": "3", "MAX_WORKERS": "1"}
    store = redis_store(clean_redis.environment())
    with RunnerProcess(settings) as runner, ApiProcess(settings) as api:
        wait_for_all(store, [submit(api, 0)])
        runner.stop()
        waiting = [submit(api, number) for number in range(1, 4)]
        before = set(clean_redis.admin.keys("*"))
        reply = api.call("POST", "/api/v1/compile", GOOD)
        assert (reply.status, reply.json()["error"]) == (429, "queue_full")
        assert int(reply.headers["retry-after"]) >= 1
        assert set(clean_redis.admin.keys("*")) == before
        runner.start()
        wait_for_all(store, waiting)
        wait_for_all(store, [submit(api, 4)])


def test_a_stopped_runner_releases_the_job_that_it_cannot_complete(clean_redis: RedisServer) -> None:
    """SIGTERM during a long compile: the runner exits with 0, and another claims it as a first attempt."""
    settings = clean_redis.environment() | {"MAX_WORKERS": "1", "COMPILE_TIMEOUT_SECONDS": "120"}
    store = redis_store(clean_redis.environment())
    # Longer than the runner waits on SIGTERM, shorter than the limit at which it would be stopped.
    request = {"source_code": slow_cpp(20), "language": "cpp", "compiler": "gcc-12", "stage": "syntax"}
    with RunnerProcess(settings) as first, ApiProcess(settings) as api:
        reply = api.call("POST", "/api/v1/compile", request)
        assert reply.status == 202, reply.body
        job_id = str(reply.json()["job_id"])
        first.wait_for(
            lambda: (job := store.get(job_id)) is not None and job.status is Status.PROCESSING, "the claim"
        )
        assert first.stop(timeout_seconds=20) == 0
        job = store.get(job_id)
        assert job is not None
        assert (job.status, job.attempts) == (Status.QUEUED, 0)
        claimed = None
        deadline = time.monotonic() + 10
        while claimed is None and time.monotonic() < deadline:
            claimed = store.claim("another", 0.5)
        assert claimed is not None
        assert (claimed.job.id, claimed.attempts) == (job_id, 1)
