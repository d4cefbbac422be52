"""docker-compose.yml: the service on one host, while its parts are killed, until it is removed.

The commands are those of docs/deploy.md. The tests share one project and are in the order of its life.
"""

import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.compose.project import PROGRAM, Project, project_name, remove_dead
from tests.faults.harness import slow_c
from tests.faults.load import REQUEST, Load, outcome
from tests.support.documents import text_of
from tests.support.engine import Engine
from tests.support.servers import wait_until

UP = "docker compose up -d --build"
SCALE = "docker compose up -d --scale runner=3"
LOGS = "docker compose logs runner"
DOWN = "docker compose down"
WIPE = "docker compose down -v"

# Not in the documents: what a test does to the project.
KILL = "docker compose kill "
STOP_API = "docker compose stop api"

# Long enough for a busy machine to renew in time, short enough to wait for in a test.
LEASE_SECONDS = 2.0
END_SECONDS = 120.0
# 16 doublings keep gcc-12 busy for 0.15 s, 19 for more than a second; both are valid.
SHORT, LONG = slow_c(16), slow_c(19)

# Run in a container: prints each of its arguments, "host port", that takes a connection.
_REACH = """
import socket, sys
for address in sys.argv[1:]:
    try:
        socket.create_connection(address.split(), 1).close()
        print(address)
    except OSError:
        pass
"""


@pytest.fixture(scope="module")
def no_settings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty file of settings."""
    path = tmp_path_factory.mktemp("compose") / "no-settings"
    path.touch()
    return path


@pytest.fixture(scope="module")
def project(engine: Engine, no_settings: Path) -> Iterator[Project]:
    """The running project; whatever happens, it is removed with everything that it made."""
    engine.build_service()
    with engine.networks() as reach:
        remove_dead(engine, no_settings)
        project = Project(
            engine,
            reach,
            no_settings,
            COMPILERS="gcc-12",
            MAX_WORKERS="2",
            LEASE_SECONDS=str(LEASE_SECONDS),
            QUEUE_SIZE="5000",
        )
        try:
            project.run(UP)
            project.wait_for_runners()
            yield project
        finally:
            project.run(WIPE)


def _submit(project: Project, number: int, source: str) -> list[str]:
    """The ids of that many accepted jobs, each with a different source."""
    sources = [f"{source}int own{number};\n" for number in range(number)]
    return [project.submit(REQUEST | {"source_code": text}) for text in sources]


def _wait_for_status(project: Project, job_ids: list[str], status: str) -> None:
    wait_until(
        lambda: any(project.answer(job_id)["status"] == status for job_id in job_ids),
        f"a job in {status}",
        timeout_seconds=END_SECONDS,
    )


def _assert_all_compiled(project: Project, job_ids: list[str]) -> list[dict[str, Any]]:
    """Every job ends with the verdict `compiles`; returns their answers."""
    result = outcome(project, job_ids, seconds=END_SECONDS)
    assert (result.lost, result.hanging) == (0, ()), result
    answers = [project.answer(job_id) for job_id in job_ids]
    assert {answer["verdict"] for answer in answers} == {"compiles"}
    return answers


def test_the_page_shows_the_commands_that_are_run_here() -> None:
    """The commands under "One host" in docs/deploy.md are those below, and the README has the first."""
    [section] = re.findall(
        r"^## One host$(.*?)(?=^## |\Z)", text_of("docs/deploy.md"), re.MULTILINE | re.DOTALL
    )
    blocks = re.findall(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    assert [line for block in blocks for line in block.splitlines()] == [UP, SCALE, LOGS, DOWN, WIPE]
    assert re.findall(rf"^{PROGRAM}.*$", text_of("README.md"), re.MULTILINE) == [UP]


def test_a_job_is_answered_through_the_published_port(project: Project) -> None:
    """`up` serves the API on the port of this host: one source compiles, one does not."""
    for source, verdict in (("int x;\n", "compiles"), ("int x = y;\n", "rejected")):
        reply = project.call("POST", "/api/v1/compile?wait=25", REQUEST | {"source_code": source})
        assert (reply.status, reply.json().get("verdict")) == (200, verdict), reply.body


def test_only_this_host_reaches_the_api_and_no_client_reaches_redis(project: Project) -> None:
    """The API's port is published on 127.0.0.1, and no other port of the project anywhere."""
    ports = {
        service: [
            published for port in facts["NetworkSettings"]["Ports"].values() for published in port or []
        ]
        for service in ("redis", "api", "runner")
        for facts in project.facts(service)
    }
    assert ports == {
        "redis": [],
        "api": [{"HostIp": "127.0.0.1", "HostPort": str(project.port)}],
        "runner": [],
    }


def test_a_runner_reaches_redis_and_nothing_else(project: Project) -> None:
    """A runner's container cannot connect to the API, to the host or to another network of the engine."""

    def reached(service: str, *addresses: str) -> list[str]:
        status, output = project.execute(service, ["python", "-c", _REACH, *addresses])
        assert status == 0, output
        return output.splitlines()

    api, runner = project.addresses("api"), project.addresses("runner")
    assert set(runner) == {"runners"}
    with project.listener() as port:
        host = f"{api['front'][1]} {port}"
        assert reached("api", host) == [host], "the listener does not answer"
        others = [f"{address} 8000" for address, _ in api.values()]
        hosts = [f"{gateway} {port}" for _, gateway in (*api.values(), *runner.values())]
        assert reached("runner", "redis 6379", "api 8000", *others, *hosts) == ["redis 6379"]


