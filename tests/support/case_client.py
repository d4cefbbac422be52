"""The acceptance cases over HTTP: a client of a running service, wherever that runs.

It lists what is offered (`offers`) and submits the body of a request (`result`); the rest is in
`tests/support/case_files.py`: the runs of a case, their bodies, and the problems of a result.
"""

import http.client
import time
from typing import Any

from chalicelib.models import Status
from tests.support.case_files import Offer
from tests.support.processes import Caller

# The longest that the API waits before it answers, and the additional time that a request may take.
_WAIT_SECONDS = 25
_SPARE_SECONDS = 10


class CaseClient:
    """A client of an API. Any number of threads may use it at once."""

    def __init__(self, api: Caller, *, patience_seconds: float = 120) -> None:
        """`patience_seconds` is how long a job may take from its submit to its end."""
        self._api = api
        self._patience_seconds = patience_seconds

    def offers(self) -> list[Offer]:
        """The environments that the service offers."""
        status, answer = self._call("GET", "/api/v1/environments")
        assert status == http.client.OK, (status, answer)
        return [Offer.model_validate(item) for item in answer["environments"]]

    def result(self, body: dict[str, Any]) -> dict[str, Any]:
        """Submit `body` and wait for the result. `AssertionError` if it is invalid or does not end."""
        deadline = time.monotonic() + self._patience_seconds
        status, answer = self._call("POST", f"/api/v1/compile?wait={_WAIT_SECONDS}", body)
        while True:
            assert status in (http.client.OK, http.client.ACCEPTED), (status, answer)
            if Status(answer["status"]).terminal:
                return answer
            assert time.monotonic() < deadline, f"no end after {self._patience_seconds:g} s: {answer}"
            status, answer = self._call("GET", f"/api/v1/compile/{answer['job_id']}?wait={_WAIT_SECONDS}")

    def _call(self, method: str, path: str, body: object = None) -> tuple[int, dict[str, Any]]:
        reply = self._api.call(method, path, body, timeout_seconds=_WAIT_SECONDS + _SPARE_SECONDS)
        return reply.status, reply.json()
