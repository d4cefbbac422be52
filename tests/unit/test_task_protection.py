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

# Everything as ever, but in fractions of a second.
QUICK = Pace(
    idle_seconds=0.3,
    renew_seconds=60,
    timeout_seconds=5,
    shortest_pause_seconds=0.05,
    longest_pause_seconds=0.2,
    close_seconds=6,
)


@contextmanager
def lines() -> Iterator[list[str]]:
    """What the runner logs meanwhile, from INFO on."""
    found: list[str] = []

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(record.getMessage())

    handler, level = Lines(logging.INFO), task_protection.logger.level
    task_protection.logger.addHandler(handler)
    task_protection.logger.setLevel(logging.INFO)
    try:
        yield found
    finally:
        task_protection.logger.removeHandler(handler)
        task_protection.logger.setLevel(level)


def test_overlapping_jobs_are_one_protection() -> None:
    """Three jobs, two of them at once and one right after: one request and, after a pause, one release."""
    with EcsAgent() as agent, closing(TaskProtection(agent.uri, QUICK)) as protection:
        protection.job_began()
        protection.job_began()
        eventually(lambda: agent.told() == [True], "the request")
        protection.job_ended()
        time.sleep(2 * QUICK.idle_seconds)
        protection.job_ended()
        protection.job_began()
        time.sleep(2 * QUICK.idle_seconds)
        assert agent.told() == [True]
        ended = time.monotonic()
        protection.job_ended()
        eventually(lambda: agent.told() == [True, False], "the release")
        assert agent.asked[1].at - ended >= QUICK.idle_seconds
        time.sleep(2 * QUICK.idle_seconds)
    assert agent.told() == [True, False]


def test_the_requests_are_those_that_the_agent_knows() -> None:
    """A PUT of JSON to the path below the agent's address; a protection has an end, a release needs none."""
    with EcsAgent() as agent:
        with closing(TaskProtection(agent.uri, QUICK)) as protection:
            protection.job_began()
            eventually(lambda: bool(agent.asked), "the request")
        assert {(each.method, each.path) for each in agent.asked} == {
            ("PUT", "/api/task-1/task-protection/v1/state")
        }
        assert [each.body for each in agent.asked] == [
            {"ProtectionEnabled": True, "ExpiresInMinutes": 5},
            {"ProtectionEnabled": False},
        ]


def test_without_a_job_nothing_is_asked() -> None:
    """A runner that did nothing leaves the agent alone, when it stops too."""
    with EcsAgent() as agent:
        protection = TaskProtection(agent.uri, QUICK)
        time.sleep(0.2)
        protection.close()
        protection.close()
    assert agent.told() == []


def test_a_protection_is_renewed_before_it_expires() -> None:
    """While a long job runs, the request comes again at its time."""
    pace = replace(QUICK, renew_seconds=0.25)
    with EcsAgent() as agent, closing(TaskProtection(agent.uri, pace)) as protection:
        protection.job_began()
        eventually(lambda: len(agent.asked) >= 4, "three renewals")
        pauses = [later.at - sooner.at for sooner, later in zip(agent.asked, agent.asked[1:], strict=False)]
        # The first of two may have been on its way for longer than the second.
        assert all(pause >= 0.1 for pause in pauses)
        assert agent.told()[:4] == [True] * 4


def test_the_numbers_leave_time_to_renew() -> None:
    """A renewal that fails once, and comes after the longest pause, is still in time."""
    pace = Pace()
    last_seconds = pace.renew_seconds + 2 * pace.timeout_seconds + pace.longest_pause_seconds
    assert last_seconds < pace.expires_minutes * 60
    assert pace.idle_seconds < pace.renew_seconds < pace.longest_seconds
    # What ECS allows.
    assert 1 <= pace.expires_minutes <= 2880


def test_a_slow_agent_delays_no_job() -> None:
    """Workers go on at once although the agent takes its time, and what it does in the end counts."""
    with EcsAgent(delay_seconds=2) as agent, closing(TaskProtection(agent.uri, QUICK)) as protection:
        protection.job_began()
        eventually(lambda: agent.told() == [True], "the request")
        for _ in range(100):
            protection.job_began()
            protection.job_ended()
        assert time.monotonic() - agent.asked[0].at < agent.delay_seconds
        protection.job_ended()
        eventually(lambda: agent.told() == [True, False], "the release")


def test_an_agent_that_never_answers_is_given_up_on_and_asked_again() -> None:
    """Each attempt has an end, and so has the last one, at a stop."""
    pace = replace(QUICK, timeout_seconds=0.2, close_seconds=1)
    with lines() as logged, EcsAgent(delay_seconds=60) as agent:
        protection = TaskProtection(agent.uri, pace)
        protection.job_began()
        eventually(lambda: len(agent.asked) >= 3, "three attempts")
        began = time.monotonic()
        protection.close()
        assert time.monotonic() - began < 10
        assert logged == ["task protection: the agent of ECS cannot be reached: timed out; trying again"]


