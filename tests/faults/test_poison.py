"""Poison in the store: keys whose content no release of ours wrote, and what another release did write.

Whoever can write into Redis can stop the service, by deleting everything; but one entry that cannot be read
must not. It is one job's end (`error`), never a runner's, and no route answers with a 500.
"""

import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from chalice.test import Client

import app
from chalicelib.bootstrap import build_application
from chalicelib.models import CompileRequest, Job, Matrix, Reason, Result, Status, new_id
from chalicelib.storage.protocol import Claim
from chalicelib.storage.redis.keys import Keys
from chalicelib.storage.redis.store import RedisStore
from chalicelib.storage.sources import names_in, pack
from runner.worker import Runner
from tests.support.factories import (
    make_environment,
    make_job,
    make_matrix,
    make_request,
    make_result,
    make_runner,
)
from tests.support.servers import RedisCluster, RedisServer, wait_until
from tests.support.stores import DEADLINE_SECONDS, claim_one, redis_settings, redis_store

# Short, because most of what is fixed is fixed by the sweep, which comes three times in a lease.
LEASE_SECONDS = 0.6
PLAIN = Keys()
NOT_UTF8 = b"\xff\xfe"

# What an older release did not write: the model → the fields that it had. The request is a text of JSON.
OLDER_FIELDS = {
    "job": {"id", "request", "status", "created_at"},
    "result": {"job_id", "verdict", "success", "compiled", "status"},
    "stats": {"total_completed"},
    "runner": {"info", "environments"},
}
OLDER_JSON = {
    "request": {"files", "main", "language", "compiler", "standard", "architecture", "os"},
    "info": {"id", "host", "started_at", "max_workers"},
    "matrix": {"id", "language", "stage", "cells"},
}
# What a newer release may write: fields and values that this one does not know.
NEWER = {"request": {"stage": "preprocess"}, "info": {"gpu": "none"}, "matrix": {"stage": "preprocess"}}


# Too long to be in a record.
LARGE_SOURCE = "int x;\n" * 4000


def _source(request: CompileRequest) -> str:
    """The name of its one file."""
    _, name = names_in(pack([request]).records[0])
    return name


@dataclass(frozen=True)
class Place:
    """A Redis that was emptied: how the service reaches it, a client of bytes, and the names of the keys."""

    env: Mapping[str, str]
    redis: Any
    keys: Keys


class Scene:
    """What is in the store before it is poisoned: jobs in each state, a matrix, a runner that lives.

    The claimed job and the matrix have sources apart from their records.
    """

    def __init__(self, place: Place, store: RedisStore) -> None:
        self.redis, self.keys = place.redis, place.keys
        self.store = store
        self.ended, self.queued = make_job(), make_job()
        self.processing = make_job(request=make_request(LARGE_SOURCE))
        shared = make_request(LARGE_SOURCE + "// of a matrix\n")
        self.source_of_claimed = _source(self.processing.request)
        self.source_of_matrix = _source(shared)
        cells = [make_job(request=shared) for _ in range(2)]
        self.matrix: Matrix = make_matrix(cells)
        store.register(make_runner(id="a neighbour"), [make_environment()], 3600)
        self._end([self.ended])
        store.submit_matrix(self.matrix, cells)
        self._end(cells)
        store.submit(self.processing)
        claim_one(store, "a dead runner")
        store.submit(self.queued)
        store.sweep()

    def _end(self, jobs: list[Job]) -> None:
        for job in jobs:
            if self.store.get(job.id) is None:
                self.store.submit(job)
            claim = claim_one(self.store)
            assert self.store.complete(claim, make_result(claim.job.id))

    def jobs(self) -> list[str]:
        """The ids of all jobs."""
        return [self.ended.id, self.processing.id, self.queued.id, *(c.job_id for c in self.matrix.cells)]


def _index(status: Status) -> Callable[[Scene], str]:
    return lambda scene: scene.keys.index(status)


