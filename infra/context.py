"""External services that the deploy command uses: AWS, a container engine, HTTP, the clock and the terminal.

Every step takes a `DeployContext`; tests pass one with another engine, another HTTP and a clock of their own.
Nothing else in `infra` opens a connection or sleeps.
"""

import functools
import json
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from botocore.config import Config

from infra.errors import DeployError

# CloudFormation limits the rate of calls for the whole account: up to a dozen attempts, with growing pauses.
RETRIES = {"mode": "adaptive", "max_attempts": 12}


@dataclass(frozen=True)
class Reply:
    """An HTTP response: its status, and its body if that is a JSON object."""

    status: int
    body: dict[str, Any]


def call(method: str, url: str, body: object = None) -> Reply:
    """One HTTP request with JSON. A response of any status is a `Reply`; without a response: `OSError`."""
    request = urllib.request.Request(  # noqa: S310 -- the URL is that of the API, and is https
        url,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    try:
        # API Gateway ends a call after 29 s, so there is a response by then.
        with urllib.request.urlopen(request, timeout=35) as response:  # noqa: S310 -- as above
            return Reply(response.status, _json_object(response.read()))
    except urllib.error.HTTPError as error:
        with error:
            return Reply(error.code, _json_object(error.read()))


def _json_object(text: bytes) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def docker_engine() -> Any:
    """A client of this machine's container engine, as the Docker SDK makes it."""
    import docker

    return docker.from_env(timeout=3600)  # seconds; a push over a slow line takes long


def say(line: str) -> None:
    """Prints one line at once."""
    print(line, flush=True)  # noqa: T201 -- this is the program's own output


@dataclass(frozen=True, eq=False)
class DeployContext:
    """The external services; AWS's settings are taken from `env`, and programs that are started get it."""

    env: Mapping[str, str]
    region: str | None = None
    engine: Callable[[], Any] = docker_engine
    http: Callable[..., Reply] = call
    sleep: Callable[[float], None] = time.sleep
    now: Callable[[], float] = time.monotonic
    say: Callable[[str], None] = say
    python_version: tuple[int, int] = field(default_factory=lambda: sys.version_info[:2])
    # Between two questions to AWS whether a change is done.
    poll_seconds: float = 3.0
    retries: Mapping[str, Any] = field(default_factory=lambda: dict(RETRIES))
    _clients: dict[str, Any] = field(default_factory=dict, init=False, repr=False)

    @functools.cached_property
    def _session(self) -> Any:
        try:
            import boto3
        except ModuleNotFoundError as error:
            # chalice installs botocore, but not boto3.
            raise DeployError(
                "boto3 is not installed", "install it into .venv as docs/deploy.md says"
            ) from error
        env = self.env
        return boto3.Session(
            # For what is not set, botocore looks in its other places: profiles, single sign-on, roles.
            aws_access_key_id=env.get("AWS_ACCESS_KEY_ID"),
            aws_secret_access_key=env.get("AWS_SECRET_ACCESS_KEY"),
            aws_session_token=env.get("AWS_SESSION_TOKEN"),
            profile_name=env.get("AWS_PROFILE"),
            region_name=self.region or env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION"),
        )

    @property
    def region_name(self) -> str | None:
        """The chosen region, or that of the AWS configuration."""
        name: str | None = self._session.region_name
        return name

    def client(self, service: str) -> Any:
        """The client of an AWS service; it repeats a call when AWS is busy."""
        if service not in self._clients:
            try:
                self._clients[service] = self._session.client(
                    service,
                    config=Config(retries=dict(self.retries)),
                    endpoint_url=self.env.get("AWS_ENDPOINT_URL"),
                )
            except ValueError as error:  # how botocore reports an invalid URL
                raise DeployError(str(error), "set AWS_ENDPOINT_URL to a URL, or leave it unset") from error
        return self._clients[service]

    def close(self) -> None:
        """Closes the connections to AWS; a client that is asked for later is a new one."""
        while self._clients:
            self._clients.popitem()[1].close()