def _not_so(body: dict[str, Any]) -> Answer:
    return 200, {"protection": {"ProtectionEnabled": not body["ProtectionEnabled"]}}


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (ERROR, "ThrottlingException: Rate exceeded"),
        (FAILURE, "DEPLOYMENT_BLOCKED: too many protected tasks"),
        ((500, b"<html>"), "an answer that is not understood"),
        ((200, b"[1]"), "an answer that is not understood"),
        ((200, b'{"failure": "x"}'), "an answer that is not understood"),
        ((404, b""), "an answer that is not understood"),
        ((200, {}), "no reason given"),
        (_not_so, "no reason given"),
    ],
)
def test_a_refusal_is_logged_once_and_tried_again(answer: Any, reason: str) -> None:
    """Whatever is wrong: one line says why, pauses are kept, and a later attempt succeeds."""
    agent = EcsAgent(answer=answer if callable(answer) else lambda _body: answer)
    with lines() as logged, agent, closing(TaskProtection(agent.uri, QUICK)) as protection:
        protection.job_began()
        eventually(lambda: len(agent.asked) >= 4, "three more attempts")
        assert agent.asked[3].at - agent.asked[0].at >= 0.5 * (0.05 + 0.1 + 0.2)
        agent.answer = done
        eventually(lambda: len(logged) == 2, "a success")
    assert logged == [
        f"task protection: the agent of ECS refuses: {reason}; trying again",
        "task protection: the agent of ECS does its work again",
    ]
    assert agent.told()[-2:] == [True, False]


def test_an_agent_that_is_away_is_found_when_it_comes() -> None:
    """A refused connection ends nothing; the request is made when somebody listens."""
    agent = EcsAgent()
    with lines() as logged:
        protection = TaskProtection(agent.uri, QUICK)
        protection.job_began()
        eventually(lambda: len(logged) == 1, "the one line")
        with agent:
            eventually(lambda: agent.told() == [True], "the request")
            protection.close()
    assert agent.told() == [True, False]
    assert "Connection refused" in logged[0]


def test_a_stop_is_bounded_when_the_agent_is_away() -> None:
    """A release that nobody takes holds the runner up for no longer than it may."""
    pace = replace(QUICK, close_seconds=0.5)
    with EcsAgent() as agent:
        protection = TaskProtection(agent.uri, pace)
        protection.job_began()
        eventually(lambda: agent.told() == [True], "the request")
    began = time.monotonic()
    protection.close()
    assert time.monotonic() - began < 10


def test_a_task_that_is_never_idle_is_open_now_and_then() -> None:
    """After the longest time it is released although a job runs, and protected again some time later."""
    pace = replace(QUICK, longest_seconds=0.5, open_seconds=0.4)
    with EcsAgent() as agent, closing(TaskProtection(agent.uri, pace)) as protection:
        protection.job_began()
        eventually(lambda: len(agent.asked) >= 4, "two rounds")
        first, released, again, released_again = agent.asked[:4]
        assert [first.protect, released.protect, again.protect, released_again.protect] == [
            True,
            False,
            True,
            False,
        ]
        assert again.at - released.at >= pace.open_seconds
        # The first of two may have been on its way for longer than the second.
        assert released.at - first.at >= 0.2 and released_again.at - again.at >= 0.2


def test_a_runner_protects_its_task_while_it_compiles() -> None:
    """Two jobs at once are one request; when they have ended the task is released."""
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
        eventually(lambda: agent.told() == [True], "the request")
        time.sleep(2 * QUICK.idle_seconds)
        assert agent.told() == [True]
        compiler.go.set()
        eventually(lambda: agent.told() == [True, False], "the release")
        assert [status_of(store, job.id) for job in jobs] == [Status.COMPLETED] * 2
        runner.stop()
        thread.join(13)
        protection.close()
    assert agent.told() == [True, False]


@pytest.mark.parametrize(
    "uri", ["", "x", "169.254.170.2/api", "https://127.0.0.1/api", "http://", "http://h:x/"]
)
def test_without_an_address_there_is_no_protection(uri: str) -> None:
    """Outside of ECS nothing is said; an address that is none is told in one line, and the runner goes on."""
    with lines() as logged:
        protection = open_protection(uri)
        assert isinstance(protection, NoProtection)
        protection.job_began()
        protection.job_ended()
        protection.close()
    assert len(logged) == (1 if uri else 0)
    assert all("ECS_AGENT_URI" in line and "\n" not in line for line in logged)


def test_with_an_address_there_is_one() -> None:
    """The composition root makes the real one."""
    with closing(open_protection("http://127.0.0.1:9/api/x")) as protection:
        assert isinstance(protection, TaskProtection)