# Each key of `keys.py` → its name in a scene.
KEYS: dict[str, Callable[[Scene], str]] = {
    "job of an ended job": lambda scene: scene.keys.job(scene.ended.id),
    "job of a claimed job": lambda scene: scene.keys.job(scene.processing.id),
    "job of a queued job": lambda scene: scene.keys.job(scene.queued.id),
    "result": lambda scene: scene.keys.result(scene.ended.id),
    "result of a queued job": lambda scene: scene.keys.result(scene.queued.id),
    "matrix": lambda scene: scene.keys.matrix(scene.matrix.id),
    "stream": lambda scene: scene.keys.stream,
    "live": lambda scene: scene.keys.live,
    "stats": lambda scene: scene.keys.stats,
    "runners": lambda scene: scene.keys.runners,
    "environments": lambda scene: scene.keys.environments,
    "runner": lambda scene: scene.keys.runner("a neighbour"),
    "source": lambda scene: scene.keys.source(scene.source_of_claimed),
    "source of a matrix": lambda scene: scene.keys.source(scene.source_of_matrix),
} | {f"index {status.value}": _index(status) for status in Status}


def fill(redis: Any, key: str, text: bytes) -> None:
    """Puts a text wherever the key has one, beside what it holds; a string is replaced."""
    match redis.type(key):
        case b"hash":
            redis.hset(key, mapping=dict.fromkeys(redis.hkeys(key), text) | {text: text})
        case b"set":
            redis.sadd(key, text)
        case b"zset":
            redis.zadd(key, {text: 2**45})
        case b"stream":
            for fields in ({"id": text}, {text: text}, {"foo": "bar"}):
                redis.xadd(key, fields)
        case _:
            redis.set(key, text)


def plain(key: str) -> str:
    """The name of a key without prefix and hash tag."""
    return re.sub(r"^(wic:)?(\{[^}]+\}:)?", "", key)


def nothing(redis: Any, key: str) -> None:
    """The key is gone."""
    redis.delete(key)


def wrong_type(redis: Any, key: str) -> None:
    """A string in place of anything else, and a list in place of a string."""
    was_string = redis.type(key) == b"string"
    redis.delete(key)
    _ = redis.rpush(key, "x") if was_string else redis.set(key, "x")


def older(redis: Any, key: str) -> None:
    """Only the fields that the first release wrote."""
    kind = plain(key).partition(":")[0]
    if redis.type(key) == b"hash" and kind in OLDER_FIELDS:
        for field in redis.hkeys(key):
            if field.decode() not in OLDER_FIELDS[kind]:
                redis.hdel(key, field)
    _change_json(redis, key, lambda name, value: {n: v for n, v in value.items() if n in OLDER_JSON[name]})


def newer(redis: Any, key: str) -> None:
    """A field that is new, and new values of what there is: stages, statuses, verdicts, reasons, seals."""
    _change_json(redis, key, lambda name, value: value | NEWER[name] | {"new": [1]})
    if redis.type(key) != b"hash":
        return
    redis.hset(key, "new", "1")
    for field in redis.hkeys(key):
        if field in (b"verdict", b"reason", b"status"):
            redis.hset(key, field, "a new one")
        if field.endswith(b":token"):
            redis.hset(key, field.replace(b":token", b":seal"), "1:skipped")
    if plain(key) == "environments":
        for field, listing in redis.hgetall(key).items():
            if len(field) == 64:
                value = json.loads(listing)
                value.append(value[0] | {"id": "new", "stages": ["preprocess"]})
                redis.hset(key, field, json.dumps(value))


def _change_json(redis: Any, key: str, change: Callable[[str, dict[str, Any]], dict[str, Any]]) -> None:
    if redis.type(key) == b"string" and not plain(key).startswith("source:"):  # a text is the same in all
        redis.set(key, json.dumps(change("matrix", json.loads(redis.get(key)))))
    if redis.type(key) == b"hash":
        for field in ("request", "info"):
            if text := redis.hget(key, field):
                redis.hset(key, field, json.dumps(change(field, json.loads(text))))


