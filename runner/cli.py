"""The command `python -m runner`: settings, wiring, signals and exit codes.

Exit codes: 0 stopped by a signal, 2 a wrong setting or no compiler, 3 Redis cannot be used, 4 no
sandbox works, 5 it cannot go on. Each error comes with one line that says what to do.
"""

import argparse
import contextlib
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from chalicelib import bootstrap
from chalicelib.errors import SettingsError, StoreError
from chalicelib.settings import Settings
from chalicelib.stop_signals import StopSignals
from runner.sandbox.base import SandboxUnavailable
from runner.worker import TimekeeperDied

# A setting is wrong, or no compiler passes its self-test.
EXIT_SETTINGS = 2
# Redis cannot be used at the start: it is away, or password, rights or TLS are wrong.
EXIT_STORE = 3
# No sandbox works on this host.
EXIT_SANDBOX = 4
# A thread that a runner cannot do without has ended: start it again.
EXIT_DEFECT = 5


def complain(message: str, code: int) -> int:
    """Print an error in one line; returns the exit code."""
    print(f"will-it-compile: {message}", file=sys.stderr)  # noqa: T201 -- the program's own output
    return code


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a runner until SIGTERM or SIGINT; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m runner",
        description="Claims compile jobs from Redis, compiles them in a sandbox, and stores the results.",
        epilog="Settings come from environment variables and from .env; see docs/settings.md.",
    )
    parser.add_argument(
        "--check", action="store_true", help="check settings, Redis, sandbox and compilers, then exit"
    )
    options = parser.parse_args(arguments)
    try:
        settings = bootstrap.read_settings(os.environ, Path(".env"))
        if not settings.redis_enabled:
            return complain(
                "REDIS_ENABLED='false' is not allowed for `python -m runner`: it must be true "
                "(or use `make run`, which runs the workers inside the API)",
                EXIT_SETTINGS,
            )
        return _run(settings, os.environ.get("ECS_AGENT_URI", ""), check_only=options.check)
    except SettingsError as error:
        return complain(error.message, EXIT_SETTINGS)
    except StoreError as error:
        return complain(error.message, EXIT_STORE)
    except SandboxUnavailable as error:
        return complain(str(error), EXIT_SANDBOX)
    except TimekeeperDied as error:
        return complain(f"{error}; start the runner again", EXIT_DEFECT)


def _run(settings: Settings, agent_uri: str, *, check_only: bool) -> int:
    # Imported late: --help and a wrong setting do not need it.
    from runner.bootstrap import (
        build_runner,
        check_offer,
        open_alive_file,
        open_protection,
        open_sandbox,
        run_with_tests,
        start_self_tests,
    )

    bootstrap.configure_logging(settings)
    bootstrap.log_choices(settings)
    signals = StopSignals()
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(contextlib.closing(bootstrap.build_store(settings)))
        store.ping()
        sandbox = open_sandbox(settings)
        tests = start_self_tests(settings, sandbox, os.environ)
        if check_only:
            signals.on_stop(tests.stop)
            toolchains = tests.wait()
            if not signals.received:
                check_offer(toolchains)
            return 0
        runner = build_runner(
            settings,
            store,
            sandbox,
            tests,
            protection=stack.enter_context(contextlib.closing(open_protection(agent_uri))),
            touch_alive=stack.enter_context(open_alive_file(tempfile.gettempdir())),
        )

        def stop() -> None:
            if signals.received:
                bootstrap.logger.info("runner: received %s, stopping", signals.received.name)
            runner.stop()

        # A second signal ends the process at once; its leases expire, and other runners get its jobs.
        signals.on_stop(stop)
        run_with_tests(runner, tests)
    return 0