def test_every_container_has_as_little_as_it_needs(project: Project) -> None:
    """Read-only roots, no privilege, a restart policy; limits for what handles requests and jobs."""
    for service in ("redis", "api", "runner"):
        [facts] = project.facts(service)
        host = facts["HostConfig"]
        assert host["ReadonlyRootfs"] and not host["Privileged"]
        assert host["SecurityOpt"] == ["no-new-privileges:true"]
        assert host["RestartPolicy"]["Name"] == "unless-stopped"
        if service != "redis":
            assert host["Memory"] > 0 and host["PidsLimit"] > 0 and host["Init"]
            assert host["CapDrop"] == ["ALL"]
    [api] = project.facts("api")
    assert api["Config"]["User"] == "65534:65534" and not api["HostConfig"]["CapAdd"]


def test_jobs_survive_a_runner_that_is_killed_while_it_compiles(project: Project) -> None:
    """SIGKILL to the runner's container, then `up`: every accepted job compiles, and is counted once."""
    before = project.statistics()["total_processed"]
    jobs = _submit(project, 4, LONG)
    _wait_for_status(project, jobs, "processing")
    project.run(f"{KILL}runner")
    assert [facts["State"]["Running"] for facts in project.facts("runner")] == [False]
    more = _submit(project, 2, SHORT)
    project.run(UP)
    answers = _assert_all_compiled(project, jobs + more)
    assert max(answer["attempts"] for answer in answers) == 2, "no job was killed with its runner"
    assert project.statistics()["total_processed"] == before + len(answers)


def test_a_runner_that_crashes_is_started_again(project: Project) -> None:
    """SIGKILL to the runner's process: the engine starts it again, and its jobs compile."""
    jobs = _submit(project, 2, LONG)
    _wait_for_status(project, jobs, "processing")
    crash = "import os; [os.kill(int(p), 9) for p in os.listdir('/proc') if p.isdigit() and "
    crash += "b'python\\0-m\\0runner\\0' in open(f'/proc/{p}/cmdline', 'rb').read() and int(p) != 1]"
    project.execute("runner", ["python", "-c", crash])
    _assert_all_compiled(project, jobs)
    [runner] = project.facts("runner")
    assert runner["RestartCount"] == 1


def test_the_api_ends_in_order_when_it_is_stopped(project: Project) -> None:
    """`stop` ends it with exit code 0 instead of killing it after the grace, and `up` brings it back."""
    project.run(STOP_API)
    [api] = project.facts("api")
    assert (api["State"]["Running"], api["State"]["ExitCode"]) == (False, 0)
    project.run(UP)
    project.wait_for_runners()


def test_jobs_survive_a_redis_that_is_killed_under_load(project: Project) -> None:
    """SIGKILL to the container of Redis while jobs wait, then `up`: every job that got 202 ends once.

    Meanwhile the API answers 503, and never 500.
    """
    before = project.statistics()["total_processed"]
    waiting = _submit(project, 20, SHORT)
    with Load(project, clients=2) as load:
        time.sleep(2)
        project.run(f"{KILL}redis")
        wait_until(lambda: load.statuses.get(503, 0) > 0, "an answer without Redis")
        project.run(UP)
        again = len(load.accepted)
        wait_until(lambda: len(load.accepted) > again, "a job to be accepted again", timeout_seconds=60)
    accepted = waiting + load.accepted
    _assert_all_compiled(project, accepted)
    print(f"\n{len(accepted)} accepted and ended, 0 lost; answers {load.statuses}")
    assert set(load.statuses) == {202, 503} and not load.broken
    # A job that was answered with 503 may have been queued nevertheless; then it is compiled as well.
    wait_until(
        lambda: project.statistics()["queued_jobs"] == 0, "an empty queue", timeout_seconds=END_SECONDS
    )
    processed = project.statistics()["total_processed"] - before
    assert len(accepted) <= processed <= len(accepted) + load.statuses[503]


def test_three_runners_share_the_work(project: Project) -> None:
    """`--scale runner=3` starts three runners, and each of them compiles jobs."""
    project.run(SCALE)
    project.wait_for_runners(3)
    _assert_all_compiled(project, _submit(project, 6, LONG))
    lines = project.run(LOGS).splitlines()
    workers = {line.partition("|")[0].strip() for line in lines if ": compiles in " in line}
    assert len(workers) == 3, lines


def test_a_password_in_the_settings_is_the_one_of_redis(project: Project) -> None:
    """With REDIS_PASSWORD set, Redis asks for it, and the jobs of before are still there."""
    [kept] = _submit(project, 1, SHORT)
    _assert_all_compiled(project, [kept])
    project.settings["REDIS_PASSWORD"] = "s3cret"
    project.run(UP)
    project.wait_for_runners()
    status, output = project.execute("redis", ["env", "-u", "REDISCLI_AUTH", "redis-cli", "ping"])
    assert "NOAUTH" in output, (status, output)
    _assert_all_compiled(project, [kept, *_submit(project, 2, SHORT)])


def test_the_remains_of_a_killed_run_are_removed(project: Project, engine: Engine, no_settings: Path) -> None:
    """A project whose process has ended is removed by the next run; that of a running one stays."""
    dead = subprocess.Popen(["true"])
    dead.wait()
    left = Project(engine, project.reach, no_settings, name=project_name(dead.pid))
    left.run("docker compose up -d redis")
    assert left.left()
    remove_dead(engine, no_settings)
    assert left.left() == []
    assert project.left()


def test_down_keeps_the_jobs_and_down_v_leaves_nothing(project: Project) -> None:
    """After `down` and `up` old jobs are known; after `down -v` no container, network or volume is left."""
    [kept] = _submit(project, 1, SHORT)
    _assert_all_compiled(project, [kept])
    project.run(DOWN)
    assert project.left() == [f"{project.name}_redis"]
    project.run(UP)
    project.wait_for_runners()
    assert project.answer(kept)["verdict"] == "compiles"
    project.run(WIPE)
    assert project.left() == []
