"""The protection of an ECS task, against a server on loopback that answers as the agent of ECS does."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Any

import pytest

from chalicelib.models import Status
from chalicelib.storage.memory import MemoryStore
from runner import task_protection
from runner.bootstrap import open_protection
from runner.task_protection import NoProtection, Pace, TaskProtection
from runner.worker import Runner
from tests.support.ecs_agent import ERROR, FAILURE, Answer, EcsAgent, done
from tests.support.factories import make_job, make_runner, make_settings
from tests.unit.test_worker import SteeredCompiler, eventually, status_of

# The usual pace, but in fractions of a second.
QUICK = Pace(
    idle_seconds=0.3,
    renew_seconds=60,
    timeout_seconds=5,
    shortest_pause_seconds=0.05,
    longest_pause_seconds=0.2,
    close_seconds=6,
)


@contextmanager
def logged_lines() -> Iterator[list[str]]:
    """What the runner logs, from INFO on."""
    messages: list[str] = []

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.append(record.getMessage())

    handler, level = Lines(logging.INFO), task_protection.logger.level
    task_protection.logger.addHandler(handler)
    task_protection.logger.setLevel(logging.INFO)
    try:
        yield messages
    finally:
        task_protection.logger.removeHandler(handler)
        task_protection.logger.setLevel(level)


def test_overlapping_jobs_are_one_protection() -> None:
    """Three jobs, two at once and one right after: one protection, which ends after a pause."""
    with EcsAgent() as agent, closing(TaskProtection(agent.uri, QUICK)) as protection:
        protection.job_started()
        protection.job_started()
        eventually(lambda: agent.protections() == [True], "the request")
        protection.job_ended()
        time.sleep(2 * QUICK.idle_seconds)
        protection.job_ended()
        protection.job_started()
        time.sleep(2 * QUICK.idle_seconds)
        assert agent.protections() == [True]
        ended = time.monotonic()
        protection.job_ended()
        eventually(lambda: agent.protections() == [True, False], "the end of the protection")
        assert agent.requests[1].at - ended >= QUICK.idle_seconds
        time.sleep(2 * QUICK.idle_seconds)
    assert agent.protections() == [True, False]


def test_the_requests_are_those_of_the_agents_api() -> None:
    """A PUT of JSON to a path below the agent's address; a protection expires, its end does not."""
    with EcsAgent() as agent:
        with closing(TaskProtection(agent.uri, QUICK)) as protection:
            protection.job_started()
            eventually(lambda: bool(agent.requests), "the request")
        assert {(each.method, each.path) for each in agent.requests} == {
            ("PUT", "/api/task-1/task-protection/v1/state")
        }
        assert [each.body for each in agent.requests] == [
            {"ProtectionEnabled": True, "ExpiresInMinutes": 5},
            {"ProtectionEnabled": False},
        ]


def test_without_a_job_nothing_is_requested() -> None:
    """A runner that never had a job sends the agent nothing, also when it stops."""
    with EcsAgent() as agent:
        protection = TaskProtection(agent.uri, QUICK)
        time.sleep(0.2)
        protection.close()
        protection.close()
    assert agent.protections() == []


def test_a_protection_is_renewed_before_it_expires() -> None:
    """While a long job runs, the request is repeated in time."""
    pace = replace(QUICK, renew_seconds=0.25)
    with EcsAgent() as agent, closing(TaskProtection(agent.uri, pace)) as protection:
        protection.job_started()
        eventually(lambda: len(agent.requests) >= 4, "three renewals")
        pauses = [
            later.at - sooner.at for sooner, later in zip(agent.requests, agent.requests[1:], strict=False)
        ]
        # The first of two may have been on its way for longer than the second.
        assert all(pause >= 0.1 for pause in pauses)
        assert agent.protections()[:4] == [True] * 4


def test_the_numbers_leave_time_to_renew() -> None:
    """A renewal that fails once, and comes after the longest pause, is still in time."""
    pace = Pace()
    last_seconds = pace.renew_seconds + 2 * pace.timeout_seconds + pace.longest_pause_seconds
    assert last_seconds < pace.expires_minutes * 60
    assert pace.idle_seconds < pace.renew_seconds < pace.longest_seconds
    # What ECS allows.
    assert 1 <= pace.expires_minutes <= 2880


def test_a_slow_agent_delays_no_job() -> None:
    """Workers go on at once although the agent takes two seconds, and its answer still counts."""
    with EcsAgent(delay_seconds=2) as agent, closing(TaskProtection(agent.uri, QUICK)) as protection:
        protection.job_started()
        eventually(lambda: agent.protections() == [True], "the request")
        for _ in range(100):
            protection.job_started()
            protection.job_ended()
        assert time.monotonic() - agent.requests[0].at < agent.delay_seconds
        protection.job_ended()
        eventually(lambda: agent.protections() == [True, False], "the end of the protection")


def test_an_agent_that_never_answers_gets_the_request_again() -> None:
    """Each attempt has a time limit, also the last one when the runner stops."""
    pace = replace(QUICK, timeout_seconds=0.2, close_seconds=1)
    with logged_lines() as logged, EcsAgent(delay_seconds=60) as agent:
        protection = TaskProtection(agent.uri, pace)
        protection.job_started()
        eventually(lambda: len(agent.requests) >= 3, "three attempts")
        closed_at = time.monotonic()
        protection.close()
        assert time.monotonic() - closed_at < 10
        assert logged == ["task protection: the agent of ECS cannot be reached: timed out; trying again"]


