"""A real runner with one compiler, which starts within a second, and which can be told to die.

`python -m tests.faults.small_runner` is `python -m runner` with two differences: it offers gcc-12
for C only, because testing every compiler at each start would take longer than it is left to live;
and these variables make it fail at a given point:

- ``DIE_AFTER=<step>``: kills itself with SIGKILL right after that step of its first job;
- ``STOP_BEFORE=<step>``: stops itself with SIGSTOP right before it, once;
- ``DIE_ON=<text>``: kills itself when it is to compile a source that holds the text.

Steps: ``read`` (the stream entry), ``compile``, and the scripts ``claim``, ``record``, ``seal``,
``result``, ``finish``.
"""

import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from chalicelib import bootstrap
from chalicelib.catalog import load_catalog
from chalicelib.models import CompileRequest, Result
from chalicelib.storage.redis.scripts import Argument, Script
from chalicelib.storage.redis.store import RedisStore
from runner.bootstrap import build_runner, limits_of, open_sandbox
from runner.executor import JobExecutor
from runner.toolchains.probe import probe_toolchains


def die() -> None:
    """Ends this process as a power failure would."""
    os.kill(os.getpid(), signal.SIGKILL)


class FailingScript(Script):
    """A script with something to do before and after it."""

    def __init__(self, script: Script, before: Callable[[], None], after: Callable[[], None]) -> None:
        self._script, self._before, self._after = script, before, after

    def __call__(self, client: Any, keys: Sequence[str], arguments: Sequence[Argument]) -> Any:
        """Runs the script between the two."""
        self._before()
        answer = self._script(client, keys, arguments)
        self._after()
        return answer


class FailingStore(RedisStore):
    """The Redis store, failing at a step of its first job."""

    def fail(self, die_after: str, stop_before: str) -> None:
        """Arms it."""
        self._die_after = die_after
        stopped = threading.Event()

        def before() -> None:
            if not stopped.is_set():
                stopped.set()
                os.kill(os.getpid(), signal.SIGSTOP)

        for step in {die_after, stop_before} & {"claim", "record", "seal", "result", "finish"}:
            script = FailingScript(
                getattr(self._scripts, step),
                before if step == stop_before else lambda: None,
                die if step == die_after else lambda: None,
            )
            setattr(self._scripts, step, script)

    def _read(self, runner: str, block_seconds: float) -> tuple[str, str] | None:
        delivery = super()._read(runner, block_seconds)
        if delivery is not None and self._die_after == "read":
            die()
        return delivery


class FailingExecutor(JobExecutor):
    """The real executor, but some sources kill its runner, or a timer does in the middle of a compile."""

    def compile(
        self,
        job_id: str,
        request: CompileRequest,
        *,
        attempts: int = 1,
        cancel: threading.Event | None = None,
    ) -> Result:
        """Compiles, unless it is set to die."""
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
    store = FailingStore(settings)
    store.fail(os.environ.get("DIE_AFTER", ""), os.environ.get("STOP_BEFORE", ""))
    sandbox = open_sandbox(settings)
    toolchains = probe_toolchains(
        load_catalog(),
        sandbox,
        limits_of(settings),
        find_executable=lambda name: shutil.which(name) if name == "gcc-12" else None,
    )
    executor = FailingExecutor(sandbox, load_catalog(), toolchains, limits_of(settings))
    runner = build_runner(settings, store, sandbox, toolchains, compile_claim=executor.compile_claim)
    signal.signal(signal.SIGTERM, lambda *_: runner.stop())
    runner.run()
    store.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
