"""Signals in programs that tests start."""

import signal


def default_sigint() -> None:
    """As `preexec_fn` of a process that a test ends with SIGINT, however the tests themselves were started.

    A shell starts a background job with SIGINT ignored, and a process inherits that from its parent: SIGINT
    would not reach the program, and the test would hang.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def ignored_sigint() -> None:
    """As `preexec_fn`: SIGINT is ignored, as in a background job of a shell."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
