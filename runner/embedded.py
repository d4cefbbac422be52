"""The runner inside the API process: the same workers on threads, with the store in memory."""

import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from chalicelib.errors import SettingsError
from chalicelib.models import UntestedCompiler
from chalicelib.settings import Settings
from chalicelib.storage.protocol import JobStore
from runner.bootstrap import build_runner, open_sandbox, run_with_tests, start_self_tests
from runner.cli import EXIT_DEFECT, EXIT_SANDBOX, EXIT_SETTINGS, complain
from runner.sandbox.base import SandboxUnavailable
from runner.worker import TimekeeperDied


@dataclass(frozen=True, slots=True)
class EmbeddedRunner:
    """The workers of this process: `stop` ends them, `prefer` has these compilers tested before others."""

    stop: Callable[[], None]
    prefer: Callable[[Sequence[UntestedCompiler]], None]


def start(settings: Settings, store: JobStore, environ: Mapping[str, str]) -> EmbeddedRunner:
    """Start the workers.

    Without a working sandbox it ends the process, with a line that says what to install. The compilers
    are tested in the background; a request waits for the one that it needs.
    """
    try:
        sandbox = open_sandbox(settings)
    except SandboxUnavailable as error:
        raise SystemExit(complain(str(error), EXIT_SANDBOX)) from None
    tests = start_self_tests(settings, sandbox, environ)
    runner = build_runner(settings, store, sandbox, tests)

    def work() -> None:
        try:
            run_with_tests(runner, tests)
        except SettingsError as error:
            # A thread cannot shut the server down properly, and a server without compilers is useless.
            complain(error.message, EXIT_SETTINGS)
            sys.stderr.flush()
            os._exit(EXIT_SETTINGS)
        except TimekeeperDied as error:
            complain(f"{error}; start the server again", EXIT_DEFECT)
            sys.stderr.flush()
            os._exit(EXIT_DEFECT)

    thread = threading.Thread(target=work, name="embedded-runner", daemon=True)
    thread.start()

    def stop() -> None:
        tests.stop()
        runner.stop()
        # Released jobs are lost with this process anyway; this waits until their compilers are ended.
        thread.join(settings.stop_grace_seconds + 4)

    return EmbeddedRunner(stop, tests.prefer)