KINDS: dict[str, Callable[[Any, str], None]] = {
    "nothing": nothing,
    "the wrong type": wrong_type,
    "no UTF-8": lambda redis, key: fill(redis, key, NOT_UTF8),
    "half of JSON": lambda redis, key: fill(redis, key, b"{"),
    "JSON of another shape": lambda redis, key: fill(redis, key, b'[{"id": 1}]'),
    "an older release": older,
    "a newer release": newer,
}


def compile_at_once(claim: Claim, _cancel: threading.Event) -> Result:
    """In place of `JobExecutor.compile_claim`: everything compiles."""
    assert claim.job.request.files
    return make_result(claim.job.id)


@pytest.fixture
def store(clean_redis: RedisServer) -> Iterator[RedisStore]:
    """A store with short leases."""
    opened = redis_store(clean_redis.environment(), lease_seconds=LEASE_SECONDS)
    yield opened
    opened.close()


@contextmanager
def runners(store: RedisStore, number: int = 2) -> Iterator[list[threading.Thread]]:
    """Runners on threads of their own; each must live until the end, and its timekeeper with it."""
    running = [
        Runner(
            store,
            compile_at_once,
            make_runner(max_workers=2),
            [make_environment()],
            lease_seconds=LEASE_SECONDS,
            stop_grace_seconds=5,
        )
        for _ in range(number)
    ]
    threads = [threading.Thread(target=runner.run) for runner in running]
    before = set(threading.enumerate())
    for thread in threads:
        thread.start()
    try:
        yield threads
        timekeepers = [t for t in set(threading.enumerate()) - before if t.name == "timekeeper"]
        assert all(thread.is_alive() for thread in threads), "a runner has ended"
        assert len(timekeepers) == number, "a timekeeper has died"
    finally:
        for runner in running:
            runner.stop()
        for thread in threads:
            thread.join(20)


class Routes:
    """Calls the API; a 500 fails the test."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def call(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Status and body."""
        text = b"" if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        reply = self._client.http.request(method, path, headers, text)
        assert reply.status_code != 500, (method, path, reply.body)
        return reply.status_code, reply.body if path == "/" else json.loads(reply.body)

    def all(self, scene: Scene) -> None:
        """Every route that reads."""
        for path in ("/", "/health", "/ready", "/api/v1/environments", "/api/v1/workers/stats"):
            self.call("GET", path)
        for job_id in (*scene.jobs(), new_id()):
            self.call("GET", f"/api/v1/compile/{job_id}")
            self.call("GET", f"/api/v1/compile/{job_id}?format=sarif")
        for matrix_id in (scene.matrix.id, new_id()):
            self.call("GET", f"/api/v1/matrix/{matrix_id}")
            self.call("GET", f"/api/v1/matrix/{matrix_id}?format=sarif")

    def submit(self) -> list[str]:
        """The ids of an honest job and of an honest matrix's jobs; tries again after a 503."""
        source: dict[str, object] = {"source_code": "int x;", "language": "cpp"}
        deadline = time.monotonic() + DEADLINE_SECONDS
        job_ids: list[str] = []
        for path in ("/api/v1/compile", "/api/v1/matrix"):
            status, body = self.call("POST", path, source)
            while status != 202:
                assert status == 503, body
                assert time.monotonic() < deadline, body
                time.sleep(0.05)
                status, body = self.call("POST", path, source)
            job_ids += [body["job_id"]] if "job_id" in body else [c["job_id"] for c in body["cells"]]
        return job_ids


@contextmanager
def api(env: Mapping[str, str], store: RedisStore) -> Iterator[Routes]:
    """The API over a store."""
    settings = redis_settings(env, lease_seconds=LEASE_SECONDS)
    application = build_application(settings, store, registration_patience_seconds=0.0)
    with app.use(application), Client(app.app) as client:
        yield Routes(client)


def settled(scene: Scene) -> bool:
    """Nothing is pending, nothing waits, and no entry is in the stream."""
    redis, names = scene.redis, scene.keys
    live = [redis.type(names.index(status)) for status in Status if not status.terminal]
    return (
        set(live) <= {b"none"}
        and redis.xlen(names.stream) == 0
        and redis.xpending(names.stream, "runners")["pending"] == 0
    )


