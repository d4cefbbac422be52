"""Everything that the command needs of the world: AWS, a container engine, HTTP, time, and where to print.

The steps take an `Outside`; the tests give them another engine and another HTTP. Nothing else in `infra`
opens a connection or sleeps.
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

from infra.errors import Problem

# CloudFormation answers few questions a second, shared by the whole account: up to a dozen tries, in growing
# pauses.
RETRIES = {"mode": "adaptive", "max_attempts": 12}


@dataclass(frozen=True)
class Reply:
    """An HTTP answer: its status, and its body when that is JSON."""

    status: int
    body: dict[str, Any]


def call(method: str, url: str, body: object = None) -> Reply:
    """One HTTP request with JSON; an answer of any status is an answer, no answer is `OSError`."""
    request = urllib.request.Request(  # noqa: S310 -- the URL is chalice's, and is https
        url,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    try:
        # API Gateway gives up after 29 s, and so says something by then.
        with urllib.request.urlopen(request, timeout=35) as answer:  # noqa: S310 -- as above
            return Reply(answer.status, _json(answer.read()))
    except urllib.error.HTTPError as error:
        return Reply(error.code, _json(error.read()))


def _json(text: bytes) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def docker_engine() -> Any:
    """The container engine of this machine, as a client of the Docker SDK."""
    import docker

    return docker.from_env(timeout=3600)  # a push over a slow line takes long


def say(line: str) -> None:
    """Prints one line, at once."""
    print(line, flush=True)  # noqa: T201 -- this is the program's own output


@dataclass(frozen=True, eq=False)
class Outside:
    """The world; `environ` is what programs that are started get, and where AWS's own settings come from."""

    environ: Mapping[str, str]
    region: str | None = None
    engine: Callable[[], Any] = docker_engine
    http: Callable[..., Reply] = call
    sleep: Callable[[float], None] = time.sleep
    now: Callable[[], float] = time.monotonic
    say: Callable[[str], None] = say
    python_version: tuple[int, int] = field(default_factory=lambda: sys.version_info[:2])
    # How long to wait before AWS is asked again whether it is done.
    poll_seconds: float = 3.0
    retries: Mapping[str, Any] = field(default_factory=lambda: dict(RETRIES))

    @functools.cached_property
    def _session(self) -> Any:
        try:
            import boto3
        except ModuleNotFoundError as error:
            # chalice brings botocore, but not this.
            raise Problem("boto3 is not installed", "install it into .venv as docs/deploy.md says") from error
        environ = self.environ
        return boto3.Session(
            # What is None here, botocore looks for in its own places: profiles, single sign-on, roles.
            aws_access_key_id=environ.get("AWS_ACCESS_KEY_ID"),
            aws_secret_access_key=environ.get("AWS_SECRET_ACCESS_KEY"),
            aws_session_token=environ.get("AWS_SESSION_TOKEN"),
            profile_name=environ.get("AWS_PROFILE"),
            region_name=self.region or environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION"),
        )

    @property
    def region_name(self) -> str | None:
        """The region that was chosen, or that the AWS configuration has."""
        name: str | None = self._session.region_name
        return name

    @functools.lru_cache  # noqa: B019 -- one of these lives as long as the process
    def client(self, service: str) -> Any:
        """A client of an AWS service, which tries again when AWS is busy."""
        endpoint = self.environ.get("AWS_ENDPOINT_URL")
        try:
            return self._session.client(
                service, config=Config(retries=dict(self.retries)), endpoint_url=endpoint
            )
        except ValueError as error:  # botocore's own word for a URL that is none
            raise Problem(str(error), "set AWS_ENDPOINT_URL to a URL, or not at all") from error
