"""Kills or slows down every process of one user, from a process that this user cannot signal.

`kill(-1)` reaches all processes of a user in one step of the kernel. A loop over /proc would not: a process
can fork faster than the loop kills. The sender needs that user's id, but with it as its real or saved id it
could be stopped or killed first. So only its effective id is the user's, and the others belong to nobody.
These ids would not survive an exec, so a helper forks and sends the signal itself; the helper is a small
Python program of its own, since forking is only safe in a process with one thread.

It must never run as root at the moment of the signal: that would reach every process. Niceness is changed in
the same way, since where the runner lacks that capability only the user may change it.
"""

import os
import subprocess
import sys
import threading
import weakref

from runner.sandbox.base import SandboxError
from runner.sandbox.uid_pool.pool import POOL_SIZE

_KILL = -1

# The helper's own program. Each line of its input holds two user ids and a niceness (-1: send the signal
# instead); it answers each with a line that holds an exit status.
_PROGRAM = """
import os, signal, sys
for line in sys.stdin:
    uid, nobody, nice = map(int, line.split())
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.setgroups([])
            os.setresgid(nobody, nobody, nobody)
            os.setresuid(nobody, uid, nobody)
            if os.getresuid() == (nobody, uid, nobody):
                status = 0
                if nice < 0:
                    os.kill(-1, signal.SIGKILL)
                else:
                    os.setpriority(os.PRIO_USER, uid, nice)
        except ProcessLookupError:
            pass
        finally:
            os._exit(status)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Killer:
    """The helper process; started when first needed, ended with this object. Safe to share by threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._helper: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the helper before it is needed, when there is time."""
        with self._lock:
            self._started()

    def kill_all_of(self, uid: int) -> None:
        """Send SIGKILL to every process of the user `uid`, if there are any. Raises SandboxError."""
        self._ask(uid, _KILL)

    def slow_down(self, uid: int, nice: int) -> None:
        """Raise the niceness of every process of the user `uid` to `nice`, 0 to 19. Raises SandboxError.

        No process of that user may have a higher one already: lowering it is not allowed.
        """
        self._ask(uid, nice)

    def _ask(self, uid: int, nice: int) -> None:
        if uid <= 0:
            raise ValueError("a job's user id is never root's")
        with self._lock:
            helper = self._started()
            assert helper.stdin is not None and helper.stdout is not None
            try:
                # The upper half of a range belongs to no job, so that helpers do not kill each other.
                helper.stdin.write(b"%d %d %d\n" % (uid, uid + POOL_SIZE, nice))
                helper.stdin.flush()
                answer = helper.stdout.readline()
            except OSError as error:
                raise SandboxError(f"the helper process that kills jobs has died: {error}") from error
            if answer != b"0\n":
                raise SandboxError("the helper process could not signal a job: the runner must be root")

    def _started(self) -> "subprocess.Popen[bytes]":
        if self._helper is None or self._helper.poll() is not None:
            self._helper = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _PROGRAM],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={},
                cwd="/",
            )
            weakref.finalize(self, _end, self._helper, os.getpid())
        return self._helper


def _end(helper: "subprocess.Popen[bytes]", owner: int) -> None:
    if os.getpid() != owner:
        return  # a fork of the runner: not its child
    helper.kill()
    helper.wait()
    for pipe in (helper.stdin, helper.stdout):
        if pipe is not None:
            pipe.close()