@pytest.fixture(scope="module")
def cluster() -> Iterator[RedisCluster]:
    """Three masters, each without a replica: here nothing fails but what is stored."""
    with RedisCluster(replicas=0) as started:
        yield started


@pytest.fixture(params=["standalone", "cluster"])
def place(request: pytest.FixtureRequest) -> Place:
    """One server, and a cluster with a prefix: the shortest names of keys, and the longest."""
    if request.param == "cluster":
        started: RedisCluster = request.getfixturevalue("cluster")
        env = started.environment() | {"REDIS_KEY_PREFIX": "wic:"}
        client: Any = request.getfixturevalue("cluster_client")
        client.flushall(target_nodes="primaries")
    else:
        server: RedisServer = request.getfixturevalue("clean_redis")
        env = server.environment()
        client = server.client(decode_responses=False)
    return Place(env, client, Keys.of(redis_settings(env)))


@pytest.fixture(scope="module")
def cluster_client(cluster: RedisCluster) -> Any:
    """One for all tests, since it reads the slots first."""
    return cluster.client(decode_responses=False)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("key", KEYS)
def test_poison_is_one_jobs_end(place: Place, key: str, kind: str) -> None:
    """No route answers with a 500, runners live, honest jobs end, and nothing is pending afterwards."""
    with ExitStack() as stack:
        store = stack.enter_context(closing(redis_store(place.env, lease_seconds=LEASE_SECONDS)))
        scene = Scene(place, store)
        KINDS[kind](scene.redis, KEYS[key](scene))
        routes = stack.enter_context(api(place.env, store))
        routes.all(scene)
        stack.enter_context(runners(store))
        honest = routes.submit()

        def all_ended() -> bool:
            routes.all(scene)
            present = [routes.call("GET", f"/api/v1/compile/{job_id}")[1] for job_id in honest]
            return all(body.get("verdict") == "compiles" for body in present)

        wait_until(all_ended, "the end of the honest jobs", timeout_seconds=DEADLINE_SECONDS)
        wait_until(lambda: settled(scene), "an empty queue", timeout_seconds=DEADLINE_SECONDS)
        for job_id in scene.jobs():
            status, body = routes.call("GET", f"/api/v1/compile/{job_id}")
            assert status == 404 or (status == 200 and body["verdict"]), (status, body)
            assert routes.call("DELETE", f"/api/v1/compile/{job_id}")[0] in (404, 409)
        routes.call("DELETE", f"/api/v1/matrix/{scene.matrix.id}")
        assert routes.call("GET", "/ready")[0] == 200
        assert routes.call("GET", "/api/v1/workers/stats")[0] == 200


# The spoiled field of a record → its value.
SPOILED = {
    "request": b"garbage",
    "created_at": b"0001-01-01T00:00:00+23:59",
    "id": b"0" * 32,
    "owner": NOT_UTF8,
}


@pytest.mark.parametrize("field", SPOILED)
def test_a_job_that_cannot_be_read_ends_in_error(
    clean_redis: RedisServer, store: RedisStore, caplog: pytest.LogCaptureFixture, field: str
) -> None:
    """Its end has a sentence and is logged once; before, it can be seen and cancelled like any job."""
    redis: Any = clean_redis.client(decode_responses=False)
    jobs = [make_job() for _ in range(2)]
    for job in jobs:
        store.submit(job)
        redis.hset(PLAIN.job(job.id), field, SPOILED[field])
    with api(clean_redis.environment(), store) as routes, ExitStack() as stack:
        path, cancelled_path = (f"/api/v1/compile/{job.id}" for job in jobs)
        assert routes.call("GET", path)[1]["status"] == "queued"
        assert routes.call("DELETE", cancelled_path) == (200, {"job_id": jobs[1].id, "status": "cancelled"})
        stack.enter_context(runners(store))
        status, body = routes.call("GET", f"{path}?wait=20")
        assert status == 200
        assert (body["status"], body["reason"]) == ("error", Reason.INFRASTRUCTURE.value)
        assert "its record in the store cannot be read" in body["error"]
        assert routes.call("DELETE", path)[0] == 409
        wait_until(lambda: redis.xlen(PLAIN.stream) == 0, "an empty stream")
    assert redis.xpending(PLAIN.stream, "runners")["pending"] == 0
    assert sum(f"{PLAIN.job(jobs[0].id)} cannot be read" in message for message in caplog.messages) == 1


