"""Keeps ECS from stopping this task, in a scale-in or a deployment, while it compiles.

The agent of ECS has an address in each task (`ECS_AGENT_URI`). One PUT there protects the task for some
minutes, another ends the protection:
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-scale-in-protection-endpoint.html

Workers only count their jobs. A separate thread talks to the agent, once for each busy period and again
before a protection expires: a slow agent delays no claim and no compile. A stop without protection loses
nothing either, because the runner releases its jobs (worker.py); so problems with the agent are logged once
and the request is tried again.
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

# Own instance: seeding the global generator elsewhere must not affect it.
_jitter = random.Random()  # noqa: S311 -- no secret

_PATH = "/task-protection/v1/state"


@dataclass(frozen=True, slots=True)
class Pace:
    """When requests are sent to the agent."""

    # Jobs with shorter gaps are one busy period: ECS throttles these calls for the whole account. A task that
    # is no longer needed lives longer by this time.
    idle_seconds: float = 30.0
    # Twice as long as a compile may take with the default limits, and not longer: the request that ends a
    # protection may get lost.
    expires_minutes: int = 5
    # Half of that: the other half is left for further attempts.
    renew_seconds: float = 150.0
    # A deployment waits until the old tasks are not protected, and CloudFormation gives it three hours. So
    # the protection of a task that is never idle pauses after this time; a task that is stopped then
    # releases its jobs.
    longest_seconds: float = 1800.0
    open_seconds: float = 60.0
    # The agent itself waits four seconds for ECS.
    timeout_seconds: float = 10.0
    # Between two attempts, at first and at most.
    shortest_pause_seconds: float = 1.0
    longest_pause_seconds: float = 60.0
    # A little more than one request may take. A protection that is not ended expires with its task.
    close_seconds: float = 12.0


_PACE = Pace()


class AgentError(Exception):
    """The agent did not change the protection; the text says why, in one line."""


class NoProtection:
    """In place of `TaskProtection` outside of ECS, where there is nothing to protect."""

    def job_started(self) -> None:
        """Does nothing."""

    def job_ended(self) -> None:
        """Does nothing."""

    def close(self) -> None:
        """Does nothing."""


class TaskProtection:
    """The protection of the task that this process runs in. Workers may call it from any thread."""

    def __init__(self, agent_uri: str, pace: Pace = _PACE) -> None:
        """`agent_uri` is the value of `ECS_AGENT_URI`. Raises ValueError if it is not an HTTP address."""
        parts = urlsplit(agent_uri)
        if parts.scheme != "http" or not parts.hostname:
            raise ValueError(f"{agent_uri!r} is not an address that begins with http://")
        self._host, self._port = parts.hostname, parts.port or http.client.HTTP_PORT
        self._path = parts.path.rstrip("/") + _PATH
        self._pace = pace
        self._changed = threading.Condition()
        # Guarded by that lock: set by the workers.
        self._jobs = 0
        self._idle_since = -math.inf
        self._closing = False
        # Used by the thread alone, in seconds of the monotonic clock. ECS may protect the task until then:
        self._until = -math.inf
        self._since = math.inf
        self._renew_at = -math.inf
        self._not_before = -math.inf
        self._failures = 0
        self._thread = threading.Thread(target=self._keep, name="task-protection", daemon=True)
        self._thread.start()

    def job_started(self) -> None:
        """Count a job that starts. Returns at once."""
        with self._changed:
            self._jobs += 1
            self._changed.notify()

    def job_ended(self) -> None:
        """Count a job that has ended. Returns at once."""
        with self._changed:
            self._jobs -= 1
            self._idle_since = time.monotonic()
            self._changed.notify()

    def close(self) -> None:
        """End the protection, within a bounded time. Idempotent."""
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
            self._update(protect)

    def _plan(self) -> tuple[bool, float]:
        """The state to request next, and when; infinity: not before a job starts or ends."""
        protected = self._until > time.monotonic()
        if self._closing or not self._jobs:
            idle_at = -math.inf if self._closing else self._idle_since + self._pace.idle_seconds
            return False, max(idle_at, self._not_before) if protected else math.inf
        enough_at = self._since + self._pace.longest_seconds if protected else math.inf
        if enough_at <= self._renew_at:
            return False, max(enough_at, self._not_before)
        return True, max(self._renew_at, self._not_before)

    def _update(self, protect: bool) -> None:
        sent_at = time.monotonic()
        if self._until <= sent_at:
            self._since = math.inf
        if protect:
            # Counted from the request, because the answer may get lost.
            self._until = sent_at + self._pace.expires_minutes * 60
        try:
            self._send(protect)
        except AgentError as error:
            self._try_later(error)
            return
        if self._failures:
            logger.info("task protection: the agent of ECS works again")
        self._failures = 0
        logger.debug("task protection: %s", "on" if protect else "off")
        if protect:
            self._renew_at = sent_at + self._pace.renew_seconds
            self._since = min(self._since, sent_at)
            return
        if sent_at >= self._since + self._pace.longest_seconds:
            self._wait(self._pace.open_seconds)
        self._until, self._since, self._renew_at = -math.inf, math.inf, -math.inf

    def _try_later(self, error: AgentError) -> None:
        if not self._failures:
            logger.warning("task protection: %s; trying again", error)
        pause = min(self._pace.longest_pause_seconds, self._pace.shortest_pause_seconds * 2**self._failures)
        self._failures = min(self._failures + 1, 30)  # enough for the longest pause
        # Not all tasks at the same time: ECS throttles the calls of all of them together.
        jitter = _jitter.uniform(0.5, 1.0)
        self._wait(jitter * pause)

    def _wait(self, seconds: float) -> None:
        with self._changed:
            self._not_before = time.monotonic() + seconds

    def _send(self, protect: bool) -> None:
        """Send one request. Raises `AgentError` unless the agent confirms the new state."""
        body: dict[str, bool | int] = {"ProtectionEnabled": protect}
        if protect:
            body["ExpiresInMinutes"] = self._pace.expires_minutes
        connection = http.client.HTTPConnection(self._host, self._port, timeout=self._pace.timeout_seconds)
        try:
            headers = {"Content-Type": "application/json"}
            connection.request("PUT", self._path, json.dumps(body), headers)
            # An answer has a few hundred bytes.
            text = connection.getresponse().read(65_536)
        except (OSError, http.client.HTTPException) as error:
            reason = str(error) or type(error).__name__
            raise AgentError(f"the agent of ECS cannot be reached: {reason}") from None
        finally:
            connection.close()
        _check_answer(text, protect)


def _check_answer(text: bytes, protect: bool) -> None:
    """Raises `AgentError` unless the answer has that state. It has a `protection`, `failure` or `error`."""
    try:
        answer = json.loads(text)
        if (answer.get("protection") or {}).get("ProtectionEnabled") is protect:
            return
        failure = answer.get("failure") or answer.get("error") or {}
        words = [failure[word] for word in ("Reason", "Detail", "Code", "Message") if failure.get(word)]
        reason = ": ".join(map(str, words)) or "no reason given"
    except (ValueError, AttributeError, TypeError):
        reason = "its answer cannot be read"
    # One short line.
    raise AgentError(f"the agent of ECS did not change the protection: {' '.join(reason.split())[:300]}")
