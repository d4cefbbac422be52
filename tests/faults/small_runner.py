"""A real runner with one compiler, which starts within a second, and which can be made to die.

`python -m tests.faults.small_runner` is `python -m runner` with two differences: it offers gcc-12 for C only,
because testing every compiler at each start would take longer than it is left to live; and these variables
make it fail at a given point:

- ``DIE_AFTER=<step>``: kills itself with SIGKILL right after that step of its first job;
- ``STOP_BEFORE=<step>``: stops itself with SIGSTOP right before it, once;
- ``DIE_ON=<text>``: kills itself when it is to compile a source that holds the text.

Steps: ``read`` (the stream entry), ``compile``, and the scripts ``claim``, ``update_job``, ``seal``,
``write_result``, ``move_sealed``.
"""

import os
import shutil
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from chalicelib import bootstrap
from chalicelib.catalog import load_catalog
from chalicelib.models import CompileRequest, Result, RunnerInfo, utc_now
from chalicelib.settings import Settings
from chalicelib.storage.redis.client import RedisClient
from chalicelib.storage.redis.scripts import Argument, ReplyT, Script
from chalicelib.storage.redis.store import RedisStore
from runner.bootstrap import limits_of, open_sandbox
from runner.executor import JobExecutor
from runner.toolchains.probe import probe_toolchains
from runner.worker import Runner


def die() -> None:
    """Ends this process as a power failure would."""
    os.kill(os.getpid(), signal.SIGKILL)


class FailingClient(RedisClient):
    """A client whose process dies after one step, or stops before one."""

    def __init__(self, settings: Settings, *, die_after: str, stop_before: str) -> None:
        super().__init__(settings)
        self._die_after = die_after
        self._stop_before = stop_before

    def run(self, script: Script[ReplyT], *arguments: Argument, on: Sequence[str] = ()) -> ReplyT:
        """Runs the script, unless the process stops before it; dies after it, if that is its step."""
        if script.name == self._stop_before:
            self._stop_before = ""
            os.kill(os.getpid(), signal.SIGSTOP)
        reply = super().run(script, *arguments, on=on)
        if script.name == self._die_after:
            die()
        return reply

    def next_entry(self, runner: str, block_seconds: float) -> tuple[str, str] | None:
        """Reads the stream; dies when there was an entry, if that is its step."""
        delivery = super().next_entry(runner, block_seconds)
        if delivery is not None and self._die_after == "read":
            die()
        return delivery


class FailingExecutor(JobExecutor):
    """The real executor, which dies on some sources, or in the middle of a compile."""

    def compile(
        self,
        job_id: str,
        request: CompileRequest,
        *,
        attempts: int = 1,
        cancel: threading.Event | None = None,
    ) -> Result:
        """Compiles, or dies as the variables say."""
        poison = os.environ.get("DIE_ON")
        if poison and any(poison in text for text in request.files.values()):
            die()
        if os.environ.get("DIE_AFTER") == "compile":
            threading.Timer(0.3, die).start()
        return super().compile(job_id, request, attempts=attempts, cancel=cancel)


def main() -> int:
    """Runs until SIGTERM, or until it dies."""
    settings = bootstrap.read_settings(os.environ, Path("/nonexistent"))
    bootstrap.configure_logging(settings)
    client = FailingClient(
        settings,
        die_after=os.environ.get("DIE_AFTER", ""),
        stop_before=os.environ.get("STOP_BEFORE", ""),
    )
    store = RedisStore(settings, client=client)
    sandbox = open_sandbox(settings)
    toolchains = probe_toolchains(
        load_catalog(),
        sandbox,
        limits_of(settings),
        find_executable=lambda name: shutil.which(name) if name == "gcc-12" else None,
    )
    runner = Runner(
        store,
        FailingExecutor(sandbox, load_catalog(), toolchains, limits_of(settings)).compile_claim,
        RunnerInfo(
            id=f"small-{os.getpid()}",
            host="localhost",
            started_at=utc_now(),
            max_workers=settings.workers_on(len(os.sched_getaffinity(0))),
        ),
        toolchains.environments,
        lease_seconds=settings.lease_seconds,
        stop_grace_seconds=settings.stop_grace_seconds,
    )
    signal.signal(signal.SIGTERM, lambda *_: runner.stop())
    runner.run()
    store.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
