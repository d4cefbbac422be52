"""The first requests to a server that has just started, with all compilers of this machine to be tested."""

import http.client
import re
import time
from pathlib import Path

import pytest

from tests.support.processes import ApiProcess, Reply
from tests.support.servers import wait_until
from tests.support.skipping import require
from tests.support.tiers import in_tier

# The README's first request.
_PATH = "/api/v1/compile?wait=20"
_BODY = {"source_code": "int main() { return 0; }", "language": "cpp"}

# Those of zig take a minute on a busy machine, for all of their targets.
_COMPILERS = in_tier(fast="gcc-*,clang-*,python-*", full="*")


class _Server(ApiProcess):
    """Ready as soon as its port is open: nothing has been asked yet."""

    def __init__(self, cache: Path, **fields: str) -> None:
        """`fields` are added to the request."""
        super().__init__({"XDG_CACHE_HOME": str(cache), "COMPILERS": _COMPILERS})
        self._body = _BODY | fields
        self.first: Reply | None = None

    def is_ready(self) -> bool:
        """The first request could be sent; its answer is kept."""
        try:
            self.first = self.call("POST", _PATH, self._body, timeout_seconds=60)
        except (OSError, http.client.HTTPException):
            return False
        return True

    def offered(self) -> set[tuple[str, str]]:
        """What GET /environments lists."""
        listed = self.call("GET", "/api/v1/environments").json()["environments"]
        return {(item["language"], item["id"]) for item in listed}

    def is_tested(self) -> bool:
        """All self-tests are over."""
        return " INFO compilers: " in self.log()


def test_the_first_request_gets_its_verdict_three_times_of_three(tmp_path: Path) -> None:
    """Sent when the port opens, before anything was tested on this host: 200, of the newest compiler."""
    require("g++-12")
    compilers = []
    for number in range(3):
        with _Server(tmp_path / str(number)) as server:
            assert server.first is not None
            answer = server.first.json()
            assert (server.first.status, answer["verdict"]) == (200, "compiles"), answer
            compilers.append(answer["environment"]["id"])
            print(server.log())
            # Known without any test, so at once: while others are tested the answer is not put off.
            missing = server.call("POST", _PATH, _BODY | {"compiler": "gcc-99"})
            assert missing.status == 400
            assert compilers[-1] in missing.json()["message"] and "gcc-12" in missing.json()["message"]
            assert not server.is_tested() or len(server.offered()) < 10
    assert len(set(compilers)) == 1, "not of the newest that happened to be tested"


def test_the_second_start_offers_at_once_what_passed(tmp_path: Path) -> None:
    """It tests nothing again: all compilers are offered in a fraction of the time of the first start."""
    require("g++-12")
    with _Server(tmp_path) as server:
        started = time.monotonic()
        server.wait_for(server.is_tested, "all tests", timeout_seconds=240)
        first_seconds = time.monotonic() - started
        everything = server.offered()
        assert server.stop() == 0
        server.start()
        started = time.monotonic()
        server.wait_for(lambda: server.offered() >= everything, "all compilers")
        seconds = time.monotonic() - started
        remembered = re.findall(r" here ([0-9]+) have passed before", server.log())[-1]
        assert int(remembered) >= len(everything)
        print(
            f"{len(everything)} compilers: {first_seconds:.1f} s after the first start, {seconds:.2f} s "
            "after the second"
        )
        assert len(everything) < 10 or seconds < first_seconds / 4


@pytest.mark.parametrize("compiler", ["clang", "gcc-12"])
def test_a_request_waits_for_the_compiler_that_it_names(tmp_path: Path, compiler: str) -> None:
    """It is tested first, and the others are tested later."""
    require("g++-12")
    require("clang++-16")
    with _Server(tmp_path, compiler=compiler) as server:
        assert server.first is not None and server.first.status == 200
        assert server.first.json()["environment"]["id"].startswith(compiler)
        wait_until(lambda: len(server.offered()) >= 3, "the next compilers", timeout_seconds=60)
