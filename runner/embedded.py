"""The runner inside `chalice local`: the same workers on threads, over the store in memory."""

import logging
import os
import sys
import threading
from collections.abc import Callable

from chalicelib.errors import SettingsError
from chalicelib.settings import Settings
from chalicelib.storage.protocol import JobStore
from runner.__main__ import EXIT_SANDBOX, EXIT_SETTINGS, complain
from runner.bootstrap import build_runner, find_compilers, open_sandbox
from runner.sandbox.base import SandboxUnavailable
from runner.worker import Runner

logger = logging.getLogger("will_it_compile.runner")


def start(settings: Settings, store: JobStore) -> Callable[[], None]:
    """Starts the workers and returns the function that stops them.

    Without a working sandbox it ends the process, with a line that says what to install. The
    compilers are tested in the background: the API answers meanwhile, and lets a job wait.
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
            # A thread cannot end the server in order, and one that can compile nothing is of no use.
            complain(error.message, EXIT_SETTINGS)
            sys.stderr.flush()
            os._exit(EXIT_SETTINGS)
        running.append(runner)
        if not stopped.is_set():
            runner.run()

    thread = threading.Thread(target=work, name="embedded-runner", daemon=True)
    thread.start()

    def stop() -> None:
        stopped.set()
        for runner in running:
            runner.stop()
        # What is handed back is lost with the process anyway; its compilers are to be ended.
        thread.join(settings.stop_grace_seconds + 4)

    return stop
