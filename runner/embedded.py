"""The runner inside the API process: the same workers on threads, with the store in memory."""

import logging
import os
import sys
import threading
from collections.abc import Callable

from chalicelib.errors import SettingsError
from chalicelib.settings import Settings
from chalicelib.storage.protocol import JobStore
from runner.bootstrap import build_runner, find_compilers, open_sandbox
from runner.cli import EXIT_DEFECT, EXIT_SANDBOX, EXIT_SETTINGS, complain
from runner.sandbox.base import SandboxUnavailable
from runner.worker import Runner, TimekeeperDied

logger = logging.getLogger("will_it_compile.runner")


def start(settings: Settings, store: JobStore) -> Callable[[], None]:
    """Start the workers; returns the function that stops them.

    Without a working sandbox it ends the process, with a line that says what to install. The compilers
    are tested in the background; until then the API answers, and jobs wait.
    """
    try:
        sandbox = open_sandbox(settings)
    except SandboxUnavailable as error:
        raise SystemExit(complain(str(error), EXIT_SANDBOX)) from None

    running: list[Runner] = []
    stopped = threading.Event()

    def work() -> None:
        try:
            runner = build_runner(settings, store, sandbox, find_compilers(settings, sandbox))
        except SettingsError as error:
            # A thread cannot shut the server down properly, and a server without compilers is useless.
            complain(error.message, EXIT_SETTINGS)
            sys.stderr.flush()
            os._exit(EXIT_SETTINGS)
        running.append(runner)
        if not stopped.is_set():
            try:
                runner.run()
            except TimekeeperDied as error:
                complain(f"{error}; start the server again", EXIT_DEFECT)
                sys.stderr.flush()
                os._exit(EXIT_DEFECT)

    thread = threading.Thread(target=work, name="embedded-runner", daemon=True)
    thread.start()

    def stop() -> None:
        stopped.set()
        for runner in running:
            runner.stop()
        # Released jobs are lost with this process anyway; this waits until their compilers are ended.
        thread.join(settings.stop_grace_seconds + 4)

    return stop
