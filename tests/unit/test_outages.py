"""What fails again and again is logged once when it begins, and once when it is over."""

import logging
import threading
import time
from collections.abc import Iterator, Sequence

import pytest
from chalice.test import Client

import app
from chalicelib.errors import StoreUnavailable
from chalicelib.models import Environment, RunnerInfo
from chalicelib.outages import Outages
from chalicelib.storage.memory import MemoryStore
from chalicelib.storage.protocol import Claim, SweepReport
from runner.worker import Runner
from tests.support.factories import make_environment, make_result, make_runner, make_settings
from tests.support.servers import wait_until
from tests.support.services import make_application

_LOGGER = logging.getLogger("will_it_compile")


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """The lines of our log, those at DEBUG as well."""
    propagate, _LOGGER.propagate = _LOGGER.propagate, True
    caplog.set_level(logging.DEBUG, logger=_LOGGER.name)
    yield caplog
    _LOGGER.propagate = propagate


def _shown(lines: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [(line.levelname, line.getMessage()) for line in lines.records if line.levelno >= logging.INFO]


def test_an_outage_is_two_lines(lines: pytest.LogCaptureFixture) -> None:
    """It is over when something works that had failed; the next one is logged again."""
    outages = Outages(_LOGGER)
    for _ in range(2):
        lines.clear()
        for by in ("one", "two", "one"):
            outages.failed("store", by, "away")
        outages.worked("three")
        assert _shown(lines) == [("WARNING", "store: away")]
        assert len(lines.records) == 3
        outages.worked("two")
        outages.worked("one")
        assert _shown(lines)[1:] == [("INFO", "store: over, this works again")]


def test_a_service_that_is_not_ready_is_one_warning(lines: pytest.LogCaptureFixture) -> None:
    """A load balancer asks every few seconds, and 503 is the right answer."""
    store = MemoryStore(make_settings())
    with app.use(make_application(store)), Client(app.app) as client:
        for _ in range(5):
            assert client.http.get("/ready").status_code == 503
        assert client.http.get("/health").status_code == 200
        store.register(make_runner(), [make_environment()], 60)
        for _ in range(3):
            assert client.http.get("/ready").status_code == 200
    [begun, over] = _shown(lines)
    assert begun[0] == "WARNING" and begun[1].startswith("not_ready: No runner is alive")
    assert over[0] == "INFO" and over[1].startswith("not_ready: over")


class _AwayStore(MemoryStore):
    """A store that cannot be reached while `away` is set."""

    away = threading.Event()

    def ping(self) -> None:
        """Fails while it is away."""
        if self.away.is_set():
            raise StoreUnavailable("Redis at localhost:6379 refused the connection")

    def claim(self, runner: str, block_seconds: float) -> Claim | None:
        """Fails while it is away."""
        self.ping()
        return super().claim(runner, block_seconds)

    def register(self, runner: RunnerInfo, environments: Sequence[Environment], ttl_seconds: float) -> None:
        """Fails while it is away."""
        self.ping()
        super().register(runner, environments, ttl_seconds)

    def sweep(self) -> SweepReport:
        """Fails while it is away."""
        self.ping()
        return super().sweep()


def test_a_store_that_is_away_is_one_error_of_the_api(lines: pytest.LogCaptureFixture) -> None:
    """Whatever routes are asked, and however often."""
    store = _AwayStore(make_settings())
    store.register(make_runner(), [make_environment()], 60)
    store.away.set()
    try:
        with app.use(make_application(store)), Client(app.app) as client:
            for _ in range(4):
                assert client.http.get("/ready").status_code == 503
            store.away.clear()
            assert client.http.get("/ready").status_code == 200
    finally:
        store.away.clear()
    assert [level for level, _ in _shown(lines)] == ["ERROR", "INFO"]


def test_a_store_that_is_away_is_one_warning_of_a_runner(lines: pytest.LogCaptureFixture) -> None:
    """Claims, registrations and sweeps fail in several rounds: one line at the beginning, one at the end."""
    store = _AwayStore(make_settings(lease_seconds=0.3))
    runner = Runner(
        store,
        lambda claim, _: make_result(claim.job.id),
        make_runner(),
        [make_environment()],
        lease_seconds=0.3,
        stop_grace_seconds=1,
    )
    thread = threading.Thread(target=runner.run)
    thread.start()
    try:
        wait_until(lambda: bool(store.runners()), "a registration")
        lines.clear()
        store.away.set()
        wait_until(lambda: sum("trying again" in text for text in lines.messages) >= 6, "some rounds")
        store.away.clear()
        wait_until(lambda: any("the store is back" in text for _, text in _shown(lines)), "the end of it")
        time.sleep(0.2)  # more rounds, which must add nothing
    finally:
        store.away.clear()
        runner.stop()
        thread.join(15)
    about_store = [(level, text) for level, text in _shown(lines) if "store" in text]
    assert [level for level, _ in about_store] == ["WARNING", "INFO"], about_store
