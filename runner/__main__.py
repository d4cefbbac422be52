"""`python -m runner`: settings, wiring, signals and exit codes.

Exit codes: 0 stopped as asked, 2 a wrong setting or no compiler, 3 Redis cannot be used, 4 no
sandbox works. Each comes with one line that says what to do.
"""

import argparse
import contextlib
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from chalicelib import bootstrap
from chalicelib.errors import SettingsError, StoreError
from chalicelib.settings import Settings
from runner.sandbox.base import SandboxUnavailable

# A setting is wrong, or no compiler passes its self-test.
EXIT_SETTINGS = 2
# Redis cannot be used at the start: it is away, or password, rights or TLS are wrong.
EXIT_STORE = 3
# No sandbox works on this host.
EXIT_SANDBOX = 4


def complain(message: str, code: int) -> int:
    """Prints the one line; returns the exit code."""
    print(f"will-it-compile: {message}", file=sys.stderr)  # noqa: T201 -- this is the program's own output
    return code


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a runner until SIGTERM or SIGINT; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m runner",
        description="Claims compile jobs from Redis, compiles them in a sandbox, writes the results back.",
        epilog="Settings come from the environment and from .env; see docs/settings.md.",
    )
    parser.add_argument(
        "--check", action="store_true", help="check settings, Redis, sandbox and compilers, then exit"
    )
    options = parser.parse_args(arguments)
    try:
        settings = bootstrap.read_settings(os.environ, Path(".env"))
        if not settings.redis_enabled:
            return complain(
                "REDIS_ENABLED='false' is not allowed for a runner of its own: it must be true "
                "(or use `make run`, where the workers are inside the API)",
                EXIT_SETTINGS,
            )
        return _run(settings, os.environ.get("ECS_AGENT_URI", ""), check_only=options.check)
    except SettingsError as error:
        return complain(error.message, EXIT_SETTINGS)
    except StoreError as error:
        return complain(error.message, EXIT_STORE)
    except SandboxUnavailable as error:
        return complain(str(error), EXIT_SANDBOX)


def _run(settings: Settings, agent_uri: str, *, check_only: bool) -> int:
    # Only now: --help and a wrong setting need none of it.
    from runner.bootstrap import build_runner, find_compilers, health_sign, open_protection, open_sandbox

    bootstrap.configure_logging(settings)
    bootstrap.log_choices(settings)
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(contextlib.closing(bootstrap.build_store(settings)))
        store.ping()
        sandbox = open_sandbox(settings)
        toolchains = find_compilers(settings, sandbox)
        if check_only:
            return 0
        runner = build_runner(
            settings,
            store,
            sandbox,
            toolchains,
            protection=stack.enter_context(contextlib.closing(open_protection(agent_uri))),
            leave_sign=stack.enter_context(health_sign(tempfile.gettempdir())),
        )

        def stop(number: int, _frame: FrameType | None) -> None:
            bootstrap.logger.info("runner: %s received", signal.Signals(number).name)
            runner.stop()
            # Who asks twice does not want to wait: the leases bring the jobs back.
            signal.signal(number, signal.SIG_DFL)

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        runner.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