@pytest.mark.parametrize(("field", "text"), [("attempts", "abc"), ("status", "paused"), ("token", "x")])
def test_what_a_claim_writes_anew_may_have_been_unreadable(
    clean_redis: RedisServer, store: RedisStore, field: str, text: str
) -> None:
    """The job is seen as queued, and is compiled like any other."""
    job = make_job()
    store.submit(job)
    clean_redis.admin.hset(PLAIN.job(job.id), field, text)
    assert (stored := store.get(job.id)) is not None
    assert stored.status is Status.QUEUED
    assert store.complete(claim_one(store), make_result(job.id))
    assert (stored := store.get(job.id)) is not None
    assert (stored.status, stored.request, stored.attempts) == (Status.COMPLETED, job.request, 1)


def test_an_entry_without_an_id_is_dropped(
    clean_redis: RedisServer, store: RedisStore, caplog: pytest.LogCaptureFixture
) -> None:
    """It is acknowledged, deleted and logged at warning; the job behind it is claimed."""
    redis: Any = clean_redis.client(decode_responses=False)
    for fields in ({"foo": "bar"}, {"id": NOT_UTF8}, {NOT_UTF8: "x"}, {"id": "stream"}, {"id": ""}):
        redis.xadd(PLAIN.stream, fields)
    job = make_job()
    store.submit(job)
    assert claim_one(store).job.id == job.id
    assert redis.xlen(PLAIN.stream) == redis.xpending(PLAIN.stream, "runners")["pending"] == 1
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 5


def test_a_result_that_no_claim_wrote_does_not_keep_a_job_from_ending(
    clean_redis: RedisServer, store: RedisStore
) -> None:
    """A token that is higher than that of any claim is no reason to lose the runner's result."""
    redis: Any = clean_redis.admin
    job = make_job()
    store.submit(job)
    redis.hset(PLAIN.result(job.id), mapping={"token": 10**17, "verdict": "rejected"})
    redis.hset(PLAIN.job(job.id), "token", 10**17)
    assert store.complete(claim_one(store), make_result(job.id))
    result, stored = store.get_result(job.id), store.get(job.id)
    assert result is not None
    assert stored is not None
    assert (result.compiled, stored.status) == (True, Status.COMPLETED)


def test_a_sweep_in_the_future_does_not_stop_the_sweeps(clean_redis: RedisServer, store: RedisStore) -> None:
    """A clock that was set back by a day, or anybody's number, does not keep dead runners' jobs."""
    redis: Any = clean_redis.admin
    for swept_at in (str(2**52), "abc", "inf", ""):
        job = make_job()
        store.submit(job)
        claim_one(store, "a dead runner")
        time.sleep(LEASE_SECONDS * 1.2)
        redis.hset(PLAIN.stats, "swept_at_ms", swept_at)
        assert store.sweep().released == 1
        assert store.complete(claim_one(store), make_result(job.id))


@pytest.mark.parametrize("key", [PLAIN.stats, PLAIN.live, "runners", "environments"])
def test_a_key_of_another_program_is_kept_under_another_name(
    clean_redis: RedisServer, store: RedisStore, key: str
) -> None:
    """A key of another type is not ours to delete: its content is renamed, however often it comes back."""
    redis = clean_redis.client()
    for number in (1, 2):
        redis.delete(key)
        redis.set(key, f"of another program {number}")
        store.register(make_runner(), [make_environment()], 60)
        store.sweep()
        assert redis.get(f"job:set-aside:{key}:{number}") == f"of another program {number}"
        assert redis.type(key) in ("hash", "zset", "none")