def _not_so(body: dict[str, Any]) -> Answer:
    return 200, {"protection": {"ProtectionEnabled": not body["ProtectionEnabled"]}}


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (ERROR, "ThrottlingException: Rate exceeded"),
        (FAILURE, "DEPLOYMENT_BLOCKED: too many protected tasks"),
        ((500, b"<html>"), "its answer cannot be read"),
        ((200, b"[1]"), "its answer cannot be read"),
        ((200, b'{"failure": "x"}'), "its answer cannot be read"),
        ((404, b""), "its answer cannot be read"),
        ((200, {}), "no reason given"),
        (_not_so, "no reason given"),
    ],
)
def test_a_failure_is_logged_once_and_tried_again(answer: Any, reason: str) -> None:
    """Whatever fails: one line says why, the pauses are kept, and a later attempt succeeds."""
    agent = EcsAgent(answer=answer if callable(answer) else lambda _body: answer)
    with logged_lines() as logged, agent, closing(TaskProtection(agent.uri, QUICK)) as protection:
        protection.job_started()
        eventually(lambda: len(agent.requests) >= 4, "three more attempts")
        assert agent.requests[3].at - agent.requests[0].at >= 0.5 * (0.05 + 0.1 + 0.2)
        agent.answer = done
        eventually(lambda: len(logged) == 2, "a success")
    assert logged == [
        f"task protection: the agent of ECS did not change the protection: {reason}; trying again",
        "task protection: the agent of ECS works again",
    ]
    assert agent.protections()[-2:] == [True, False]


def test_an_agent_that_starts_later_gets_the_request() -> None:
    """After a failed connection the request is sent again until the agent listens."""
    agent = EcsAgent()
    with logged_lines() as logged:
        protection = TaskProtection(agent.uri, QUICK)
        protection.job_started()
        eventually(lambda: len(logged) == 1, "the one line")
        with agent:
            eventually(lambda: agent.protections() == [True], "the request")
            protection.close()
    assert agent.protections() == [True, False]
    assert "Connection refused" in logged[0]


def test_a_stop_is_bounded_when_the_agent_is_away() -> None:
    """A request that nobody answers delays the stop no longer than its limit."""
    pace = replace(QUICK, close_seconds=0.5)
    with EcsAgent() as agent:
        protection = TaskProtection(agent.uri, pace)
        protection.job_started()
        eventually(lambda: agent.protections() == [True], "the request")
    closed_at = time.monotonic()
    protection.close()
    assert time.monotonic() - closed_at < 10


def test_a_task_that_is_never_idle_is_open_now_and_then() -> None:
    """After the longest time the protection ends although a job runs, and starts again some time later."""
    pace = replace(QUICK, longest_seconds=0.5, open_seconds=0.4)
    with EcsAgent() as agent, closing(TaskProtection(agent.uri, pace)) as protection:
        protection.job_started()
        eventually(lambda: len(agent.requests) >= 4, "two rounds")
        first, ended, again, ended_again = agent.requests[:4]
        assert [first.protect, ended.protect, again.protect, ended_again.protect] == [
            True,
            False,
            True,
            False,
        ]
        assert again.at - ended.at >= pace.open_seconds
        # The first of two may have been on its way for longer than the second.
        assert ended.at - first.at >= 0.2 and ended_again.at - again.at >= 0.2


def test_a_runner_protects_its_task_while_it_compiles() -> None:
    """Two jobs at once are one request; when they have ended, so does the protection."""
    store, compiler, jobs = MemoryStore(make_settings()), SteeredCompiler(), [make_job(), make_job()]
    for job in jobs:
        store.submit(job)
    with EcsAgent() as agent:
        protection = TaskProtection(agent.uri, QUICK)
        runner = Runner(
            store,
            compiler,
            make_runner(max_workers=2),
            [],
            lease_seconds=15,
            stop_grace_seconds=8,
            protection=protection,
        )
        thread = threading.Thread(target=runner.run)
        thread.start()
        eventually(lambda: compiler.running == 2, "two jobs at work")
        eventually(lambda: agent.protections() == [True], "the request")
        time.sleep(2 * QUICK.idle_seconds)
        assert agent.protections() == [True]
        compiler.go.set()
        eventually(lambda: agent.protections() == [True, False], "the end of the protection")
        assert [status_of(store, job.id) for job in jobs] == [Status.COMPLETED] * 2
        runner.stop()
        thread.join(13)
        protection.close()
    assert agent.protections() == [True, False]


@pytest.mark.parametrize(
    "uri", ["", "x", "169.254.170.2/api", "https://127.0.0.1/api", "http://", "http://h:x/"]
)
def test_without_an_address_there_is_no_protection(uri: str) -> None:
    """Outside of ECS nothing is logged; a wrong address is logged in one line, and the runner goes on."""
    with logged_lines() as logged:
        protection = open_protection(uri)
        assert isinstance(protection, NoProtection)
        protection.job_started()
        protection.job_ended()
        protection.close()
    assert len(logged) == (1 if uri else 0)
    assert all("ECS_AGENT_URI" in line and "\n" not in line for line in logged)


def test_with_an_address_there_is_one() -> None:
    """The composition root creates the real one."""
    with closing(open_protection("http://127.0.0.1:9/api/x")) as protection:
        assert isinstance(protection, TaskProtection)
