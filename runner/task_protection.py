"""Keeps ECS from stopping this task, in a scale-in or a deployment, while it compiles.

The agent of ECS has an address in each task (`ECS_AGENT_URI`). One PUT there protects the task for some
minutes, another takes that back:
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-scale-in-protection-endpoint.html

Workers only count their jobs. A thread of its own talks to the agent, once for each busy period and again
before a protection expires: a slow agent delays no claim and no compile. A stop without protection loses
nothing either, as it hands jobs back (worker.py), so trouble with the agent is logged once and tried again.
"""

import http.client
import json
import logging
import math
import random
import threading
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

logger = logging.getLogger("will_it_compile.runner")

# Of our own, for the reason that worker.py gives.
_jitter = random.Random()  # noqa: S311 -- no secret

_PATH = "/task-protection/v1/state"


@dataclass(frozen=True, slots=True)
class Pace:
    """When the agent is spoken to."""

    # Jobs that follow each other faster are one busy period: ECS throttles these calls for the whole account.
    # A task that is not needed any more lives so much longer.
    idle_seconds: float = 30.0
    # Twice as long as a compile may take under the default limits, and not longer: a release may get lost.
    expires_minutes: int = 5
    # Half of that: what is left then is the time to try again in.
    renew_seconds: float = 150.0
    # A deployment waits until the old tasks are not protected, and CloudFormation gives it three hours. So a
    # task that is never idle is open for a stop now and then, which hands its jobs back.
    longest_seconds: float = 1800.0
    open_seconds: float = 60.0
    # The agent itself gives ECS four seconds.
    timeout_seconds: float = 10.0
    # Between two attempts, at first and at most.
    shortest_pause_seconds: float = 1.0
    longest_pause_seconds: float = 60.0
    # Once more than the agent may take. A protection that stays expires with its task.
    close_seconds: float = 12.0


_PACE = Pace()


class AgentError(Exception):
    """The agent did not do it; the text says why, in one line."""


class NoProtection:
    """Outside of ECS there is nothing to protect."""

    def job_began(self) -> None:
        """Does nothing."""

    def job_ended(self) -> None:
        """Does nothing."""

    def close(self) -> None:
        """Does nothing."""


class TaskProtection:
    """The protection of the task that this process runs in; workers on any thread may say what they do."""

    def __init__(self, agent_uri: str, pace: Pace = _PACE) -> None:
        """`agent_uri` is what ECS says in `ECS_AGENT_URI`. Raises ValueError when it is no HTTP address."""
        parts = urlsplit(agent_uri)
        if parts.scheme != "http" or not parts.hostname:
            raise ValueError(f"{agent_uri!r} is not an address that begins with http://")
        self._host, self._port = parts.hostname, parts.port or http.client.HTTP_PORT
        self._path = parts.path.rstrip("/") + _PATH
        self._pace = pace
        self._changed = threading.Condition()
        # Under that lock: what the workers say.
        self._jobs = 0
        self._idle_since = -math.inf
        self._closing = False
        # Of the thread alone, in seconds of the monotonic clock. ECS may be protecting until then:
        self._until = -math.inf
        self._since = math.inf
        self._renew_at = -math.inf
        self._not_before = -math.inf
        self._failures = 0
        self._thread = threading.Thread(target=self._keep, name="task-protection", daemon=True)
        self._thread.start()

    def job_began(self) -> None:
        """A job is at work here from now on. Returns at once."""
        with self._changed:
            self._jobs += 1
            self._changed.notify()

    def job_ended(self) -> None:
        """One of them is not any more. Returns at once."""
        with self._changed:
            self._jobs -= 1
            self._idle_since = time.monotonic()
            self._changed.notify()

    def close(self) -> None:
        """Releases the task, within a bounded time. Idempotent."""
        with self._changed:
            self._closing = True
            self._not_before = -math.inf
            self._changed.notify()
        self._thread.join(self._pace.close_seconds)

    def _keep(self) -> None:
        while True:
            with self._changed:
                protect, at = self._plan()
                if self._closing and at == math.inf:
                    return
                if (pause := at - time.monotonic()) > 0:
                    self._changed.wait(None if at == math.inf else pause)
                    continue
            self._tell(protect)

    def _plan(self) -> tuple[bool, float]:
        """What the agent is to be told next, and when; infinity: nothing, until a worker says something."""
        protected = self._until > time.monotonic()
        if self._closing or not self._jobs:
            idle_at = -math.inf if self._closing else self._idle_since + self._pace.idle_seconds
            return False, max(idle_at, self._not_before) if protected else math.inf
        enough_at = self._since + self._pace.longest_seconds if protected else math.inf
        if enough_at <= self._renew_at:
            return False, max(enough_at, self._not_before)
        return True, max(self._renew_at, self._not_before)

    def _tell(self, protect: bool) -> None:
        began = time.monotonic()
        if self._until <= began:
            self._since = math.inf
        if protect:
            # It counts although the answer may get lost.
            self._until = began + self._pace.expires_minutes * 60
        try:
            self._ask(protect)
        except AgentError as error:
            self._try_later(error)
            return
        if self._failures:
            logger.info("task protection: the agent of ECS does its work again")
        self._failures = 0
        logger.debug("task protection: %s", "on" if protect else "off")
        if protect:
            self._renew_at = began + self._pace.renew_seconds
            self._since = min(self._since, began)
            return
        if began >= self._since + self._pace.longest_seconds:
            self._wait(self._pace.open_seconds)
        self._until, self._since, self._renew_at = -math.inf, math.inf, -math.inf

    def _try_later(self, error: AgentError) -> None:
        if not self._failures:
            logger.warning("task protection: %s; trying again", error)
        pause = min(self._pace.longest_pause_seconds, self._pace.shortest_pause_seconds * 2**self._failures)
        self._failures = min(self._failures + 1, 30)  # enough for the longest pause
        # Not all tasks at once: an agent that throttles is asked by many.
        jitter = _jitter.uniform(0.5, 1.0)
        self._wait(jitter * pause)

    def _wait(self, seconds: float) -> None:
        with self._changed:
            self._not_before = time.monotonic() + seconds

    def _ask(self, protect: bool) -> None:
        """One request; raises `AgentError` unless the agent says that it is so now."""
        wanted: dict[str, bool | int] = {"ProtectionEnabled": protect}
        if protect:
            wanted["ExpiresInMinutes"] = self._pace.expires_minutes
        connection = http.client.HTTPConnection(self._host, self._port, timeout=self._pace.timeout_seconds)
        try:
            headers = {"Content-Type": "application/json"}
            connection.request("PUT", self._path, json.dumps(wanted), headers)
            # What it says has some hundred bytes.
            text = connection.getresponse().read(65_536)
        except (OSError, http.client.HTTPException) as error:
            reason = str(error) or type(error).__name__
            raise AgentError(f"the agent of ECS cannot be reached: {reason}") from None
        finally:
            connection.close()
        _check(text, protect)


def _check(text: bytes, protect: bool) -> None:
    """Holds an answer to what was wanted. One of `protection`, `failure` and `error` is in it."""
    try:
        answer = json.loads(text)
        if (answer.get("protection") or {}).get("ProtectionEnabled") is protect:
            return
        trouble = answer.get("failure") or answer.get("error") or {}
        said = [trouble[word] for word in ("Reason", "Detail", "Code", "Message") if trouble.get(word)]
        reason = ": ".join(map(str, said)) or "no reason given"
    except (ValueError, AttributeError, TypeError):
        reason = "an answer that is not understood"
    # One line, and not a page.
    raise AgentError(f"the agent of ECS refuses: {' '.join(reason.split())[:300]}")
